"""The codec of bulk records keeps every bit."""

from typing import Any

import msgpack
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.records import Block, Channel, FlagSet, Frame, Layout
from pipeline.records.block import Kind, concatenate
from pipeline.records.frame import decode_flags, decode_frame, encode_flags, encode_frame, last_stored_ns
from pipeline.records.stack import answered_utc_ns

INT64 = st.integers(-(2**63), 2**63 - 1)
# Any 64 bits are a float64: NaN payloads, signalling NaN, -0.0, denormals and infinities among them.
SPECIAL_BITS = [
    0x7FF0000000000001,
    0xFFF8DEADBEEF0001,
    1 << 63,
    1,
    0x000FFFFFFFFFFFFF,
    0x7FF0 << 48,
    0xFFF0 << 48,
]
FLOAT_BITS = st.integers(0, 2**64 - 1) | st.sampled_from(SPECIAL_BITS)
UINT64 = st.integers(0, 2**64 - 1) | st.just(2**64 - 1)
TEXT = st.none() | st.text(max_size=5)
KINDS: list[Kind] = ["f8", "i8", "u8", "text"]


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    rows = draw(st.integers(0, 5))
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=5))
    layout = Layout(tuple(draw(channels(f"c{number}", kind)) for number, kind in enumerate(kinds)))

    def matrix(element: st.SearchStrategy[int], count: int, dtype: str) -> NDArray[Any]:
        values = draw(st.lists(element, min_size=count * rows, max_size=count * rows))
        return np.array(values, dtype=dtype).reshape(count, rows)

    def times() -> NDArray[np.int64]:
        near = st.integers(0, 10**9)  # apart by less than 2**31 ns: the small deltas
        row: NDArray[np.int64] = matrix(draw(st.sampled_from([INT64, near])), 1, "<i8")[0]
        return row

    counts, width = layout.counts, len(kinds)
    block = Block(
        instrument=draw(st.text(max_size=8)), layout=layout, t_utc_ns=times(), t_run_ns=times(),
        t_request_ns=times(), t_response_ns=times(),
        status=matrix(draw(st.sampled_from([st.just(0), st.integers(0, 255)])), width, "u1"),
        f8=matrix(FLOAT_BITS, counts["f8"], "<u8").view("<f8"),
        i8=matrix(INT64, counts["i8"], "<i8"), u8=matrix(UINT64, counts["u8"], "<u8"),
        text=tuple(tuple(draw(st.lists(TEXT, min_size=rows, max_size=rows))) for _ in range(counts["text"])),
        raw=draw(st.none() | st.lists(st.binary(max_size=9), min_size=rows, max_size=rows).map(tuple)),
    )  # fmt: skip
    corrected = {}
    if width and draw(st.booleans()):
        corrected[layout.channels[0].name] = ("c-1", matrix(FLOAT_BITS, 1, "<u8").view("<f8")[0])
    uncorrected = {layout.channels[-1].name: "unit"} if width and draw(st.booleans()) else {}
    return Frame(
        block=block, n_first=draw(st.integers(0, 2**64 - 1)),
        flag=matrix(st.sampled_from([1, 2, 3, 4, 9]), width, "u1"), reason=matrix(INT64, width, "<i8"),
        unevaluated=matrix(st.just(0), width, "<i8"), service=draw(st.sampled_from(["in-use", "warm-up"])),
        t_store_off_ns=matrix(st.integers(0, 3), 1, "<i8")[0] if draw(st.booleans()) else None,
        corrected=corrected, uncorrected=uncorrected,
    )  # fmt: skip


@st.composite
def channels(draw: st.DrawFn, name: str, kind: Kind) -> Channel:
    limit = st.none() | st.floats(allow_nan=False)
    labels = draw(st.lists(st.tuples(INT64, st.text(max_size=4)), max_size=3))
    return Channel(
        name, kind, draw(st.text(max_size=4)), draw(st.none() | st.integers(0, 9)), draw(limit), draw(limit),
        tuple(labels),
    )  # fmt: skip


