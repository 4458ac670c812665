"""Naive twins of the rules on windows, charts, medians and expectations. Made from the definitions."""

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

from pipeline.qc.settings import FlatLineQc
from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc, PageHinkleyQc
from pipeline.qc.settings_patterns import IdenticalQc, RedundancyQc, ScheduleQc
from pipeline.qc.settings_windows import CompletenessQc, NoiseQc, RateDevQc, RepeatedQc, StabilityQc
from tests.unit.qc.twin import (
    FAIL,
    NOT_EVALUATED,
    PASS,
    STATE,
    SUSPECT,
    Series,
    flat_line_twin,
    limits,
    ns,
)


def segment(series: Series, k: int, max_gap_s: float) -> list[int]:
    """Valid rows up to k, back to the first interval that is too long or goes backward."""
    rows = [k]
    while (j := series.before(rows[0])) is not None:
        if not 0 <= series.t_run_ns[rows[0]] - series.t_run_ns[j] <= ns(max_gap_s):
            break
        rows.insert(0, j)
    return rows


def over_segments(
    series: Series, max_gap_s: float, judge: Callable[[list[int]], int]
) -> list[int]:  # fmt: skip
    return [
        judge(segment(series, k, max_gap_s)) if series.valid(k) else NOT_EVALUATED for k in range(len(series))
    ]


def repeated_twin(series: Series, qc: RepeatedQc) -> list[int]:
    def judge(rows: list[int]) -> int:
        def same(n: int | None) -> bool:
            found = [series.x[j] for j in rows[-n:]] if n is not None and len(rows) >= n else []
            return bool(found) and max(found) - min(found) <= qc.tolerance

        if len(rows) < min(n for n in (qc.suspect_n, qc.fail_n) if n is not None):
            return NOT_EVALUATED
        return FAIL if same(qc.fail_n) else SUSPECT if same(qc.suspect_n) else PASS

    return over_segments(series, qc.max_gap_s, judge)


def window_of(series: Series, rows: list[int], window_s: float) -> list[float] | None:
    """Values of the last `window_s`, None when the segment is shorter."""
    now_ns = series.t_run_ns[rows[-1]]
    if now_ns - series.t_run_ns[rows[0]] < ns(window_s):
        return None
    return [series.x[j] for j in rows if now_ns - series.t_run_ns[j] <= ns(window_s)]


def deviation(values: list[float]) -> float:
    """Standard deviation (ddof 0), exact up to its last rounding."""
    exact = [Fraction(value) for value in values]
    mean = sum(exact, Fraction(0)) / len(exact)
    square = sum(((value - mean) ** 2 for value in exact), Fraction(0)) / len(exact)
    return math.sqrt(square)


def noise_twin(series: Series, qc: NoiseQc) -> list[int]:
    def judge(rows: list[int]) -> int:
        values = window_of(series, rows, qc.window_s)
        if values is None:
            return NOT_EVALUATED
        variation = max(values) - min(values) if qc.statistic == "range" else deviation(values)
        for flag, low, high in (
            (FAIL, qc.fail_low, qc.fail_high),
            (SUSPECT, qc.suspect_low, qc.suspect_high),
        ):
            if (low is not None and variation < low) or (high is not None and variation > high):
                return flag
        return PASS

    return over_segments(series, qc.max_gap_s, judge)


def rate_dev_twin(series: Series, qc: RateDevQc) -> list[int]:
    def judge(rows: list[int]) -> int:
        now_ns = series.t_run_ns[rows[-1]]
        before = [series.x[j] for j in rows[:-1] if now_ns - series.t_run_ns[j] <= ns(qc.window_s)]
        if now_ns - series.t_run_ns[rows[0]] < ns(qc.window_s) or len(before) < 2:
            return NOT_EVALUATED
        sd = deviation(before)
        step = abs(series.x[rows[-1]] - series.x[rows[-2]])
        return limits(
            step,
            None if qc.suspect is None else qc.suspect * sd,
            None if qc.fail is None else qc.fail * sd,
        )

    return over_segments(series, qc.max_gap_s, judge)


def bounded(x: float) -> float:
    return min(max(x, -1e300), 1e300)


