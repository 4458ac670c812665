"""The daemon's own wire recording beside the journal: a ring of parts, of which the newest are kept.

What is looked for when something went wrong is what went over the lines just before. So the oldest part goes,
never the newest, and each part can be played back without those before it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from drivers.compose import open_drivers
from drivers.recorded import keepers_of, note_of
from drivers.transport import Stamp
from drivers.transport.recording import Head, Parts, WireRecorder

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
PARTS = 16
"""A part is this share of the bound, by size and by age; the oldest one goes for a new one."""
PART_S_MAX = 3600.0
"""A part is never older: what is looked for is found in a short one."""


def recordings(folder: Path) -> list[Path]:
    """List the parts in a folder, the oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def run_and_number(part: Path) -> tuple[str, int]:
    """Return of which run a part is, and which one."""
    run, _, number = part.stem.rpartition("-")
    return run, int(number)


def prune(folder: Path, settings: RecordingSettings, now_s: float) -> list[Path]:
    """Delete parts that are too old, then the oldest of those that leave no room for a new one."""
    gone = [one for one in recordings(folder) if now_s - one.stat().st_mtime > settings.keep_days * DAY_S]
    kept = [one for one in recordings(folder) if one not in gone]
    # A part ends after the flush that fills it, which is less than a part.
    room = settings.bytes_max - 2 * (settings.bytes_max // PARTS)
    size = sum(one.stat().st_size for one in kept)
    while kept and size > room:
        size -= kept[0].stat().st_size
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
        told: gets a code of the event catalogue, and why, when the recording stops or goes on.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(
        self, folder: Path, settings: RecordingSettings, instruments: Sequence[InstrumentSettings],
        clock: Clock, told: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self._folder, self._settings, self._clock, self._told = folder, settings, clock, told
        self._all = instruments
        chosen = set(settings.instruments) or {one.id for one in instruments}
        lines = {one.endpoint for one in instruments if one.id in chosen}
        self._recorded = [one for one in instruments if one.endpoint in lines]
        self._names = {one.id for one in self._recorded}
        self._why = ""
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        now_ns = clock.utc_ns()
        self.run = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        settled = [one.model_dump(mode="json") for one in self._recorded]
        head = Head(settled, f"yaosu {version('yaosu')}", self.run, 0, now_ns)
        age_s_max = min(PART_S_MAX, settings.keep_days * DAY_S / PARTS)
        parts = Parts(self._part, settings.bytes_max // PARTS, age_s_max)
        self._recorder = WireRecorder(self._part(0), head, parts=parts)

    def _part(self, number: int) -> Path:
        """Make room for a part; return its path."""
        for gone in prune(self._folder, self._settings, self._clock.utc_ns() / 1e9):
            LOG.info("the wire recording %s made room", gone)
        return self._folder / f"{self.run}-{number:06d}{SUFFIX}"

    def drivers(self, clock: Clock, rng: random.Random) -> list[Driver]:
        """Make the drivers of all instruments, in their order: those of recorded lines with a tap."""
        rest = [one for one in self._all if one.id not in self._names]
        tapped = open_drivers(self._recorded, clock, rng, wires=self._recorder.connect)
        self._recorder.keep(keepers_of(tapped))
        made = {driver.describe().instrument: driver for driver in [*tapped, *open_drivers(rest, clock, rng)]}
        return [made[one.id] for one in self._all]

    def note(self, item: Item) -> None:
        """Write down that an item was taken."""
        if item.instrument not in self._names:
            return
        self._recorder.note(Stamp(self._clock.utc_ns(), self._clock.run_ns()), note_of(item))
        if self._recorder.why != self._why:
            code = "wire-recording-ended" if self._recorder.why else "wire-recording-resumed"
            self._told(code, self._recorder.why or self._why)
            self._why = self._recorder.why

    def close(self) -> None:
        """End the file."""
        self._recorder.close()
