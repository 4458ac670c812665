"""Register maps as data: fields at addresses, values to register bytes and back."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from simulators.exchange import ChannelValue

Table = Literal["coil", "discrete", "holding", "input"]
Kind = Literal["bit", "int16", "uint16", "int32", "float32"]
ByteOrder = Literal["ABCD", "BADC", "CDAB", "DCBA"]

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3

_FORMATS: Mapping[Kind, str] = {"int16": ">h", "uint16": ">H", "int32": ">i", "float32": ">f"}
_INTEGER_LIMITS: Mapping[Kind, tuple[int, int]] = {
    "int16": (-0x7FFF, 0x7FFF),
    "uint16": (0, 0xFFFE),
    "int32": (-0x7FFFFFFF, 0x7FFFFFFF),
}
# What a transmitter answers when it has no value; the limits above keep real values clear of them.
_UNAVAILABLE: Mapping[Kind, bytes] = {
    "bit": b"\x00",
    "int16": b"\x80\x00",
    "uint16": b"\xff\xff",
    "int32": b"\x80\x00\x00\x00",
    "float32": b"\x7f\xc0\x00\x00",
}
SPANS_MAX = 1024


class ModbusError(Exception):
    """A request that the instrument refuses with a Modbus exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Field:
    """One channel in a register table."""

    channel: str
    table: Table
    address: int
    kind: Kind
    quantity: str = ""
    """Physical quantity behind it, for physics faults; empty for settings and status."""
    divisor: int = 1
    """Integer registers hold value x divisor."""
    writable: tuple[int, int] | None = None
    """Lowest and highest raw value that may be written; None: read only."""

    @property
    def length(self) -> int:
        """Return the number of registers (or bits)."""
        return 2 if self.kind in {"int32", "float32"} else 1


@dataclass(frozen=True, slots=True)
class Span:
    """The fields that a read of `count` registers from `address` touches."""

    table: Table
    address: int
    count: int
    fields: tuple[Field, ...]
    quantities: frozenset[str]

    def whole(self) -> tuple[Field, ...]:
        """Return the fields that lie in the span completely."""
        end = self.address + self.count
        return tuple(f for f in self.fields if f.address >= self.address and f.address + f.length <= end)


def reorder(four: bytes, order: ByteOrder) -> bytes:
    """Put the bytes ABCD of a two-register value into the order of the wire; its own inverse."""
    a, b, c, d = four[0:1], four[1:2], four[2:3], four[3:4]
    return {"ABCD": four, "BADC": b + a + d + c, "CDAB": c + d + a + b, "DCBA": d + c + b + a}[order]


def encode(field: Field, value: ChannelValue, order: ByteOrder = "ABCD") -> bytes:
    """Encode one value as the instrument would: saturated at the type's limits, a sentinel for None."""
    if value is None:
        raw = _UNAVAILABLE[field.kind]
    elif field.kind == "bit":
        raw = b"\x01" if value else b"\x00"
    elif field.kind == "float32":
        try:
            raw = struct.pack(">f", value)
        except OverflowError:
            raw = struct.pack(">f", math.copysign(math.inf, value))
    else:
        low, high = _INTEGER_LIMITS[field.kind]
        raw = struct.pack(_FORMATS[field.kind], min(max(round(value * field.divisor), low), high))
    return reorder(raw, order) if field.length == 2 else raw


def decode(field: Field, raw: bytes, order: ByteOrder = "ABCD") -> ChannelValue:
    """Return the number that register bytes carry; None for a sentinel, NaN or infinity.

    A float32 is widened to float64 exactly; raw / divisor is the correctly rounded quotient.
    """
    if field.kind == "bit":
        return raw[0]
    if field.length == 2:
        raw = reorder(raw, order)
    if raw == _UNAVAILABLE[field.kind]:
        return None
    value: float | int = struct.unpack(_FORMATS[field.kind], raw)[0]
    if field.kind == "float32":
        return value if math.isfinite(value) else None
    return value if field.divisor == 1 else value / field.divisor


class RegisterMap:
    """The register map of one product.

    `zero_in_gaps`: addresses between the fields read as zero, as on meters with a sparse map;
    otherwise they are illegal. `count_max` is the longest read that the product accepts.
    Memory: at most `SPANS_MAX` resolved spans are remembered; when it is full they start anew.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        *,
        byte_order: ByteOrder = "ABCD",
        zero_in_gaps: bool = False,
        count_max: int = 125,
    ) -> None:
        self.fields = tuple(fields)
        self.byte_order: ByteOrder = byte_order
        self.count_max = count_max
        self._legal: dict[Table, set[int]] = {}
        for field in fields:
            cells = self._legal.setdefault(field.table, set())
            cells.update(range(field.address, field.address + field.length))
        if zero_in_gaps:
            for table, cells in self._legal.items():
                self._legal[table] = set(range(min(cells), max(cells) + 1))
        self._spans: dict[tuple[Table, int, int], Span] = {}

    def span(self, table: Table, address: int, count: int) -> Span:
        """Resolve a read or write range. Raises `ModbusError` 1 (no such table) or 2 (no such address)."""
        found = self._spans.get((table, address, count))
        if found is not None:
            return found
        legal = self._legal.get(table)
        if legal is None:
            raise ModbusError(ILLEGAL_FUNCTION)
        if not legal.issuperset(range(address, address + count)):
            raise ModbusError(ILLEGAL_ADDRESS)
        touched = tuple(
            f
            for f in self.fields
            if f.table == table and f.address < address + count and f.address + f.length > address
        )
        quantities = frozenset(f.quantity for f in touched if f.quantity)
        found = Span(table, address, count, touched, quantities)
        if len(self._spans) >= SPANS_MAX:
            self._spans.clear()
        self._spans[table, address, count] = found
        return found

    def read(self, span: Span, values: Mapping[str, ChannelValue]) -> tuple[bytes, dict[str, ChannelValue]]:
        """Return the data bytes of a read answer and the numbers that they carry."""
        carried: dict[str, ChannelValue] = {}
        whole = span.whole()
        width = 1 if span.table in {"coil", "discrete"} else 2
        image = bytearray(span.count * width)
        for field in span.fields:
            raw = encode(field, values[field.channel], self.byte_order)
            at = (field.address - span.address) * width
            cut = raw[max(0, -at) : max(0, len(image) - at)]
            image[max(0, at) : max(0, at) + len(cut)] = cut
            if field in whole:
                carried[field.channel] = decode(field, raw, self.byte_order)
        return (pack_bits(image) if width == 1 else bytes(image)), carried


def pack_bits(bits: Sequence[int]) -> bytes:
    """Pack coils eight to a byte, the first one in the lowest bit."""
    packed = bytearray(-(-len(bits) // 8))
    for i, bit in enumerate(bits):
        packed[i // 8] |= (bit & 1) << (i % 8)
    return bytes(packed)


def unpack_bits(packed: bytes, count: int) -> list[int]:
    """Unpack `count` coils from bytes."""
    return [packed[i // 8] >> (i % 8) & 1 for i in range(count)]
