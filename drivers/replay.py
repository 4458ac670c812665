"""Play a wire recording back: the same bytes at the same times give the same rows, bit for bit.

Nothing waits: the clock of the replay is set by the recording. The instruments are asked to poll wherever
the recording says that one did, their requests are compared with what was sent then, and they are given what
came.

A recording may begin in the middle of a run, and parts of it may be missing. A line is played from where the
recording says what its instruments knew; what was recorded of it before that is passed over.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from drivers.compose import open_drivers
from drivers.errors import Fatal
from drivers.recorded import polled_of
from drivers.registry import AnyInstrument
from drivers.replay_track import ReplayClock, Track
from drivers.transport.recording import (
    BEGUN,
    KEPT,
    LAPSED,
    LEASED,
    NOTED,
    OPENED,
    Entry,
    read_recording,
)
from pipeline.records import DeviceEvent, Gap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from drivers.transport import Wire
    from drivers.transport.recording import Head
    from pipeline.records import Item

_INSTRUMENTS: TypeAdapter[tuple[AnyInstrument, ...]] = TypeAdapter(tuple[AnyInstrument, ...])


@dataclass(frozen=True, slots=True)
class Lapse:
    """A time of which the recording has nothing, or not all."""

    from_utc_ns: int
    """Of the last entry before it; 0 when the recording begins with it."""
    to_utc_ns: int
    why: str


class Replay:
    """A recording, its instruments, and what they say again.

    Args:
        path: of the recording.

    Raises:
        OSError: it cannot be read.
        Fatal: it is none, or its settings are not those of this version.
    """

    def __init__(self, path: Path) -> None:
        self.head: Head
        self.head, self._entries = read_recording(path)
        self.clock = ReplayClock()
        try:
            self.instruments = _INSTRUMENTS.validate_python(self.head.instruments)
        except ValueError as error:
            raise Fatal(
                f"the settings in {path} are not those of this version: {error}",
                hint=f"replay it with the version that recorded it: {self.head.program}",
            ) from error
        self._tracks: list[Track] = []
        self._made: defaultdict[str, deque[Item]] = defaultdict(deque)
        """What instruments have said again, and was not taken yet."""
        self._by_instrument: dict[str, Track] = {}
        self._part: Head | None = None
        self._last_utc_ns = 0
        self.lapses: list[Lapse] = []
        """What is missing, as far as it has been played."""
        self._prepare()

    def _prepare(self) -> None:
        """Make the drivers on tracks in place of lines, in the order in which they were recorded."""

        def on_track(connect: Callable[[], Awaitable[Wire]]) -> Callable[[], Awaitable[Wire]]:
            del connect
            self._tracks.append(Track(self.clock))
            return self._tracks[-1].connect

        # Nothing of chance is left: back-off waits its least, which was over when the next poll began.
        drivers = open_drivers(self.instruments, self.clock, _Least(), wires=on_track)
        for settings, driver in zip(self.instruments, drivers, strict=True):
            polled = polled_of(driver)
            track = next(one for one in self._tracks if one.connect == polled.line.connect)
            track.instruments.append(polled)
            self._by_instrument[settings.id] = track

    async def items(self) -> AsyncIterator[Item]:
        """Yield rows, events and gaps in the order in which they were taken then; what never was is left out.

        Raises:
            Fatal: the recording was made by other settings or another version.
        """
        for track in self._tracks:
            for one in track.instruments:
                await one.open(lambda: None)
        for entry in self._entries:
            if entry.kind == NOTED:
                item = await self._noted(entry)
                if item is not None:
                    yield item
            elif entry.kind in {BEGUN, LAPSED}:
                self._begin(entry)
            else:
                await self._hear(self._tracks[entry.line], entry)
            self._last_utc_ns = entry.utc_ns or self._last_utc_ns

    async def _hear(self, track: Track, entry: Entry) -> None:
        """Gather what one line says; play a poll when the next one begins."""
        if entry.kind == KEPT:
            if not _is_new(track.entries):
                await self._play(track)
            # What a connection has brought since its opening is among what is kept.
            track.entries.clear()
            track.restore(entry)
        elif track.known:
            if entry.kind == OPENED or (entry.kind == LEASED and not _is_new(track.entries)):
                await self._play(track)
            track.entries.append(entry)

    def _begin(self, entry: Entry) -> None:
        """Go on with another part: unless it follows the one before, every line is to be found again."""
        if entry.kind == BEGUN:
            earlier, self._part = self._part, entry.data
            if self._part.follows(earlier):
                if earlier is None:
                    for track in self._tracks:
                        track.known = True
                return
            if self._part.run != self.head.run:
                raise Fatal(
                    "the recording is of several runs of the daemon",
                    hint="export and replay each run by itself: yaosu wire list",
                )
            told = "the recording begins in the middle of a run" if earlier is None else "parts are missing"
        else:
            told = f"{entry.data[0]} entries could not be written: {entry.data[1]}"
        for track in self._tracks:
            track.forget()
        self._made.clear()
        self.lapses.append(Lapse(self._last_utc_ns, entry.utc_ns, told))

    async def _play(self, track: Track) -> None:
        for item in await track.play():
            self._made[item.instrument].append(item)

    async def _noted(self, entry: Entry) -> Item | None:
        """Return the item that was taken then: it is in the note, or its line has to say it again."""
        content = dict(entry.data)
        kind = content.pop("kind")
        if kind == "gap":
            return Gap(**content)
        if kind == "event":
            return DeviceEvent(**content)
        name = content["instrument"]
        track = self._by_instrument[name]
        if not self._made[name] and track.gathers(name):
            await self._play(track)
        return self._made[name].popleft() if self._made[name] else None


def _is_new(entries: Sequence[Entry]) -> bool:
    """Tell whether a connection was opened and not used yet; it may have brought something by itself."""
    return bool(entries) and entries[0].kind == OPENED and all(entry.kind != LEASED for entry in entries)


class _Least(random.Random):
    """Draws the least number."""

    def random(self) -> float:
        return 0.0
