"""The line that instruments share: who may use it now, its connection, and its quiet times."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from drivers.errors import LineBusy, LinkDown
from drivers.schedule import NS_PER_S, Backoff
from drivers.transport.wire import Inbox, Stamp, Wire

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pipeline.records import Clock

QUARANTINE_S = 0.15
"""Quiet time after a failed exchange before the line is used again."""
SETTLE_MAX_S = 2.0
"""A line that is not quiet for so long counts as busy."""
NO_POLL = -1
"""In place of the end of a poll: the line was taken for something else."""


Connect: TypeAlias = "Callable[[], Awaitable[Wire]]"
"""Opens a wire or raises LinkDown."""
Wires: TypeAlias = "Callable[[Connect], Connect]"
"""Makes of the way to connect a line another one; called once for each line, in the order of the settings."""


def direct(connect: Connect) -> Connect:
    """Connect to the instrument itself, and record nothing."""
    return connect


class Line:
    """One endpoint and its connection, used by one instrument at a time, in the order of asking.

    A line opens when it is first needed and is opened again after a loss, with back-off and jitter. Before
    each request `settle()` waits for the line's silence; a line that is *dirty* (an exchange began and did
    not end well, by time-out, damage or cancellation) must be quiet for `QUARANTINE_S` first. What came until
    then is stale.

    Args:
        endpoint: name for people.
        connect: opens a wire or raises LinkDown.
        silence_s: quiet time that the protocol asks for between two frames.
        quarantine: whether answers cannot be told apart, so that a dirty line needs quiet.
    """

    def __init__(
        self,
        endpoint: str,
        connect: Connect,
        clock: Clock,
        rng: random.Random,
        *,
        silence_s: float = 0.0,
        quarantine: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self.connect = connect
        self._silence_ns = int(silence_s * NS_PER_S)
        self._quarantine_ns = int(QUARANTINE_S * NS_PER_S) if quarantine else 0
        self._lock = asyncio.Lock()
        self._backoff = Backoff(rng)
        self._users = 0
        self._wire: Wire | None = None
        self._refused = LinkDown("not connected yet", endpoint=endpoint)
        self._dirty = False
        self._active_until_ns = 0
        self.on_data: Callable[[], None] | None = None
        """Called when bytes come; for lines of one instrument that also speaks by itself."""
        self.leased_run_ns = 0
        """Gateway time of the last lease. What is decided within a poll goes by it, and by the times of
        exchanges, never by the clock: a replay knows no others."""
        self.connections = 0
        """How often a connection was made: after a new one the device may be another."""

    def join(self) -> None:
        """Claim the line for one more instrument."""
        self._users += 1

    def leave(self) -> None:
        """Give it back; the last instrument closes the connection."""
        self._users -= 1
        if self._users == 0:
            self.drop()

    @property
    def dirty(self) -> bool:
        """Whether the last exchange did not end well, or none has been made since the connection."""
        return self._dirty

    @property
    def pseudo_terminal(self) -> bool:
        """Whether a program is at its other end."""
        return self._wire is not None and self._wire.inbox.pseudo_terminal

    @property
    def inbox(self) -> Inbox | None:
        """The inbox of the open connection."""
        return None if self._wire is None else self._wire.inbox

    @asynccontextmanager
    async def lease(self, until_run_ns: int, *, poll: bool = True) -> AsyncIterator[Wire]:
        """Have the line for one poll, or for something else that a recording passes over.

        Raises:
            LineBusy: it was not free before `until_run_ns`.
            LinkDown: it is not connected, and cannot be now.
        """
        if self._lock.locked():
            await self._wait_for_turn(until_run_ns)
        else:
            await self._lock.acquire()
        try:
            wire = await self._connected()
            at = wire.inbox.now()
            self.leased_run_ns = at.run_ns
            if wire.inbox.tap is not None:
                wire.inbox.tap.leased(at, until_run_ns if poll else NO_POLL)
            yield wire
        finally:
            self._lock.release()

    async def _wait_for_turn(self, until_run_ns: int) -> None:
        left_s = max(0.0, (until_run_ns - self.clock.run_ns()) / NS_PER_S)
        try:
            async with asyncio.timeout(left_s):
                await self._lock.acquire()
        except TimeoutError:
            if self._wire is None:
                raise self._refused from None
            raise LineBusy("the line was not free in time", endpoint=self.endpoint) from None

    def kept(self) -> list[Any]:
        """Return what it knows of its open connection, for `resume`."""
        assert self._wire is not None  # noqa: S101 - asked by whoever has the lease
        return [self._dirty, self._active_until_ns, self.connections, self._wire.inbox.kept()]

    def resume(self, wire: Wire, kept: list[Any]) -> None:
        """Go on with a wire as if it had been open all the time."""
        self._dirty, self._active_until_ns, self.connections, inbox = kept
        wire.inbox.restore(inbox)
        wire.inbox.on_data = self.on_data
        self._wire = wire

    async def settle(self, wire: Wire) -> bool:
        """Wait for the quiet time due before a request; False: the line does not become quiet."""
        give_up_ns = wire.inbox.known_run_ns + int(SETTLE_MAX_S * NS_PER_S)
        quiet_ns = max(self._silence_ns, self._quarantine_ns if self._dirty else 0)
        while True:
            now_ns = wire.inbox.known_run_ns
            ready_ns = max(self._active_until_ns, wire.inbox.last_run_ns) + quiet_ns
            if now_ns >= ready_ns:
                return True
            if now_ns >= give_up_ns:
                return False
            await wire.inbox.wait(min(ready_ns, give_up_ns))
            if wire.inbox.lost is not None:
                return True

    def begin(self, wire: Wire, data: bytes, transmission_s: float = 0.0) -> Stamp:
        """Write a request; return the instant just before. Raises LinkDown.

        Until `done()` the line is dirty, so that a cancelled exchange needs no further care.
        """
        self._dirty = True
        at = wire.inbox.now()
        self._active_until_ns = at.run_ns + int(transmission_s * NS_PER_S)
        wire.write(data)
        if wire.inbox.tap is not None:
            wire.inbox.tap.sent(at, data)
        return at

    def abandon(self) -> None:
        """Note that an exchange ended badly just now: quiet time counts from here."""
        if self._wire is not None:
            self._active_until_ns = max(self._active_until_ns, self._wire.inbox.known_run_ns)

    def done(self) -> None:
        """Note that an exchange ended with an undamaged, expected answer."""
        self._dirty = False
        self._backoff.succeeded()

    def drop(self) -> None:
        """Close the connection; the next lease opens a new one."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.inbox.on_data = None
            wire.close()

    async def _connected(self) -> Wire:
        if self._wire is not None and self._wire.inbox.lost is not None:
            self._refused = self._wire.inbox.lost
            self.drop()
            self._backoff.failed(self.clock.run_ns())
        if self._wire is not None:
            return self._wire
        if self._backoff.waiting(self.clock.run_ns()):
            raise self._refused
        try:
            wire = await self.connect()
        except LinkDown as error:
            self._refused = error
            self._backoff.failed(self.clock.run_ns())
            raise
        wire.inbox.on_data = self.on_data
        # An answer to whoever used the line before may still be on its way.
        self._wire, self._dirty = wire, True
        self.connections += 1
        return wire
