"""What pages and commands show of batches, due controls and charts: plain maps that go straight to JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.batches.chart_commands import chart_hash
from pipeline.elements.batches.charting import multirules
from pipeline.elements.batches.plan import (
    SECOND_NS,
    batch_due,
    is_sample,
    last_control_ns,
    method_of,
)
from pipeline.elements.codec import to_body
from pipeline.elements.registry_shapes import Method
from pipeline.qc.control.explain import explain_rule
from pipeline.qc.control.limits import shewhart_lines

if TYPE_CHECKING:
    from pipeline.elements.batches.state import BatchState, ChartState, Point
    from pipeline.elements.parts import Known
    from pipeline.elements.qc_shapes import QcItem
    from pipeline.qc.control import Chart

_Z_LINES = (-3, -2, -1, 0, 1, 2, 3)


def batches(fold: Known) -> list[dict[str, Any]]:
    """List the batches, open ones first, then the newest."""
    known = list(fold.state.batches.batches.values())
    return [_brief(batch) for batch in sorted(known, key=lambda one: (not one.is_open, -one.run))]


def _brief(batch: BatchState) -> dict[str, Any]:
    return {
        "batch": batch.id,
        "method": batch.method,
        "open": batch.is_open,
        "tasks": len(batch.members),
        "opened_utc_ns": batch.opened_utc_ns,
        "opened_by": batch.opened_by,
        "closed_utc_ns": batch.closed_utc_ns,
        "closed_by": batch.closed_by,
        "overdue": list(batch.overdue),
        "reason": batch.reason,
        "open_seq": batch.open_seq,
        "close_seq": batch.close_seq,
    }


def batch(fold: Known, batch_id: str) -> dict[str, Any] | None:
    """Show one batch with its tasks by place, the outcomes of its controls, and what is due."""
    known = fold.state.batches.batches.get(batch_id)
    if known is None:
        return None
    method = method_of(known, fold.registry)
    due = [] if method is None or not known.is_open else batch_due(known, method, fold.state, complete=False)
    return {
        **_brief(known),
        "members": [_member(fold, task_id) for task_id in known.members],
        "due": [{**one.args(), "overdue": one.overdue} for one in due],
    }


def _member(fold: Known, task_id: str) -> dict[str, Any]:
    task = fold.state.tasks.get(task_id)
    outcomes = fold.state.batches.outcomes.get(task_id, ())
    shown: dict[str, Any] = {
        "task": task_id,
        "outcomes": [{"seq": one.seq, **to_body(one.outcome)} for one in outcomes],
    }
    if task is not None:
        control = task.start.control
        shown |= {
            "place": task.start.place, "role": "sample" if is_sample(task) else (
                control.kind if control is not None else task.start.purpose
            ),
            "sample": task.start.sample, "phase": task.phase, "measured": task.measured,
            "overall": task.overall(),
        }  # fmt: skip
    return shown


def due(fold: Known, now_utc_ns: int, now_run_ns: int) -> list[dict[str, Any]]:
    """List every control that a plan asks for: in open batches, and by interval on each instrument."""
    listed = []
    for known in fold.state.batches.batches.values():
        method = method_of(known, fold.registry) if known.is_open else None
        if method is not None:
            listed += [
                {
                    "method": known.method, "batch": known.id, "instrument": None,
                    "overdue": one.overdue, **one.args(),
                }
                for one in batch_due(known, method, fold.state, complete=False)
            ]  # fmt: skip
    for method_id in fold.registry.ids("method"):
        found = fold.registry.at(Method, method_id, now_utc_ns)
        for item in () if found is None else found[0].qc:
            listed += _interval(fold, method_id, item, now_run_ns)
    return listed


def _interval(fold: Known, method: str, item: QcItem, now_run_ns: int) -> list[dict[str, Any]]:
    """Controls by interval on the instruments by which the method has been run."""
    if item.interval_s is None:
        return []
    instruments = {
        name
        for task in fold.state.tasks.values()
        if task.start.method == method
        for name in task.start.instruments
    }
    instruments |= {key.split("|")[1] for key in fold.state.batches.history if key.split("|")[0] == method}
    listed = []
    for instrument in sorted(instruments):
        last_ns = last_control_ns(fold.state.batches, method, instrument, item.kind, now_run_ns)
        age_s = None if last_ns is None else (now_run_ns - last_ns) / SECOND_NS
        listed.append({
            "method": method, "batch": None, "instrument": instrument, "kind": item.kind,
            "basis": "interval", "overdue": age_s is None or age_s > item.interval_s, "have": age_s,
            "needed": item.interval_s,
        })  # fmt: skip
    return listed


def charts(fold: Known) -> list[dict[str, Any]]:
    """List the charts with how they stand."""
    known = fold.state.batches.charts
    return [_chart_brief(number, key, one) for number, (key, one) in enumerate(known.items(), 1)]


def _chart_brief(number: int, key: str, known: ChartState) -> dict[str, Any]:
    approved = [version for version in known.versions if version.approval is not None]
    last = known.points[-1] if known.points else None
    return {
        "id": f"C-{number}",
        "chart": key,
        "method": known.method,
        "instrument": known.instrument,
        "quantity": known.quantity,
        "material": known.material,
        "level": known.level,
        "observations": known.observations,
        "version": approved[-1].version if approved else None,
        "lot": approved[-1].lot if approved else None,
        "waiting": [version.version for version in known.versions if version.approval is None],
        "last_status": None if last is None else last.status,
        "last_z": None if last is None else last.z,
    }


def chart(fold: Known, name: str) -> dict[str, Any] | None:
    """Show a chart: its points in z-units with the rules named, lines, and where lot or version changes.

    `name` is its key, or its short id, which never changes as no chart is ever dropped.
    """
    keys = list(fold.state.batches.charts)
    key = next((key for number, key in enumerate(keys, 1) if name in {key, f"C-{number}"}), None)
    if key is None:
        return None
    known = fold.state.batches.charts[key]
    by_version = {version.version: version for version in known.versions}
    found = fold.registry.at(Method, known.method, known.points[-1].t_utc_ns) if known.points else None
    lines = () if found is None else found[0].qc
    item = next(
        (one for one in lines if one.kind == "qc-sample" and one.quantity in {None, known.quantity}), None
    )
    return {
        **_chart_brief(keys.index(key) + 1, key, known),
        "z_lines": list(_Z_LINES),
        "versions": [
            {"seq": seq, "to_sign": chart_hash(version), **_version(version)}
            for version, seq in zip(known.versions, known.seqs, strict=True)
        ],
        "points": [_point(point, by_version.get(point.version or 0), item) for point in known.points],
        "changes": _changes(known.points),
    }


def _version(version: Chart) -> dict[str, Any]:
    body: dict[str, Any] = to_body(version)
    return {**body, "status": version.status, "lines": list(shewhart_lines(version.centre, version.sd))}


def _point(point: Point, version: Chart | None, item: QcItem | None) -> dict[str, Any]:
    body: dict[str, Any] = to_body(point)
    told: dict[str, list[str]] = {"en": [], "zh": []}
    for rule, scope in (one.split(" ", 1) for one in point.rules):
        for language in ("en", "zh"):
            if version is not None and point.value is not None and point.z is not None:
                told[language].append(
                    explain_rule(
                        rule, scope, point.value, point.z, chart=version, settings=multirules(item),  # type: ignore[arg-type]
                        language=language,
                    )
                )  # fmt: skip
    return {**body, **told}


def _changes(points: list[Point]) -> list[dict[str, Any]]:
    """Where a vertical line is drawn: before the first point of each lot and version."""
    changes = []
    for position, point in enumerate(points):
        before = points[position - 1] if position else None
        if before is None or (before.lot, before.version) != (point.lot, point.version):
            changes.append({"before": position, "lot": point.lot, "version": point.version})
    return changes
