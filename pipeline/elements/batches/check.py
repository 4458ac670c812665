"""What batches and quality controls say of a task: reasons of its measurement and method elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.batches.figures import KINDS
from pipeline.elements.batches.plan import batch_due, interval_due, is_sample, members, method_of
from pipeline.elements.batches.state import history_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.elements.batches.state import BatchState, Judged
    from pipeline.elements.checks.finding import Case, Finding

_FINDINGS = {
    "fail": ("hold", "qc-failed"),
    "warn": ("flag", "qc-warned"),
    "not-evaluated": ("not_evaluated", "qc-not-evaluated"),
}
"""Status of an outcome to what it makes of the tasks that rest on it, and the code of the reason."""
_NEEDS_BATCH = ("per_batch", "every", "opening", "closing")


def check_controls(case: Case, finding: Finding) -> None:
    """Judge the outcomes of the controls that the result rests on; for the measurement element."""
    for judged in _controls(case):
        outcome = judged.outcome
        if outcome.status == "pass":
            continue
        status, code = _FINDINGS[outcome.status]
        figure, name = outcome.figure, outcome.figure_name
        if outcome.chart_version is not None and figure is not None:
            # The limits are the chart's, in the quantity's unit: the value stands beside them, not its z.
            figure, name = outcome.value, "value"
        about: dict[str, Any] = {
            "control": outcome.task, "kind": outcome.kind, "quantity": outcome.quantity,
            "figure": figure, "figure_name": name, "low": outcome.low,
            "high": outcome.high, "why": outcome.why, "rules": ", ".join(one.rule for one in outcome.rules),
        }  # fmt: skip
        seqs = outcome.seqs if judged.seq is None else (judged.seq,)
        finding.add(status, code, f"{outcome.task} {outcome.quantity}", *seqs, **about)  # type: ignore[arg-type]
    batch = _batch(case)
    if batch is not None:
        finding.facts["batch"] = {"id": batch.id, "open": batch.is_open, "open_seq": batch.open_seq}
        _judge_empty_controls(case, finding, batch)


def _controls(case: Case) -> Iterator[Judged]:
    """Give the outcomes that a task rests on: its own, those of its batch, or the last before it."""
    start, batches = case.task.start, case.state.batches
    if start.control is not None:
        yield from batches.outcomes.get(case.task.id, ())
    elif (batch := _batch(case)) is not None:
        for member in batch.members:
            yield from batches.outcomes.get(member, ())
    elif is_sample(case.task) and case.method is not None:
        for kind in dict.fromkeys(item.kind for item in case.method.qc):
            for instrument in start.instruments:
                known = batches.history.get(history_key(start.method, instrument, kind), ())
                yield from _last_before(known, start.at_run_ns)


def _last_before(known: list[Judged] | tuple[()], at_run_ns: int) -> list[Judged]:
    """Outcomes of the last control that ended by an instant: one for each quantity."""
    before = [one for one in known if one.outcome.at_run_ns <= at_run_ns]
    last_ns = max((one.outcome.at_run_ns for one in before), default=None)
    return [one for one in before if one.outcome.at_run_ns == last_ns]


def _judge_empty_controls(case: Case, finding: Finding, batch: BatchState) -> None:
    """Controls of the batch whose work is done and that gave nothing to judge."""
    for member in members(batch, case.state):
        control = member.start.control
        judged = control is None or case.state.batches.outcomes.get(member.id)
        if control is not None and member.measured and not judged and not KINDS[control.kind].revealed:
            finding.add("not_evaluated", "qc-without-outcome", member.id, member.start_seq)


def _batch(case: Case) -> BatchState | None:
    batch_id = case.task.start.batch
    return None if batch_id is None else case.state.batches.batches.get(batch_id)


def check_plan(case: Case, finding: Finding) -> None:
    """Judge whether the method's QC plan was kept; for the method element."""
    method = case.method
    if method is None or not method.qc or not is_sample(case.task):
        return
    batch = _batch(case)
    overdue = [due.args() for due in interval_due(case.task, method, case.state)]
    if batch is None:
        if any(getattr(item, name) for item in method.qc for name in _NEEDS_BATCH):
            finding.add("not_evaluated", "qc-batch-missing", case.task.id, case.task.start_seq)
    elif batch.is_open:
        opened = method_of(batch, case.registry) or method
        overdue += [due.args() for due in batch_due(batch, opened, case.state, complete=False) if due.overdue]
    else:
        overdue += [{"kind": kind, "basis": basis} for kind, _, basis in map(_split, batch.overdue)]
    for args in overdue:
        seqs = [case.task.start_seq] if batch is None else [batch.open_seq, batch.close_seq or -1]
        finding.add("hold", "qc-overdue", f"{args['kind']} {args['basis']}", *seqs, **args)


def _split(overdue: str) -> tuple[str, str, str]:
    return overdue.partition(" ")
