"""What pages and commands show of the elements: plain maps that go straight to JSON."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pipeline.elements.checks.finding import Finding
from pipeline.elements.codec import to_body
from pipeline.elements.formulas.display import shown_value
from pipeline.elements.lookback.check import add_look_back
from pipeline.elements.signing import signing_hash
from pipeline.elements.texts import render_reason
from pipeline.elements.vocabulary import ELEMENTS, STATUS_RANK

if TYPE_CHECKING:
    from pipeline.elements.engine import Fold
    from pipeline.elements.registry import Version
    from pipeline.elements.shapes import Reason
    from pipeline.elements.state import Posted, TaskState
    from pipeline.elements.vocabulary import RegistryType, TaskPhase


def tasks(fold: Fold, limit: int, phase: TaskPhase | None) -> list[dict[str, Any]]:
    """List the newest tasks first."""
    newest = reversed(list(fold.state.tasks.values()))
    return [_brief(task) for task in newest if phase is None or task.phase == phase][:limit]


def brief(fold: Fold, task_id: str) -> dict[str, Any] | None:
    """Show one task in brief."""
    known = fold.state.tasks.get(task_id)
    return None if known is None else _brief(known)


def started_after(fold: Fold, seq: int) -> list[dict[str, Any]]:
    """List the tasks whose start is a later record, newest first."""
    newest = takewhile(lambda known: known.start_seq > seq, reversed(list(fold.state.tasks.values())))
    return [_brief(known) for known in newest]


_TYPES_OF_ARGUMENTS: dict[str, RegistryType] = {
    "sample": "material", "material": "material", "reference": "material", "method": "method",
    "operator": "person", "equipment": "equipment", "environment": "environment",
}  # fmt: skip


def on_file(fold: Fold, args: dict[str, Any]) -> dict[str, str]:
    """Keep of a command's arguments the ids that are known here."""
    found = {
        name: value
        for name, entry_type in _TYPES_OF_ARGUMENTS.items()
        if isinstance(value := args.get(name), str) and fold.registry.knows(entry_type, value)
    }
    task, instruments = args.get("task"), args.get("instruments") or [args.get("instrument")]
    if isinstance(task, str) and task in fold.state.tasks:
        found["task"] = task
    known = [name for name in instruments if name in fold.state.instruments] if _plain(instruments) else []
    return {**found, "instrument": ", ".join(known)} if known else found


def _plain(values: Any) -> bool:
    return isinstance(values, list) and len(values) <= 100 and all(isinstance(one, str) for one in values)


def _brief(task: TaskState) -> dict[str, Any]:
    start = task.start
    return {
        "task": task.id,
        "purpose": start.purpose,
        "sample": start.sample,
        "item": start.item,
        "clause": start.clause,
        "method": start.method,
        "edition": start.edition,
        "instruments": list(start.instruments),
        "batch": start.batch,
        "attempt": start.attempt,
        "operators": [binding.target for binding in task.bound("operator")],
        "phase": task.phase,
        "overall": task.overall(),
        "final": task.final,
        "held": list(task.held),
        "started_utc_ns": start.at_utc_ns,
        "ended_utc_ns": task.end_utc_ns,
        "abort_reason": task.abort_reason,
        "elements": {
            element: task.verdicts[element].verdict.status for element in ELEMENTS if element in task.verdicts
        },
    }


def task(fold: Fold, task_id: str) -> dict[str, Any] | None:
    """Show one task with its verdicts, results, reviews and the hash that a signatory signs."""
    known = fold.state.tasks.get(task_id)
    return None if known is None else show_task(known)


def show_task(known: TaskState) -> dict[str, Any]:
    """Show a task in full, whoever remembers it: the fold, or its records."""
    return {
        **_brief(known),
        "start_seq": known.start_seq,
        "end_seq": known.end_seq,
        "bindings": to_body(known.bindings),
        "amendments": [
            {
                "was": dict(one.was),
                "reason": one.reason,
                "person": one.actor.person,
                "at_utc_ns": one.actor.signed_at_ns,
            }
            for one in known.amendments
        ],
        "links": [{"system": link.system, "external_id": link.external_id} for link in known.links],
        "entries": [
            {"seq": each.seq, "replaced_by": each.replaced_by, **to_body(each.entry)}
            for each in known.entries
        ],
        "gaps": to_body(known.gaps),
        "verdicts": [_verdict(known.verdicts[name]) for name in ELEMENTS if name in known.verdicts],
        "results": [
            {"seq": seq, "shown": shown_value(result), **to_body(result)}
            for result, seq in zip(known.results, _padded(known.result_seqs, len(known.results)), strict=True)
        ],
        "reviews": [
            {"seq": seq, **to_body(review)}
            for review, seq in zip(known.reviews, known.review_seqs, strict=True)
        ],
        "to_sign": signing_hash(known),
    }


