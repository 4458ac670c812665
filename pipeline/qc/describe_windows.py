"""Explanations of the rules on windows, charts and expectations.

What these rules carry from reading to reading is not in the record, so that they are explained by their
limits; a window that lies wholly in the frame at hand is computed again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.qc.describe import LEVEL, Case, Evidence, computed, limits_of, quantity, same
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc, PageHinkleyQc
    from pipeline.qc.settings_patterns import IdenticalQc, LateQc, RedundancyQc, ScheduleQc, UnitChangeQc
    from pipeline.qc.settings_windows import CompletenessQc, NoiseQc, RateDevQc, RepeatedQc, StabilityQc

_STATISTIC = {"sd": ("standard deviation", "标准差"), "range": ("range", "极差")}


def _given(suspect: float | None, fail: float | None, flag: int) -> tuple[float, tuple[str, str]]:
    """Return the limit that was crossed, as far as the flag tells, and its level."""
    if fail is not None and (flag == Flag.FAIL or suspect is None):
        return fail, LEVEL[Flag.FAIL]
    return suspect or 0.0, LEVEL[Flag.SUSPECT]


def _fired(
    suspect: float | None, fail: float | None, evidence: Evidence, unit: str
) -> dict[str, tuple[str, str]]:
    limit, level = _given(suspect, fail, evidence.flag)
    return {"limit": same(quantity(limit, unit)), "level": level}


def repeated(qc: RepeatedQc, evidence: Evidence) -> Case:
    """Explain a repeated value by the number of readings."""
    count, level = _given(qc.suspect_n, qc.fail_n, evidence.flag)
    values = {"count": same(f"{count:.0f}"), "level": level}
    if qc.tolerance == 0:
        return Case("equal", values)
    return Case("fired", {**values, "tolerance": same(quantity(qc.tolerance, evidence.unit))})


def _variation(qc: NoiseQc, evidence: Evidence) -> float | None:
    """Compute the variation again where the frame holds the whole window."""
    window_ns = round(qc.window_s * 1e9)
    if not evidence.history or evidence.t_run_ns - evidence.history[0].t_run_ns < window_ns:
        return None
    values = [one.value for one in evidence.history if evidence.t_run_ns - one.t_run_ns <= window_ns]
    if qc.statistic == "range":
        return max(values) - min(values)
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def noise(qc: NoiseQc, evidence: Evidence) -> Case:
    """Explain too little or too much variation."""
    unit = evidence.unit
    values = {"statistic": _STATISTIC[qc.statistic], "window": same(quantity(qc.window_s, "s"))}
    variation = _variation(qc, evidence)
    for flag, low, high in (
        (Flag.FAIL, qc.fail_low, qc.fail_high),
        (Flag.SUSPECT, qc.suspect_low, qc.suspect_high),
    ):
        for case, limit in (("attenuated", low), ("noisy", high)):
            if variation is None or limit is None:
                continue
            if variation < limit if case == "attenuated" else variation > limit:
                shown = computed(variation, limit, unit) if case == "noisy" else quantity(variation, unit)
                return Case(case, {
                    **values, "variation": same(shown), "limit": same(quantity(limit, unit)), "level":
                    LEVEL[flag],
                })  # fmt: skip
    low_en, low_zh = limits_of(qc.suspect_low, qc.fail_low, unit)
    high_en, high_zh = limits_of(qc.suspect_high, qc.fail_high, unit)
    english = "; ".join(f"{word} {text}" for word, text in (("low:", low_en), ("high:", high_en)) if text)
    chinese = "；".join(f"{word}{text}" for word, text in (("下限：", low_zh), ("上限：", high_zh)) if text)
    return Case("unknown", {**values, "limits": (english, chinese)})


def rate_dev(qc: RateDevQc, evidence: Evidence) -> Case:
    """Explain a step by the number of standard deviations."""
    values = _fired(qc.suspect, qc.fail, evidence, "")
    return Case("fired", {**values, "window": same(quantity(qc.window_s, "s"))})


def ewma(qc: EwmaQc, evidence: Evidence) -> Case:
    """Explain an EWMA alarm by its limit."""
    values = _fired(qc.suspect_k, qc.fail_k, evidence, "")
    return Case("fired", {**values, "centre": same(quantity(qc.centre, evidence.unit))})


def cusum(qc: CusumQc, evidence: Evidence) -> Case:
    """Explain a CUSUM alarm by its limit."""
    values = _fired(qc.suspect_h, qc.fail_h, evidence, "")
    return Case("fired", {**values, "target": same(quantity(qc.target, evidence.unit))})


def hampel(qc: HampelQc, evidence: Evidence) -> Case:
    """Explain a Hampel outlier by its limit."""
    values = _fired(qc.suspect_k, qc.fail_k, evidence, "")
    return Case("fired", {**values, "readings": same(str(qc.readings))})


def level_shift(qc: LevelShiftQc, evidence: Evidence) -> Case:
    """Explain a level shift by its limit."""
    values = _fired(qc.suspect, qc.fail, evidence, evidence.unit)
    return Case("fired", {**values, "readings": same(str(qc.readings))})


def page_hinkley(qc: PageHinkleyQc, evidence: Evidence) -> Case:
    """Explain a change of the mean by its limit."""
    return Case("fired", _fired(qc.suspect, qc.fail, evidence, evidence.unit))


def stability(qc: StabilityQc, evidence: Evidence) -> Case:
    """Say what *stable* means here."""
    tolerance = same(quantity(qc.tolerance, evidence.unit))
    return Case("fired", {"tolerance": tolerance, "duration": same(quantity(qc.duration_s, "s"))})


def late(qc: LateQc, evidence: Evidence) -> Case:
    """Explain a late arrival by its limit."""
    return Case("fired", _fired(qc.suspect_s, qc.fail_s, evidence, "s"))


def completeness(qc: CompletenessQc, evidence: Evidence) -> Case:
    """Explain missing readings by the share that was to come."""
    share, level = _given(qc.suspect, qc.fail, evidence.flag)
    window = same(quantity(qc.window_s, "s"))
    return Case("fired", {"limit": same(f"{quantity(100 * share, '')} %"), "level": level, "window": window})


def identical(qc: IdenticalQc, evidence: Evidence) -> Case:
    """Explain identical data by the number of readings."""
    count, level = _given(qc.suspect_n, qc.fail_n, evidence.flag)
    return Case("fired", {"count": same(f"{count:.0f}"), "level": level})


def unit_change(qc: UnitChangeQc, evidence: Evidence) -> Case:
    """Name the unit in force since the change."""
    level = LEVEL[Flag.FAIL if qc.level == "fail" else Flag.SUSPECT]
    return Case("fired", {"unit": (evidence.unit or "no unit", evidence.unit or "无单位"), "level": level})


def schedule(qc: ScheduleQc, evidence: Evidence) -> Case:
    """Explain a value off its schedule by its limit."""
    return Case("fired", _fired(qc.suspect, qc.fail, evidence, evidence.unit))


def redundancy(qc: RedundancyQc, evidence: Evidence) -> Case:
    """Explain a difference from the partner by its limit."""
    values = _fired(qc.suspect, qc.fail, evidence, evidence.unit)
    return Case("fired", {**values, "partner": same(qc.partner_name)})
