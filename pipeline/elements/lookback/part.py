"""The part of the fold that opens look-backs and moves what they name to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.codec import MalformedBody, from_body, to_body
from pipeline.elements.lookback.affected import find_affected
from pipeline.elements.lookback.older import hold_older
from pipeline.elements.lookback.shapes import LOOKBACK_ACTIONS, LookBackClose, LookBackOpen, LookBackReach
from pipeline.elements.lookback.state import LOOKBACKS_MAX, LookBackState, disposed_of, park
from pipeline.elements.lookback.triggers import TRIGGERS
from pipeline.elements.shapes import Draft
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from pipeline.elements.lookback.triggers import Trigger
    from pipeline.elements.parts import View
    from pipeline.elements.state import TaskState
    from pipeline.records.envelope import Record

CAUSES_MAX = 2000


def look_back(record: Record, view: View) -> list[Draft]:
    """Open a look-back for what a record shows to have failed; take in what one says."""
    if record.kind == "lookback":
        return _take(record, view)
    if record.kind == "review":
        disposed_of(view.state.lookbacks, str(record.body["task"]), record.body["disposition"])
    found = TRIGGERS.get(record.kind)
    drafts = []
    for number, trigger in enumerate(() if found is None else found(record, view)):
        causes = view.state.lookbacks.causes
        if trigger.key not in causes:
            causes.append(trigger.key)
            del causes[: max(0, len(causes) - CAUSES_MAX)]
            drafts += _open(record, view, trigger, number)
    return drafts


def _open(record: Record, view: View, trigger: Trigger, number: int) -> list[Draft]:
    lookback = f"LB-{record.seq}" + (f"-{number + 1}" if number else "")
    retired_ns = view.state.lookbacks.retired_run_ns
    older = retired_ns is not None and (trigger.from_run_ns is None or retired_ns > trigger.from_run_ns)
    opened = LookBackOpen(
        lookback=lookback, cause=trigger.cause, element=trigger.element, subject=trigger.subject,
        role=trigger.role, method=trigger.method, from_run_ns=trigger.from_run_ns,
        from_utc_ns=trigger.from_utc_ns, to_run_ns=trigger.to_run_ns, to_utc_ns=trigger.to_utc_ns,
        last_good=trigger.last_good, last_good_seq=trigger.last_good_seq, failed=trigger.failed,
        cause_seq=record.seq, affected=find_affected(trigger, view), older=older,
    )  # fmt: skip
    # In force at once: what is judged before its record comes round must be held already.
    put(view, opened)
    told = event_body(
        "lookback-opened", lookback=lookback, cause=trigger.cause, subject=trigger.subject,
        failed=trigger.failed, affected=len(opened.affected),
    )  # fmt: skip
    return [Draft("lookback", to_body(opened)), Draft("event", told)]


def put(view: View, opened: LookBackOpen) -> None:
    """Put a look-back into force: hold what it names, let the oldest closed ones go."""
    known = view.state.lookbacks
    known.items[opened.lookback] = LookBackState(
        opened, affected=list(opened.affected), reached=not opened.older
    )
    for one in opened.affected:
        if one.moved and one.task in view.state.tasks:
            _hold(view, view.state.tasks[one.task], opened)
        elif one.moved:  # whoever reads records at a centre may have let it go a little earlier
            park(known.items[opened.lookback], one)
    closed = [name for name, one in known.items.items() if one.closed is not None]
    for name in closed[: max(0, len(closed) - LOOKBACKS_MAX)]:
        del known.items[name]


def _hold(view: View, task: TaskState, opened: LookBackOpen) -> None:
    """Hold a task at once, so that it stays in memory until its superseding verdict follows at a tick."""
    names = view.state.lookbacks.of_task.setdefault(task.id, [])
    if opened.lookback not in names:
        names.append(opened.lookback)
    if opened.element not in task.held:
        task.held.append(opened.element)
    view.state.touch(task)


def _take(record: Record, view: View) -> list[Draft]:
    shape: Any = LOOKBACK_ACTIONS.get(str(record.body.get("action")))
    if shape is None:
        raise MalformedBody(f"action is {record.body.get('action')!r}")
    told: LookBackOpen | LookBackReach | LookBackClose = from_body(shape, record.body)
    known = view.state.lookbacks.items.get(told.lookback)
    if known is None:
        return []
    if isinstance(told, LookBackOpen):
        known.seq = record.seq
        for one in told.affected:
            if (task := view.state.tasks.get(one.task)) is not None:
                view.state.touch(task)  # the reason can cite the record now
    elif isinstance(told, LookBackReach):
        return hold_older(known, told, record.seq)
    else:
        known.closed, known.close_seq, known.closed_utc_ns = told, record.seq, record.t_utc_ns
    return []
