"""Settings that Modbus instruments on every kind of line have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from drivers.modbus.cadence import EVERY_MAX, every_of, make_timetable
from drivers.modbus.channel import REGISTERS_MAX, ModbusChannel
from drivers.modbus.plan import Limits
from drivers.modbus.write_point import WritePoint
from drivers.settings import PlannedRequest, PolledSettings

if TYPE_CHECKING:
    from drivers.modbus.cadence import Timetable
    from drivers.modbus.cost import LineCost
    from drivers.settings import InstrumentSettings

STABLE = "stable"
"""Channel by which an instrument says 1 when its reading is stable."""


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

    writes: Annotated[tuple[WritePoint, ...], Field(max_length=64)] = ()
    """Points that people may set by a confirmed command; none unless they are named here."""

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

    @property
    def every(self) -> tuple[int, ...]:
        """At every which poll each channel is asked for."""
        return tuple(
            1 if c.poll_interval_s is None else every_of(c.poll_interval_s, self.poll_interval_s) or 1
            for c in self.channels
        )

    @property
    def rarer_s(self) -> dict[str, float]:
        """The channels that are asked for more rarely than the instrument is polled, and how often, in s."""
        return {
            channel.name: cycle * self.poll_interval_s
            for channel, cycle in zip(self.channels, self.every, strict=True)
            if cycle > 1
        }

    def timetable(self) -> Timetable:
        """Deal the channels over the polls."""
        return make_timetable(self.channels, self.every, self.limits, self.cost())

    @property
    def busiest_s(self) -> float:
        """Time on the line of the poll with the most to ask for, in s."""
        return self.timetable().busiest_s

    def requests(self) -> list[PlannedRequest]:
        """List the requests of the polls, each with the time that it takes the line."""
        cost, every = self.cost(), self.every
        blocks = self.timetable().blocks(self.channels, range(len(self.channels)), self.limits, cost)
        return [
            PlannedRequest(
                str(block), cost.block_s(block.function, block.count), min(every[at] for at in block.channels)
            )
            for block in blocks
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

    @model_validator(mode="after")
    def _points_have_names_of_their_own(self) -> Self:
        names = [point.name for point in self.writes]
        if len(set(names)) < len(names):
            raise SettingError("E021", "two points of `writes` have one name", key="writes")
        return self

    @model_validator(mode="after")
    def _intervals_fit_the_polls(self) -> Self:
        for channel in self.channels:
            if channel.poll_interval_s is not None:
                self._check_interval(channel, channel.poll_interval_s)
        if min(self.every) > 1:
            shortest_s = min(self.rarer_s.values())
            raise SettingError(
                "E020", "no channel is read in every poll: all have longer intervals of their own",
                key="poll_interval_s", hint=f"write poll_interval_s = {shortest_s:g} for the instrument",
            )  # fmt: skip
        return self

    def _check_interval(self, channel: ModbusChannel, interval_s: float) -> None:
        base_s = self.poll_interval_s
        cycle, about = every_of(interval_s, base_s), max(1, int(interval_s / base_s))
        asks = f"'{channel.name}' asks for a reading every {interval_s:g} s"
        if cycle is None:
            hint = (
                f"write {about * base_s:g} or {(about + 1) * base_s:g}"
                if interval_s > base_s
                else f"lower the instrument's poll_interval_s, or write {base_s:g}"
            )
            raise SettingError(
                "E020", f"{asks}, no whole multiple of the instrument's {base_s:g} s", key="channels",
                hint=hint,
            )  # fmt: skip
        if cycle > EVERY_MAX:
            raise SettingError(
                "E013", f"{asks}: that is every {cycle}th poll, and {EVERY_MAX} is the most", key="channels",
                hint=f"write at most {EVERY_MAX * base_s:g}, or poll the instrument less often",
            )  # fmt: skip
        if cycle > 1 and channel.name == STABLE:
            raise SettingError(
                "E020", f"'{STABLE}' says of every reading whether it counts: it belongs to every poll",
                key="channels", hint=f"leave poll_interval_s of '{STABLE}' out",
            )  # fmt: skip

    def _unit_conflict(self, other: InstrumentSettings) -> str | None:
        if not isinstance(other, type(self)):
            return f"'{other.id}' uses {self.endpoint} with driver '{other.driver}'"
        if self.unit == other.unit:
            return f"'{other.id}' is unit {self.unit} of {self.endpoint} too"
        return None
