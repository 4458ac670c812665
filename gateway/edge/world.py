"""What the daemon touches of the world: disk, clock, instruments, broker, chance.

Injected, so that a test can lose, tear, step, cut and repeat any of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.compose import open_drivers
from pipeline.mqtt import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drivers.door import Driver
    from drivers.settings import InstrumentSettings
    from pipeline.journal.disk import Disk
    from pipeline.records import Clock


@dataclass(frozen=True, slots=True)
class World:
    """The real one by default."""

    disk: Disk | None = None
    """The journal's file system; None: the operating system's."""
    clock: Clock | None = None
    """Read for all stamps; None: the machine's."""
    boot_id: str | None = None
    """Id of the operating system's boot; None: the kernel's."""
    drivers: Callable[[Sequence[InstrumentSettings], Clock, random.Random], Sequence[Driver]] = open_drivers
    """Makes the drivers of the configured instruments."""
    link: Callable[..., Link] = Link
    """Makes a connection to the broker; called as `Link` is."""
    random: random.Random = field(default_factory=random.SystemRandom)
    """Jitter of back-off."""
