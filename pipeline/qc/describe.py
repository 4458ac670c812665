"""From a reading and the limits in force to the words that explain its flag."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline.qc.limits import SECONDS_PER
from pipeline.records.flags import Flag, Status, status_name

if TYPE_CHECKING:
    from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc


class Sample(NamedTuple):
    """A valid reading beside the one that is explained."""

    value: float
    t_run_ns: int
    t_utc_ns: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is at hand to explain the flag of one reading."""

    value: float
    """NaN when there is none."""
    status: int
    t_run_ns: int
    t_utc_ns: int
    unit: str = ""
    previous: Sample | None = None
    """The valid reading before, None when it is not at hand."""
    following: Sample | None = None
    """The valid reading after, None when it is not at hand."""
    history: tuple[Sample, ...] = ()
    """Valid readings up to and including this one, as far as they are at hand."""
    flag: int = Flag.SUSPECT
    """The flag that was given, for rules whose evidence lies in an earlier window."""


class Case(NamedTuple):
    """Which text of a rule applies, and the values for it in each language."""

    name: str
    values: dict[str, tuple[str, str]]


_STATUS_ZH = {
    Status.GOOD: "正常",
    Status.NO_ANSWER: "无应答",
    Status.BAD_FRAME: "坏帧",
    Status.WRONG_ANSWER: "应答不符",
    Status.UNAVAILABLE: "仪器报告无数据",
    Status.OVERRANGE: "超上量程",
    Status.UNDERRANGE: "超下量程",
    Status.UNSTABLE: "不稳定",
    Status.IN_CALIBRATION: "校准中",
    Status.DISCONNECTED: "已断开",
    Status.DEVICE_ERROR: "仪器故障",
    Status.BUSY: "仪器忙",
}
LEVEL = {Flag.SUSPECT: ("suspect", "可疑"), Flag.FAIL: ("fail", "失败")}
_METHOD = {"average": ("average", "平均法"), "differential": ("differential", "差分法")}


def same(text: str) -> tuple[str, str]:
    """Give one text for both languages."""
    return text, text


def quantity(value: float, unit: str) -> str:
    """Write a value with every digit that it has (shortest form that reads back) and its unit."""
    text = repr(float(value)).removesuffix(".0")
    return f"{text} {unit}".rstrip()


def computed(value: float, limit: float, unit: str) -> str:
    """Write a computed value with 6 digits, or with all where 6 would make it look equal to its limit."""
    text = f"{value:.6g}"
    return f"{text} {unit}".rstrip() if float(text) > limit else quantity(value, unit)


def _seconds(ns: int) -> str:
    return quantity(ns / 1e9, "s")


def _beyond(magnitude: float, suspect: float | None, fail: float | None) -> tuple[Flag, float] | None:
    if fail is not None and magnitude > fail:
        return Flag.FAIL, fail
    if suspect is not None and magnitude > suspect:
        return Flag.SUSPECT, suspect
    return None


def limits_of(suspect: float | None, fail: float | None, unit: str) -> tuple[str, str]:
    """Write both limits, as far as they are given."""
    pairs = [(LEVEL[Flag.SUSPECT], suspect), (LEVEL[Flag.FAIL], fail)]
    shown = [(level, quantity(limit, unit)) for level, limit in pairs if limit is not None]
    return tuple(", ".join(f"{level[k]} {limit}" for level, limit in shown) for k in (0, 1))  # type: ignore[return-value]  # two


def missing(_settings: None, evidence: Evidence) -> Case:
    """Explain a missing value by its status."""
    if evidence.status == Status.GOOD:
        return Case("nan", {})
    if evidence.status > Status.MODBUS_EXCEPTION:
        zh = f"Modbus 异常码 {evidence.status - Status.MODBUS_EXCEPTION}"
        return Case("fired", {"status": (status_name(evidence.status), zh)})
    if evidence.status in _STATUS_ZH:
        return Case("fired", {"status": (status_name(evidence.status), _STATUS_ZH[Status(evidence.status)])})
    return Case("fired", {"status": (f"status {evidence.status}", f"状态码 {evidence.status}")})


