"""Settings of a site's instruments become drivers, those of one line together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.errors import Fatal
from drivers.modbus.instrument import ModbusInstrument
from drivers.poller import Poller
from drivers.registry import DRIVERS
from drivers.settings import PolledSettings
from drivers.transport.line import direct

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from drivers.door import Driver
    from drivers.modbus.writer import PointWriter
    from drivers.settings import InstrumentSettings, PlannedRequest
    from drivers.transport.line import Wires
    from pipeline.records import Clock


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two instruments that cannot stand side by side."""

    code: str
    """Code of the finding in `config.catalogue`."""
    position: int
    """Position of the later instrument."""
    key: str
    """Its key to point at."""
    message: str
    hint: str


def find_conflicts(instruments: Sequence[InstrumentSettings]) -> list[Conflict]:
    """Return all pairs with one id, and all that cannot share their endpoint, by the later one's position."""
    conflicts: list[Conflict] = []
    for position, later in enumerate(instruments):
        for earlier in instruments[:position]:
            if later.id == earlier.id:
                message = f"the id '{later.id}' is given twice"
                conflicts.append(Conflict("E021", position, "id", message, "rename one of the instruments"))
            if later.endpoint == earlier.endpoint:
                reason = later.conflict(earlier) or earlier.conflict(later)
                if reason is not None:
                    hint = (
                        "give instruments of one line the same driver and line settings, and different units"
                    )
                    conflicts.append(Conflict("E022", position, "port", reason, hint))
    return conflicts


@dataclass(frozen=True, slots=True)
class LinePoll:
    """What one instrument asks of its line."""

    id: str
    interval_s: float
    requests: tuple[PlannedRequest, ...]
    busiest_s: float
    """Time of the poll with the most requests."""

    @property
    def share(self) -> float:
        """Part of the time for which it uses the line."""
        return sum(request.line_s / request.every for request in self.requests) / self.interval_s

    def __str__(self) -> str:
        """Write the arithmetic down, by interval."""
        terms = []
        for every in sorted({request.every for request in self.requests}):
            times_s = [request.line_s for request in self.requests if request.every == every]
            terms.append(
                f"{len(times_s)} requests, {sum(times_s):.3g} s, every {every * self.interval_s:g} s"
            )
        return f"'{self.id}' " + " and ".join(terms)


@dataclass(frozen=True, slots=True)
class LineLoad:
    """What the polls of all instruments of one line ask of it."""

    endpoint: str
    positions: tuple[int, ...]
    """Of the instruments, in the order of the configuration."""
    polls: tuple[LinePoll, ...]
    """Of each of them."""
    timed: bool
    """Whether the line's speed is known; if not, the times are a guess at round trips."""

    @property
    def share(self) -> float:
        """Part of the time for which the line is in use; above 1 the plan cannot be kept."""
        return sum(poll.share for poll in self.polls)

    def __str__(self) -> str:
        """Write the arithmetic down."""
        terms = " + ".join(str(poll) for poll in self.polls)
        return f"{self.endpoint}: {terms} = {self.share:.0%} of the time"


def line_loads(instruments: Sequence[InstrumentSettings]) -> list[LineLoad]:
    """Return the expected load of each line whose instruments' requests are known."""
    lines: dict[str, list[int]] = {}
    for position, settings in enumerate(instruments):
        if isinstance(settings, PolledSettings) and settings.requests():
            lines.setdefault(settings.endpoint, []).append(position)
    loads = []
    for endpoint, positions in lines.items():
        polled = [one for at in positions if isinstance(one := instruments[at], PolledSettings)]
        polls = tuple(
            LinePoll(one.id, one.poll_interval_s, tuple(one.requests()), one.busiest_s) for one in polled
        )
        timed = all(one.timed_line for one in polled)
        loads.append(LineLoad(endpoint, tuple(positions), polls, timed))
    return loads


def writers_of(drivers: Iterable[Driver]) -> dict[str, PointWriter]:
    """Return what sets the points of each instrument that can be written to at all."""
    return {
        driver.describe().instrument: driver.polled.writer
        for driver in drivers
        if isinstance(driver, Poller) and isinstance(driver.polled, ModbusInstrument)
    }


def open_drivers(
    instruments: Sequence[InstrumentSettings], clock: Clock, rng: random.Random, *, wires: Wires = direct
) -> list[Driver]:
    """Make the driver of each instrument, in the same order. Nothing is opened before a driver is entered.

    Instruments with one endpoint share its connection; all others are independent.

    Args:
        instruments: their settings.
        clock: gateway time.
        rng: jitter of back-off.
        wires: turns the way to connect each line into another one: to record it, or to replay it.

    Raises:
        Fatal: `find_conflicts` finds any.
    """
    conflicts = find_conflicts(instruments)
    if conflicts:
        first = conflicts[0]
        raise Fatal(first.message, instrument=instruments[first.position].id, hint=first.hint)
    lines: dict[str, list[int]] = {}
    for position, settings in enumerate(instruments):
        lines.setdefault(settings.endpoint, []).append(position)
    drivers: dict[int, Driver] = {}
    for positions in lines.values():
        members = [instruments[position] for position in positions]
        drivers |= zip(positions, DRIVERS[members[0].driver].build(members, clock, rng, wires), strict=True)
    return [drivers[position] for position in range(len(instruments))]
