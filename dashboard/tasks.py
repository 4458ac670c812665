"""Tasks as people read them, folded from the `task`, `verdict`, `result` and `review` records of a store.

The same fold serves a page at the centre, where there is no daemon, and one in the laboratory: what a page
shows is what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from pipeline.elements.codec import MalformedBody, from_body
from pipeline.elements.hand.shapes import Entry
from pipeline.elements.hand.state import Entered
from pipeline.elements.shapes import (
    TASK_ACTIONS,
    Binding,
    Result,
    Review,
    TaskAbort,
    TaskBind,
    TaskHandover,
    TaskLink,
    TaskStart,
    TaskStop,
    Verdict,
)  # fmt: skip
from pipeline.elements.vocabulary import DISPOSED, ELEMENTS, RELEASING, STATUS_RANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipeline.elements.vocabulary import Element, Overall, VerdictStatus
    from pipeline.store.door import LedgerRow

Phase = Literal["running", "stopped", "aborted"]
RequiredElements = tuple[str, ...] | None
"""Elements that a method requires; None when the method is not known: then every one is."""

Required: TypeAlias = "Callable[[TaskStart], RequiredElements]"
"""From the start of a task to the elements that its method required then."""

_SETTLED: frozenset[Overall] = frozenset({"clear", "aborted", *DISPOSED.values()})


@dataclass(frozen=True, slots=True)
class Posted:
    """A verdict with its place in the journal."""

    seq: int
    t_utc_ns: int
    verdict: Verdict


@dataclass(slots=True)
class TaskView:
    """One task with everything that was recorded about it."""

    start: TaskStart
    start_seq: int
    journal: str
    source: str
    phase: Phase = "running"
    end_utc_ns: int | None = None
    end_seq: int | None = None
    abort_reason: str = ""
    bindings: list[Binding] = field(default_factory=list)
    links: list[TaskLink] = field(default_factory=list)
    verdicts: dict[Element, list[Posted]] = field(default_factory=dict)
    """Element to its verdicts, oldest first; the last one is in force."""
    results: list[tuple[int, Result]] = field(default_factory=list)
    entries: list[Entered] = field(default_factory=list)
    """Readings entered by hand, in the order of their records."""
    reviews: list[tuple[int, int, Review]] = field(default_factory=list)
    """(seq, UTC in ns, disposition), oldest first."""
    held: set[Element] = field(default_factory=set)
    """Elements whose hold no person has disposed of."""

    @property
    def id(self) -> str:
        """Id of the task."""
        return self.start.task

    def in_force(self) -> dict[Element, Posted]:
        """Return the verdict in force of each judged element, in the order of the elements."""
        return {element: self.verdicts[element][-1] for element in ELEMENTS if element in self.verdicts}

    @property
    def final(self) -> bool:
        """Whether every element has a final verdict."""
        posted = self.in_force()
        return len(posted) == len(ELEMENTS) and all(p.verdict.finality == "final" for p in posted.values())

    @property
    def worst(self) -> VerdictStatus:
        """Worst verdict in force; not evaluated when there is none."""
        statuses = [posted.verdict.status for posted in self.in_force().values()]
        return max(statuses, key=STATUS_RANK.__getitem__, default="not_evaluated")

    @property
    def overall(self) -> Overall:
        """Sum the task up in one word, as the elements do."""
        if self.phase == "aborted":
            return "aborted"
        last = self.reviews[-1][2].disposition if self.reviews else None
        if self.held:
            return "released-under-look-back" if last in {*RELEASING, "amend"} else "held"
        if last is not None:
            return DISPOSED[last]
        return "clear" if self.final else "provisional"

    @property
    def open(self) -> bool:
        """Whether somebody still has to do something, or work still goes on."""
        return self.phase == "running" or self.overall not in _SETTLED

    def operators_now(self) -> list[str]:
        """Return who works on it now."""
        return [b.target for b in self.bindings if b.role == "operator" and b.to_run_ns is None]

    def utc_at(self, t_run_ns: int) -> int:
        """Convert gateway time to UTC by the stamps of the task's start."""
        return self.start.at_utc_ns + t_run_ns - self.start.at_run_ns


