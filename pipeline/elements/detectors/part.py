"""The part of the fold: which detectors look at which record, and that one fact is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.detectors.closing import CLOSING, Closing
from pipeline.elements.detectors.happenings import chain, clock_steps, signing
from pipeline.elements.detectors.reported import reported

if TYPE_CHECKING:
    from pipeline.elements.detectors.evidence import Evidence
    from pipeline.elements.parts import View
    from pipeline.elements.shapes import Draft
    from pipeline.records.envelope import Record

_CLOSED = "closed"
"""Key that says that the detectors of a finished task have looked at it."""


def detect(record: Record, view: View) -> list[Draft]:
    """Look at a record and give the events of what is new."""
    found = clock_steps(record, view)
    if record.kind == "verdict":
        found += _after_verdict(record, view)
    elif record.kind == "review":
        found += signing(record, view)
        task = view.state.tasks.get(str(record.body.get("task")))
        found += [] if task is None else reported(task)
    elif record.kind == "event":
        found += chain(record, view)
    return [evidence.draft() for evidence in found if _is_new(evidence, view)]


def _after_verdict(record: Record, view: View) -> list[Evidence]:
    task = view.state.tasks.get(str(record.body.get("task")))
    last = (
        task is not None and task.final and all(posted.seq is not None for posted in task.verdicts.values())
    )
    if task is None or not last:
        return []  # the records of one judgement are appended one after the other: the last one counts
    memory = view.state.detectors
    found = []
    if _CLOSED not in memory.told.setdefault(task.id, []):
        memory.told[task.id].append(_CLOSED)
        closing = Closing(task, memory, view.registry, view.settings.detectors)
        for detector in CLOSING:
            found += detector(closing)
        while len(memory.told) > 2 * view.settings.retained_tasks + len(view.state.tasks):
            del memory.told[next(iter(memory.told))]
    return found + reported(task)


def _is_new(evidence: Evidence, view: View) -> bool:
    if not evidence.task:
        return True
    told = view.state.detectors.told.setdefault(evidence.task, [])
    if evidence.key in told:
        return False
    told.append(evidence.key)
    return True
