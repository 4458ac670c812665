"""What the QC plan of a method asks for: due next, or overdue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipeline.elements.batches.state import history_key
from pipeline.elements.registry_shapes import Method

if TYPE_CHECKING:
    from pipeline.elements.batches.state import BatchesState, BatchState
    from pipeline.elements.qc_shapes import QcItem
    from pipeline.elements.registry import Registry
    from pipeline.elements.state import State, TaskState
    from pipeline.elements.vocabulary import QcKind

SECOND_NS = 1_000_000_000
OF_SAMPLES = frozenset({"test", "proficiency"})

Basis = Literal["opening", "every", "per-batch", "closing", "interval"]


class Due(NamedTuple):
    """A control that the plan asks for and that is not there."""

    kind: QcKind
    basis: Basis
    overdue: bool
    """It is too late: results rest on work without it. False: it comes next, or before the end."""
    have: float
    """Controls there are (per-batch), samples without one (every, opening, closing), seconds (interval)."""
    needed: float

    def args(self) -> dict[str, Any]:
        """Give what a text about it needs."""
        return {"kind": self.kind, "basis": self.basis, "have": self.have, "needed": self.needed}


def is_sample(task: TaskState) -> bool:
    """Tell a task whose result is for somebody from one that controls the work."""
    return task.start.purpose in OF_SAMPLES and task.start.control is None


def members(batch: BatchState, state: State) -> list[TaskState]:
    """List the tasks of a batch that were not aborted, by their places."""
    tasks = [state.tasks[task_id] for task_id in batch.members if task_id in state.tasks]
    return sorted(
        (task for task in tasks if task.phase != "aborted"), key=lambda task: (task.start.place or 0, task.id)
    )


def batch_due(batch: BatchState, method: Method, state: State, *, complete: bool) -> list[Due]:
    """List what a batch lacks.

    Args:
        batch: the batch, open or about to be closed.
        method: its method as it was when the batch was opened.
        state: the state with its tasks.
        complete: nothing will be added: what is due is overdue.
    """
    places = [place for task in members(batch, state) for place in _places(task)]
    return [due for item in method.qc for due in _item_due(item, places, complete=complete)]


def _places(task: TaskState) -> list[QcKind | None]:
    """Give the place of a task in its batch: a sample (None), a control, or nothing that the plan counts."""
    if task.start.control is not None:
        return [task.start.control.kind]
    return [None] if is_sample(task) else []


def _item_due(item: QcItem, places: list[QcKind | None], *, complete: bool) -> list[Due]:
    """Judge one line of the plan over the places of a batch, each a sample (None) or a control."""
    samples = sum(place is None for place in places)
    dues = []
    if item.opening:
        first = next((position for position, place in enumerate(places) if place == item.kind), len(places))
        ahead = sum(place is None for place in places[:first])
        if ahead or (first == len(places) and not complete):
            dues.append(Due(item.kind, "opening", ahead > 0, ahead, 0))
    if item.every is not None:
        longest, run = _runs(places, item.kind)
        if longest > item.every or (run == item.every and not complete):
            dues.append(Due(item.kind, "every", longest > item.every, max(longest, run), item.every))
    if item.per_batch is not None and samples:
        have = sum(place == item.kind for place in places)
        if have < item.per_batch:
            dues.append(Due(item.kind, "per-batch", complete, have, item.per_batch))
    if item.closing:
        run = _runs(places, item.kind)[1]
        if run:
            dues.append(Due(item.kind, "closing", complete, run, 0))
    return dues


def _runs(places: list[QcKind | None], kind: QcKind) -> tuple[int, int]:
    """Longest stretch of samples without a control of a kind, and the one at the end."""
    longest = run = 0
    for place in places:
        run = 0 if place == kind else run + (place is None)
        longest = max(longest, run)
    return longest, run


def interval_due(task: TaskState, method: Method, state: State) -> list[Due]:
    """List the controls that were too long ago when a task began, on each of its instruments.

    A control of the same batch counts whenever it was: it brackets the work.
    """
    start, dues = task.start, []
    batch = None if start.batch is None else state.batches.batches.get(start.batch)
    beside = set() if batch is None else {
        other.start.control.kind for other in members(batch, state) if other.start.control is not None
    }  # fmt: skip
    for item in method.qc:
        if item.interval_s is None or item.kind in beside:
            continue
        for instrument in start.instruments:
            last_ns = last_control_ns(state.batches, start.method, instrument, item.kind, start.at_run_ns)
            age_s = -1.0 if last_ns is None else (start.at_run_ns - last_ns) / SECOND_NS
            if last_ns is None or age_s > item.interval_s:
                dues.append(Due(item.kind, "interval", overdue=True, have=age_s, needed=item.interval_s))
    return dues


def last_control_ns(
    batches: BatchesState, method: str, instrument: str, kind: str, before_run_ns: int
) -> int | None:
    """Give the end of the last control of a kind that ended before an instant; None: there was none."""
    known = batches.history.get(history_key(method, instrument, kind), ())
    return max(
        (one.outcome.at_run_ns for one in known if one.outcome.at_run_ns <= before_run_ns), default=None
    )


def method_of(batch: BatchState, registry: Registry) -> Method | None:
    """Give the method of a batch as it was when the batch was opened."""
    found = registry.at(Method, batch.method, batch.opened_utc_ns)
    return None if found is None else found[0]