def gross_range(qc: RangeQc, evidence: Evidence) -> Case:
    """Explain a value outside its range by the limit that it crosses, the fail limit first."""
    value, unit = evidence.value, evidence.unit
    if math.isinf(value):
        return Case("infinite", {})
    pairs = ((Flag.FAIL, qc.fail_low, qc.fail_high), (Flag.SUSPECT, qc.suspect_low, qc.suspect_high))
    for level, low, high in pairs:
        for case, limit in (("below", low), ("above", high)):
            if limit is not None and (value < limit if case == "below" else value > limit):
                shown = {"value": same(quantity(value, unit)), "limit": same(quantity(limit, unit))}
                return Case(case, {**shown, "level": LEVEL[level]})
    return Case("unknown", {})


def rate(qc: RateQc, evidence: Evidence) -> Case:
    """Explain a rate of change in the unit of time of its limits."""
    unit = f"{evidence.unit or '1'}/{qc.per}"
    values = {"limits": limits_of(qc.suspect, qc.fail, unit)}
    previous = evidence.previous
    if previous is None or evidence.t_run_ns <= previous.t_run_ns:
        return Case("unknown", values)
    per_second = abs(evidence.value - previous.value) / ((evidence.t_run_ns - previous.t_run_ns) / 1e9)
    shown = per_second * SECONDS_PER[qc.per]
    beyond = _beyond(shown, qc.suspect, qc.fail)
    if beyond is None:
        return Case("unknown", values)
    level, limit = beyond
    values["rate"] = same(computed(shown, limit, unit))
    return Case("fired", {**values, "limit": same(quantity(limit, unit)), "level": LEVEL[level]})


def _spike_height(qc: SpikeQc, left: float, middle: float, right: float) -> float:
    if qc.method == "average":
        return abs(middle - (left / 2 + right / 2))
    return min(abs(middle - left), abs(right - middle))


def spike(qc: SpikeQc, evidence: Evidence) -> Case:
    """Explain a spike by its height over its neighbours."""
    unit, previous, following = evidence.unit, evidence.previous, evidence.following
    values = {"limits": limits_of(qc.suspect, qc.fail, unit), "method": _METHOD[qc.method]}
    if previous is None or following is None:
        return Case("unknown", values)
    height = _spike_height(qc, previous.value, evidence.value, following.value)
    beyond = _beyond(height, qc.suspect, qc.fail)
    if beyond is None:
        return Case("unknown", values)
    level, limit = beyond
    values["height"] = same(computed(height, limit, unit))
    return Case("fired", {**values, "limit": same(quantity(limit, unit)), "level": LEVEL[level]})


def flat_line(qc: FlatLineQc, evidence: Evidence) -> Case:
    """Explain a flat line by the duration of the flag that was given."""
    failed = qc.fail_s is not None and (evidence.flag == Flag.FAIL or qc.suspect_s is None)
    level = Flag.FAIL if failed else Flag.SUSPECT
    duration_s = qc.fail_s if failed else qc.suspect_s
    return Case("fired", {
        "tolerance": same(quantity(qc.tolerance, evidence.unit)),
        "duration": same(quantity(duration_s or 0.0, "s")),
        "level": LEVEL[level],
    })  # fmt: skip


def gap(qc: GapQc, evidence: Evidence) -> Case:
    """Explain a gap by its length."""
    limit = same(quantity(qc.interval_s or 0.0, "s"))
    if evidence.previous is None:
        return Case("unknown", {"limit": limit})
    interval_ns = evidence.t_run_ns - evidence.previous.t_run_ns
    return Case("fired", {"limit": limit, "interval": same(_seconds(interval_ns))})


def stamp(_qc: GapQc, evidence: Evidence) -> Case:
    """Explain a backward time stamp by how far it went back."""
    if evidence.previous is None:
        return Case("unknown", {})
    return Case("fired", {"behind": same(_seconds(evidence.previous.t_utc_ns - evidence.t_utc_ns))})


def same_stamp(_qc: GapQc, _evidence: Evidence) -> Case:
    """Explain a repeated time stamp."""
    return Case("fired", {})
