"""The kernel that puts lines together: every number of digits, sparse columns, memory that is used again."""

from typing import Any

import numpy as np

from pipeline.records import Flag, Record
from pipeline.store.influx.lines import encode_lines
from pipeline.store.influx.text import MEMORIES_KEPT, MEMORY_MAX, Lines, Memory
from pipeline.store.prepare import prepare
from tests.support.stored import ORIGIN, S_NS, T0_NS, data, frame, parse_line, record, verdicts


def lines_of(records: list[Record], memory: Memory | None = None) -> Lines:
    ready, dead = prepare(ORIGIN, records)
    assert dead == []
    return encode_lines(ORIGIN, ready, memory or Memory())


def fields_of(records: list[Record]) -> list[dict[str, float | int | str]]:
    return [parse_line(line)[2] for line in lines_of(records)]


def test_integers_of_every_number_of_digits_are_printed_whole() -> None:
    edges = sorted({value for digits in range(20) for value in (10**digits - 1, 10**digits, 10**digits + 1)})
    signed = [value for edge in edges for value in (edge, -edge) if edge < 2**63]
    signed += [2**63 - 1, -(2**63), -(2**63) + 1]
    assert [each["a.i"] for each in fields_of([data(frame("ph", {("a", "i8"): signed}), 0)])] == signed
    natural = [*edges, 2**63 - 1, 2**63, 2**64 - 1]
    read = fields_of([data(frame("ph", {("a", "u8"): natural}), 0)])
    assert [each.get("a.i", each.get("a.s")) for each in read] == [
        value if value < 2**63 else str(value) for value in natural
    ]


def test_stored_times_before_1970_and_at_the_ends_of_what_is_kept_are_printed_whole() -> None:
    times = [-(2**63) + 2, -1, 0, 9, 10, 2**63 - 2]
    records = [data(frame("ph", {("a", "f8"): [1.5]}, t_ns=[t_ns]), seq) for seq, t_ns in enumerate(times)]
    assert [parse_line(line)[3] for line in lines_of(records)] == times


def test_floats_at_the_edges_of_their_range_read_back_to_the_bit() -> None:
    bits = np.array([1, 2**52, 2**52 - 1, 2**63, 2**63 + 1, 2046 << 52, (2047 << 52) - 1], dtype=np.uint64)
    values = [*bits.view(np.float64).tolist(), 0.1, 1e16, 1e-5, 123456789.0, -1.7976931348623157e308]
    read = [each["a"] for each in fields_of([data(frame("ph", {("a", "f8"): values}), 0)])]
    assert np.array(read).tobytes() == np.array(values).tobytes()


def test_corrected_values_of_some_frames_and_channels_stay_with_their_rows() -> None:
    columns: dict[tuple[str, str], Any] = {("a", "f8"): [1.0, 2.0], ("b", "f8"): [3.0, 4.0]}
    corrected: list[dict[str, list[float]]] = [
        {},
        {"b": [3.5, np.nan]},
        {"a": [np.inf, 2.5], "b": [0.5, 1.5]},
    ]
    records = [
        data(frame("ph", columns, n_first=2 * seq, corrected=one), seq) for seq, one in enumerate(corrected)
    ]
    assert [(each.get("a.c"), each.get("b.c")) for each in fields_of(records)] == [
        (None, None), (None, None), (None, 3.5), (None, None), (None, 0.5), (2.5, 1.5),
    ]  # fmt: skip


def test_each_line_is_of_the_record_that_made_it_whatever_lies_beside_it() -> None:
    records = [
        data(frame("ph", {("a", "f8"): [1.0, 2.0]}), 1),
        verdicts("ph", "spike", [(0, "a", Flag.FAIL, T0_NS), (1, "a", Flag.FAIL, T0_NS + 1)], 2),
        record("event", {"code": "x"}, 4),
        data(frame("scale", {("m", "f8"): [3.0]}), 5),
        data(frame("ph", {("a", "f8"): [1.0, 2.0]}, n_first=2, t_ns=[T0_NS + S_NS, T0_NS + 2 * S_NS]), 6),
    ]
    lines = lines_of(records)
    assert [lines.owner(position).seq for position in range(len(lines))] == [1, 1, 6, 6, 5, 2, 2, 4]
    bodies = bytes(lines.body(0, 3)).decode(), bytes(lines.body(3, len(lines))).decode()
    assert "\n".join(bodies).split("\n") == list(lines)


def test_memory_that_was_given_back_is_used_again_and_other_memory_is_not_touched() -> None:
    memory = Memory()
    batches = [[data(frame("ph", {("a", "f8"): [float(seq)] * 50}), seq)] for seq in range(3)]
    first, second = (lines_of(batch, memory) for batch in batches[:2])
    before = list(first)
    memory.give(second.data)
    third = lines_of(batches[2], memory)
    assert third.data is second.data
    assert list(first) == before
    assert list(third) == list(lines_of(batches[2]))


def test_no_more_memory_is_kept_than_batches_are_under_way_and_no_huge_piece() -> None:
    memory = Memory()
    memory.give(np.empty(MEMORY_MAX + 1, dtype=np.uint8))
    pieces = [np.empty(size, dtype=np.uint8) for size in range(10, 10 + MEMORIES_KEPT + 1)]
    for piece in pieces:
        memory.give(piece)
    assert [memory.take(5) is piece for piece in pieces[1:]] == [True] * MEMORIES_KEPT
    assert len(memory.take(5)) == 5
