"""Settings that Modbus instruments on every kind of line have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from drivers.modbus.channel import REGISTERS_MAX, ModbusChannel
from drivers.modbus.plan import Limits, plan_blocks
from drivers.settings import PolledSettings

if TYPE_CHECKING:
    from drivers.modbus.cost import LineCost
    from drivers.settings import InstrumentSettings


class ModbusSettings(PolledSettings):
    """What Modbus instruments have in common on every line."""

    unit: Annotated[int, Field(ge=0, le=247)] = 1
    """Unit (slave) number."""

    channels: Annotated[tuple[ModbusChannel, ...], Field(min_length=1, max_length=4096)]
    """The values to read."""

    block_registers_max: Annotated[int, Field(ge=4, le=REGISTERS_MAX)] = REGISTERS_MAX
    """Registers that the device gives in one answer."""

    holes: tuple[
        tuple[Annotated[int, Field(ge=0, le=65535)], Annotated[int, Field(ge=0, le=65535)]], ...
    ] = ()
    """First and last address of ranges that the device forbids to read; no request reaches into them."""

    gap_registers_max: Annotated[int, Field(ge=0, le=121)] | None = None
    """Unused registers between two values that may be read along to save a request: as many as pay on this
    line when left out, none with 0. A device that refuses some is found out and read around them."""

    keep_raw: bool = True
    """Record the register bytes beside the values."""

    serial_object: Annotated[int, Field(ge=0, le=255)] = 0x80
    """Object of the device identification (function 43/14) that holds the serial number."""

    @abstractmethod
    def cost(self, answer_s: float | None = None) -> LineCost:
        """Return what requests cost on the line; `answer_s`: measured delay of the device's answer, in s."""

    @property
    def limits(self) -> Limits:
        """What the device allows in one request."""
        return Limits(self.block_registers_max, self.gap_registers_max, self.holes)

    def requests(self) -> list[tuple[str, float]]:
        """List the requests of one poll, each with the time that it takes the line, in s."""
        cost = self.cost()
        return [
            (str(block), cost.block_s(block.function, block.count))
            for block in plan_blocks(self.channels, limits=self.limits, cost=cost)
        ]

    @model_validator(mode="after")
    def _values_fit_into_requests(self) -> Self:
        for channel in self.channels:
            first, stop = channel.span
            if not channel.bitwise and stop - first > self.block_registers_max:
                raise SettingError(
                    "E020",
                    f"'{channel.name}' needs {stop - first} registers in one answer, the device gives "
                    f"{self.block_registers_max}",
                    key="channels",
                )
            if any(first <= last and low < stop for low, last in self.holes):
                raise SettingError(
                    "E020", f"'{channel.name}' lies in a hole that the device forbids to read", key="holes"
                )
        return self

    def _unit_conflict(self, other: InstrumentSettings) -> str | None:
        if not isinstance(other, type(self)):
            return f"'{other.id}' uses {self.endpoint} with driver '{other.driver}'"
        if self.unit == other.unit:
            return f"'{other.id}' is unit {self.unit} of {self.endpoint} too"
        return None