def _padded(seqs: list[int], count: int) -> list[int | None]:
    """Seqs of results, None for one whose record is about to be appended."""
    return [*seqs[:count], *[None] * (count - len(seqs))]


def _verdict(posted: Posted) -> dict[str, Any]:
    verdict = posted.verdict
    body: dict[str, Any] = to_body(verdict)
    return {
        **body,
        "seq": posted.seq,
        "reasons": [_reason(reason) for reason in verdict.reasons],
        "seqs": sorted({seq for reason in verdict.reasons for seq in reason.seqs}),
    }


def _reason(reason: Reason) -> dict[str, Any]:
    body: dict[str, Any] = to_body(reason)
    return {
        **body,
        "en": render_reason(reason.code, reason.subject, reason.args, "en"),
        "zh": render_reason(reason.code, reason.subject, reason.args, "zh"),
    }


def holds(fold: Fold) -> list[dict[str, Any]]:
    """List what waits for a disposition, with the reasons of the held elements."""
    waiting = [known for known in fold.state.tasks.values() if known.held and known.phase != "aborted"]
    return [
        {
            **_brief(known),
            "reasons": [
                {"element": element, **_reason(reason)}
                for element in known.held
                for reason in known.verdicts[element].verdict.reasons
            ],
            "to_sign": signing_hash(known),
        }
        for known in waiting
    ]


def reasons_of_older(fold: Fold, task_id: str) -> list[dict[str, Any]]:
    """Say which look-backs hold a task that is not in memory; its other reasons are with its verdicts."""
    shown = []
    for known in fold.state.lookbacks.items.values():
        if task_id in known.parked:
            finding = Finding()
            add_look_back(known, finding)
            shown += [{"element": known.opened.element, **_reason(reason)} for reason in finding.reasons]
    return shown


def registry(
    fold: Fold, entry_type: RegistryType, known_at_seq: int | None, at_utc_ns: int | None,
    only: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """List, for every entry or for one, the version that counts."""
    listed = []
    for entry_id in fold.registry.ids(entry_type) if only is None else (only,):
        version = _counting(fold.registry.history(entry_type, entry_id), known_at_seq, at_utc_ns)
        if version is not None:
            record = version.record
            listed.append({
                "id": record.id,
                "seq": version.seq,
                "valid_from_ns": record.valid_from_ns,
                "valid_to_ns": record.valid_to_ns,
                "recorded_at_ns": record.recorded_at_ns,
                "by": {name: record.actor.get(name) for name in ("person", "how", "reason")},
                "data": to_body(version.data),
            })  # fmt: skip
    return listed


def _counting(history: list[Version], known_at_seq: int | None, at_utc_ns: int | None) -> Version | None:
    for version in reversed(history):
        known = known_at_seq is None or version.seq <= known_at_seq
        if known and (at_utc_ns is None or version.covers(at_utc_ns)):
            return version
    return None


def instrument_states(fold: Fold) -> dict[str, dict[str, Any]]:
    """Show what is known of each instrument now, with the running tasks that use it."""
    shown = {}
    for name, known in sorted(fold.state.instruments.items()):
        last = known.checks[-1] if known.checks else None
        shown[name] = {
            "service": known.service,
            "service_reason": known.service_reason,
            "service_seq": known.service_seq,
            "serial": None if known.identity is None else known.identity.value,
            "return_check_due": known.return_check_due,
            "last_check": None if last is None else to_body(last),
            "tasks": [
                task.id
                for task in fold.state.tasks.values()
                if task.phase == "running" and name in task.start.instruments
            ],
        }
    return shown


def element_status(fold: Fold) -> dict[str, dict[str, Any]]:
    """Show the worst open status of each element; None where no open task has a verdict on it."""
    shown: dict[str, dict[str, Any]] = {
        element: {"status": None, "tasks": 0, "reasons": []} for element in ELEMENTS
    }
    for known in fold.state.tasks.values():
        if known.phase == "aborted" or (known.final and not known.held):
            continue
        for element, posted in known.verdicts.items():
            _add_open(shown[element], known, posted)
    return shown


def _add_open(shown: dict[str, Any], known: TaskState, posted: Posted) -> None:
    status = posted.verdict.status
    shown["tasks"] += 1
    if shown["status"] is None or STATUS_RANK[status] > STATUS_RANK[shown["status"]]:
        shown["status"] = status
    shown["reasons"] += [{"task": known.id, **_reason(reason)} for reason in posted.verdict.reasons]
