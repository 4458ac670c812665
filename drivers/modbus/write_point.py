"""A register or coil that a person may set: its limits, and the bytes of a value."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import ChannelName, EntryId, Settings, Text
from drivers.modbus.channel import REGISTERS, Address, Order
from drivers.modbus.numeric import byte_offsets

if TYPE_CHECKING:
    from drivers.modbus.channel import ValueType

WritableType = Literal[
    "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"
]  # fmt: skip
WriterRole = Literal["operator", "signatory", "administrator"]
_CODES: dict[ValueType, str] = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f",
    "float64": "d",
}  # fmt: skip
_TOLERANCE = 1e-9
"""Relative error up to which a value lies on a step, or a scaled one on a whole number."""


class WritePoint(Settings):
    """A point of an instrument that may be set by a confirmed command. Without any, nothing is written."""

    name: ChannelName
    """Name in commands and records."""

    address: Address
    """Protocol address of its first register or coil, counted from 0."""

    table: Literal["holding", "coil"] = "holding"
    """Holding registers or coils; the other two tables cannot be written."""

    type: WritableType = "uint16"
    """How the number stands in the registers; `bool` for a coil, set by 0 and 1."""

    order: Order = "ABCD"
    """Order of the bytes on the wire, as for channels."""

    function: Literal["single", "multiple"] = "multiple"
    """Write by function 16 (15 for a coil), or by function 6 (5), which takes one register (coil) only."""

    scale: float | None = None
    """Factor from the register's number to `unit`."""

    offset: float | None = None
    """Added after scaling."""

    unit: Annotated[str, Field(max_length=32)] = ""
    """Unit of the value."""

    low: float
    """Least value that is taken, in `unit`."""

    high: float
    """Greatest value that is taken, in `unit`."""

    step: Annotated[float, Field(gt=0)] | None = None
    """Values are whole steps from `low`."""

    roles: Annotated[tuple[WriterRole, ...], Field(min_length=1)] = ("administrator",)
    """Who may set it: people with one of these roles."""

    second_person: bool = False
    """Whether another person than the one who prepared has to confirm."""

    in_methods: tuple[EntryId, ...] = ()
    """Methods during whose tasks it may be set; during any other task on the instrument it may not."""

    confirm: Text
    """What is asked before it is done: what the value does, and what has to be looked at."""

    @property
    def registers(self) -> int:
        """Registers, or coils, that it takes."""
        return REGISTERS[self.type]

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if (self.table == "coil") != (self.type == "bool"):
            raise SettingError(
                "E020",
                "a coil is a bool, and only a coil is",
                key="type",
                hint='table = "coil", type = "bool"',
            )
        if self.type == "bool" and (self.low, self.high, self.scale, self.offset) != (0, 1, None, None):
            raise SettingError("E020", "a coil is 0 or 1: low = 0, high = 1, nothing to scale", key="low")
        if self.low > self.high:
            raise SettingError("E023", f"low = {self.low:g} is above high = {self.high:g}", key="low")
        if self.scale == 0:
            raise SettingError("E013", "scale = 0 leaves no number to write", key="scale")
        if self.function == "single" and self.registers > 1:
            raise SettingError(
                "E020", f"a {self.type} takes {self.registers} registers, function 6 writes one",
                key="function", hint='leave function out, or write "multiple"',
            )  # fmt: skip
        if self.address + self.registers > 65536:
            raise SettingError("E013", f"a {self.type} at {self.address} ends beyond 65535", key="address")
        return self

    def problem(self, value: float) -> tuple[str, str] | None:
        """Say (en, zh) why a value is not taken; None when it is."""
        if not self.low <= value <= self.high:
            return (
                f"{value:g} is outside {self.low:g} to {self.high:g} {self.unit}".rstrip(),
                f"{value:g} 超出允许范围 {self.low:g} 至 {self.high:g} {self.unit}".rstrip(),
            )
        if self.step is not None and not _is_whole((value - self.low) / self.step):
            return (
                f"{value:g} is no whole step of {self.step:g} from {self.low:g}",
                f"{value:g} 不是自 {self.low:g} 起步长 {self.step:g} 的整数倍",
            )
        try:
            self.encode(value)
        except (ValueError, OverflowError, struct.error):
            return (
                f"{value:g} cannot be written exactly as {self.type}",
                f"{value:g} 无法精确写成 {self.type}",
            )
        return None

    def encode(self, value: float) -> bytes:
        """Return the register bytes as they go over the wire; of a coil one byte, 0 or 1.

        Raises:
            ValueError, OverflowError, struct.error: the type has no such number.
        """
        if self.type == "bool":
            if value not in {0, 1}:
                raise ValueError(f"{value:g} is neither 0 nor 1")
            return bytes([int(value)])
        number = (value - (self.offset or 0.0)) / (1.0 if self.scale is None else self.scale)
        if not self.type.startswith("float"):
            if not _is_whole(number):
                raise ValueError(f"{number:g} is no whole number")
            number = round(number)
        little = struct.pack(f"<{_CODES[self.type]}", number)
        wire = bytearray(len(little))
        for byte, at in zip(little, byte_offsets(self.registers, self.order), strict=True):
            wire[at] = byte
        return bytes(wire)

    def decode(self, data: bytes) -> float | int:
        """Return the value of register bytes, or of a coil's byte."""
        if self.type == "bool":
            return data[0] & 1
        little = bytes(data[at] for at in byte_offsets(self.registers, self.order))
        (number,) = struct.unpack(f"<{_CODES[self.type]}", little)
        if self.scale is None and self.offset is None:
            plain: float | int = number
            return plain
        return float(number * (1.0 if self.scale is None else self.scale) + (self.offset or 0.0))


def _is_whole(ratio: float) -> bool:
    return abs(ratio - round(ratio)) <= _TOLERANCE * max(1.0, abs(ratio))
