"""The daemon's own wire recording: one bounded file for each run, beside the journal."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from drivers.compose import open_drivers
from drivers.replay import note_of
from drivers.transport import Stamp
from drivers.transport.recording import Head, WireRecorder

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from drivers.door import Driver
    from drivers.settings import InstrumentSettings
    from drivers.transport.recording import RecordingSettings
    from pipeline.records import Clock, Item

LOG = logging.getLogger(__name__)
SUFFIX = ".wire"
DAY_S = 86400
SHARE = 2
"""A run's file ends at the limit divided by this: the run before is still there to be looked at."""


def recordings(folder: Path) -> list[Path]:
    """List the recordings of a folder, the oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def prune(folder: Path, settings: RecordingSettings, now_s: float) -> list[Path]:
    """Delete recordings that are too old, then the oldest of those that leave no room for a new one."""
    gone = [one for one in recordings(folder) if now_s - one.stat().st_mtime > settings.keep_days * DAY_S]
    kept = [one for one in recordings(folder) if one not in gone]
    room = settings.bytes_max - settings.bytes_max // SHARE
    while kept and sum(one.stat().st_size for one in kept) > room:
        gone.append(kept.pop(0))
    for one in gone:
        one.unlink(missing_ok=True)
    return gone


class WireRecording:
    """Records the lines of the chosen instruments, and in which order their items were taken.

    A line is recorded with all its instruments: a part of its bytes could not be played back.

    Args:
        folder: where recordings lie; made if need be.
        settings: what is recorded, and how much.
        instruments: of the site.
        clock: gateway time.
        ended: told why a recording ended before the run did.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(
        self, folder: Path, settings: RecordingSettings, instruments: Sequence[InstrumentSettings],
        clock: Clock, ended: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._clock = clock
        self._ended = ended
        self._all = instruments
        chosen = set(settings.instruments) or {one.id for one in instruments}
        lines = {one.endpoint for one in instruments if one.id in chosen}
        self._recorded = [one for one in instruments if one.endpoint in lines]
        self._names = {one.id for one in self._recorded}
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        now_s = clock.utc_ns() / 1e9
        for gone in prune(folder, settings, now_s):
            LOG.info("the wire recording %s made room", gone)
        stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self.path = folder / f"{stamp}{SUFFIX}"
        head = Head([one.model_dump(mode="json") for one in self._recorded], f"yaosu {version('yaosu')}")
        self._recorder = WireRecorder(self.path, head, bytes_max=settings.bytes_max // SHARE)

    def drivers(self, clock: Clock, rng: random.Random) -> list[Driver]:
        """Make the drivers of all instruments, in their order: those of recorded lines with a tap."""
        rest = [one for one in self._all if one.id not in self._names]
        tapped = open_drivers(self._recorded, clock, rng, wires=self._recorder.connect)
        made = {driver.describe().instrument: driver for driver in [*tapped, *open_drivers(rest, clock, rng)]}
        return [made[one.id] for one in self._all]

    def note(self, item: Item) -> None:
        """Write down that an item was taken."""
        if item.instrument not in self._names or self._recorder.full:
            return
        self._recorder.note(Stamp(self._clock.utc_ns(), self._clock.run_ns()), note_of(item))
        if self._recorder.full:
            self._ended(f"{self.path.name} is full (half of [recording] bytes_max), or the disk failed")

    def close(self) -> None:
        """End the file."""
        self._recorder.close()
