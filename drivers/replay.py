"""Play a wire recording back: the same bytes at the same times give the same rows, bit for bit.

Nothing waits: the clock of the replay is set by the recording. The instruments are asked to poll wherever
the recording says that one did, their requests are compared with what was sent then, and they are given what
came.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import TypeAdapter

from drivers.compose import open_drivers
from drivers.errors import Fatal, LinkDown
from drivers.poller import Polled, Poller
from drivers.registry import AnyInstrument
from drivers.transport.line import NO_POLL
from drivers.transport.recording import CAME, LEASED, LOST, NOTED, OPENED, SENT, Entry, read_recording
from drivers.transport.wire import Inbox, Stamp
from pipeline.records import ClockState, DeviceEvent, Gap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

    from drivers.transport import Line, Wire
    from drivers.transport.recording import Head
    from pipeline.records import Item

_INSTRUMENTS: TypeAdapter[tuple[AnyInstrument, ...]] = TypeAdapter(tuple[AnyInstrument, ...])
NOTED_CODES = frozenset({
    "instrument-lost", "instrument-back", "source-pty", "source-simulator", "source-live",
})  # fmt: skip
"""Events of the poller, which no line shows."""


_LOST_PATIENCE_NS = 1_000_000_000


class _Replayable(Polled, Protocol):
    """A polled instrument on a line."""

    @property
    def line(self) -> Line:
        """The line that it hangs on."""
        ...

    def owns(self, request: bytes) -> bool:
        """Tell whether bytes that were written to the line were a request to this instrument."""
        ...


class ReplayClock:
    """Gateway time as the recording has it."""

    def __init__(self) -> None:
        self._at = Stamp(0, 0)

    def set(self, at: Stamp) -> None:
        """Go to an instant of the recording; never back."""
        if at.run_ns >= self._at.run_ns:
            self._at = at

    def jump(self, at: Stamp) -> None:
        """Go to an instant of another line, which may be an earlier one: lines are played poll by poll."""
        self._at = at

    def pass_to(self, run_ns: int) -> None:
        """Let time pass to an instant of which the recording says nothing."""
        self.set(Stamp(self._at.utc_ns + run_ns - self._at.run_ns, run_ns))

    def run_ns(self) -> int:
        """Return gateway time."""
        return self._at.run_ns

    def utc_ns(self) -> int:
        """Return UTC."""
        return self._at.utc_ns

    def state(self) -> ClockState:
        """Tell that nobody vouches for these times now."""
        return ClockState(synchronised=False, error_ns=-1)


class _ReplayInbox(Inbox):
    """Gives what came, at the time at which it came."""

    def __init__(self, clock: ReplayClock, entries: deque[Entry]) -> None:
        self._time = clock
        self._entries = entries
        super().__init__(clock)

    def now(self) -> Stamp:
        """Return the instant of the next request, where one is about to be sent."""
        self._catch_up()
        if self._entries and self._entries[0].kind == SENT:
            self._time.set(_stamp(self._entries[0]))
        return Stamp(self._time.utc_ns(), self._time.run_ns())

    def clear(self) -> int:
        """Throw away all bytes that had come before the next request."""
        self._catch_up()
        return super().clear()

    async def wait(self, until_run_ns: int) -> bool:
        """Hear what came next, if it came by then."""
        if (
            self._entries
            and self._entries[0].kind in {CAME, LOST}
            and self._entries[0].run_ns <= until_run_ns
        ):
            self._hear(self._entries.popleft())
            return True
        self._time.pass_to(until_run_ns)
        return False

    def hear_all(self) -> None:
        """Hear what is left."""
        self._catch_up()

    def _catch_up(self) -> None:
        while self._entries and self._entries[0].kind in {CAME, LOST}:
            self._hear(self._entries.popleft())

    def _hear(self, entry: Entry) -> None:
        self._time.set(_stamp(entry))
        if entry.kind == CAME:
            self._add(entry.data, _stamp(entry))
        elif self.lost is None:
            self.lost, self.lost_run_ns = LinkDown(str(entry.data)), entry.run_ns


class _ReplayWire:
    """Takes requests and compares them with those that were sent."""

    def __init__(self, inbox: _ReplayInbox, entries: deque[Entry]) -> None:
        self.inbox: Inbox = inbox
        self._given = inbox
        self._entries = entries

    def write(self, data: bytes) -> None:
        """Compare. Raises LinkDown on a lost connection, Fatal when something else was sent then."""
        if self.inbox.lost is not None:
            raise self.inbox.lost
        sent = self._entries.popleft() if self._entries and self._entries[0].kind == SENT else None
        if sent is None or sent.data != data:
            was = "nothing" if sent is None else sent.data.hex(" ")
            raise Fatal(
                f"the replay asks {data.hex(' ')} where the recording has {was}",
                hint="replay it with the version that recorded it, from the beginning of a connection",
            )

    def close(self) -> None:
        """Close, at the time at which it was closed then."""
        self._given.hear_all()
        self.inbox.fail(LinkDown("the connection is closed"))


def _stamp(entry: Entry) -> Stamp:
    return Stamp(entry.utc_ns, entry.run_ns)


class _Track:
    """One line of the recording, the instruments on it, and its poll that is being gathered."""

    def __init__(self, clock: ReplayClock) -> None:
        self._clock = clock
        self.entries: deque[Entry] = deque()
        self.instruments: list[_Replayable] = []
        self._inbox: _ReplayInbox | None = None

    async def connect(self) -> Wire:
        """Open the line as it was opened then."""
        if self.entries and self.entries[0].kind == OPENED:
            self._clock.set(_stamp(self.entries.popleft()))
        self._inbox = _ReplayInbox(self._clock, self.entries)
        return _ReplayWire(self._inbox, self.entries)

    async def play(self) -> list[Item]:
        """Repeat the poll that was gathered; return what came of it."""
        items: list[Item] = []
        if self.entries:
            self._clock.jump(_stamp(self.entries[0]))
        leased = next((entry for entry in self.entries if entry.kind == LEASED), None)
        sent = next((entry for entry in self.entries if entry.kind == SENT), None)
        if leased is not None:
            self.entries.remove(leased)
        if leased is not None and leased.data == NO_POLL:
            # Somebody set a point, or looked at one: no poll, and no part of what is played again.
            self.entries.clear()
        elif leased is not None and sent is not None:
            self._clock.set(_stamp(self.entries[0] if self.entries[0].kind == OPENED else leased))
            asked = next(one for one in self.instruments if one.owns(sent.data))
            items += (await asked.poll(leased.data)).items
        if self._inbox is not None:
            self._inbox.hear_all()
            one = self.instruments[0]
            if self._inbox.lost is not None and one.line.inbox is self._inbox:
                # The poll that met the lost connection then sent nothing; the next one found it open again.
                await one.poll(self._clock.run_ns() + _LOST_PATIENCE_NS)
        for one in self.instruments:
            items += one.unsolicited()
        self.entries.clear()
        return items


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
        self._tracks: list[_Track] = []
        self._made: defaultdict[str, deque[Item]] = defaultdict(deque)
        """What instruments have said again, and was not taken yet."""
        self._by_instrument: dict[str, _Track] = {}
        self._prepare()

    def _prepare(self) -> None:
        """Make the drivers on tracks in place of lines, in the order in which they were recorded."""

        def on_track(connect: Callable[[], Awaitable[Wire]]) -> Callable[[], Awaitable[Wire]]:
            del connect
            self._tracks.append(_Track(self.clock))
            return self._tracks[-1].connect

        # Nothing of chance is left: back-off waits its least, which was over when the next poll began.
        drivers = open_drivers(self.instruments, self.clock, _Least(), wires=on_track)
        for settings, driver in zip(self.instruments, drivers, strict=True):
            assert isinstance(driver, Poller)  # noqa: S101 - every driver is one, and on a line, so far
            polled = cast("_Replayable", driver.polled)
            track = next(one for one in self._tracks if one.connect == polled.line.connect)
            track.instruments.append(polled)
            self._by_instrument[settings.id] = track

    async def items(self) -> AsyncIterator[Item]:
        """Yield rows, events and gaps in the order in which they were taken then.

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
                continue
            track = self._tracks[entry.line]
            if entry.kind == OPENED or (entry.kind == LEASED and not _only_opened(track.entries)):
                await self._play(track)
            track.entries.append(entry)
        # What had not been taken when the recording ended.
        for track in self._tracks:
            await self._play(track)
        for made in self._made.values():
            for item in made:
                yield item

    async def _play(self, track: _Track) -> None:
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
        if not self._made[name]:
            await self._play(self._by_instrument[name])
        return self._made[name].popleft() if self._made[name] else None


def _only_opened(entries: Iterable[Entry]) -> bool:
    return [entry.kind for entry in entries] == [OPENED]


def note_of(item: Item) -> dict[str, Any]:
    """Return what a recording notes of an item that is taken: what no line shows, else only its place."""
    if isinstance(item, Gap):
        return {"kind": "gap", **asdict(item)}
    if isinstance(item, DeviceEvent) and item.code in NOTED_CODES:
        return {"kind": "event", **asdict(item)}
    return {"kind": "item", "instrument": item.instrument}


class _Least(random.Random):
    """Draws the least number."""

    def random(self) -> float:
        return 0.0
