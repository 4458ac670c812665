"""The part of the fold that keeps batches, quality controls and charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.batches.controls import judge_control, note_assessment
from pipeline.elements.batches.shapes import (
    BATCH_ACTIONS,
    CONTROL_ACTIONS,
    BatchClose,
    BatchOpen,
    ChartRecord,
    ControlAssess,
    ControlOutcome,
)  # fmt: skip
from pipeline.elements.batches.state import (
    BATCHES_MAX,
    MEMBERS_MAX,
    BatchState,
    ChartState,
    Judged,
    chart_key,
    history_key,
)  # fmt: skip
from pipeline.elements.codec import MalformedBody, from_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.elements.parts import View
    from pipeline.elements.shapes import Draft
    from pipeline.elements.state import State
    from pipeline.records.envelope import Record


def batches_part(record: Record, view: View) -> list[Draft]:
    """Take in what concerns batches, controls and charts."""
    handler = _HANDLERS.get(record.kind)
    return [] if handler is None else handler(record, view)


def _task(record: Record, view: View) -> list[Draft]:
    """Put a task that was started into its batch."""
    task = view.state.tasks.get(str(record.body.get("task")))
    if record.body.get("action", "start") != "start" or task is None or task.start.batch is None:
        return []
    batch = view.state.batches.batches.get(task.start.batch)
    if batch is not None and task.id not in batch.members and len(batch.members) < MEMBERS_MAX:
        batch.members.append(task.id)
        _touch_members(batch, view.state)
    return []


def _batch(record: Record, view: View) -> list[Draft]:
    action: BatchOpen | BatchClose = from_body(_shape(record, BATCH_ACTIONS), record.body)
    batches = view.state.batches
    if isinstance(action, BatchOpen):
        batches.runs += 1
        batches.batches[action.batch] = BatchState(
            action.batch, action.method, batches.runs, action.at_run_ns, action.at_utc_ns,
            action.actor.person, record.seq,
        )  # fmt: skip
        _let_go(view.state)
        return []
    batch = batches.batches.get(action.batch)
    if batch is not None:
        _close(batch, action, record.seq)
        _touch_members(batch, view.state)
    return []


def _shape(record: Record, shapes: Mapping[str, Any]) -> Any:
    """Find the shape of an action. Raises MalformedBody for one that this version does not know."""
    shape = shapes.get(str(record.body.get("action")))
    if shape is None:
        raise MalformedBody(f"action is {record.body.get('action')!r}; allowed: {', '.join(shapes)}")
    return shape


def _close(batch: BatchState, action: BatchClose, seq: int) -> None:
    batch.close_seq, batch.closed_utc_ns = seq, action.at_utc_ns
    batch.closed_by, batch.reason = action.actor.person, action.reason
    batch.overdue = list(action.overdue)


def _let_go(state: State) -> None:
    closed = [batch.id for batch in state.batches.batches.values() if not batch.is_open]
    for batch_id in closed[: max(0, len(closed) - BATCHES_MAX)]:
        del state.batches.batches[batch_id]


def _touch_members(batch: BatchState, state: State) -> None:
    for member in batch.members:
        task = state.tasks.get(member)
        if task is not None:
            state.touch(task)


def _control(record: Record, view: View) -> list[Draft]:
    action: ControlOutcome | ControlAssess = from_body(_shape(record, CONTROL_ACTIONS), record.body)
    state = view.state
    if isinstance(action, ControlAssess):
        task = state.tasks.get(action.task)
        if task is None:
            return []
        note_assessment(task, action, state)
        return judge_control(task, state, view.registry)
    _note_seq(action, record.seq, state)
    _touch_dependents(action, state)
    return []


def _note_seq(outcome: ControlOutcome, seq: int, state: State) -> None:
    batches = state.batches
    places: list[list[Judged]] = [batches.outcomes.get(outcome.task, [])]
    places += [
        batches.history.get(history_key(outcome.method, instrument, outcome.kind), [])
        for instrument in outcome.instruments
    ]
    for judged in (one for place in places for one in place):
        if (judged.outcome.task, judged.outcome.quantity) == (outcome.task, outcome.quantity):
            judged.seq = seq
    chart = batches.charts.get(outcome.chart)
    for point in () if chart is None else reversed(chart.points):
        if point.task == outcome.task:
            point.seq = seq
            break


def _touch_dependents(outcome: ControlOutcome, state: State) -> None:
    """Have judged again what rests on a control: its batch, or the work after it."""
    batch = None if outcome.batch is None else state.batches.batches.get(outcome.batch)
    if batch is not None:
        _touch_members(batch, state)
    for task in state.tasks.values():
        follows = task.start.method == outcome.method and task.start.at_run_ns >= outcome.at_run_ns
        if task.id == outcome.task or (follows and set(task.start.instruments) & set(outcome.instruments)):
            state.touch(task)


def _chart(record: Record, view: View) -> list[Draft]:
    told = from_body(ChartRecord, record.body)
    about, charts = told.chart.id, view.state.batches.charts
    key = chart_key(told.method, told.instrument, told.quantity, about.material, about.level)
    known = charts.setdefault(
        key, ChartState(told.method, told.instrument, told.quantity, about.material, about.level)
    )
    at = next((i for i, chart in enumerate(known.versions) if chart.version == told.chart.version), None)
    if at is None:
        known.versions.append(told.chart)
        known.seqs.append(record.seq)
    else:
        known.versions[at], known.seqs[at] = told.chart, record.seq
    return []


_HANDLERS: dict[str, Callable[[Record, View], list[Draft]]] = {
    "task": _task,
    "batch": _batch,
    "control": _control,
    "chart": _chart,
}