def ewma_twin(series: Series, qc: EwmaQc) -> list[int]:
    def judge(rows: list[int]) -> int:
        z, left = qc.centre, 1.0 - qc.weight
        decay = 1.0
        for j in rows:
            z = qc.weight * series.x[j] + left * z
            z = 0.0 if abs(z) < 1e-60 else z
            decay = decay * (left * left)
            decay = 0.0 if decay < 1e-30 else decay
        sigma = qc.sigma * math.sqrt(qc.weight / (2.0 - qc.weight))
        width = [None if k is None else k * sigma * math.sqrt(1.0 - decay) for k in (qc.suspect_k, qc.fail_k)]
        return limits(abs(z - qc.centre), *width)

    return over_segments(series, qc.max_gap_s, judge)


def cusum_twin(series: Series, qc: CusumQc) -> list[int]:
    heights = [h for h in (qc.suspect_h, qc.fail_h) if h is not None]

    def judge(rows: list[int]) -> int:
        start = qc.head_start * min(heights)
        upper = lower = start
        larger = 0.0
        for j in rows:
            off = bounded((series.x[j] - qc.target) / qc.sigma)
            upper = bounded(max(0.0, upper + off - qc.k))
            lower = bounded(max(0.0, lower - off - qc.k))
            larger = max(upper, lower)
            if qc.reset == "restart" and larger > max(heights):
                upper = lower = start
        return limits(larger, qc.suspect_h, qc.fail_h)

    return over_segments(series, qc.max_gap_s, judge)


def page_hinkley_twin(series: Series, qc: PageHinkleyQc) -> list[int]:
    largest = max(limit for limit in (qc.suspect, qc.fail) if limit is not None)

    def judge(rows: list[int]) -> int:
        count, mean, rise, fall, verdict = 0, 0.0, 0.0, 0.0, NOT_EVALUATED
        for j in rows:
            count += 1
            mean += bounded(series.x[j] - mean) / count
            step = bounded(series.x[j] - mean)
            rise, fall = bounded(max(0.0, rise + step - qc.delta)), bounded(max(0.0, fall - step - qc.delta))
            verdict = NOT_EVALUATED
            if count >= qc.count_min:
                verdict = limits(max(rise, fall), qc.suspect, qc.fail)
                if max(rise, fall) > largest:
                    count, mean, rise, fall = 0, 0.0, 0.0, 0.0
        return verdict

    return over_segments(series, qc.max_gap_s, judge)


def middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def hampel_twin(series: Series, qc: HampelQc) -> list[int]:
    def judge(rows: list[int]) -> int:
        if len(rows) < qc.readings:
            return NOT_EVALUATED
        values = [series.x[j] for j in rows[-qc.readings :]]
        median = middle(values)
        scale = 1.4826 * middle([abs(value - median) for value in values])
        width = [None if k is None else k * scale for k in (qc.suspect_k, qc.fail_k)]
        return limits(abs(values[-1] - median), *width)

    return over_segments(series, qc.max_gap_s, judge)


def level_shift_twin(series: Series, qc: LevelShiftQc) -> tuple[list[int], dict[int, int], set[int]]:
    """Give the verdicts that are known at once, those that come later (row to flag), and the pending rows."""

    def reaches(j: int, k: int) -> bool:
        return all(
            series.t_run_ns[m] - series.t_run_ns[j] <= ns(qc.max_gap_s) and m not in series.breaks
            for m in range(j + 1, k + 1)
        )

    n = qc.readings
    at_once, later, pending = [NOT_EVALUATED] * len(series), {}, set()
    valid = [k for k in range(len(series)) if series.valid(k)]
    segments: list[list[int]] = []
    for k in valid:
        if segments and reaches(segments[-1][-1], k):
            segments[-1].append(k)
        else:
            segments.append([k])
    for rows in segments:
        for place, k in enumerate(rows[n:], start=n):
            at_once[k] = PASS
            if place + n <= len(rows):
                before, after = rows[place - n : place], rows[place : place + n]
                shift = abs(middle([series.x[j] for j in after]) - middle([series.x[j] for j in before]))
                later[k] = limits(shift, qc.suspect, qc.fail)
            elif rows is segments[-1] and reaches(rows[-1], len(series) - 1):
                pending.add(k)
            else:
                later[k] = NOT_EVALUATED
    return at_once, later, pending


def stability_twin(series: Series, qc: StabilityQc) -> list[int]:
    flat = FlatLineQc(tolerance=2.0 * qc.tolerance, suspect_s=qc.duration_s, max_gap_s=qc.max_gap_s)
    return [STATE if verdict == SUSPECT else verdict for verdict in flat_line_twin(series, flat)]


