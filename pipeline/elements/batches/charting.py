"""Observations of control materials on their charts: judged as they come, by the version in force."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pipeline.elements.batches.shapes import FiredRule
from pipeline.elements.batches.state import CHARTS_MAX, POINTS_MAX, ChartState, Point, chart_key
from pipeline.qc.control import ControlMonitor, MultiruleQc
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from pipeline.elements.batches.state import BatchesState
    from pipeline.elements.qc_shapes import QcItem
    from pipeline.elements.vocabulary import ControlStatus
    from pipeline.qc.control import Chart

_STATUS: dict[int, ControlStatus] = {Flag.PASS: "pass", Flag.SUSPECT: "warn", Flag.FAIL: "fail"}


class Observation(NamedTuple):
    """One measurement of a control material."""

    task: str
    method: str
    instrument: str
    quantity: str
    material: str
    lot: str
    level: str
    batch: str | None
    place: int | None
    run: int
    value: float | None
    unit: str
    at_utc_ns: int


class OnChart(NamedTuple):
    """What the chart said of an observation."""

    key: str
    chart: Chart | None
    """None: no version was in force, nothing was judged."""
    status: ControlStatus
    z: float | None
    rules: tuple[FiredRule, ...]
    missing_before: int


def multirules(item: QcItem | None) -> MultiruleQc:
    """Give the control rules of a line of the plan; without one, Westgard's."""
    return MultiruleQc() if item is None else MultiruleQc(warn=item.warn, reject=item.reject)


def warm() -> None:
    """Compile the control rules or load them from the cache, so that no first QC sample waits for it."""
    from pipeline.qc.control.kernel import compiled_judge  # noqa: PLC0415 - not every role may load Numba

    compiled_judge()


def observe(state: BatchesState, seen: Observation, item: QcItem | None) -> OnChart | None:
    """Put an observation on its chart; None when there is no room for a further chart."""
    key = chart_key(seen.method, seen.instrument, seen.quantity, seen.material, seen.level)
    known = state.charts.get(key)
    if known is None:
        if len(state.charts) >= CHARTS_MAX:
            return None
        known = ChartState(seen.method, seen.instrument, seen.quantity, seen.material, seen.level)
        state.charts[key] = known
    chart = known.in_force(seen.lot, seen.at_utc_ns)
    if chart is not None and chart.unit != seen.unit and seen.value is not None:
        chart = None  # a figure in another unit cannot be judged by these lines
    said = OnChart(key, None, "not-evaluated", None, (), 0)
    if chart is not None:
        said = _judge(state, key, known, chart, seen, item)
    known.points = known.points[-(POINTS_MAX - 1) :]
    known.points.append(
        Point(
            task=seen.task, batch=seen.batch, place=seen.place, lot=seen.lot, value=seen.value,
            unit=seen.unit, t_utc_ns=seen.at_utc_ns, status=said.status,
            version=None if chart is None else chart.version, z=said.z,
            rules=[f"{fired.rule} {fired.scope}" for fired in said.rules],
        )
    )  # fmt: skip
    known.observations += 1
    return said


def _judge(
    state: BatchesState, key: str, known: ChartState, chart: Chart, seen: Observation, item: QcItem | None
) -> OnChart:
    """Judge by the control rules, with the history of all charts of the method on the instrument."""
    others = [
        latest
        for other_key, other in sorted(state.charts.items())
        if other_key != key and (other.method, other.instrument) == (known.method, known.instrument)
        if (latest := _latest(other, seen.at_utc_ns)) is not None
    ]
    monitor = ControlMonitor([chart, *others], multirules(item))
    group = f"{known.method}|{known.instrument}"
    if group in state.monitors:
        monitor.restore(state.monitors[group])
    judged = monitor.judge([math.nan if seen.value is None else seen.value], [0], [seen.run])
    state.monitors[group] = monitor.snapshot()
    z = float(judged.z[0])
    return OnChart(
        key, chart, _STATUS.get(int(judged.flag[0]), "not-evaluated"), None if math.isnan(z) else z,
        tuple(FiredRule(rule, scope) for rule, scope in judged.fired(0)), int(judged.missing_before[0]),
    )  # fmt: skip


def _latest(known: ChartState, at_utc_ns: int) -> Chart | None:
    """The newest approved version, whatever its lot."""
    approved = [
        chart
        for chart in known.versions
        if chart.approval is not None and chart.approval.at_utc_ns <= at_utc_ns
    ]
    return max(approved, key=lambda chart: chart.version, default=None)
