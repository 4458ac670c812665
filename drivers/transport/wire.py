"""One open connection, and the inbox that keeps when each byte came."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from drivers.errors import LinkDown

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.records import Clock

INBOX_BYTES_MAX = 65536
NS_PER_S = 1_000_000_000


class Stamp(NamedTuple):
    """One instant in both times."""

    utc_ns: int
    run_ns: int


class Tap(Protocol):
    """Hears what goes over a wire."""

    def opened(self, at: Stamp) -> None:
        """Hear that the connection was opened."""
        ...

    def leased(self, at: Stamp, until_run_ns: int) -> None:
        """Hear that an instrument begins a poll, for which it has the line until then."""
        ...

    def sent(self, at: Stamp, data: bytes) -> None:
        """Hear bytes that were written."""
        ...

    def came(self, at: Stamp, data: bytes) -> None:
        """Hear bytes that have come."""
        ...

    def lost(self, at: Stamp, reason: str) -> None:
        """Hear that the connection is gone."""
        ...

    def waited(self, at: Stamp, until_run_ns: int) -> None:
        """Hear that nothing was heard until an instant for which somebody waited."""
        ...


class Inbox:
    """Bytes that have come and not been taken, each chunk with its time.

    Queue limit: `INBOX_BYTES_MAX`; full policy: the oldest bytes are dropped and counted in `dropped_bytes`.
    Thread-safe: no. One waiter at a time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._chunks: deque[tuple[int, Stamp]] = deque()
        self._taken = 0
        self._waiter: asyncio.Future[None] | None = None
        self._news = 0
        self.data = bytearray()
        self.dropped_bytes = 0
        self._opened = Stamp(clock.utc_ns(), clock.run_ns())
        self.last_run_ns = self._opened.run_ns
        """Gateway time of the newest byte; of the opening while none has come."""
        self.known_run_ns = self._opened.run_ns
        """Gateway time of the latest opening, lease, request, chunk, loss or end of a waiting. What is
        decided within a poll goes by it and never by the clock: a replay knows no other times."""
        self.lost: LinkDown | None = None
        """Why no more bytes will come."""
        self.lost_at = Stamp(0, 0)
        """When it was lost."""
        self.on_data: Callable[[], None] | None = None
        """Called after each chunk."""
        self.pseudo_terminal = False
        """Whether the connection is to a program behind a pseudo-terminal and to no serial line."""
        self.tap: Tap | None = None
        """Hears everything, where the wire is recorded; set by `tell`."""

    def now(self) -> Stamp:
        """Return the present instant, for something that a recording shows and stamps with it."""
        at = Stamp(self._clock.utc_ns(), self._clock.run_ns())
        self.known_run_ns = at.run_ns
        return at

    def tell(self, tap: Tap) -> None:
        """Tell `tap` everything from now on, and first what has happened since the opening.

        Whoever opens a connection may get hold of it late, in a busy loop.
        """
        self.tap = tap
        tap.opened(self._opened)
        for data, utc_ns, run_ns in self.kept()[1]:
            tap.came(Stamp(utc_ns, run_ns), data)
        if self.lost is not None:
            tap.lost(self.lost_at, self.lost.message)

    def feed(self, data: bytes) -> None:
        """Add bytes that have just come."""
        stamp = self.now()
        if self.tap is not None:
            self.tap.came(stamp, data)
        self._add(data, stamp)

    def _add(self, data: bytes, stamp: Stamp) -> None:
        self.last_run_ns = stamp.run_ns
        self._chunks.append((self._taken + len(self.data) + len(data), stamp))
        self.data += data
        excess = len(self.data) - INBOX_BYTES_MAX
        if excess > 0:
            self.dropped_bytes += excess
            self.take(excess)
        self._notify()

    def fail(self, lost: LinkDown) -> None:
        """Note that the connection is gone; the first reason stands."""
        if self.lost is None:
            self.lost, self.lost_at = lost, self.now()
            if self.tap is not None:
                self.tap.lost(self.lost_at, lost.message)
        self._notify()

    def take(self, count: int) -> bytes:
        """Remove and return the oldest `count` bytes."""
        taken = bytes(self.data[:count])
        del self.data[:count]
        self._taken += len(taken)
        while self._chunks and self._chunks[0][0] <= self._taken:
            self._chunks.popleft()
        return taken

    def clear(self) -> int:
        """Throw away all bytes; return how many."""
        return len(self.take(len(self.data)))

    def stamp(self, offset: int = 0) -> Stamp:
        """Return when the byte at `offset` of `data` came."""
        for end, stamp in self._chunks:
            if self._taken + offset < end:
                return stamp
        raise IndexError(f"no byte at {offset} of {len(self.data)}")

    def kept(self) -> list[Any]:
        """Return what it holds, for `restore`: the time of the newest byte, and the chunks with theirs."""
        chunks, at = [], 0
        for end, stamp in self._chunks:
            chunks.append([bytes(self.data[at : end - self._taken]), *stamp])
            at = end - self._taken
        return [self.last_run_ns, chunks]

    def restore(self, kept: list[Any]) -> None:
        """Hold what another inbox held."""
        last_run_ns, chunks = kept
        for data, utc_ns, run_ns in chunks:
            self._add(data, Stamp(utc_ns, run_ns))
        self.last_run_ns = last_run_ns

    async def wait(self, until_run_ns: int) -> bool:
        """Wait for another chunk or the loss of the connection; False when `until_run_ns` came first.

        A chunk that is heard late because the loop was busy, together with the end of the waiting, counts as
        heard: it may well have come in time.
        """
        heard = await self._heard(until_run_ns)
        if not heard:
            at = self.now()
            if self.tap is not None:
                # By the times alone a replay could not tell which of the two was first.
                self.tap.waited(at, until_run_ns)
        return heard

    async def _heard(self, until_run_ns: int) -> bool:
        left_s = (until_run_ns - self._clock.run_ns()) / NS_PER_S
        if left_s <= 0:
            return False
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        news = self._news
        timer = loop.call_later(left_s, _resolve, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        return self._news != news

    def _notify(self) -> None:
        self._news += 1
        if self._waiter is not None:
            _resolve(self._waiter)
        if self.on_data is not None:
            self.on_data()


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Wire(Protocol):
    """One open connection to an endpoint."""

    inbox: Inbox

    def write(self, data: bytes) -> None:
        """Send bytes without waiting. Raises LinkDown when the connection is gone."""
        ...

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        ...
