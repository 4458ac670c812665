"""Whatever a record's body holds, preparing it either gives points or says why not; it never fails."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Flag
from pipeline.records.frame import encode_flags, encode_frame
from pipeline.store.embedded import EmbeddedCore, EmbeddedStoreSettings
from pipeline.store.influx.lines import encode_lines
from pipeline.store.influx.text import Memory
from pipeline.store.prepare import Prepared, prepare
from pipeline.store.schema import units_of
from tests.support.stored import ORIGIN, T0_NS, frame, parse_line, record, verdicts

GOOD = frame(
    "ph",
    {("a", "f8"): [1.0, 2.0], ("i", "i8"): [1, 2], ("s", "text"): ["x", None]},
    corrected={"a": [1.5, 2.5]},
    store_off_ns=[0, 1],
)
GOOD_BODIES = {
    "data": encode_frame(GOOD),
    "flags": verdicts("ph", "spike", [(0, "a", Flag.FAIL, T0_NS), (1, "a", Flag.FAIL, T0_NS)], 0).body,
    "event": {"code": "x", "instrument": "ph"},
    "task": {"task": "T-1"},
}
(_, *rest), *others = GOOD_BODIES["data"]["channels"]
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=40),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def count(ready: Prepared) -> int:
    """Count the records that came through."""
    return sum(len(records) for records, _ in ready.frames) + len(ready.flags) + len(ready.ledger)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, dict[str, Any], int, int]:
    kind = draw(st.sampled_from(sorted(GOOD_BODIES)))
    body = dict(GOOD_BODIES[kind])
    for key in draw(st.lists(st.sampled_from(sorted(body)), min_size=1, max_size=2, unique=True)):
        if draw(st.booleans()):
            body[key] = draw(ANYTHING)
        else:
            del body[key]
    return kind, body, draw(st.integers(2, 2**64 - 1)), draw(st.integers(-(2**63), 2**63 - 1))


@given(damaged())
def test_a_damaged_body_is_stored_whole_or_becomes_a_dead_letter(
    made: tuple[str, dict[str, Any], int, int],
) -> None:
    kind, body, seq, t_utc_ns = made
    records = [record(kind, body, seq, t_utc_ns=t_utc_ns), record("event", {"code": "y"}, 1)]
    ready, dead = prepare(ORIGIN, records)
    assert count(ready) + len(dead) == 2
    for line in encode_lines(ORIGIN, ready, Memory()):
        parse_line(line)
    with TemporaryDirectory() as folder:
        core = EmbeddedCore(EmbeddedStoreSettings(kind="embedded", path=Path(folder) / "yaosu.db"))
        report = core.send(core.encode(ORIGIN, records))
        core.close()
    assert [letter.reason for letter in report.dead] == [letter.reason for letter in dead]
    assert sum(len(stored) for stored in report.stored.values()) == count(ready)


@pytest.mark.parametrize(
    "damage",
    [
        {"rows": 3},
        {"rows": 10**13},
        {"t_store_off": b"\0" * 8},
        {"corrected": {"a": ["c", b"\0" * 8]}},
        {"corrected": {"zz": ["c", b"\0" * 16]}},
        {"text": [["x"]]},
        {"text": [["x", 7]]},
        {"flag": b"\5" * 6},
        {"service": 1},
        {"n": 2**63 - 1},
        {"n": -1},
        {"t_utc": [2**64 - 1, 2, 0, b"\0" * 4]},
        {"t_utc": [-(2**63), 2, 0, b"\0" * 4]},
        {"instrument": ""},
        {"instrument": "a\nb"},
        {"channels": [["a"]]},
        *({"channels": [[name, *rest], *others]} for name in (1.5, 7, b"a", None)),
    ],
    ids=str,
)
def test_each_way_in_which_a_frame_can_contradict_itself_is_found(damage: dict[str, Any]) -> None:
    ready, dead = prepare(ORIGIN, [record("data", {**GOOD_BODIES["data"], **damage}, 1)])
    assert ready == Prepared()
    assert len(dead) == 1


@pytest.mark.parametrize(
    "body", [None, {}, {"site": 5}, {"site": {"instruments": [1]}}, {"site": {"instruments": [{}]}}]
)
def test_a_configuration_that_is_none_has_no_units(body: dict[str, Any] | None) -> None:
    assert units_of(body, "ph") == {}


def test_a_good_frame_and_its_flags_are_not_refused() -> None:
    ready, dead = prepare(
        ORIGIN, [record(kind, body, seq) for seq, (kind, body) in enumerate(GOOD_BODIES.items())]
    )
    assert dead == []
    assert count(ready) == len(GOOD_BODIES)
    assert encode_flags(ready.flags[0][1]) == GOOD_BODIES["flags"]
