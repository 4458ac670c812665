"""One channel that is compared with another: the readings that wait for a verdict, and the other's series."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.qc.crossing.judges import Redundancy, Setpoints, setpoint_rate
from pipeline.qc.crossing.series import NEVER_NS, Series
from pipeline.qc.rule import RING_SLACK, RING_SPARE, nanoseconds
from pipeline.qc.settings_patterns import RedundancyQc, ScheduleQc
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.qc.crossing.judges import Judge
    from pipeline.records.block import Block

WAITS = 3
"""A reading waits so many times `late_s` for the other stream, by its own stream's time: by then, a block
that was seen up to `late_s` after younger ones of other instruments is in, with any row that may count."""


class Link(NamedTuple):
    """Which channel is compared with which, by which rule."""

    instrument: str
    channel: str
    rule: str
    other_instrument: str
    other_channel: str


def link_of(instrument: str, channel: str, rule: str, settings: RedundancyQc | ScheduleQc) -> Link:
    """Read from the settings with what a channel is compared."""
    other = settings.partner if isinstance(settings, RedundancyQc) else str(settings.setpoint)
    return Link(instrument, channel, rule, settings.instrument or instrument, other)


def rows_held(settings: RedundancyQc | ScheduleQc, interval_s: float) -> int:
    """Return how many rows of a stream with this interval may have to be held."""
    return math.ceil(RING_SLACK * _held_s(settings) / interval_s) + RING_SPARE


def _held_s(settings: RedundancyQc | ScheduleQc) -> float:
    """Return for how long a row may be needed, seconds."""
    span_s = (WAITS + 1) * settings.late_s
    if isinstance(settings, RedundancyQc):
        span_s += 2 * settings.align_tol_s
    else:
        span_s += settings.lag_s + settings.setpoint_max_gap_s
    return span_s


class Watch:
    """Judges one channel against another.

    Args:
        link: the two channels.
        settings: of the rule.
        interval_s: poll interval of the channel's instrument.
        other_interval_s: of the other one's.
    """

    def __init__(
        self, link: Link, settings: RedundancyQc | ScheduleQc, interval_s: float, other_interval_s: float
    ) -> None:
        """Begin with no readings."""
        self.link = link
        self.required = settings.required
        self.key = hashlib.sha256(f"{link} {settings!r} {interval_s} {other_interval_s}".encode()).hexdigest()
        self._late_ns = nanoseconds(settings.late_s)
        self._capacity = rows_held(settings, interval_s)
        held = rows_held(settings, other_interval_s)
        self.rows_max = min(
            rows - math.ceil(_held_s(settings) / each_s)
            for rows, each_s in ((self._capacity, interval_s), (held, other_interval_s))
        )
        """Rows that may be taken at a time: more would push out rows that are still needed."""
        self._judge: Judge
        if isinstance(settings, RedundancyQc):
            self._judge, self._series = Redundancy(settings), Series(self._late_ns, held)
        else:
            gap_ns = nanoseconds(settings.setpoint_max_gap_s)
            self._judge = Setpoints(settings)
            self._series = Series(self._late_ns, held, setpoint_rate(settings), gap_ns)
        self._seen_ns = NEVER_NS
        self._forget()

    def _forget(self) -> None:
        self._n: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._t_ns: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._x: NDArray[np.float64] = np.zeros(0)

    @property
    def first_waiting(self) -> int | None:
        """Ordinal of the oldest reading that waits."""
        return int(self._n[0]) if len(self._n) else None

    def take_other(self, block: Block) -> None:
        """See rows of the other instrument."""
        self._series.take(block, self.link.other_channel)

    def take(self, block: Block, n_first: int) -> NDArray[np.bool_]:
        """See rows of the channel; return which cannot be judged, now or later."""
        position = block.layout.index.get(self.link.channel)
        if not len(block) or position is None:
            return np.zeros(len(block), dtype=np.bool_)
        values = block.numeric()[position]
        valid = (block.status[position] == 0) & np.isfinite(values)
        self._n = np.concatenate((self._n, n_first + np.flatnonzero(valid)))
        self._t_ns = np.concatenate((self._t_ns, block.t_run_ns[valid]))
        self._x = np.concatenate((self._x, values[valid]))
        self._seen_ns = max(self._seen_ns, int(block.t_run_ns.max()))
        blind: NDArray[np.bool_] = ~valid
        return blind

    def decide(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Judge what can be judged; return ordinals and verdicts other than pass."""
        if not len(self._n):
            return self._n, np.zeros(0, dtype=np.uint8)
        known, flag = self._judge.judge(self._t_ns, self._x, self._series, self._late_ns)
        waits_until_ns = self._t_ns + self._judge.reach_ns + WAITS * self._late_ns
        done = known | (self._seen_ns > waits_until_ns)
        # Bounded: more readings than were to be polled in the time of waiting push the oldest out.
        done[: max(0, len(self._n) - self._capacity)] = True
        told = done & (flag != Flag.PASS)
        found = self._n[told], flag[told]
        self._n, self._t_ns, self._x = self._n[~done], self._t_ns[~done], self._x[~done]
        return found

    def give_up(self) -> NDArray[np.int64]:
        """Return the ordinals of all that wait: their verdict will not come."""
        waiting = self._n
        self._forget()
        return waiting

    def clear_other(self) -> None:
        """Forget the other's rows: nobody knows how long ago they were."""
        self._series.clear()

    def memory_bytes(self) -> int:
        """Return the most memory that the rows may take, in bytes."""
        return self._capacity * 24 + self._series.memory_bytes()

    def save(self) -> list[Any]:
        """State for a snapshot."""
        columns = [self._n.tobytes(), self._t_ns.tobytes(), self._x.tobytes()]
        return [*self.link, self.key, self._seen_ns, columns, self._series.save()]

    def load(self, saved: list[Any]) -> None:
        """Take up what `save` gave."""
        self._seen_ns, (n, t_ns, x) = saved[6], saved[7]
        self._n, self._t_ns = np.frombuffer(n, dtype="<i8"), np.frombuffer(t_ns, dtype="<i8")
        self._x = np.frombuffer(x, dtype="<f8")
        self._series.load(saved[8])
