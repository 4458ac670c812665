"""One value of a register map: where it lies and how its registers are read.

Addresses are protocol addresses, counted from 0 as they go over the wire: a manual's "30001" or "40001" is
address 0 of the table `input` or `holding`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import Seconds
from drivers.settings import ChannelSettings

Table = Literal["input", "holding", "coil", "discrete"]
ValueType = Literal[
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32",
    "float64", "bcd16", "bcd32", "bcd64", "string",
]  # fmt: skip
Order = Literal["ABCD", "BADC", "CDAB", "DCBA"]
Address = Annotated[int, Field(ge=0, le=65535)]

REGISTERS: dict[ValueType, int] = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 1, "uint16": 1, "float16": 1, "bcd16": 1, "int32": 2,
    "uint32": 2, "float32": 2, "bcd32": 2, "int64": 4, "uint64": 4, "float64": 4, "bcd64": 4,
}  # fmt: skip
"""Registers that a value of each type takes; a string takes `length`."""
REGISTERS_MAX = 125
"""Most registers in one answer (Application Protocol V1.1b3, sections 6.3 and 6.4)."""
UNSIGNED: frozenset[ValueType] = frozenset({"uint16", "uint32", "uint64"})
FLOATS: frozenset[ValueType] = frozenset({"float16", "float32", "float64"})
_NOT_SCALED: frozenset[ValueType] = frozenset({"bool", "string"})


class ModbusChannel(ChannelSettings):
    """One value of the register map."""

    address: Address
    """Protocol address of its first register or bit, counted from 0."""

    poll_interval_s: Seconds | None = None
    """Time between two readings of this value, where it is asked for more rarely than the others: a whole
    multiple of the instrument's `poll_interval_s`, up to 3600 times. Rows in between do not have it."""

    table: Table = "holding"
    """Input registers (function 4), holding registers (3), coils (1) or discrete inputs (2)."""

    type: ValueType = "uint16"
    """How the registers are to be read; `bool` for coils, discrete inputs and single bits of a register."""

    order: Order = "ABCD"
    """Order on the wire of the bytes of a 32-bit value, A the most significant; alike for 16 and 64 bits."""

    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    """Bit of a register (0 is the least significant), for type `bool` in the tables `input` and `holding`."""

    byte: Literal["high", "low"] | None = None
    """Byte of the register, for the types `int8` and `uint8`."""

    bits: tuple[Annotated[int, Field(ge=0, le=63)], Annotated[int, Field(ge=0, le=63)]] | None = None
    """First and last bit (0 is the least significant) of a field within an unsigned integer."""

    length: Annotated[int, Field(ge=1, le=125)] | None = None
    """Registers of a string; two characters each."""

    scale: float | None = None
    """Factor from the register's number to `unit`; the value becomes a float64."""

    offset: float | None = None
    """Added after scaling; the value becomes a float64."""

    scale_factor: Address | None = None
    """Address, in the same table, of an int16 that is the power of ten to multiply by (SunSpec `sunssf`). It
    may change at any time: it is always read together with the value."""

    sentinels: Annotated[tuple[Annotated[int, Field(ge=-(2**63), lt=2**64)], ...], Field(max_length=16)] = ()
    """Raw codes, before scaling, by which the device says that it has no value: 0x8000, 0xFFFF."""

    labels: tuple[tuple[int, str], ...] = ()
    """Names of the codes of an enumeration: [[0, "off"], [1, "on"]]."""

    @property
    def registers(self) -> int:
        """Registers (or bits, in the bit tables) that the value takes."""
        return self.length or 1 if self.type == "string" else REGISTERS[self.type]

    @property
    def scaled(self) -> bool:
        """Whether the number in the registers is not the value itself."""
        return self.scale is not None or self.offset is not None or self.scale_factor is not None

    @property
    def span(self) -> tuple[int, int]:
        """First address, and the one after the last, of all that one request has to bring for it."""
        first, stop = self.address, self.address + self.registers
        if self.scale_factor is None:
            return first, stop
        return min(first, self.scale_factor), max(stop, self.scale_factor + 1)

    @property
    def bitwise(self) -> bool:
        """Whether it lies in one of the two tables of bits."""
        return self.table in {"coil", "discrete"}

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.bitwise and (self.type != "bool" or self.bit is not None):
            raise SettingError(
                "E020", f"a {self.table} is one bit", hint='write type = "bool" and no bit', key="type"
            )
        if not self.bitwise and (self.type == "bool") != (self.bit is not None):
            raise SettingError("E020", 'a bit of a register needs both type = "bool" and bit', key="type")
        if self.type in _NOT_SCALED and (self.scaled or self.sentinels):
            raise SettingError("E020", f"a {self.type} has no scale, offset or sentinels", key="type")
        self._check_parts_of_registers()
        bits = 16 * self.registers if self.byte is None else 8
        if not all(-(2 ** (bits - 1)) <= code < 2**bits for code in self.sentinels):
            raise SettingError(
                "E013", f"a sentinel does not fit in the {bits} bits of a {self.type}", key="sentinels"
            )
        if self.address + self.registers > 65536:
            raise SettingError(
                "E013", f"a {self.type} at {self.address} ends beyond the last address, 65535", key="address"
            )
        return self

    def _check_parts_of_registers(self) -> None:
        if (self.type in {"int8", "uint8"}) != (self.byte is not None):
            raise SettingError(
                "E020", "a byte of a register needs both type and byte", key="byte",
                hint='write type = "uint8" (or "int8") and byte = "high" or "low"',
            )  # fmt: skip
        if (self.type == "string") != (self.length is not None):
            raise SettingError(
                "E020", "a string needs its length in registers, and nothing else has one", key="length"
            )
        if self.bits is not None and (
            self.type not in UNSIGNED or not self.bits[0] <= self.bits[1] < 16 * self.registers
        ):
            raise SettingError(
                "E020", f"bits {self.bits[0]} to {self.bits[1]} are no field of a {self.type}", key="bits",
                hint="bits = [first, last] of a uint16, uint32 or uint64, 0 being the least significant",
            )  # fmt: skip
        longest = self.span[1] - self.span[0]
        if longest > REGISTERS_MAX:
            raise SettingError(
                "E020", f"value and scale factor lie {longest} registers apart: no request brings both",
                key="scale_factor",
            )  # fmt: skip