def fold_tasks(rows: Iterable[LedgerRow], required: Required) -> dict[str, TaskView]:
    """Fold records of the four kinds, in any order, into tasks by id, newest start first.

    Records of a task whose start is not among them, and bodies of a newer shape, are passed over.

    Args:
        rows: ledger rows.
        required: the elements that a task's method requires.
    """
    tasks: dict[str, TaskView] = {}
    for row in sorted(rows, key=lambda row: (row.journal, row.seq)):
        try:
            _take(tasks, row, required)
        except MalformedBody:
            continue
    newest_first = sorted(
        tasks.values(), key=lambda task: (task.start.at_utc_ns, task.start_seq), reverse=True
    )
    return {task.id: task for task in newest_first}


def _take(
    tasks: dict[str, TaskView], row: LedgerRow, required: Required
) -> None:  # fmt: skip
    if row.kind == "task" and row.body.get("action") == "start":
        start = from_body(TaskStart, row.body)
        tasks[start.task] = TaskView(
            start, row.seq, row.journal.hex(), row.source, bindings=list(start.bindings)
        )
        return
    task = tasks.get(str(row.body.get("task")))
    if task is None or task.journal != row.journal.hex():
        return
    if row.kind == "task":
        _act(task, row)
    elif row.kind == "verdict":
        _judge(task, Posted(row.seq, row.t_utc_ns, from_body(Verdict, row.body)), required(task.start))
    elif row.kind == "result":
        result = from_body(Result, row.body)
        task.results = [known for known in task.results if known[0] != result.supersedes]
        task.results.append((row.seq, result))
    elif row.kind == "entry":
        _enter(task, row)
    elif row.kind == "review":
        task.reviews.append((row.seq, row.t_utc_ns, from_body(Review, row.body)))
        task.held.clear()


def _enter(task: TaskView, row: LedgerRow) -> None:
    entry = from_body(Entry, row.body)
    for known in task.entries:
        if known.seq == entry.corrects:
            known.replaced_by = row.seq
    task.entries.append(Entered(row.seq, entry))


def _act(task: TaskView, row: LedgerRow) -> None:
    shape = TASK_ACTIONS.get(str(row.body.get("action")))
    action = None if shape is None else from_body(shape, row.body)
    if isinstance(action, TaskBind):
        task.bindings.append(action.binding)
    elif isinstance(action, TaskHandover):
        _end_bindings(task, action.at_run_ns, "operator")
        task.bindings.append(Binding("operator", action.operator, action.at_run_ns))
    elif isinstance(action, TaskStop | TaskAbort):
        _end_bindings(task, action.at_run_ns)
        task.phase = "stopped" if isinstance(action, TaskStop) else "aborted"
        task.end_utc_ns, task.end_seq = action.at_utc_ns, row.seq
        task.abort_reason = action.reason if isinstance(action, TaskAbort) else ""
    elif isinstance(action, TaskLink):
        task.links.append(action)


def _end_bindings(task: TaskView, at_run_ns: int, role: str | None = None) -> None:
    task.bindings = [
        replace(binding, to_run_ns=at_run_ns)
        if binding.to_run_ns is None and role in {None, binding.role}
        else binding
        for binding in task.bindings
    ]


def _judge(task: TaskView, posted: Posted, required: RequiredElements) -> None:
    history = task.verdicts.setdefault(posted.verdict.element, [])
    before = history[-1].verdict if history else None
    history.append(posted)
    if _adds_hold(before, posted.verdict, required):
        task.held.add(posted.verdict.element)


def _holds(verdict: Verdict, required: RequiredElements) -> bool:
    if verdict.status == "hold":
        return True
    missing_fact = verdict.status == "not_evaluated" and verdict.finality == "final"
    return missing_fact and (not required or verdict.element in required)


def _adds_hold(before: Verdict | None, verdict: Verdict, required: RequiredElements) -> bool:
    """Tell whether a verdict holds for a reason that no person has seen yet: as `elements.judge` does."""
    if not _holds(verdict, required):
        return False
    if before is None or not _holds(before, required):
        return True
    worse = STATUS_RANK[verdict.status] > STATUS_RANK[before.status]
    seen = {(reason.code, reason.subject) for reason in before.reasons}
    return worse or any((reason.code, reason.subject) not in seen for reason in verdict.reasons)


def gather(view_ledger: Mapping[str, list[LedgerRow]]) -> list[LedgerRow]:
    """Return the rows of a view that tasks are folded from."""
    return [row for kind in ("task", "verdict", "result", "review") for row in view_ledger.get(kind, ())]
