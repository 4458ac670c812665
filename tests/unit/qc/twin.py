"""Naive twins of the stream rules: whole series, plain loops, no state. Made from the definitions."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc

STATE, PASS, NOT_EVALUATED, SUSPECT, FAIL, MISSING = 0, 1, 2, 3, 4, 9
WORST_FIRST = [FAIL, SUSPECT, MISSING, NOT_EVALUATED, PASS]


@dataclass
class Series:
    """One channel. `breaks`: rows before which a gap was announced."""

    x: list[float]
    status: list[int]
    t_run_ns: list[int]
    t_utc_ns: list[int]
    breaks: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.x)

    def valid(self, k: int) -> bool:
        return self.status[k] == 0 and math.isfinite(self.x[k])

    def missing(self, k: int) -> bool:
        return self.status[k] != 0 or math.isnan(self.x[k])

    def before(self, k: int) -> int | None:
        return next((j for j in range(k - 1, -1, -1) if self.valid(j)), None)

    def after(self, k: int) -> int | None:
        return next((j for j in range(k + 1, len(self)) if self.valid(j)), None)


def ns(seconds: float) -> int:
    return round(seconds * 1_000_000_000)


def limits(magnitude: float, suspect: float | None, fail: float | None) -> int:
    if fail is not None and magnitude > fail:
        return FAIL
    return SUSPECT if suspect is not None and magnitude > suspect else PASS


def missing_twin(series: Series) -> list[int]:
    return [MISSING if series.missing(k) else PASS for k in range(len(series))]


def range_twin(series: Series, qc: RangeQc) -> list[int]:
    def judge(k: int) -> int:
        x = series.x[k]
        if series.missing(k):
            return NOT_EVALUATED
        if math.isinf(x):
            return FAIL
        for low, high, flag in (
            (qc.fail_low, qc.fail_high, FAIL),
            (qc.suspect_low, qc.suspect_high, SUSPECT),
        ):
            if (low is not None and x < low) or (high is not None and x > high):
                return flag
        return PASS

    return [judge(k) for k in range(len(series))]


def rate_twin(series: Series, qc: RateQc) -> list[int]:
    scale = {"s": 1.0, "min": 60.0, "h": 3600.0}[qc.per]
    suspect = None if qc.suspect is None else qc.suspect / scale
    fail = None if qc.fail is None else qc.fail / scale

    def judge(k: int) -> int:
        j = series.before(k)
        if not series.valid(k) or j is None:
            return NOT_EVALUATED
        dt_ns = series.t_run_ns[k] - series.t_run_ns[j]
        if dt_ns <= 0 or dt_ns > ns(qc.max_gap_s):
            return NOT_EVALUATED
        return limits(abs(series.x[k] - series.x[j]) / (dt_ns / 1e9), suspect, fail)

    return [judge(k) for k in range(len(series))]


def mean_of_two(a: float, b: float) -> float:
    return (a + b) / 2 if math.isfinite(a + b) else a / 2 + b / 2


def spike_twin(series: Series, qc: SpikeQc) -> tuple[list[int], dict[int, int], set[int]]:
    """Give the verdicts that are known at once, those that come later (row to flag), and the pending rows."""

    def reaches(j: int, k: int) -> bool:
        return all(
            series.t_run_ns[m] - series.t_run_ns[j] <= ns(qc.max_gap_s) and m not in series.breaks
            for m in range(j + 1, k + 1)
        )

    at_once, later, pending = [], {}, set()
    for k in range(len(series)):
        left = series.before(k)
        if not series.valid(k) or left is None or not reaches(left, k):
            at_once.append(NOT_EVALUATED)
            continue
        at_once.append(PASS)
        right = series.after(k)
        if right is not None and reaches(k, right):
            a, b, c = series.x[left], series.x[k], series.x[right]
            if qc.method == "average":
                height = abs(b - mean_of_two(a, c))
            else:
                height = min(abs(b - a), abs(c - b)) if (b > a and b > c) or (b < a and b < c) else 0.0
            later[k] = limits(height, qc.suspect, qc.fail)
        elif reaches(k, len(series) - 1):
            pending.add(k)
        else:
            later[k] = NOT_EVALUATED
    return at_once, later, pending


def flat_line_twin(series: Series, qc: FlatLineQc) -> list[int]:
    def segment(k: int) -> list[int]:
        rows = [k]
        while (j := series.before(rows[0])) is not None:
            if not 0 <= series.t_run_ns[rows[0]] - series.t_run_ns[j] <= ns(qc.max_gap_s):
                break
            rows.insert(0, j)
        return rows

    def flat_over(rows: list[int], duration_s: float) -> bool | None:
        begins = [
            n for n, j in enumerate(rows) if series.t_run_ns[j] <= series.t_run_ns[rows[-1]] - ns(duration_s)
        ]
        if not begins:
            return None
        window = [series.x[j] for j in rows[begins[-1] :]]
        return max(window) - min(window) <= qc.tolerance

    def judge(k: int) -> int:
        if not series.valid(k):
            return NOT_EVALUATED
        rows = segment(k)
        found = [flat_over(rows, s) for s in (qc.suspect_s, qc.fail_s) if s is not None]
        if all(flat is None for flat in found):
            return NOT_EVALUATED
        if qc.fail_s is not None and flat_over(rows, qc.fail_s):
            return FAIL
        return SUSPECT if qc.suspect_s is not None and flat_over(rows, qc.suspect_s) else PASS

    return [judge(k) for k in range(len(series))]


def against_previous(series: Series, is_bad: Callable[[int, int], bool]) -> list[int]:
    def judge(k: int) -> int:
        j = series.before(k)
        if not series.valid(k) or j is None:
            return NOT_EVALUATED
        return SUSPECT if is_bad(j, k) else PASS

    return [judge(k) for k in range(len(series))]


def stamp_twins(series: Series, qc: GapQc) -> dict[str, list[int]]:
    run, utc = series.t_run_ns, series.t_utc_ns
    twins = {}
    if qc.interval_s is not None:
        interval_ns = ns(qc.interval_s)
        twins["gap"] = against_previous(series, lambda j, k: run[k] - run[j] > interval_ns)
    if qc.order:
        twins["order"] = against_previous(series, lambda j, k: utc[k] < utc[j])
    if qc.duplicate:
        twins["duplicate"] = against_previous(series, lambda j, k: utc[k] == utc[j])
    return twins