def assert_same_bits(left: NDArray[Any] | None, right: NDArray[Any] | None) -> None:
    assert (left is None) == (right is None)
    if left is not None and right is not None:
        assert (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


def assert_same(left: Frame, right: Frame) -> None:
    for name in ("t_utc_ns", "t_run_ns", "t_request_ns", "t_response_ns", "status", "f8", "i8", "u8"):
        assert_same_bits(getattr(left.block, name), getattr(right.block, name))
    assert left.block.layout == right.block.layout
    assert (left.block.instrument, left.block.text, left.block.raw) == (
        right.block.instrument, right.block.text, right.block.raw,
    )  # fmt: skip
    for name in ("flag", "reason", "unevaluated"):
        assert_same_bits(getattr(left, name), getattr(right, name))
    assert (left.n_first, left.service) == (right.n_first, right.service)
    assert_same_bits(left.t_store_ns, right.t_store_ns)
    assert left.uncorrected == right.uncorrected
    assert left.corrected.keys() == right.corrected.keys()
    for name, (correction, values) in left.corrected.items():
        assert right.corrected[name][0] == correction
        assert_same_bits(right.corrected[name][1], values)


@given(frames())
def test_a_frame_comes_back_bit_for_bit_through_msgpack(frame: Frame) -> None:
    body = encode_frame(frame)
    packed = msgpack.packb(body)
    again = decode_frame(msgpack.unpackb(packed, strict_map_key=False))
    assert_same(frame, again)
    assert msgpack.packb(encode_frame(again)) == packed


@given(frames())
def test_the_last_stored_time_is_found_without_decoding_the_frame(frame: Frame) -> None:
    stored = frame.t_store_ns
    assert last_stored_ns(encode_frame(frame)) == (int(stored.max()) if len(stored) else None)


@given(frames(), st.data())
def test_a_block_cut_in_two_and_joined_is_the_block(frame: Frame, data: st.DataObject) -> None:
    block = frame.block
    cut = data.draw(st.integers(0, len(block)))
    joined = concatenate([block.rows(0, cut), block.rows(cut, len(block))])
    for name in ("t_utc_ns", "t_run_ns", "status", "f8", "i8", "u8"):
        assert_same_bits(getattr(joined, name), getattr(block, name))
    assert (joined.text, joined.raw) == (block.text, block.raw)


@given(
    st.integers(0, 6).flatmap(lambda n: st.tuples(st.just(n), st.lists(INT64, min_size=n, max_size=n))), INT64
)
def test_flags_come_back_bit_for_bit(rows: tuple[int, list[int]], decided: int) -> None:
    count, numbers = rows
    flags = FlagSet(
        "meter", "spike", decided, np.array(numbers, dtype="<i8"), tuple(f"c{n}" for n in range(count)),
        np.full(count, 3, dtype="u1"), np.array(numbers[::-1], dtype="<i8"),
    )  # fmt: skip
    again = decode_flags(msgpack.unpackb(msgpack.packb(encode_flags(flags))))
    assert (again.instrument, again.rule, again.decided_through_n, again.channel) == (
        flags.instrument, flags.rule, decided, flags.channel,
    )  # fmt: skip
    assert_same_bits(again.n, flags.n)
    assert_same_bits(again.flag, flags.flag)
    assert_same_bits(again.t_store_ns, flags.t_store_ns)


@given(st.lists(frames(), min_size=1, max_size=5))
def test_when_rows_of_many_frames_were_answered_is_what_each_frame_says(several: list[Frame]) -> None:
    alone = [frame.block.t_utc_ns + (frame.block.t_response_ns - frame.block.t_run_ns) for frame in several]
    assert_same_bits(answered_utc_ns([encode_frame(frame) for frame in several]), np.concatenate(alone))
