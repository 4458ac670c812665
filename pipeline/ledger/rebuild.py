"""A task told again from its records: as it stands now, or as it stood when a seq was the last known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.apply import apply_action, apply_review, read_action
from pipeline.elements.codec import MalformedBody, from_body
from pipeline.elements.hand.part import put_result_seq, take_entry
from pipeline.elements.registry import Registry
from pipeline.elements.shapes import Result, Verdict
from pipeline.elements.state import Posted, State, TaskState
from pipeline.elements.vocabulary import ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.records.envelope import Record


def rebuild_task(records: Iterable[Record]) -> TaskState | None:
    """Build the state of one task from the ledger records that speak of it, in seq order.

    What was observed of rows (channels, gaps) is not in it: a final verdict keeps the facts that it used.
    A record that cannot be read is passed over, as the elements do.

    Returns:
        None when the start is not among the records.
    """
    state, found = State(), ""
    for record in records:
        try:
            take_record(state, Registry(), record)
            found = found or (str(record.body["task"]) if record.kind == "task" else "")
        except (MalformedBody, KeyError, TypeError, ValueError, AttributeError):
            continue
    task = state.tasks.get(found)
    if task is not None:
        task.final = is_final(task)
    return task


def is_final(task: TaskState) -> bool:
    """Tell whether the newest recorded verdict of every element is final."""
    finalities = {element: posted.verdict.finality for element, posted in task.verdicts.items()}
    return all(finalities.get(element) == "final" for element in ELEMENTS)


def take_record(state: State, registry: Registry, record: Record) -> None:
    """Take in what a ledger record says of a task. Raises as the codec does for one that cannot be read."""
    if record.kind == "task":
        apply_action(state, registry, record, read_action(record))
    elif record.kind == "review":
        apply_review(state, record)
    elif record.kind == "verdict":
        verdict = from_body(Verdict, record.body)
        state.tasks[verdict.task].verdicts[verdict.element] = Posted(verdict, record.seq)
    elif record.kind == "result":
        result = from_body(Result, record.body)
        task = state.tasks[result.task]
        place = put_result_seq(task.result_seqs, record.seq, result.supersedes)
        if place is None:
            task.results.append(result)
        else:
            task.results[place] = result
    elif record.kind == "entry":
        take_entry(state, record)
    elif record.kind == "event" and record.body.get("code") == "element-held":
        args = record.body["args"]
        known = state.tasks.get(args["task"])
        if known is not None and args["element"] not in known.held:
            known.held.append(args["element"])
