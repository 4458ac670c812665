"""What an `entry` record changes in a task, and the results that follow anew from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.elements.apply import observe_state
from pipeline.elements.codec import from_body, to_body
from pipeline.elements.formulas.calculations import compute_results
from pipeline.elements.hand.shapes import Entry
from pipeline.elements.hand.state import Entered
from pipeline.elements.shapes import Draft
from pipeline.elements.state import Observed

if TYPE_CHECKING:
    from pipeline.elements.registry import Registry
    from pipeline.elements.state import State, TaskState
    from pipeline.records.envelope import Record


def take_entry(state: State, record: Record) -> TaskState | None:
    """Take an entry in; None when it speaks of a task that is not known (any more).

    Raises:
        MalformedBody: the body is not of its shape.
    """
    entry = from_body(Entry, record.body)
    task = state.tasks.get(entry.task)
    if task is None:
        return None
    for known in task.entries:
        if known.seq == entry.corrects:
            known.replaced_by = record.seq
    task.entries.append(Entered(record.seq, entry, after_verdict=task.measured))
    seen = Observed(record.source, record.seq, entry.at_run_ns)
    observe_state(task.sources, entry.instrument, seen)
    if entry.serial is not None:
        observe_state(task.identities, entry.instrument, Observed(entry.serial, record.seq, entry.at_run_ns))
    return task


def revise_results(task: TaskState, registry: Registry) -> list[Draft]:
    """Compute the results of a measured task anew; each that differs supersedes the one before it."""
    if not task.measured or task.phase == "aborted":
        return []
    results, task.refusals = compute_results(task, registry)
    drafts = []
    places = {known.quantity: position for position, known in enumerate(task.results)}
    for result in results:
        position = places.get(result.quantity)
        if position is None:
            task.results.append(result)
            drafts.append(Draft("result", to_body(result)))
        elif replace(task.results[position], supersedes=None) != result:
            revised = replace(result, supersedes=task.result_seqs[position])
            task.results[position] = revised
            drafts.append(Draft("result", to_body(revised)))
    return drafts


def put_result_seq(seqs: list[int], seq: int, supersedes: int | None) -> int | None:
    """Note the record of a result in the place of the one that it supersedes; returns that place."""
    if supersedes in seqs:
        place = seqs.index(supersedes)
        seqs[place] = seq
        return place
    seqs.append(seq)
    return None
