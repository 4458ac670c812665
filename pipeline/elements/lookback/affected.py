"""Which tasks rest on something within a span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.batches.plan import is_sample
from pipeline.elements.lookback.shapes import Affected, AffectedResult

if TYPE_CHECKING:
    from pipeline.elements.lookback.triggers import Trigger
    from pipeline.elements.parts import View
    from pipeline.elements.state import TaskState
    from pipeline.elements.vocabulary import Overall

_SETTLED = frozenset({"void", "recalled", "retest", "resample"})
"""A result that nobody uses any more needs no further hold."""


def find_affected(trigger: Trigger, view: View) -> tuple[Affected, ...]:
    """List the tasks in memory that rest on what failed, oldest first."""
    return tuple(affect(task) for task in view.state.tasks.values() if _rests_on(task, trigger))


def _rests_on(task: TaskState, trigger: Trigger) -> bool:
    if not is_sample(task) or task.phase == "aborted":
        return False
    if trigger.method is not None and task.start.method != trigger.method:
        return False
    end_ns = task.end_run_ns
    if trigger.from_run_ns is not None and end_ns is not None and end_ns <= trigger.from_run_ns:
        return False
    if task.start.at_run_ns >= trigger.to_run_ns:
        return False
    if trigger.role == "instrument":
        return trigger.subject in task.start.instruments or any(
            facts.instrument == trigger.subject for facts in task.channels
        )
    return any(binding.target == trigger.subject for binding in task.bound(trigger.role))


def is_moved(overall: Overall) -> bool:
    """Tell whether a task that stands so is moved to hold."""
    return overall not in _SETTLED


def affect(task: TaskState) -> Affected:
    """Describe a task as it stands."""
    overall, start = task.overall(), task.start
    seqs = [*task.result_seqs, *[None] * (len(task.results) - len(task.result_seqs))]
    return Affected(
        task=task.id, sample=start.sample, item=start.item, method=start.method,
        instruments=start.instruments, batch=start.batch, started_utc_ns=start.at_utc_ns, overall=overall,
        moved=is_moved(overall),
        results=tuple(
            AffectedResult(result.quantity, result.value, result.unit, seq)
            for result, seq in zip(task.results, seqs, strict=False)
        ),
        links=tuple((link.system, link.external_id) for link in task.links),
    )  # fmt: skip
