"""Drive a polled instrument: deadlines, gaps, back-off, lost and back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from drivers.errors import BadFrame, LinkDown, WrongAnswer
from drivers.gaps import GapCounter
from drivers.schedule import NS_PER_S, Backoff, due, first_deadline
from pipeline.records import DeviceEvent

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from types import TracebackType

    from drivers.door import Description, Found
    from drivers.errors import DriverError
    from pipeline.records import Clock, Item
    from pipeline.records.block import GapCause

LOST_AFTER = 2
"""Polls in a row without an answer after which an instrument counts as lost; one lost frame is no alarm."""
_SLEEP_MAX_S = 10.0
_SLEEP_MIN_S = 1e-6


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one deadline: sent (`cause` None) or not sent for `cause`."""

    items: list[Item] = field(default_factory=list)
    cause: GapCause | None = None
    error: DriverError | None = None
    """Why nothing usable came; None as soon as any part of the answer was valid, an exception too."""


class Polled(Protocol):
    """An instrument seen by its poller: a pure plan and decode around one exchange."""

    def describe(self) -> Description:
        """Tell what is known of the instrument now."""
        ...

    async def open(self, wake: Callable[[], None]) -> None:
        """Claim the line; `wake` is to be called when bytes come that nobody asked for."""
        ...

    async def close(self) -> None:
        """Give the line back."""
        ...

    async def poll(self, until_run_ns: int) -> Outcome:
        """Exchange once, unless the line cannot be had before `until_run_ns`; never raises a DriverError."""
        ...

    def unsolicited(self) -> Sequence[Item]:
        """Take what the instrument said by itself since the last call."""
        ...


class Poller:
    """A `Driver` made of a polled instrument.

    Thread-safe: no. Queue: none; back-pressure of the consumer becomes gaps with cause `late`.
    """

    def __init__(self, polled: Polled, clock: Clock, rng: random.Random) -> None:
        description = polled.describe()
        self.polled = polled
        self._clock = clock
        self._name = description.instrument
        self._period_ns = max(1, round((description.poll_interval_s or 1.0) * NS_PER_S))
        self._gaps = GapCounter(self._name, self._period_ns, clock)
        self._backoff = Backoff(rng)
        self._wake = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._first_failure_ns = 0
        self._lost = False
        self._found: Found = ""
        # Cause of deadlines that pass while the driver is busy: its own exchange, or what it was waiting for.
        self._meanwhile: GapCause = "late"

    async def __aenter__(self) -> Self:
        await self.polled.open(self._wake.set)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.polled.close()

    def describe(self) -> Description:
        """Tell what is known of the instrument now."""
        return self.polled.describe()

    def stop(self) -> None:
        """Let `stream()` finish the exchange in flight, yield an open gap and end."""
        self._stopping = True
        self._wake.set()

    async def stream(self) -> AsyncIterator[Item]:
        """Yield what the instrument says, poll by poll."""
        deadline_ns = first_deadline(self._name, self._period_ns, self._clock.run_ns())
        while await self._wait(deadline_ns):
            for item in self.polled.unsolicited():
                yield item
            if self._clock.run_ns() < deadline_ns:
                continue
            tick = due(deadline_ns, self._period_ns, self._clock.run_ns())
            if tick.missed:
                for gap in self._gaps.miss(self._meanwhile, deadline_ns, tick.missed):
                    yield gap
            for item in self._account(tick.deadline_ns, await self._attempt(tick.deadline_ns)):
                yield item
            deadline_ns = tick.deadline_ns + self._period_ns
        for item in self._finish(deadline_ns):
            yield item

    async def _wait(self, deadline_ns: int) -> bool:
        """Wait for the deadline or for bytes that nobody asked for; False when it is time to stop."""
        while not self._stopping and not self._wake.is_set():
            left_ns = deadline_ns - self._clock.run_ns()
            if left_ns <= 0:
                break
            # The loop's clock stands still in suspend and gateway time does not: look again now and then.
            left_s = min(max(left_ns / NS_PER_S, _SLEEP_MIN_S), _SLEEP_MAX_S)
            try:
                async with asyncio.timeout(left_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self._wake.clear()
        return not self._stopping

    async def _attempt(self, deadline_ns: int) -> Outcome:
        if self._backoff.waiting(self._clock.run_ns()):
            return Outcome(cause="back-off")
        return await self.polled.poll(deadline_ns + self._period_ns)

    def _account(self, deadline_ns: int, outcome: Outcome) -> Iterator[Item]:
        if outcome.cause is None:
            self._meanwhile = "late"
            yield from self._gaps.end()
        else:
            self._meanwhile = outcome.cause
            yield from self._gaps.miss(outcome.cause, deadline_ns)
            yield from self._gaps.announce()
        if outcome.cause is None or outcome.cause == "disconnected":
            yield from self._judge(outcome.error)
        yield from self._find()
        yield from outcome.items
        yield from self.polled.unsolicited()

    def _judge(self, error: DriverError | None) -> Iterator[Item]:
        """Follow whether the instrument answers, and leave it alone for a while when it does not."""
        now_ns = self._clock.run_ns()
        if error is None:
            if self._lost:
                seconds = round((now_ns - self._first_failure_ns) / NS_PER_S, 1)
                yield self._event("instrument-back", seconds=seconds)
            self._failures, self._lost = 0, False
            self._backoff.succeeded()
            return
        self._failures += 1
        if self._failures == 1:
            self._first_failure_ns = now_ns
        disconnected = isinstance(error, LinkDown)
        # One damaged frame costs no poll; silence costs the line a time-out each time. A line that is down is
        # left alone by the line itself, for all its instruments.
        if not disconnected and (self._failures > 1 or not isinstance(error, BadFrame | WrongAnswer)):
            self._backoff.failed(now_ns)
        if not self._lost and (disconnected or self._failures >= LOST_AFTER):
            self._lost = True
            yield self._event("instrument-lost", error=error.message, hint=error.hint)

    def _find(self) -> Iterator[Item]:
        """Tell, before the rows, when what is declared live is found to be none, and when no more."""
        known = self.polled.describe()
        # A line that was lost shows nothing of what is at its end.
        if known.source == "live" and not self._failures and known.found != self._found:
            self._found = known.found
            yield self._event(f"source-{known.found or 'live'}", endpoint=known.endpoint)

    def _event(self, code: str, /, **args: str | float) -> DeviceEvent:
        return DeviceEvent(self._name, code, self._clock.utc_ns(), self._clock.run_ns(), dict(args))

    def _finish(self, deadline_ns: int) -> Iterator[Item]:
        yield from self.polled.unsolicited()
        now_ns = self._clock.run_ns()
        if now_ns >= deadline_ns:
            missed = due(deadline_ns, self._period_ns, now_ns).missed + 1
            yield from self._gaps.miss(self._meanwhile, deadline_ns, missed)
        yield from self._gaps.end()
