"""Whether the stages of the daemon are alive: what a sign of life to the service manager rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.journal import Journal
    from pipeline.records import Clock

FRAMES_NS = 5_000_000_000
TICKS_NS = 10_000_000_000
COMMITS_NS = 20_000_000_000
"""The longest time without a beat of each stage; a sync of a tired disk may take seconds."""


class Pulse:
    """Heartbeats of acquisition and ticks, and the progress of commits.

    A disk that refuses to write (full, read-only) is no reason for a restart: the records wait in memory,
    where a restart would lose them, and every try is progress. A sync that never returns is one.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        now_ns = clock.run_ns()
        self._beats = {"frames": now_ns, "ticks": now_ns, "commits": now_ns}
        self._progress: tuple[int, int] = (-1, 0)

    def beat(self, stage: str) -> None:
        """Note that a stage has gone round once."""
        self._beats[stage] = self._clock.run_ns()

    def silent(self) -> list[str]:
        """Name the stages that have not been heard of for too long; none when all is well."""
        now_ns = self._clock.run_ns()
        stats = self._journal.stats()
        attempts = 0 if stats.trouble is None else stats.trouble.attempts
        if stats.uncommitted_records == 0 or (stats.durable_seq, attempts) != self._progress:
            self._progress = stats.durable_seq, attempts
            self._beats["commits"] = now_ns
        limits = {"frames": FRAMES_NS, "ticks": TICKS_NS, "commits": COMMITS_NS}
        if stats.trouble is not None:
            # While nothing can be written, the others wait for room.
            limits = {"commits": COMMITS_NS}
        return [stage for stage, limit_ns in limits.items() if now_ns - self._beats[stage] > limit_ns]
