"""Register bytes become columns: one gather for each type and order, no Python work per channel."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivers.modbus.settings import REGISTERS
from pipeline.records import Channel, Layout, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drivers.modbus.plan import ReadBlock
    from drivers.modbus.settings import ModbusChannel, Order, ValueType
    from pipeline.records.block import Kind

_DTYPES: dict[ValueType, str] = {
    "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4", "int64": "<i8", "uint64": "<u8",
    "float32": "<f4", "float64": "<f8",
}  # fmt: skip


class Columns(NamedTuple):
    """One row of all channels, shaped as `Block` wants it."""

    status: NDArray[np.uint8]
    f8: NDArray[np.float64]
    i8: NDArray[np.int64]
    u8: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Group:
    """The channels of one type and order that end in one matrix."""

    kind: Kind
    dtype: np.dtype[Any]
    gather: NDArray[np.intp]
    """intp[m, bytes]: where the bytes of each value lie in the joined answers, least significant first."""
    channels: NDArray[np.intp]
    """intp[m]: positions of the channels."""
    slots: NDArray[np.intp]
    """intp[m]: rows in the matrix of `kind`."""
    scale: NDArray[np.float64] | None
    divisor: NDArray[np.float64] | None
    """Whole number to divide by where `scale` is meant as its reciprocal, 1.0 elsewhere; see `_factors`."""
    offset: NDArray[np.float64] | None
    sentinel_of: NDArray[np.intp]
    """intp[k]: position within the group that each sentinel belongs to."""
    sentinels: NDArray[Any]
    """unsigned[k]: raw codes."""


@dataclass(frozen=True, slots=True)
class _Bits:
    channels: NDArray[np.intp]
    slots: NDArray[np.intp]
    bytes: NDArray[np.intp]
    shifts: NDArray[np.uint8]


def channel_kind(channel: ModbusChannel) -> Kind:
    """Return the column type: integers stay integers unless scaled; floats and scaled values are float64."""
    if channel.scale is not None or channel.offset is not None or channel.type in {"float32", "float64"}:
        return "f8"
    return "u8" if channel.type == "uint64" else "i8"


def build_layout(channels: Sequence[ModbusChannel]) -> Layout:
    """Return the layout that the settings describe."""
    return Layout(tuple(
        Channel(c.name, channel_kind(c), c.unit, c.decimals, c.low, c.high, c.labels) for c in channels
    ))  # fmt: skip


def byte_offsets(registers: int, order: Order) -> list[int]:
    """Return where the bytes of a value lie among its 2 * `registers` wire bytes, least significant first.

    ABCD: all big-endian. BADC: bytes of each register swapped. CDAB: least significant register first. DCBA:
    both, that is little-endian.
    """
    swap_bytes, swap_words = order in {"BADC", "DCBA"}, order in {"CDAB", "DCBA"}
    words = range(registers) if swap_words else range(registers - 1, -1, -1)
    return [2 * word + byte for word in words for byte in ((0, 1) if swap_bytes else (1, 0))]


class Decoder:
    """The decode of one instrument, with its indices computed once."""

    def __init__(
        self, channels: Sequence[ModbusChannel], layout: Layout, blocks: Sequence[ReadBlock]
    ) -> None:
        self.layout = layout
        self._sizes = [block.byte_count for block in blocks]
        starts = np.cumsum([0, *self._sizes])
        self._block_of = np.zeros(len(channels), dtype=np.intp)
        first_byte = [0] * len(channels)
        bit_in_byte = [0] * len(channels)
        for number, block in enumerate(blocks):
            for position in block.channels:
                self._block_of[position] = number
                distance = channels[position].address - block.address
                if channels[position].bitwise:
                    first_byte[position] = int(starts[number]) + distance // 8
                    bit_in_byte[position] = distance % 8
                else:
                    first_byte[position] = int(starts[number]) + 2 * distance
        self._groups = _groups(channels, self.layout, first_byte)
        self._bits = _bits(channels, self.layout, first_byte, bit_in_byte)
        self._of_kind = {
            kind: np.array(self.layout.of_kind(kind), dtype=np.intp) for kind in ("f8", "i8", "u8")
        }

    def decode(self, answers: Sequence[bytes | int]) -> Columns:
        """Decode one row.

        Args:
            answers: for each block its data bytes, of the length that the plan asks for, or the `Status` code
                that says why there are none.
        """
        data = b"".join(
            bytes(size) if isinstance(answer, int) else answer
            for answer, size in zip(answers, self._sizes, strict=True)
        )
        raw = np.frombuffer(data, dtype=np.uint8)
        per_block = np.array([answer if isinstance(answer, int) else 0 for answer in answers], dtype=np.uint8)
        status = per_block[self._block_of]
        counts = self.layout.counts
        columns = Columns(
            status.reshape(-1, 1),
            np.zeros((counts["f8"], 1)),
            np.zeros((counts["i8"], 1), dtype=np.int64),
            np.zeros((counts["u8"], 1), dtype=np.uint64),
        )
        for group in self._groups:
            _decode_group(group, raw, status, columns)
        if self._bits is not None:
            bits = (raw[self._bits.bytes] >> self._bits.shifts) & 1
            columns.i8[self._bits.slots, 0] = bits
        if status.any():
            columns.f8[status[self._of_kind["f8"]] != Status.GOOD] = np.nan
            columns.i8[status[self._of_kind["i8"]] != Status.GOOD] = 0
            columns.u8[status[self._of_kind["u8"]] != Status.GOOD] = 0
        return columns


def _decode_group(group: _Group, raw: NDArray[np.uint8], status: NDArray[np.uint8], columns: Columns) -> None:
    gathered = raw[group.gather]
    values = gathered.view(group.dtype)[:, 0]
    if len(group.sentinels):
        codes = gathered.view(group.sentinels.dtype)[:, 0]
        _unavailable(status, group.channels[group.sentinel_of[codes[group.sentinel_of] == group.sentinels]])
    if group.dtype.kind == "f":
        _unavailable(status, group.channels[np.isnan(values)])
    if group.kind == "f8":
        # A signalling NaN among float32 sets the invalid flag of the conversion; its status says so already.
        with np.errstate(invalid="ignore", over="ignore"):
            numbers = values.astype(np.float64)
            if group.scale is not None and group.divisor is not None and group.offset is not None:
                numbers = numbers * group.scale / group.divisor + group.offset
        columns.f8[group.slots, 0] = numbers
    elif group.kind == "u8":
        columns.u8[group.slots, 0] = values
    else:
        columns.i8[group.slots, 0] = values


def _unavailable(status: NDArray[np.uint8], channels: NDArray[np.intp]) -> None:
    """Mark values that the device declares absent; a reason given for the whole block stands."""
    fresh = channels[status[channels] == Status.GOOD]
    status[fresh] = Status.UNAVAILABLE


def _groups(channels: Sequence[ModbusChannel], layout: Layout, first_byte: Sequence[int]) -> list[_Group]:
    members: dict[tuple[ValueType, Order, Kind, bool], list[int]] = defaultdict(list)
    for position, channel in enumerate(channels):
        if channel.type != "bool":
            # Unscaled floats are kept apart: x * 1 + 0 would turn -0.0 into 0.0.
            scaled = channel.scale is not None or channel.offset is not None
            members[channel.type, channel.order, layout.channels[position].kind, scaled].append(position)
    return [
        _group([channels[position] for position in positions], positions, layout, first_byte, scaled=scaled)
        for (_, _, _, scaled), positions in members.items()
    ]


def _group(
    channels: Sequence[ModbusChannel], positions: Sequence[int], layout: Layout, first_byte: Sequence[int],
    *, scaled: bool,
) -> _Group:  # fmt: skip
    kind, order, registers = channels[0].type, channels[0].order, REGISTERS[channels[0].type]
    offsets = np.array(byte_offsets(registers, order), dtype=np.intp)
    size = 2 * registers
    codes = [(index, code) for index, channel in enumerate(channels) for code in channel.sentinels]
    return _Group(
        kind=layout.channels[positions[0]].kind,
        dtype=np.dtype(_DTYPES[kind]),
        gather=np.array([first_byte[position] for position in positions], dtype=np.intp)[:, None] + offsets,
        channels=np.array(positions, dtype=np.intp),
        slots=np.array([layout.slots[position] for position in positions], dtype=np.intp),
        scale=np.array([_factors(c.scale)[0] for c in channels]) if scaled else None,
        divisor=np.array([_factors(c.scale)[1] for c in channels]) if scaled else None,
        offset=np.array([0.0 if c.offset is None else c.offset for c in channels]) if scaled else None,
        sentinel_of=np.array([index for index, _ in codes], dtype=np.intp),
        # A negative code means the two's complement.
        sentinels=np.array([code % 2 ** (8 * size) for _, code in codes], dtype=f"<u{size}"),
    )


def _factors(scale: float | None) -> tuple[float, float]:
    """Return multiplier and divisor: a scale of 0.1 divides by 10.

    0.1 has no exact binary form, 10 has: the quotient is the float64 nearest to the decimal that the device
    means, where the product may miss it (3 * 0.1 is not 0.3).
    """
    if scale is None:
        return 1.0, 1.0
    whole = round(1.0 / scale) if 0.0 < abs(scale) < 1.0 else 0
    return (1.0, float(whole)) if whole and 1.0 / whole == scale else (scale, 1.0)


def _bits(
    channels: Sequence[ModbusChannel], layout: Layout, first_byte: Sequence[int], bit_in_byte: Sequence[int]
) -> _Bits | None:
    positions = [position for position, channel in enumerate(channels) if channel.type == "bool"]
    if not positions:
        return None
    where, shifts = [], []
    for position in positions:
        channel = channels[position]
        if channel.bit is None:
            where.append(first_byte[position])
            shifts.append(bit_in_byte[position])
        else:
            where.append(first_byte[position] + byte_offsets(1, channel.order)[channel.bit // 8])
            shifts.append(channel.bit % 8)
    return _Bits(
        np.array(positions, dtype=np.intp),
        np.array([layout.slots[position] for position in positions], dtype=np.intp),
        np.array(where, dtype=np.intp),
        np.array(shifts, dtype=np.uint8),
    )
