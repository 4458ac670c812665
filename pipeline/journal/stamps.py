"""Stamps of records and the detection of steps of UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.records import Clock

STEP_NS_MIN = 1_000_000
"""UTC minus gateway time may fall by this much between records before it counts as a step."""
_PAIR_NS_MAX = 200_000
_PAIR_ATTEMPTS = 4
_CALLER_NS_MAX = 50_000_000


class StampClock:
    """Reads UTC and gateway time as one pair and watches their difference.

    Args:
        clock: gateway time of this boot.
        difference_ns: UTC minus gateway time at the journal's last record; None in a new journal.
        epoch: epoch of the last record.
    """

    def __init__(self, clock: Clock, difference_ns: int | None, epoch: int) -> None:
        self.epoch = epoch
        """Rises whenever UTC has stepped backward."""
        self.step_ns = 0
        """The step that raised the epoch last; negative."""
        self._clock = clock
        self._difference_ns = difference_ns

    def pair(self) -> tuple[int, int]:
        """Return (t_utc_ns, t_run_ns) of one instant, to 0.2 ms unless the machine keeps interrupting."""
        best: tuple[int, int, int] | None = None
        for _ in range(_PAIR_ATTEMPTS):
            before_ns = self._clock.run_ns()
            utc_ns = self._clock.utc_ns()
            width_ns = self._clock.run_ns() - before_ns
            if best is None or width_ns < best[0]:
                best = (width_ns, utc_ns, before_ns + width_ns // 2)
            if width_ns <= _PAIR_NS_MAX:
                break
        assert best is not None  # noqa: S101 - the loop ran
        return best[1], best[2]

    def observe(self, own: tuple[int, int], given: tuple[int, int] | None = None) -> bool:
        """Compare with the record before; True when the epoch rose.

        A caller's own pair counts when it differs from ours by more than reading two clocks one after the
        other explains: rows that were stamped before a step and come after it.
        """
        difference_ns = own[0] - own[1]
        if given is not None and abs(given[0] - given[1] - difference_ns) > _CALLER_NS_MAX:
            difference_ns = given[0] - given[1]
        last_ns, self._difference_ns = self._difference_ns, difference_ns
        if last_ns is None or difference_ns >= last_ns - STEP_NS_MIN:
            return False
        self.epoch += 1
        self.step_ns = difference_ns - last_ns
        return True
