"""Detectors that look at single records: clock, chain, signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.codec import from_body
from pipeline.elements.detectors.evidence import Evidence
from pipeline.elements.registry_shapes import Person
from pipeline.elements.shapes import Review
from pipeline.elements.vocabulary import RELEASING, SIGNATORY

if TYPE_CHECKING:
    from pipeline.elements.parts import View
    from pipeline.records.envelope import Record

_CHAIN = {"quarantine": "segment", "flags-unplaced": "instrument", "journal-fork": "segment"}
"""Events that say that something recorded is not whole, to the argument that names it."""


def clock_steps(record: Record, view: View) -> list[Evidence]:
    """B2: UTC went backwards while a task ran: the journal opened a new epoch."""
    memory = view.state.detectors
    before, memory.epoch = memory.epoch, max(memory.epoch, record.epoch)
    if before < 0 or record.epoch <= before:
        return []
    running = [task for task in view.state.tasks.values() if task.phase == "running"]
    return [
        Evidence(
            "clock-step", "B2", ", ".join(task.start.instruments), task.id, (task.start_seq, record.seq),
            {"epoch": record.epoch, "reason": str(record.epoch)},
        )
        for task in running
    ]  # fmt: skip


def chain(record: Record, view: View) -> list[Evidence]:
    """A4: bytes of the record cannot be read, or what was decided could not be recorded."""
    argument = _CHAIN.get(str(record.body.get("code")))
    if argument is None:
        return []
    args = record.body.get("args") or {}
    subject = str(args.get(argument) or record.body.get("instrument") or "")
    running = [
        task.id
        for task in view.state.tasks.values()
        if task.phase == "running" and (argument != "instrument" or subject in task.start.instruments)
    ]
    about = {"reason": str(record.body["code"])}
    return [Evidence("chain", "A4", subject, task, (record.seq,), about) for task in running or [""]]


def signing(record: Record, view: View) -> list[Evidence]:
    """B5: the time of signing against raw records and its own record, and the signatory's leave then."""
    review = from_body(Review, record.body)
    task = view.state.tasks.get(review.task)
    if task is None or review.disposition not in RELEASING:
        return []
    at_ns, tolerance_ns = (
        review.actor.signed_at_ns,
        round(view.settings.detectors.signing_tolerance_s * SECOND_NS),
    )
    seqs = (record.seq, -1 if task.end_seq is None else task.end_seq)
    reasons = []
    if task.end_utc_ns is not None and at_ns < task.end_utc_ns:
        reasons.append("before-last-raw-record")
    if abs(record.t_utc_ns - at_ns) > tolerance_ns:
        reasons.append("not-at-record-time")
    if not _may_sign(view, review, at_ns):
        reasons.append("not-authorised-then")
    return [
        Evidence("signing", "B5", review.actor.person, task.id, seqs, {"reason": reason})
        for reason in reasons
    ]


def _may_sign(view: View, review: Review, at_utc_ns: int) -> bool:
    found = view.registry.at(Person, review.actor.person, at_utc_ns)
    return found is not None and any(
        grant.role == SIGNATORY
        and grant.valid_from_ns <= at_utc_ns
        and (grant.valid_to_ns is None or at_utc_ns < grant.valid_to_ns)
        for grant in found[0].roles
    )
