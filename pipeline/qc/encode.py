"""From the settings of a rule to its parameters: what the kernels read, in their order."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.qc.kernel_constants import HASH_BASE
from pipeline.qc.limits import SECONDS_PER
from pipeline.qc.memory import ABSENT_COUNT, ABSENT_NS
from pipeline.qc.rule import Parameter, nanoseconds, nanoseconds_or_never, or_nan, ring_capacity
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc
    from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc, PageHinkleyQc
    from pipeline.qc.settings_patterns import IdenticalQc, LateQc, RedundancyQc, ScheduleQc, UnitChangeQc
    from pipeline.qc.settings_windows import CompletenessQc, NoiseQc, RateDevQc, RepeatedQc, StabilityQc
    from pipeline.records.block import Channel, Layout

Parameters = tuple[Parameter, ...]

SPIKE_BIT = 3
LEVEL_SHIFT_BIT = 14
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def gross_range(qc: RangeQc, _interval_s: float) -> Parameters:
    """Parameters of the range."""
    return tuple(or_nan(limit) for limit in (qc.suspect_low, qc.suspect_high, qc.fail_low, qc.fail_high))


def rate(qc: RateQc, _interval_s: float) -> Parameters:
    """Parameters of the rate of change."""
    seconds = SECONDS_PER[qc.per]
    return or_nan(qc.suspect, seconds), or_nan(qc.fail, seconds), nanoseconds(qc.max_gap_s)


def spike(qc: SpikeQc, _interval_s: float) -> Parameters:
    """Parameters of the spike."""
    differential = int(qc.method == "differential")
    return or_nan(qc.suspect), or_nan(qc.fail), nanoseconds(qc.max_gap_s), differential, SPIKE_BIT


def flat_line(qc: FlatLineQc, interval_s: float) -> Parameters:
    """Parameters of the flat line."""
    durations_s = [duration for duration in (qc.suspect_s, qc.fail_s) if duration is not None]
    return (
        float(qc.tolerance),
        nanoseconds_or_never(qc.suspect_s),
        nanoseconds_or_never(qc.fail_s),
        nanoseconds(min(durations_s)),
        nanoseconds(max(durations_s)),
        nanoseconds(qc.max_gap_s),
        _flat_capacity(qc.tolerance, max(durations_s), interval_s),
    )


def _flat_capacity(tolerance: float, duration_s: float, interval_s: float) -> int:
    """Return the room of each ring of a flat run: equal values take one place, however many they are."""
    return ring_capacity(duration_s, interval_s) if tolerance > 0 else 1


def gap(qc: GapQc, _interval_s: float) -> Parameters | None:
    """Parameters of the gap."""
    return None if qc.interval_s is None else (nanoseconds(qc.interval_s),)


def repeated(qc: RepeatedQc, _interval_s: float) -> Parameters:
    """Parameters of the repeated value; a run of n readings has n - 1 steps."""
    counts = [n for n in (qc.suspect_n, qc.fail_n) if n is not None]
    return (
        float(qc.tolerance),
        ABSENT_COUNT if qc.suspect_n is None else qc.suspect_n - 1,
        ABSENT_COUNT if qc.fail_n is None else qc.fail_n - 1,
        min(counts) - 1,
        max(counts) - 1,
        nanoseconds(qc.max_gap_s),
        max(counts) + 1 if qc.tolerance > 0 else 0,
    )


def noise(qc: NoiseQc, interval_s: float) -> Parameters:
    """Parameters of attenuated and noisy."""
    return (
        *(or_nan(limit) for limit in (qc.suspect_low, qc.suspect_high, qc.fail_low, qc.fail_high)),
        nanoseconds(qc.window_s),
        nanoseconds(qc.max_gap_s),
        int(qc.statistic == "range"),
        ring_capacity(qc.window_s, interval_s),
    )


def rate_dev(qc: RateDevQc, interval_s: float) -> Parameters:
    """Parameters of the rate in standard deviations."""
    return (
        or_nan(qc.suspect), or_nan(qc.fail), nanoseconds(qc.window_s), nanoseconds(qc.max_gap_s),
        ring_capacity(qc.window_s, interval_s),
    )  # fmt: skip


def ewma(qc: EwmaQc, _interval_s: float) -> Parameters:
    """Parameters of the EWMA; the limits once the start is forgotten."""
    sigma = qc.sigma * math.sqrt(qc.weight / (2.0 - qc.weight))
    suspect = math.nan if qc.suspect_k is None else qc.suspect_k * sigma
    fail = math.nan if qc.fail_k is None else qc.fail_k * sigma
    return float(qc.weight), float(qc.centre), suspect, fail, nanoseconds(qc.max_gap_s)


def cusum(qc: CusumQc, _interval_s: float) -> Parameters:
    """Parameters of the CUSUM."""
    limits = [h for h in (qc.suspect_h, qc.fail_h) if h is not None]
    return (
        float(qc.target),
        float(qc.sigma),
        float(qc.k),
        or_nan(qc.suspect_h),
        or_nan(qc.fail_h),
        qc.head_start * min(limits),
        float(max(limits)) if qc.reset == "restart" else math.nan,
        nanoseconds(qc.max_gap_s),
    )


def page_hinkley(qc: PageHinkleyQc, _interval_s: float) -> Parameters:
    """Parameters of Page-Hinkley."""
    largest = max(limit for limit in (qc.suspect, qc.fail) if limit is not None)
    return (
        float(qc.delta), or_nan(qc.suspect), or_nan(qc.fail), float(largest), qc.count_min,
        nanoseconds(qc.max_gap_s),
    )  # fmt: skip


def hampel(qc: HampelQc, _interval_s: float) -> Parameters:
    """Parameters of Hampel."""
    return or_nan(qc.suspect_k), or_nan(qc.fail_k), qc.readings, nanoseconds(qc.max_gap_s)


def level_shift(qc: LevelShiftQc, _interval_s: float) -> Parameters:
    """Parameters of the level shift."""
    return or_nan(qc.suspect), or_nan(qc.fail), qc.readings, nanoseconds(qc.max_gap_s), LEVEL_SHIFT_BIT


def stability(qc: StabilityQc, interval_s: float) -> Parameters:
    """Parameters of the state *stable*: those of a flat line with one duration."""
    duration_ns = nanoseconds(qc.duration_s)
    return (
        2.0 * qc.tolerance, duration_ns, ABSENT_NS, duration_ns, duration_ns, nanoseconds(qc.max_gap_s),
        _flat_capacity(2.0 * qc.tolerance, qc.duration_s, interval_s),
    )  # fmt: skip


def late(qc: LateQc, _interval_s: float) -> Parameters:
    """Parameters of a late arrival."""
    return nanoseconds_or_never(qc.suspect_s), nanoseconds_or_never(qc.fail_s)


def completeness(qc: CompletenessQc, interval_s: float) -> Parameters:
    """Parameters of the completeness: the least numbers of readings, and room for more than are polled."""
    expected_s = qc.interval_s or interval_s
    # The quotient of two decimal fractions may fall short of a whole number by its rounding.
    expected = math.floor(qc.window_s / expected_s + 1e-6)
    return (
        math.nan if qc.suspect is None else qc.suspect * expected,
        math.nan if qc.fail is None else qc.fail * expected,
        nanoseconds(qc.window_s),
        ring_capacity(qc.window_s, expected_s),
    )


def identical(qc: IdenticalQc, _interval_s: float) -> Parameters:
    """Parameters of identical data."""
    window = min(n for n in (qc.suspect_n, qc.fail_n) if n is not None)
    power = pow(HASH_BASE, window, 2**64)
    return (
        ABSENT_COUNT if qc.suspect_n is None else qc.suspect_n,
        ABSENT_COUNT if qc.fail_n is None else qc.fail_n,
        window,
        qc.history_n,
        qc.changes_min,
        power - 2**64 if power >= 2**63 else power,
        1 << (qc.history_n - 1).bit_length(),
    )


def unit_change(qc: UnitChangeQc, _interval_s: float) -> Parameters:
    """Parameters of the unit change."""
    return (int(Flag.FAIL if qc.level == "fail" else Flag.SUSPECT),)


def layout_signature(channel: Channel, _layout: Layout, _qc: Any) -> Parameters:
    """Give unit, range and last digit in force as one number."""
    found = f"{channel.unit} {channel.decimals} {channel.low} {channel.high}"
    return (int(hashlib.sha256(found.encode()).hexdigest()[:15], 16),)


def _held(points: tuple[tuple[float, float], ...], per_s: float) -> list[tuple[float, float]]:
    """Corners of the expected value that follows set-points at a limited rate."""
    corners = [points[0]]
    value = points[0][1]
    for k, (t_s, target) in enumerate(points[1:], start=1):
        corners.append((t_s, value))
        reached_s = t_s + abs(target - value) / per_s
        next_s = points[k + 1][0] if k + 1 < len(points) else math.inf
        if reached_s > next_s:
            value += math.copysign(per_s * (next_s - t_s), target - value)
        else:
            value = target
            corners.append((reached_s, target))
    return corners


def schedule(qc: ScheduleQc, _interval_s: float) -> Parameters | None:
    """Parameters of the schedule: the corners of the expected value; None with a channel of set-points."""
    if qc.start is None:
        return None
    corners = list(qc.points)
    if qc.between == "hold":
        corners = _held(qc.points, math.inf if qc.ramp_per_min is None else qc.ramp_per_min / 60)
    return (
        or_nan(qc.suspect),
        or_nan(qc.fail),
        nanoseconds(qc.lag_s),
        (qc.start - _EPOCH) // timedelta(microseconds=1) * 1000,
        0 if qc.repeat_s is None else nanoseconds(qc.repeat_s),
        len(corners),
        *(nanoseconds(t_s) for t_s, _ in corners),
        *(float(value) for _, value in corners),
    )


def redundancy(qc: RedundancyQc, _interval_s: float) -> Parameters | None:
    """Parameters of the redundancy; None with a partner on another instrument."""
    if qc.crosses:
        return None
    return or_nan(qc.suspect), or_nan(qc.fail)


def partner_position(_channel: Channel, layout: Layout, qc: Any) -> Parameters:
    """Give the position of the partner in the layout, -1 when it is not in it."""
    return (layout.index.get(qc.partner, -1),)
