"""The line protocol encoder against a reader that was written from the protocol's reference alone."""

import math
from typing import Any, TypeAlias

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Flag, Record
from pipeline.records.frame import encode_frame
from pipeline.store import Origin
from pipeline.store.influx.lines import encode_lines
from pipeline.store.influx.text import Memory
from pipeline.store.prepare import prepare
from tests.support.stored import JOURNAL, ORIGIN, T0_NS, data, frame, parse_line, record, verdicts

TAG = st.text(st.characters(exclude_characters="\\", exclude_categories=["C"]), min_size=1, max_size=12)
TEXT = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
KIND_VALUES = {
    "f8": st.floats(width=64),
    "i8": st.integers(-(2**63), 2**63 - 1),
    "u8": st.integers(0, 2**64 - 1),
    "text": TEXT,
}


Made: TypeAlias = tuple[Any, dict[Any, int], dict[Any, Flag], dict[Any, int], str]
"""Columns, statuses, flags, reasons, service state."""


def lines_of(origin: Origin, records: list[Record]) -> list[str]:
    ready, dead = prepare(origin, records)
    assert dead == []
    return list(encode_lines(origin, ready, Memory()))


@st.composite
def frames(draw: st.DrawFn) -> Made:
    rows = draw(st.integers(1, 4))
    names = draw(
        st.lists(st.sampled_from(["a", "n", "seq", "t_c", "x9"]), min_size=1, max_size=4, unique=True)
    )
    kinds = [draw(st.sampled_from(sorted(KIND_VALUES))) for _ in names]
    columns = {
        (name, kind): draw(st.lists(KIND_VALUES[kind], min_size=rows, max_size=rows))
        for name, kind in zip(names, kinds, strict=True)
    }
    cells = st.tuples(st.sampled_from(names), st.integers(0, rows - 1))
    status = draw(st.dictionaries(cells, st.sampled_from([1, 5, 66]), max_size=3))
    flag = draw(st.dictionaries(cells, st.sampled_from(list(Flag)), max_size=3))
    reason = draw(st.dictionaries(cells, st.integers(0, 2**63 - 1), max_size=3))
    service = draw(st.sampled_from(["in-use", "maintenance"]))
    return columns, status, flag, reason, service


def expected_fields(made: Made, row: int) -> dict[str, float | int | str]:
    columns, status, flag, reason, service = made
    expected: dict[str, float | int | str] = {"seq": 3, "n": 9 + row, "channels": len(columns)}
    if service != "in-use":
        expected["service"] = service
    for (name, kind), values in columns.items():
        value = values[row]
        there = (name, row) not in status and value is not None
        if kind == "f8":
            there = there and math.isfinite(value)
        if there and kind == "f8":
            expected[f"{name}.v" if name in {"n", "seq"} else name] = value
        elif there and (kind == "text" or value > 2**63 - 1):
            expected[f"{name}.s"] = str(value)
        elif there:
            expected[f"{name}.i"] = value
        if flag.get((name, row), 1) != 1 or not there:
            expected[f"{name}.q"] = int(flag.get((name, row), 1))
        if reason.get((name, row), 0):
            expected[f"{name}.r"] = reason[name, row]
    return expected


@given(frames(), TAG, TAG, TAG)
def test_every_line_reads_back_as_the_row_that_it_was_made_of(
    made: Made, lab: str, gateway: str, instrument: str
) -> None:
    columns, status, flag, reason, service = made
    content = frame(instrument, columns, n_first=9, status=status, flag=flag, reason=reason, service=service)
    lines = lines_of(Origin(lab, gateway), [data(content, 3, epoch=2)])
    origin = {"lab": lab, "gateway": gateway}
    for row, line in enumerate(lines):
        measurement, tags, fields, t_ns = parse_line(line)
        assert (measurement, t_ns) == ("reading", int(content.t_store_ns[row]))
        assert tags == origin | {"instrument": instrument, "source": "live", "era": "00010203-2"}
        # repr tells 1 from 1.0 and 0.0 from -0.0, and prints floats in full.
        expected = expected_fields(made, row)
        assert {name: repr(value) for name, value in fields.items()} == {
            name: repr(value) for name, value in expected.items()
        }


