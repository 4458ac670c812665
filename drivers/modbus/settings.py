"""Settings that Modbus instruments on every kind of line have in common.

Addresses are protocol addresses, counted from 0 as they go over the wire: a manual's "30001" or "40001" is
address 0 of the table `input` or `holding`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from drivers.settings import ChannelSettings, PolledSettings

if TYPE_CHECKING:
    from drivers.settings import InstrumentSettings

Table = Literal["input", "holding", "coil", "discrete"]
ValueType = Literal[
    "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
]  # fmt: skip
Order = Literal["ABCD", "BADC", "CDAB", "DCBA"]

REGISTERS: dict[ValueType, int] = {
    "bool": 1, "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4,
    "float64": 4,
}  # fmt: skip
"""Registers that a value of each type takes."""


class ModbusChannel(ChannelSettings):
    """One value of the register map."""

    address: Annotated[int, Field(ge=0, le=65535)]
    """Protocol address of its first register or bit, counted from 0."""

    table: Table = "holding"
    """Input registers (function 4), holding registers (3), coils (1) or discrete inputs (2)."""

    type: ValueType = "uint16"
    """How the registers are to be read; `bool` for coils, discrete inputs and single bits of a register."""

    order: Order = "ABCD"
    """Order on the wire of the bytes of a 32-bit value, A the most significant; alike for 16 and 64 bits."""

    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    """Bit of a register (0 is the least significant), for type `bool` in the tables `input` and `holding`."""

    scale: float | None = None
    """Factor from the register's number to `unit`; the value becomes a float64."""

    offset: float | None = None
    """Added after scaling; the value becomes a float64."""

    sentinels: Annotated[tuple[Annotated[int, Field(ge=-(2**63), lt=2**64)], ...], Field(max_length=16)] = ()
    """Raw codes, before scaling, by which the device says that it has no value: 0x8000, 0xFFFF."""

    labels: tuple[tuple[int, str], ...] = ()
    """Names of the codes of an enumeration: [[0, "off"], [1, "on"]]."""

    @property
    def registers(self) -> int:
        """Registers (or bits, in the bit tables) that the value takes."""
        return REGISTERS[self.type]

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
        if self.type == "bool" and (self.scale is not None or self.offset is not None or self.sentinels):
            raise SettingError("E020", "a bit has no scale, offset or sentinels", key="type")
        bits = 16 * self.registers
        if not all(-(2 ** (bits - 1)) <= code < 2**bits for code in self.sentinels):
            raise SettingError(
                "E013", f"a sentinel does not fit in the {bits} bits of a {self.type}", key="sentinels"
            )
        if self.address + self.registers > 65536:
            raise SettingError(
                "E013", f"a {self.type} at {self.address} ends beyond the last address, 65535", key="address"
            )
        return self


class ModbusSettings(PolledSettings):
    """What Modbus instruments have in common on every line."""

    unit: Annotated[int, Field(ge=0, le=247)] = 1
    """Unit (slave) number."""

    channels: Annotated[tuple[ModbusChannel, ...], Field(min_length=1, max_length=4096)]
    """The values to read."""

    block_registers_max: Annotated[int, Field(ge=4, le=125)] = 125
    """Registers that the device gives in one answer."""

    gap_registers_max: Annotated[int, Field(ge=0, le=121)] = 0
    """Unused registers between two values that may be read along to save a request."""

    keep_raw: bool = True
    """Record the register bytes beside the values."""

    serial_object: Annotated[int, Field(ge=0, le=255)] = 0x80
    """Object of the device identification (function 43/14) that holds the serial number."""

    def _unit_conflict(self, other: InstrumentSettings) -> str | None:
        if not isinstance(other, type(self)):
            return f"'{other.id}' uses {self.endpoint} with driver '{other.driver}'"
        if self.unit == other.unit:
            return f"'{other.id}' is unit {self.unit} of {self.endpoint} too"
        return None
