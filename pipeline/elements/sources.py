"""What instruments are found to be: a source that is declared live and is none holds what was measured by it.

The driver tells it by an event before the first row (`source-pty`, `source-simulator`); the check is that of
the source in `checks.equipment`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.state import OBSERVED_MAX, Observed

if TYPE_CHECKING:
    from pipeline.elements.parts import View
    from pipeline.elements.shapes import Draft
    from pipeline.elements.state import TaskState
    from pipeline.records.envelope import Record

_FOUND = {"source-pty": "pty", "source-simulator": "simulator"}


def note_found(record: Record, view: View) -> list[Draft]:
    """Note what an instrument is found to be, for the tasks that run and those that begin afterwards."""
    code = record.body.get("code")
    if record.kind == "event" and (code in _FOUND or code == "source-live"):
        _found(record, view, str(record.body["instrument"]), _FOUND.get(str(code)))
    elif record.kind == "task" and record.body.get("action", "start") in {"start", "bind"}:
        task = view.state.tasks.get(str(record.body.get("task")))
        for name in [] if task is None else _read_by(task):
            known = view.state.instruments.get(name)
            if task is not None and known is not None and known.found is not None:
                _add(view, task, name, known.found)
    return []


def _found(record: Record, view: View, name: str, found: str | None) -> None:
    if found is None:
        instrument = view.state.instrument(name)
        # What has stood in for an instrument may have been put in its place anywhere on the way to it.
        instrument.return_check_due = instrument.return_check_due or instrument.found is not None
        instrument.found = None
        return
    seen = Observed(found, record.seq, record.t_run_ns)
    view.state.instrument(name).found = seen
    for task in view.state.tasks.values():
        if task.end_run_ns is None and name in _read_by(task):
            _add(view, task, name, seen)


def _read_by(task: TaskState) -> list[str]:
    """List the instruments that a task reads, its environment's too."""
    return list(dict.fromkeys([*task.start.instruments, *(facts.instrument for facts in task.channels)]))


def _add(view: View, task: TaskState, name: str, seen: Observed) -> None:
    known = task.sources.setdefault(name, [])
    if seen not in known and len(known) < OBSERVED_MAX:
        known.append(seen)
        view.state.touch(task)
