"""Envelopes keep their bytes, payloads split into exactly the records that were joined."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.clock import ClockState
from pipeline.records.envelope import By, MalformedRecord, Record, decode, encode, split

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
LEAVES = (
    st.none() | st.booleans() | INT64 | UINT64 | st.floats() | st.text(max_size=9) | st.binary(max_size=9)
)
BODIES = st.dictionaries(
    st.text(max_size=9),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4), max_leaves=9),
    max_size=5,
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    by = st.builds(By, st.text(max_size=9), st.integers(0, 9), UINT64, st.integers(0, 99))
    return encode(
        kind=draw(st.text(max_size=12)), source=draw(st.sampled_from(["live", "simulated"])),
        journal=draw(st.binary(min_size=16, max_size=16)), epoch=draw(st.integers(0, 9)),
        boot=draw(st.integers(0, 99)), seq=draw(UINT64), t_utc_ns=draw(INT64), t_run_ns=draw(INT64),
        clock=ClockState(draw(st.booleans()), draw(INT64)), by=draw(st.none() | by), body=draw(BODIES),
    )  # fmt: skip


@given(records())
def test_a_record_is_its_bytes(record: Record) -> None:
    again = decode(record.data)
    assert again.data == record.data
    fields = ("kind", "source", "journal", "epoch", "boot", "seq", "t_utc_ns", "t_run_ns", "clock", "by")
    assert all(getattr(again, name) == getattr(record, name) for name in fields)
    assert msgpack.packb(again.body) == msgpack.packb(record.body)
    assert again.era == f"{record.journal.hex()[:8]}-{record.epoch}"


@given(st.lists(records(), max_size=5))
def test_a_payload_splits_into_the_records_that_were_joined(parts: list[Record]) -> None:
    assert split(b"".join(part.data for part in parts)) == [part.data for part in parts]


@given(st.lists(records(), min_size=1, max_size=3), st.data())
def test_a_cut_payload_is_refused_and_never_guessed(parts: list[Record], data: st.DataObject) -> None:
    payload = b"".join(part.data for part in parts)
    cut = data.draw(st.integers(1, len(parts[-1].data) - 1))
    with pytest.raises(MalformedRecord):
        split(payload[:-cut])


@given(
    st.binary(max_size=60)
    | st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=12)).map(msgpack.packb)
)
def test_any_other_bytes_are_refused_with_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(MalformedRecord):
        decode(data)


ENVELOPE: list[Any] = [1, "tick", "live", bytes(16), 0, 1, 0, 0, 0, [1, -1], None, {}]


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, 2), (1, 5), (2, None), (3, 10**12), (4, "0"), (6, 1.5), (7, None), (9, []), (9, 3), (10, [1]),
        (10, 4),
        (11, []),
        *((position, False) for position in (4, 5, 6, 7, 8)),
    ],
)  # fmt: skip
def test_an_envelope_with_a_wrong_field_is_refused(position: int, value: Any) -> None:
    assert decode(msgpack.packb(ENVELOPE)).kind == "tick"
    changed = [*ENVELOPE]
    changed[position] = value
    with pytest.raises(MalformedRecord):
        decode(msgpack.packb(changed))


def test_a_map_keyed_by_an_array_is_refused() -> None:
    with pytest.raises(MalformedRecord):
        decode(b"\x81\x90\x01")


def test_a_newer_version_says_what_to_do() -> None:
    with pytest.raises(MalformedRecord, match="update"):
        decode(msgpack.packb([2, *ENVELOPE[1:]]))
