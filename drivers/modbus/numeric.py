"""Numbers of one type and order, decoded together: one gather, no Python work per channel."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.modbus.channel import FLOATS, REGISTERS
from pipeline.records import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drivers.modbus.channel import ModbusChannel, Order, ValueType
    from pipeline.records import Layout
    from pipeline.records.block import Kind

_DTYPES: dict[ValueType, str] = {
    "int8": "<i1", "uint8": "<u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4",
    "int64": "<i8", "uint64": "<u8", "float16": "<f2", "float32": "<f4", "float64": "<f8",
    "bcd16": "<u2", "bcd32": "<u4", "bcd64": "<u8",
}  # fmt: skip
_SCALE_FACTOR_MAX = 10
"""SunSpec scale factors reach from -10 to 10; 0x8000 says that there is none (Information Model, 4.3.4)."""

_WIDE_FLOATS: frozenset[ValueType] = frozenset({"float32", "float64"})
"""Their NaN begins with the byte 0x7F or 0xFF; so do infinities and numbers beyond 1e38."""
_NO_BYTES = np.zeros(0, dtype=np.uint8)
_NO_GATHER = np.zeros((0, 0), dtype=np.intp)

Matrix = Any
"""NDArray of the group's kind, [channels of the kind, 1]: float64, int64 or uint64."""


@dataclass(frozen=True, slots=True)
class NumberGroup:
    """The channels of one type, order and treatment that end in one matrix."""

    type: ValueType
    kind: Kind
    dtype: np.dtype[Any]
    gather: NDArray[np.intp]
    """intp[m, bytes]: where the bytes of each value lie in the joined answers, least significant first; empty
    where `run` says it."""
    run: tuple[int, np.dtype[Any]] | None
    """First byte and wire dtype where the values lie side by side and NumPy reads their order itself; a dtype
    of registers where the less significant one comes first."""
    tops: slice | None
    """Where the most significant bytes of a run of float32 or float64 lie: they tell if one may be NaN."""
    channels: NDArray[np.intp]
    """intp[m]: positions of the channels."""
    slots: NDArray[np.intp] | slice
    """intp[m]: rows in the matrix of `kind`; a slice where they follow one another."""
    scale: NDArray[np.float64] | None
    divisor: NDArray[np.float64] | None
    """Whole number to divide by where `scale` is meant as its reciprocal, 1.0 elsewhere; see `_factors`."""
    offset: NDArray[np.float64] | None
    factors: NDArray[np.intp] | None
    """intp[m, 2]: where the bytes of each value's scale factor lie, least significant first."""
    field: tuple[int, int] | None
    """Shift and mask of a bit field."""
    sentinel_of: NDArray[np.intp]
    """intp[k]: position within the group that each sentinel belongs to."""
    sentinels: NDArray[Any]
    """unsigned[k]: raw codes."""

    @property
    def picks_bytes(self) -> bool:
        """Whether it takes bytes out of the answers one by one."""
        return self.run is None or self.factors is not None

    @property
    def plain(self) -> bool:
        """Whether the values are a run of floats as they stand on the wire, and nothing is to be done."""
        treated = self.scale is not None or self.factors is not None or len(self.sentinels) > 0
        return self.tops is not None and not treated

    def decode_plain(self, data: bytes) -> NDArray[np.float64] | None:
        """float64[m, 1]: the values of a `plain` group; None where one may be NaN: ask `decode`."""
        if self._may_hold_nan(data):
            return None
        return self._values(data, _NO_BYTES).astype(np.float64).reshape(-1, 1)

    def _may_hold_nan(self, data: bytes) -> bool:
        """Tell whether any sign and exponent begins as those of NaN do (IEEE 754: all ones)."""
        tops = data if self.tops is None else data[self.tops]
        return 0x7F in tops or 0xFF in tops

    def decode(self, data: bytes, raw: NDArray[np.uint8], status: NDArray[np.uint8], matrix: Matrix) -> None:
        """Write the values into `matrix`, and into `status` why one is none.

        Args:
            data: the joined answers.
            raw: the same as uint8[bytes].
            status: uint8[c], already set for values whose block did not answer.
            matrix: of the group's kind.
        """
        values = self._values(data, raw)
        if len(self.sentinels):
            codes = values.view(self.sentinels.dtype)
            self._mark(status, self.sentinel_of[codes[self.sentinel_of] == self.sentinels])
        if self.dtype.kind == "f":
            # One pass tells whether any is NaN: squares are not negative, so that infinities cannot make one.
            if self.type == "float16" or (self._may_hold_nan(data) and _holds_nan(values)):
                self._mark(status, np.flatnonzero(np.isnan(values)))
            elif self.kind == "f8" and self.scale is None and self.factors is None:
                matrix[self.slots, 0] = values
                return
        elif self.field is not None:
            shift, mask = self.field
            values = (values >> self.dtype.type(shift)) & self.dtype.type(mask)
        elif self.type.startswith("bcd"):
            values, wrong = from_bcd(values.astype(np.uint64), digits=2 * self.dtype.itemsize)
            self._mark(status, np.flatnonzero(wrong), Status.WRONG_ANSWER)
        matrix[self.slots, 0] = self._scaled(values, raw, status) if self.kind == "f8" else values

    def _values(self, data: bytes, raw: NDArray[np.uint8]) -> NDArray[Any]:
        if self.run is not None:
            first, wire = self.run
            if wire.itemsize < self.dtype.itemsize:
                words = np.frombuffer(data, wire, 2 * len(self.channels), first).astype("<u2")
                return words.view(self.dtype)
            return np.frombuffer(data, wire, len(self.channels), first).astype(self.dtype)
        gathered: NDArray[Any] = raw[self.gather].view(self.dtype)[:, 0]
        return gathered

    def _scaled(
        self, values: NDArray[Any], raw: NDArray[np.uint8], status: NDArray[np.uint8]
    ) -> NDArray[np.float64]:
        # A signalling NaN among float32 sets the invalid flag of the conversion; its status says so already.
        with np.errstate(invalid="ignore", over="ignore"):
            numbers: NDArray[np.float64] = values.astype(np.float64)
            if self.factors is not None:
                power = raw[self.factors].view("<i2")[:, 0].astype(np.int64)
                absent = np.abs(power) > _SCALE_FACTOR_MAX
                if absent.any():
                    self._mark(status, np.flatnonzero(absent))
                    power = np.where(absent, 0, power)
                numbers = numbers * 10.0 ** np.maximum(power, 0) / 10.0 ** np.maximum(-power, 0)
            if self.scale is not None and self.divisor is not None and self.offset is not None:
                numbers = numbers * self.scale / self.divisor + self.offset
        return numbers

    def _mark(
        self, status: NDArray[np.uint8], members: NDArray[np.intp], why: Status = Status.UNAVAILABLE
    ) -> None:
        """Mark values that are none; a reason given for the whole block stands."""
        channels = self.channels[members]
        status[channels[status[channels] == Status.GOOD]] = why