def completeness_twin(series: Series, qc: CompletenessQc, interval_s: float) -> list[int]:
    expected = math.floor(qc.window_s / (qc.interval_s or interval_s) + 1e-6)

    def judge(k: int) -> int:
        first = k
        while first > 0 and series.t_run_ns[first - 1] <= series.t_run_ns[first]:
            first -= 1
        now_ns = series.t_run_ns[k]
        if now_ns - series.t_run_ns[first] < ns(qc.window_s):
            return NOT_EVALUATED
        window = [j for j in range(first, k + 1) if series.t_run_ns[j] > now_ns - ns(qc.window_s)]
        received = sum(series.valid(j) for j in window)
        if qc.fail is not None and received < qc.fail * expected:
            return FAIL
        return SUSPECT if qc.suspect is not None and received < qc.suspect * expected else PASS

    return [judge(k) for k in range(len(series))]


def identical_twin(series: Series, qc: IdenticalQc) -> list[int]:
    size = min(n for n in (qc.suspect_n, qc.fail_n) if n is not None)
    codes: list[bytes] = []
    verdicts = []
    distance = length = 0
    for k in range(len(series)):
        if not series.valid(k):
            verdicts.append(NOT_EVALUATED)
            continue
        codes.append(struct.pack("<d", series.x[k]))
        window = codes[-size:]
        changes = sum(a != b for a, b in pairwise(window))
        if len(codes) < size or changes < qc.changes_min:
            distance = length = 0
        elif distance and codes[-1] == codes[-1 - distance]:
            length += 1
        else:
            ends = range(size, len(codes) - size + 1)
            found = [
                e for e in ends if len(codes) - e <= qc.history_n - size and codes[e - size : e] == window
            ]
            distance, length = (len(codes) - found[-1], size) if found else (0, 0)
        if qc.fail_n is not None and length >= qc.fail_n:
            verdicts.append(FAIL)
        elif qc.suspect_n is not None and length >= qc.suspect_n:
            verdicts.append(SUSPECT)
        else:
            verdicts.append(NOT_EVALUATED if len(codes) < size else PASS)
    return verdicts


def expected_values(qc: ScheduleQc, begin_s: float, end_s: float) -> list[float]:
    """Set-points in force at any time between two times of a table without ramps."""
    held = qc.between == "hold"
    points = qc.points

    def at(t_s: float) -> float:
        k = max(j for j, point in enumerate(points) if point[0] <= t_s)
        if held or k == len(points) - 1:
            return points[k][1]
        (t0, v0), (t1, v1) = points[k], points[k + 1]
        return v0 + (v1 - v0) * ((t_s - t0) / (t1 - t0))

    corners = [v for t_s, v in points if begin_s <= t_s <= end_s]
    before = [points[j][1] for j in range(len(points) - 1) if held and begin_s <= points[j + 1][0] <= end_s]
    return [at(begin_s), at(end_s), *corners, *before]


def schedule_twin(series: Series, qc: ScheduleQc) -> list[int]:
    assert qc.start is not None
    start_ns = round((qc.start - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9

    def judge(k: int) -> int:
        since_s = (series.t_utc_ns[k] - start_ns) / 1e9
        first_s = qc.points[0][0]
        if not series.valid(k) or since_s < first_s:
            return NOT_EVALUATED
        phase_s = since_s if qc.repeat_s is None else since_s % qc.repeat_s
        expected = expected_values(qc, max(phase_s - qc.lag_s, first_s), phase_s)
        if qc.repeat_s is not None and phase_s < qc.lag_s and since_s >= qc.repeat_s:
            expected += expected_values(qc, phase_s - qc.lag_s + qc.repeat_s, qc.repeat_s)
        off = max(min(expected) - series.x[k], series.x[k] - max(expected))
        return limits(off, qc.suspect, qc.fail)

    return [judge(k) for k in range(len(series))]


def redundancy_twin(series: Series, qc: RedundancyQc, partner: Series | None) -> list[int]:
    def judge(k: int) -> int:
        if partner is None or not series.valid(k) or not partner.valid(k):
            return NOT_EVALUATED
        return limits(abs(series.x[k] - partner.x[k]), qc.suspect, qc.fail)

    return [judge(k) for k in range(len(series))]
