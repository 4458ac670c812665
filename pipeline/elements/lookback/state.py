"""What is remembered of look-backs. Everything here goes into the snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.elements.lookback.shapes import Affected, LookBackClose, LookBackOpen
from pipeline.elements.vocabulary import RELEASED, Overall, sum_up

if TYPE_CHECKING:
    from pipeline.elements.state import TaskState
    from pipeline.elements.vocabulary import Disposition

LOOKBACKS_MAX = 500
"""Closed look-backs kept; the oldest gives way. Open ones are always kept."""

AFFECTED_MAX = 1000
"""Affected tasks that a look-back describes in memory; of further ones the ids of those held are kept."""


@dataclass(slots=True)
class LookBackState:
    """One look-back; `seq` is None between its draft and its record."""

    opened: LookBackOpen
    seq: int | None = None
    affected: list[Affected] = field(default_factory=list)
    """With those that the ledger told: the first `AFFECTED_MAX`."""
    further: int = 0
    """Affected tasks after those: each is held and named in a record, and found through the index."""
    left: dict[str, Overall] = field(default_factory=dict)
    """How those of `affected` stand that are not in memory (any more)."""
    parked: dict[str, bool] = field(default_factory=dict)
    """Ids of held tasks that are not in memory; goes with their disposition. True: for every one."""
    through_start_seq: int = -1
    """Older tasks of the span have been held up to this start; the next page goes on from it."""
    beyond: int = 0
    """Tasks of the span that were too many to be held; before version 3 of the fold only."""
    reached: bool = True
    """Nothing of its span is missing."""
    closed: LookBackClose | None = None
    close_seq: int | None = None
    closed_utc_ns: int | None = None


@dataclass(slots=True)
class LookBacksState:
    """All look-backs, and how far back memory reaches."""

    items: dict[str, LookBackState] = field(default_factory=dict)
    of_task: dict[str, list[str]] = field(default_factory=dict)
    """Task to the look-backs that hold it; goes with the task."""
    causes: list[str] = field(default_factory=list)
    """What has led to a look-back already: the newest."""
    retired_run_ns: int | None = None
    """Latest end of a task that has left memory; None: none has."""


def park(known: LookBackState, one: Affected) -> None:
    """Note that a look-back holds a task that is not in memory."""
    known.parked[one.task] = True
    if len(known.left) < AFFECTED_MAX:
        released = one.overall in RELEASED
        known.left.setdefault(one.task, "released-under-look-back" if released else "held")


def disposed_of(known: LookBacksState, task_id: str, disposition: Disposition) -> None:
    """Note that a person has disposed of a task that is not in memory."""
    for one in known.items.values():
        if one.parked.pop(task_id, None) is not None and task_id in one.left:
            one.left[task_id] = sum_up("stopped", disposition, held=False, final=True)


def let_go(known: LookBacksState, task: TaskState) -> None:
    """Note that a task leaves memory, so that a look-back over its time asks the ledger for it."""
    for name in known.of_task.pop(task.id, ()):
        if (one := known.items.get(name)) is not None:
            if task.held:
                one.parked[task.id] = True
            if len(one.left) < AFFECTED_MAX:
                one.left[task.id] = task.overall()
    end_ns = task.start.at_run_ns if task.end_run_ns is None else task.end_run_ns
    known.retired_run_ns = end_ns if known.retired_run_ns is None else max(known.retired_run_ns, end_ns)