def _holds_nan(values: NDArray[Any]) -> bool:
    # A wrong order makes numbers whose squares overflow, and signalling NaNs: neither is worth a warning.
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isnan(values.dot(values))


def from_bcd(codes: NDArray[np.uint64], *, digits: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read packed decimal digits, four bits each, and tell which codes hold one that is none.

    Args:
        codes: uint64[m].
        digits: of each code, up to 16.
    """
    numbers = np.zeros(len(codes), dtype=np.int64)
    wrong = np.zeros(len(codes), dtype=np.bool_)
    for digit in range(digits - 1, -1, -1):
        nibble = (codes >> np.uint64(4 * digit)) & np.uint64(15)
        wrong |= nibble > 9
        numbers = numbers * 10 + nibble.astype(np.int64)
    return numbers, wrong


def byte_offsets(registers: int, order: Order) -> list[int]:
    """Return where the bytes of a value lie among its 2 * `registers` wire bytes, least significant first.

    ABCD: all big-endian. BADC: bytes of each register swapped. CDAB: least significant register first. DCBA:
    both, that is little-endian.
    """
    swap_bytes, swap_words = order in {"BADC", "DCBA"}, order in {"CDAB", "DCBA"}
    words = range(registers) if swap_words else range(registers - 1, -1, -1)
    return [2 * word + byte for word in words for byte in ((0, 1) if swap_bytes else (1, 0))]


def number_groups(
    channels: Sequence[ModbusChannel], layout: Layout, first_byte: Sequence[int], factor_byte: Sequence[int]
) -> list[NumberGroup]:
    """Group the channels that are numbers.

    Args:
        channels: of the instrument.
        layout: theirs.
        first_byte: where each value begins in the joined answers.
        factor_byte: where its scale factor begins, -1 without one.
    """
    members: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for position, channel in enumerate(channels):
        if channel.type not in {"bool", "string"}:
            # Unscaled floats are kept apart: x * 1 + 0 would turn -0.0 into 0.0.
            treatment = (
                channel.scale is not None or channel.offset is not None, channel.scale_factor is not None,
                channel.bits, channel.byte,
            )  # fmt: skip
            kind = layout.channels[position].kind
            members[channel.type, channel.order, kind, *treatment].append(position)
    return [
        _group([channels[at] for at in positions], positions, layout, first_byte, factor_byte)
        for positions in members.values()
    ]


def _group(
    channels: Sequence[ModbusChannel], positions: Sequence[int], layout: Layout,
    first_byte: Sequence[int], factor_byte: Sequence[int],
) -> NumberGroup:  # fmt: skip
    one = channels[0]
    offsets = _offsets(one)
    size = len(offsets)
    run = _run(one, starts := [first_byte[at] for at in positions], size)
    codes = [(index, code) for index, channel in enumerate(channels) for code in channel.sentinels]
    linear = one.scale is not None or one.offset is not None
    return NumberGroup(
        type=one.type,
        kind=layout.channels[positions[0]].kind,
        dtype=np.dtype(_DTYPES[one.type]),
        gather=_NO_GATHER if run else np.array(starts, dtype=np.intp)[:, None] + np.array(offsets, np.intp),
        run=run,
        tops=_tops(starts, offsets) if run and one.type in _WIDE_FLOATS else None,
        channels=np.array(positions, dtype=np.intp),
        slots=_slots([layout.slots[position] for position in positions]),
        scale=np.array([_factors(c.scale)[0] for c in channels]) if linear else None,
        divisor=np.array([_factors(c.scale)[1] for c in channels]) if linear else None,
        offset=np.array([0.0 if c.offset is None else c.offset for c in channels]) if linear else None,
        factors=(
            None
            if one.scale_factor is None
            else np.array([[factor_byte[at] + 1, factor_byte[at]] for at in positions], dtype=np.intp)
        ),
        field=None if one.bits is None else (one.bits[0], 2 ** (one.bits[1] - one.bits[0] + 1) - 1),
        sentinel_of=np.array([index for index, _ in codes], dtype=np.intp),
        # A negative code means the two's complement.
        sentinels=np.array([code % 2 ** (8 * size) for _, code in codes], dtype=f"<u{size}"),
    )


def _offsets(channel: ModbusChannel) -> list[int]:
    registers = REGISTERS[channel.type]
    if channel.byte is None:
        return byte_offsets(registers, channel.order)
    low, high = byte_offsets(registers, channel.order)
    return [high if channel.byte == "high" else low]


def _run(channel: ModbusChannel, starts: Sequence[int], size: int) -> tuple[int, np.dtype[Any]] | None:
    """Tell whether values lie side by side in an order that NumPy reads at once, and by which dtype."""
    side_by_side = all(later - earlier == size for earlier, later in pairwise(starts))
    if channel.byte is not None or not side_by_side:
        return None
    wire = _DTYPES[channel.type][1:]
    if channel.order == "ABCD" or (size == 2 and channel.order == "CDAB"):
        return starts[0], np.dtype(f">{wire}")
    if channel.order == "DCBA" or (size == 2 and channel.order == "BADC"):
        return starts[0], np.dtype(f"<{wire}")
    return (starts[0], np.dtype(">u2")) if channel.order == "CDAB" and size == 4 else None


def _tops(starts: Sequence[int], offsets: Sequence[int]) -> slice:
    return slice(starts[0] + offsets[-1], starts[-1] + len(offsets), len(offsets))


def _slots(slots: Sequence[int]) -> NDArray[np.intp] | slice:
    first = slots[0]
    if list(slots) == list(range(first, first + len(slots))):
        return slice(first, first + len(slots))
    return np.array(slots, dtype=np.intp)


def _factors(scale: float | None) -> tuple[float, float]:
    """Return multiplier and divisor: a scale of 0.1 divides by 10.

    0.1 has no exact binary form, 10 has: the quotient is the float64 nearest to the decimal that the device
    means, where the product may miss it (3 * 0.1 is not 0.3).
    """
    if scale is None:
        return 1.0, 1.0
    whole = round(1.0 / scale) if 0.0 < abs(scale) < 1.0 else 0
    return (1.0, float(whole)) if whole and 1.0 / whole == scale else (scale, 1.0)


def number_kind(channel: ModbusChannel) -> Kind:
    """Return the column type: integers stay integers unless scaled; floats and scaled values are float64."""
    if channel.scaled or channel.type in FLOATS:
        return "f8"
    return "u8" if channel.type == "uint64" else "i8"
