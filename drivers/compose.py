"""Settings of a site's instruments become drivers, those of one line together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.errors import Fatal
from drivers.registry import DRIVERS

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from drivers.door import Driver
    from drivers.settings import InstrumentSettings
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


def open_drivers(instruments: Sequence[InstrumentSettings], clock: Clock, rng: random.Random) -> list[Driver]:
    """Make the driver of each instrument, in the same order. Nothing is opened before a driver is entered.

    Instruments with one endpoint share its connection; all others are independent.

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
        drivers |= zip(positions, DRIVERS[members[0].driver].build(members, clock, rng), strict=True)
    return [drivers[position] for position in range(len(instruments))]
