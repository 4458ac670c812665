"""Records that share the list of their channels are unpacked to what each holds by itself."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.shared import LARGE_FROM_BYTES, SHARED_FROM_BYTES, Remembered, unpack
from tests.support.stored import data, frame

CHANNELS: dict[tuple[str, str], Any] = {(f"ch{number:03}", "f8"): [1.5, 2.5] for number in range(150)}
LARGE = data(frame("logger", CHANNELS), 7)
FIELDS: list[Any] = msgpack.unpackb(LARGE.data)


def packed(body: Any) -> bytes:
    made: bytes = msgpack.packb([*FIELDS[:-1], body])
    return made


def alone(record: bytes) -> Any:
    return msgpack.unpackb(record, strict_map_key=False)


def test_frames_of_one_instrument_share_their_list_of_channels_while_it_stays_the_same() -> None:
    assert len(LARGE.data) > SHARED_FROM_BYTES
    first, second = unpack(LARGE.data), unpack(packed({**FIELDS[-1], "n": 99}))
    assert (first[-1], second[-1]) == (FIELDS[-1], {**FIELDS[-1], "n": 99})
    assert second[-1]["channels"] is first[-1]["channels"]
    changed = packed({**FIELDS[-1], "channels": [*FIELDS[-1]["channels"][:-1], ["other", "f8"]]})
    assert unpack(changed) == alone(changed)
    assert unpack(LARGE.data) == FIELDS


@given(
    st.permutations(sorted(FIELDS[-1])),
    st.sampled_from(["instrument", "n", "rows", "channels", "text"]),
    st.sampled_from([None, 5, "channels", b"\xa8channels", ["x"], {"channels": 1}, "logger", {}]),
)
def test_bodies_that_no_gateway_writes_are_unpacked_as_msgpack_does(
    keys: list[str], key: str, value: Any
) -> None:
    unpack(LARGE.data)
    for body in (
        {name: FIELDS[-1][name] for name in keys},
        {**FIELDS[-1], key: value},
        value,
        {"instrument": value, **{name: FIELDS[-1][name] for name in keys if name != "instrument"}},
    ):
        record = packed(body)
        padded = msgpack.packb([*alone(record)[:-1], body, "x" * SHARED_FROM_BYTES])
        assert unpack(record) == alone(record)
        assert unpack(padded) == alone(padded)


@pytest.mark.parametrize("first", [True, False])
def test_a_key_that_comes_twice_has_its_last_value_and_none_of_it_is_remembered(first: bool) -> None:
    content = {**FIELDS[-1], "instrument": f"twice-{first}"}
    once = packed(content)
    body = msgpack.Packer().pack_map_pairs([*content.items(), ("channels", [["late", "f8"]])])
    twice = msgpack.packb(FIELDS[:-1])
    twice = bytes([twice[0] + 1]) + twice[1:] + body
    assert alone(twice)[-1]["channels"] == [["late", "f8"]]
    for record in (twice, once, twice) if first else (once, twice, once):
        assert unpack(record) == alone(record)


@given(st.integers(0, len(LARGE.data) - 1), st.integers(0, 255))
def test_a_changed_byte_changes_as_much_as_it_does_without_sharing(place: int, byte: int) -> None:
    unpack(LARGE.data)
    damaged = LARGE.data[:place] + bytes([byte]) + LARGE.data[place + 1 :]
    results = []
    for read in (alone, unpack):
        try:
            # repr tells NaN apart from other values, and equals itself.
            results.append(repr(read(damaged)))
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            results.append(f"{type(error)}")
    assert results[0] == results[1]


def test_what_was_remembered_first_is_forgotten_first() -> None:
    memory: Remembered[int] = Remembered(2)
    for name in ("a", "b", "a", "c"):
        memory.put(name, ord(name))
    assert [memory.get(name) for name in "abc"] == [97, None, 99]


def test_a_large_record_is_what_it_was_and_holds_what_is_equal_once() -> None:
    limits = [1, 1.0, True, -0.0, 0.0, float("inf"), 2**63, b"\x00", None, "1"]
    channels = [{"name": f"c{at % 100}", "unit": "V", "qc": {"range": limits}} for at in range(500)]
    body = {
        "site": [
            {"id": f"d{at}", "channels": channels, "note": ["-" * 3000, msgpack.ExtType(5, b"x")]}
            for at in range(20)
        ]
    }
    data = msgpack.packb([1, "config", *range(9), body])
    assert len(data) > LARGE_FROM_BYTES
    fields = unpack(data)
    assert msgpack.packb(fields) == data, "not the same, bit for bit"
    first, second = (fields[11]["site"][at]["channels"] for at in (0, 19))
    assert {id(channel) for channel in first} == {id(channel) for channel in second}
    assert len({id(channel) for channel in first}) == 100
