"""The tables of InfluxDB 3: which channels stand in which, and that nothing gets lost between the parts."""

from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from pipeline.records import Channel, Flag, Layout, Record
from pipeline.records.block import Kind
from pipeline.store.influx import profiles as profiles_module
from pipeline.store.influx.forms import Forms
from pipeline.store.influx.lines import encode_lines
from pipeline.store.influx.profiles import FLAGS, Profiles, has_rows, parts_of, profile_of
from pipeline.store.influx.text import Memory
from pipeline.store.prepare import prepare
from tests.support.stored import ORIGIN, S_NS, T0_NS, Parsed, data, frame, parse_line, verdicts

SEEDS = range(40)
KINDS: tuple[Kind, ...] = ("f8", "i8", "u8", "text")
SEQ = 1000
"""Numbers below 128 are written as one byte of msgpack, which has no form."""


def encoded(records: list[Record], profiles: Profiles | None, forms: Forms | None = None) -> list[Parsed]:
    """Encode records; of each line that its record is the one it is said to be of."""
    gathered, rest = forms.gather(ORIGIN, records) if forms else ([], records)
    ready, dead = prepare(ORIGIN, rest)
    assert dead == []
    lines = encode_lines(ORIGIN, ready, Memory(), gathered, profiles)
    parsed = [parse_line(line) for line in lines]
    for position, (_, _, fields, _) in enumerate(parsed):
        assert fields.get("seq", lines.owner(position).seq) == lines.owner(position).seq
    return parsed


def joined(lines: list[Parsed]) -> dict[Any, dict[str, str]]:
    """Put the lines of one row together: fields by tags and time, and how many channels they have in all."""
    rows: dict[Any, dict[str, str]] = defaultdict(dict)
    channels: dict[Any, int] = defaultdict(int)
    for _, tags, fields, t_ns in lines:
        key = (*sorted(tags.items()), t_ns)
        channels[key] += int(fields["channels"])
        for name, value in fields.items():
            assert rows[key].setdefault(name, repr(value)) == repr(value) or name == "channels"
    return {key: {**fields, "channels": repr(channels[key])} for key, fields in rows.items()}


def random_record(random: Random, number: int, kinds: list[Kind]) -> Record:
    """Make a frame of three rows with some of everything that may stand beside a value."""
    makers: dict[Kind, Callable[[], Any]] = {
        "f8": lambda: random.choice([random.gauss(0, 1e9), -0.0, float("nan"), 5e-324]),
        "i8": lambda: random.randrange(-(2**63), 2**63),
        "u8": lambda: random.randrange(2**64),
        "text": lambda: random.choice(["", "1,2 =", '"\\', "两行\n字", None]),
    }
    columns: Any = {(f"c{at}", kind): [makers[kind]() for _ in range(3)] for at, kind in enumerate(kinds)}
    cells = [(name, row) for name, _ in columns for row in range(3)]

    def some(values: Any) -> Any:
        return {cell: values() for cell in cells if random.random() < 0.2}

    content = frame(
        random.choice(["plc", "plc-2"]), columns, n_first=SEQ + 3 * number,
        t_ns=[T0_NS + (3 * number + row) * S_NS for row in range(3)],
        status=some(lambda: 1), flag=some(lambda: random.choice(list(Flag))),
        reason=some(lambda: random.randrange(2**63)),
        corrected={name: [1.5, np.nan, -0.0] for name, _ in columns if random.random() < 0.3},
        service=random.choice(["in-use", "maintenance"]),
    )  # fmt: skip
    return data(content, SEQ + number)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_parts_of_a_row_are_together_what_one_line_of_it_is(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    channels_max = random.randint(1, 4)
    monkeypatch.setattr(profiles_module, "CHANNELS_MAX", channels_max)
    kinds = [random.choice(KINDS) for _ in range(random.randint(1, 12))]
    records = [random_record(random, number, kinds) for number in range(8)]
    parts = encoded(records, Profiles())
    assert joined(parts) == joined(encoded(records, None))
    assert all(has_rows(name) for name, _, _, _ in parts)
    assert len({name for name, _, _, _ in parts}) == -(-len(kinds) // channels_max)


@pytest.mark.parametrize("seed", SEEDS)
def test_records_of_a_known_form_make_the_parts_that_they_make_decoded(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    monkeypatch.setattr(profiles_module, "CHANNELS_MAX", random.randint(1, 4))
    kinds = [random.choice(KINDS[:3]) for _ in range(random.randint(1, 12))]
    records = [random_record(random, number, kinds) for number in range(8)]
    forms = Forms()
    while forms.gather(ORIGIN, records)[1]:  # one form of each length is learnt of a batch
        pass
    made = encoded(records, Profiles(), forms)
    assert sorted(map(repr, made)) == sorted(map(repr, encoded(records, Profiles())))


@pytest.mark.parametrize("kind", KINDS)
def test_no_table_can_have_more_columns_than_there_may_be(kind: Kind) -> None:
    layout = Layout(tuple(Channel(f"c{at}", kind) for at in range(512)))
    parts = parts_of(layout)
    assert [channel for part in parts for channel in part.plan.layout.channels] == list(layout.channels)
    of_a_channel = 5 if kind == "u8" else 4
    for part in parts:
        channels = len(part.plan.layout.channels)
        assert channels <= 100
        assert 1 + 5 + 4 + channels * of_a_channel <= 500
    assert len({part.table for part in parts}) == len(parts) == 6


def test_the_name_of_a_profile_is_the_same_in_every_version() -> None:
    layout = Layout((Channel("ph", "f8", "pH", decimals=2), Channel("state", "i8")))
    # printf 'ph f8\nstate i8\n' | sha256sum
    assert profile_of(layout) == "9136a0e95a32"
    assert profile_of(Layout((Channel("ph", "f8"), Channel("state", "i8")))) == profile_of(layout)
    others = [("state", "i8"), ("ph", "f8")], [("ph", "f8")], [("ph", "f8"), ("state", "u8")]
    names = {profile_of(Layout(tuple(Channel(*each) for each in other))) for other in others}  # type: ignore[arg-type]
    assert len(names | {profile_of(layout)}) == 4


def test_tables_of_rows_are_told_from_others_by_their_names() -> None:
    profile = "reading_0123456789ab"
    assert all(map(has_rows, [profile, f"{profile}_2", f"{profile}_17"]))
    assert not any(map(has_rows, [FLAGS, "reading", f"{profile}_", f"{profile}c", "event"]))


def test_every_verdict_is_a_point_of_its_own_beside_the_rows() -> None:
    said = [(4, "a", Flag.FAIL, T0_NS), (4, "b", Flag.SUSPECT, T0_NS), (5, "a", Flag.FAIL, T0_NS + 1)]
    lines = encoded([verdicts("ph", "level-shift", said, 8)], Profiles())
    common = {"lab": "food-lab", "gateway": "gw-1", "source": "live", "era": "00010203-0", "instrument": "ph"}
    assert lines == [
        (FLAGS, {**common, "channel": channel, "rule": "level-shift"}, {"n": n, "f": flag}, t_ns)
        for n, channel, flag, t_ns in said
    ]
