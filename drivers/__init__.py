"""Bytes from an instrument become blocks of readings.

`open_drivers(settings, clock, rng)` makes one `Driver` for each instrument; `find_conflicts(settings)` says
which instruments cannot stand side by side. The literal table of drivers is `drivers.registry.DRIVERS`.
"""

from drivers.compose import Conflict, find_conflicts, open_drivers
from drivers.door import Description, Driver, Identity
from drivers.registry import DRIVERS
from drivers.settings import ChannelSettings, InstrumentSettings, PolledSettings

__all__ = [
    "DRIVERS", "ChannelSettings", "Conflict", "Description", "Driver", "Identity", "InstrumentSettings",
    "PolledSettings", "find_conflicts", "open_drivers",
]  # fmt: skip
