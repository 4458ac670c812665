"""One line of a recording, played back: its clock, its bytes, and the polls of its instruments."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from drivers.errors import Fatal, LinkDown
from drivers.transport.line import NO_POLL
from drivers.transport.recording import CAME, LEASED, LOST, OPENED, SENT, WAITED, Entry
from drivers.transport.wire import NS_PER_S, Inbox, Stamp
from pipeline.records import ClockState

if TYPE_CHECKING:
    from drivers.recorded import OnLine
    from drivers.transport import Wire
    from pipeline.records import Item

LOST_PATIENCE_NS = NS_PER_S


class ReplayClock:
    """Gateway time as the recording has it."""

    def __init__(self) -> None:
        self._at = Stamp(0, 0)

    def set(self, at: Stamp) -> None:
        """Go to an instant of the recording.

        On another line it may be an earlier one: lines are played poll by poll.
        """
        self._at = at

    def pass_to(self, run_ns: int) -> None:
        """Let time pass to an instant of which the recording says nothing."""
        if run_ns > self._at.run_ns:
            self._at = Stamp(self._at.utc_ns + run_ns - self._at.run_ns, run_ns)

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
        """Return the instant of the lease or of the next request, where one is about to be had or sent."""
        self._catch_up()
        if self._entries and self._entries[0].kind == SENT:
            self._time.set(_stamp(self._entries[0]))
        elif self._entries and self._entries[0].kind == LEASED:
            self._time.set(_stamp(self._entries.popleft()))
        return super().now()

    def clear(self) -> int:
        """Throw away all bytes that had come before the next request."""
        self._catch_up()
        return super().clear()

    async def wait(self, until_run_ns: int) -> bool:
        """Hear what came next, if it was heard then, whatever the times say."""
        if self._entries and self._entries[0].kind in {CAME, LOST}:
            self._hear(self._entries.popleft())
            return True
        if self._entries and self._entries[0].kind == WAITED:
            self._hear(self._entries.popleft())
        else:
            self._time.pass_to(until_run_ns)
            super().now()
        return False

    def hear_all(self) -> None:
        """Hear what is left, of a lease without a request too."""
        while self._entries and self._entries[0].kind != SENT:
            self._hear(self._entries.popleft())

    def _catch_up(self) -> None:
        while self._entries and self._entries[0].kind in {CAME, LOST, WAITED}:
            self._hear(self._entries.popleft())

    def _hear(self, entry: Entry) -> None:
        if entry.kind not in {CAME, LOST, WAITED}:
            return
        self._time.set(_stamp(entry))
        at = super().now()
        if entry.kind == CAME:
            self._add(entry.data, at)
        elif entry.kind == LOST and self.lost is None:
            self.lost, self.lost_at = LinkDown(str(entry.data)), at


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


class Track:
    """One line of the recording, the instruments on it, and its poll that is being gathered."""

    def __init__(self, clock: ReplayClock) -> None:
        self._clock = clock
        self.entries: deque[Entry] = deque()
        self.instruments: list[OnLine] = []
        self.known = False
        """Whether what its instruments know is what they knew then."""
        self._inbox: _ReplayInbox | None = None

    async def connect(self) -> Wire:
        """Open the line as it was opened then."""
        if self.entries and self.entries[0].kind == OPENED:
            self._clock.set(_stamp(self.entries.popleft()))
        self._inbox = _ReplayInbox(self._clock, self.entries)
        return _ReplayWire(self._inbox, self.entries)

    def restore(self, entry: Entry) -> None:
        """Go on from what was known then. Raises Fatal when this version cannot know it."""
        self._clock.set(_stamp(entry))
        try:
            for one in self.instruments:
                one.restore(entry.data["instruments"][one.describe().instrument])
            self._inbox = _ReplayInbox(self._clock, self.entries)
            self.instruments[0].line.resume(_ReplayWire(self._inbox, self.entries), entry.data["line"])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise Fatal(
                f"what the instruments knew at {entry.utc_ns} ns is not what this version knows: {error!r}",
                hint="replay it with the version that recorded it",
            ) from error
        self.known = True

    def forget(self) -> None:
        """Pass over everything until the next `restore`."""
        self.entries.clear()
        self.known, self._inbox = False, None

    def gathers(self, instrument: str) -> bool:
        """Tell whether the poll that is being gathered can be this instrument's."""
        if len(self.instruments) == 1:
            return True
        sent = next((entry for entry in self.entries if entry.kind == SENT), None)
        asked = [] if sent is None else [one for one in self.instruments if one.owns(sent.data)]
        return [one.describe().instrument for one in asked] == [instrument]

    async def play(self) -> list[Item]:
        """Repeat the poll that was gathered; return what came of it."""
        items: list[Item] = []
        if self.entries:
            self._clock.set(_stamp(self.entries[0]))
        leased = next((entry for entry in self.entries if entry.kind == LEASED), None)
        sent = next((entry for entry in self.entries if entry.kind == SENT), None)
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
                await one.poll(self._clock.run_ns() + LOST_PATIENCE_NS)
        for one in self.instruments:
            items += one.unsolicited()
        self.entries.clear()
        return items