@given(st.lists(frames(), min_size=2, max_size=6), st.integers(1, 3))
def test_frames_written_together_make_the_lines_that_each_makes_alone(made: list[Made], times: int) -> None:
    records = []
    for seq, (columns, status, flag, reason, service) in enumerate(made * times):
        content = frame(
            f"i-{seq % 2}", columns, n_first=9 * seq, status=status, flag=flag, reason=reason, service=service
        )
        records.append(data(content, seq, epoch=seq % 3))
    alone = [line for each in records for line in lines_of(ORIGIN, [each])]
    assert sorted(lines_of(ORIGIN, records)) == sorted(alone)


@given(
    st.lists(st.booleans(), min_size=1, max_size=9), st.sampled_from(["f8", "t_utc", "flag", "reason", "n"])
)
def test_damaged_frames_among_good_ones_of_their_layout_are_the_only_ones_not_written(
    good: list[bool], key: str
) -> None:
    body = encode_frame(
        frame("ph", {("a", "f8"): [1.0, 2.0]}, flag={("a", 0): Flag.FAIL}, reason={("a", 0): 4})
    )
    # Too short and too long in turn: lengths that only together are right would shift every value.
    damages: dict[str, list[Any]] = {
        "f8": [bytes(8), bytes(24)],
        "flag": [bytes(1), bytes(3)],
        "reason": [bytes(8), bytes(24)],
        "t_utc": [[1, 2, 0, b""], [1, 2, 0, bytes(8)]],
        "n": [-1, 2**63],
    }
    records = [
        record("data", body if is_good else {**body, key: damages[key][seq % 2]}, seq)
        for seq, is_good in enumerate(good)
    ]
    ready, dead = prepare(ORIGIN, records)
    lines = encode_lines(ORIGIN, ready, Memory())
    assert {parse_line(line)[2]["seq"] for line in lines} == {
        seq for seq, is_good in enumerate(good) if is_good
    }
    assert [parse_line(line)[2]["seq"] for line in lines] == [
        lines.owner(position).seq for position in range(len(lines))
    ]
    assert {letter.seq for letter in dead} == {seq for seq, is_good in enumerate(good) if not is_good}


def test_verdicts_about_one_row_share_a_line_that_is_no_row() -> None:
    said = [(4, "a", Flag.FAIL, T0_NS), (4, "b", Flag.SUSPECT, T0_NS), (5, "a", Flag.FAIL, T0_NS + 1)]
    lines = [parse_line(line) for line in lines_of(ORIGIN, [verdicts("ph", "level-shift", said, 8)])]
    assert [(fields, t_ns) for _, _, fields, t_ns in lines] == [
        ({"a.f.level-shift": 4, "b.f.level-shift": 3, "n": 4}, T0_NS),
        ({"a.f.level-shift": 4, "n": 5}, T0_NS + 1),
    ]


def test_corrected_values_stand_beside_the_instruments_own() -> None:
    content = frame("ph", {("ph", "f8"): [7.0, 7.1]}, corrected={"ph": [6.9, np.nan]})
    fields = [parse_line(line)[2] for line in lines_of(ORIGIN, [data(content, 0)])]
    assert [(each["ph"], each.get("ph.c")) for each in fields] == [(7.0, 6.9), (7.1, None)]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**62))
def test_a_ledger_line_keeps_any_text_and_the_exact_time(text: str, seq: int) -> None:
    made = record("task", {"task": text, "x": b"\x01"}, seq, t_utc_ns=T0_NS + 5)
    measurement, tags, fields, t_ns = parse_line(lines_of(ORIGIN, [made])[0])
    assert (measurement, tags) == (
        "task", {"lab": "food-lab", "gateway": "gw-1", "source": "live", "era": "00010203-0"},
    )  # fmt: skip
    assert (fields["key"], fields["seq"], fields["t_utc_ns"], fields["journal"]) == (
        text,
        seq,
        T0_NS + 5,
        JOURNAL.hex(),
    )
    assert t_ns % 2**20 == seq % 2**20
    assert abs(t_ns - T0_NS) < 2**21
