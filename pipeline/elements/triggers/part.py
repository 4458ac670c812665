"""The part of the fold that records triggers: one event for each kind and task, with its seqs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.shapes import Draft
from pipeline.elements.triggers.state import TASKS_MAX, TaskTriggers
from pipeline.elements.vocabulary import RELEASING
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.elements.parts import View
    from pipeline.elements.triggers.vocabulary import Trigger
    from pipeline.records.envelope import Record

Found = tuple["Trigger", str, list[int]]
_OF_EVENT: dict[str, Trigger] = {
    "evidence-identical-windows": "identical-data",
    "evidence-chain": "chain-break",
}
_EXCURSIONS = frozenset({"environment-excursion", "storage-excursion", "environment-excursion-unsure"})


def trigger(record: Record, view: View) -> list[Draft]:
    """Draft the triggers that a record leads to and that are not recorded for the task yet."""
    found: Iterator[Found] | list[Found] = []
    if record.kind == "verdict":
        found = _of_verdict(record)
    elif record.kind == "review":
        found = _of_review(record, view)
    elif record.kind == "event":
        _remember(record, view)
        found = _of_event(record)
    elif record.kind == "gap":
        found = _of_gap(record, view)
    return [_draft(each, view) for each in found if _is_new(each, view)]


def _of_verdict(record: Record) -> Iterator[Found]:
    for reason in record.body["reasons"]:
        if record.body["element"] == "equipment" and reason["code"] == "calibration-overdue":
            yield "overdue-instrument", record.body["task"], [*reason["seqs"], record.seq]


def _of_review(record: Record, view: View) -> Iterator[Found]:
    said = str(record.body["reason"]).strip()
    if record.body["disposition"] in RELEASING and len(said) < view.settings.triggers.reason_length_min:
        yield "release-without-reason", record.body["task"], [record.seq]


def _of_event(record: Record) -> Iterator[Found]:
    args: dict[str, Any] = record.body.get("args") or {}
    code = record.body.get("code")
    kind = _OF_EVENT.get(str(code))
    if code == "evidence-element" and args.get("reason") in _EXCURSIONS:
        kind = "excursion-released"
    if kind is not None and args.get("task"):
        yield kind, str(args["task"]), [*args["seqs"], record.seq]


def _of_gap(record: Record, view: View) -> Iterator[Found]:
    body = record.body
    limit_ns = view.settings.triggers.offline * SECOND_NS
    if body["cause"] == "service-state" or body["to_run_ns"] - body["from_run_ns"] <= limit_ns:
        return  # announced by the laboratory, with a reason on record; or too short for any task
    for task in view.state.tasks.values():
        if not any(facts.instrument == body["instrument"] for facts in task.channels):
            continue
        end_ns = body["to_run_ns"] if task.end_run_ns is None else min(body["to_run_ns"], task.end_run_ns)
        inside_ns = end_ns - max(body["from_run_ns"], task.start.at_run_ns)
        if inside_ns > limit_ns:
            yield "offline", task.id, [record.seq]


def _is_new(found: Found, view: View) -> bool:
    kind, task, _seqs = found
    recorded = view.state.triggers.recorded
    known = recorded.setdefault(task, TaskTriggers())
    if kind in known.seqs:
        return False
    known.seqs[kind] = -1
    while len(recorded) > TASKS_MAX:
        del recorded[next(iter(recorded))]
    return True


def _remember(record: Record, view: View) -> None:
    """Keep the seq of a trigger's own record."""
    code, args = record.body.get("code"), record.body.get("args") or {}
    if code == "trigger":
        known = view.state.triggers.recorded.setdefault(str(args["task"]), TaskTriggers())
        known.seqs[str(args["trigger"])] = record.seq
        known.margin_s = float(args["margin_s"])


def _draft(found: Found, view: View) -> Draft:
    kind, task, seqs = found
    body = event_body(
        "trigger",
        trigger=kind,
        task=task,
        seqs=sorted(set(seqs))[-16:],
        margin_s=view.settings.triggers.margin,
    )
    return Draft("event", body)
