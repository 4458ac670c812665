"""Count the deadlines at which no poll was sent."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.records import Clock, Gap
from pipeline.records.block import GapCause


@dataclass(slots=True)
class _Open:
    cause: GapCause
    from_run_ns: int
    from_utc_ns: int
    until_run_ns: int
    polls: int
    announced: bool


class GapCounter:
    """The gap that an instrument is in, if any.

    A gap reaches from its first missed deadline to the deadline after its last one, not included, or to now
    when that is still ahead. Adjacent deadlines with one cause are one gap; a change of cause ends it.
    """

    def __init__(self, instrument: str, period_ns: int, clock: Clock) -> None:
        self._instrument = instrument
        self._period_ns = period_ns
        self._clock = clock
        self._open: _Open | None = None

    def miss(self, cause: GapCause, deadline_ns: int, polls: int = 1) -> list[Gap]:
        """Count `polls` deadlines from `deadline_ns` on; return what ended, and nothing else.

        A gap that is over when it is noticed (late polls) is thus handed out once, whole.
        """
        ended = [] if self._open is None or self._open.cause == cause else self.end()
        if self._open is None:
            self._open = _Open(cause, deadline_ns, self._utc(deadline_ns), deadline_ns, 0, announced=False)
        self._open.polls += polls
        self._open.until_run_ns = deadline_ns + polls * self._period_ns
        return ended

    def announce(self) -> list[Gap]:
        """Return the open gap, if it was not handed out since it began."""
        if self._open is None or self._open.announced:
            return []
        self._open.announced = True
        return [self._gap(self._open, ended=False)]

    def end(self) -> list[Gap]:
        """Close the gap, if one is open, and return it whole."""
        gap, self._open = self._open, None
        return [] if gap is None else [self._gap(gap, ended=True)]

    def _utc(self, run_ns: int) -> int:
        return self._clock.utc_ns() - (self._clock.run_ns() - run_ns)

    def _gap(self, gap: _Open, *, ended: bool) -> Gap:
        to_run_ns = max(gap.from_run_ns, min(gap.until_run_ns, self._clock.run_ns()))
        return Gap(
            self._instrument, gap.from_run_ns, to_run_ns, gap.from_utc_ns, self._utc(to_run_ns),
            gap.polls, gap.cause, ended,
        )  # fmt: skip
