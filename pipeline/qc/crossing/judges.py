"""What a channel is compared with: a partner that measures the same, or a channel of set-points.

A judge sees the readings that wait for a verdict and the series of the other channel, and says what each is
worth, as far as it can be known yet. Its answer is a function of the two streams, whatever the order in which
their blocks were seen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from pipeline.qc.rule import nanoseconds
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.qc.crossing.series import Series
    from pipeline.qc.settings_patterns import RedundancyQc, ScheduleQc

    Times = NDArray[np.int64]
    Values = NDArray[np.float64]
    Flags = NDArray[np.uint8]


class Verdicts(NamedTuple):
    """What is known of the waiting readings."""

    known: NDArray[np.bool_]
    flag: Flags


class Judge(Protocol):
    """Compares readings with a series."""

    reach_ns: int
    """The other stream must have passed the reading's time by so much."""

    def judge(self, t_ns: Times, x: Values, series: Series, late_ns: int) -> Verdicts:
        """Judge readings `x` at `t_ns`; a later row of the series that comes later than `late_ns` is none."""
        ...


def _two_limits(magnitude: Values, suspect: float | None, fail: float | None) -> Flags:
    flag = np.full(len(magnitude), Flag.PASS, dtype=np.uint8)
    if suspect is not None:
        flag[magnitude > suspect] = Flag.SUSPECT
    if fail is not None:
        flag[magnitude > fail] = Flag.FAIL
    return flag


def _closed(
    passed_ns: Times, series: Series, late_ns: int
) -> tuple[Times, NDArray[np.bool_], NDArray[np.bool_]]:
    """Find the row that closes each reading: its place, whether it has come, and whether it came in time."""
    place, come, unbroken = series.closing(passed_ns)
    in_time = come & unbroken
    in_time[in_time] = series.t_ns[place[in_time]] <= passed_ns[in_time] + late_ns
    return place, come, in_time


class Redundancy:
    """|a - b| against limits, b the partner's last valid reading within the tolerance of time."""

    def __init__(self, qc: RedundancyQc) -> None:
        """Take the limits."""
        self.reach_ns = nanoseconds(qc.align_tol_s)
        self._suspect, self._fail = qc.suspect, qc.fail

    def judge(self, t_ns: Times, x: Values, series: Series, late_ns: int) -> Verdicts:
        """Judge; see `Judge`."""
        _, come, evaluated = _closed(t_ns + self.reach_ns, series, late_ns)
        there = ~np.isnan(series.value)
        times, values = series.t_ns[there], series.value[there]
        last = np.searchsorted(times, t_ns + self.reach_ns, side="right") - 1
        evaluated &= last >= 0
        evaluated[evaluated] = times[last[evaluated]] >= t_ns[evaluated] - self.reach_ns
        flag = np.full(len(t_ns), Flag.NOT_EVALUATED, dtype=np.uint8)
        difference = np.abs(x[evaluated] - values[last[evaluated]])
        flag[evaluated] = _two_limits(difference, self._suspect, self._fail)
        return Verdicts(come, flag)


def setpoint_rate(qc: ScheduleQc) -> float:
    """Return how fast the expected value moves, unit of the channel a ns."""
    return math.inf if qc.ramp_per_min is None else qc.ramp_per_min / 60e9


class Setpoints:
    """Distance from all that the set-points let expect within the lag, against limits.

    A set-point holds from the reading that shows it to the next; with a ramp the expected value moves towards
    it no faster. A change between two readings of the set-point may have come at any time between them, so
    that what the next one asks for is expected too. After a gap the expected value begins at the set-point.
    """

    def __init__(self, qc: ScheduleQc) -> None:
        """Take the limits."""
        self.reach_ns = 0
        self._lag_ns, self._gap_ns = nanoseconds(qc.lag_s), nanoseconds(qc.setpoint_max_gap_s)
        self._per_ns = setpoint_rate(qc)
        self._suspect, self._fail = qc.suspect, qc.fail

    def judge(self, t_ns: Times, x: Values, series: Series, late_ns: int) -> Verdicts:
        """Judge; see `Judge`."""
        place, come, evaluated = _closed(t_ns, series, late_ns)
        there = ~np.isnan(series.value)
        times, targets = series.t_ns[there], series.value[there]
        expected, stretch = series.expected[there], series.stretch[there]
        last = np.searchsorted(times, t_ns, side="right") - 1
        first = np.searchsorted(times, t_ns - self._lag_ns, side="right") - 1
        evaluated &= first >= 0
        at = np.flatnonzero(evaluated)
        kept = (t_ns[at] - times[last[at]] <= self._gap_ns) & (stretch[first[at]] == stretch[last[at]])
        at = at[kept]
        flag = np.full(len(t_ns), Flag.NOT_EVALUATED, dtype=np.uint8)
        if not len(at):
            return Verdicts(come, flag)
        last, first, t_ns = last[at], first[at], t_ns[at]
        begin_ns = t_ns - self._lag_ns - times[first]
        now_ns = t_ns - times[last]
        following = series.value[place[at]]
        following = np.where(np.isnan(following), targets[last], following)
        bounds = [
            self._moved(expected[first], targets[first], begin_ns),
            self._moved(expected[last], targets[last], now_ns),
            self._moved(expected[last], following, now_ns),
        ]
        between_low, between_high = _extremes(expected, first + 1, last + 1)
        low, high = np.minimum.reduce([*bounds, between_low]), np.maximum.reduce([*bounds, between_high])
        flag[at] = _two_limits(np.maximum(low - x[at], x[at] - high), self._suspect, self._fail)
        return Verdicts(come, flag)

    def _moved(self, begin: Values, target: Values, dt_ns: Times) -> Values:
        """Move towards targets for some time."""
        if math.isinf(self._per_ns):
            return target
        step = self._per_ns * dt_ns
        return begin + np.clip(target - begin, -step, step)


def _extremes(values: Values, start: Times, stop: Times) -> tuple[Values, Values]:
    """Return minimum and maximum of each values[start:stop]; infinite, and so no bound, of none."""
    pairs = np.column_stack((start, stop)).ravel()
    padded, some = np.append(values, 0.0), stop > start
    low = np.where(some, np.minimum.reduceat(padded, pairs)[::2], math.inf)
    high = np.where(some, np.maximum.reduceat(padded, pairs)[::2], -math.inf)
    return low, high
