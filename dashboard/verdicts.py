"""A task's verdicts, bindings and results as the task page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard.language import value_text
from pipeline.elements.formulas.display import shown_uncertainty, shown_value
from pipeline.elements.signing import signing_hash
from pipeline.elements.state import Posted as StatePosted
from pipeline.elements.state import TaskState
from pipeline.elements.texts import render_reason
from pipeline.elements.vocabulary import ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboard.language import Messages
    from dashboard.sessions import Role
    from dashboard.tasks import Posted, TaskView
    from pipeline.elements.shapes import Reason, Result
    from pipeline.records.events import Language

Json = dict[str, Any]
_OPEN_NUMBERS = frozenset({"low", "high", "limit", "tolerance", "share", "count", "completeness_min"})
"""Arguments that are limits of the method or shares of the record, never a reading."""
_OPEN_ENDINGS = ("_s", "_ns", "_days", "_max", "_min")
"""Endings of durations, instants and limits."""


def reason_text(
    reason: Reason, language: Language, role: Role, names: Mapping[str, str] | None = None
) -> str:
    """Write a reason out for people, with names for opaque ids where the reader may know them.

    For the role regulator, what was read or computed is left out.
    """
    known = names or {}
    args = {
        key: known.get(value, value) if isinstance(value, str) else value
        for key, value in visible(reason.args, role, language).items()
    }
    return render_reason(reason.code, known.get(reason.subject, reason.subject), args, language)


def visible(args: Mapping[str, Any], role: Role, language: Language) -> Json:
    """Give the arguments of a reason that a role may see.

    A regulator sees limits, times and counts. Any other real number may be a reading, whatever its name: a
    new reason is closed until somebody lists its arguments.
    """
    if role == "lab":
        return dict(args)
    hidden = "[not shown]" if language == "en" else "[不显示]"
    return {key: hidden if _may_be_read(key, value) else value for key, value in args.items()}


def _may_be_read(key: str, value: object) -> bool:
    return isinstance(value, float) and key not in _OPEN_NUMBERS and not key.endswith(_OPEN_ENDINGS)


def signature_of(task: TaskView) -> tuple[Json, str]:
    """Return what a disposition of this task signs, and its hash as the daemon computes it."""
    in_force = task.in_force()
    state = TaskState(
        task.start, task.start_seq, task.journal,
        verdicts={element: StatePosted(posted.verdict, posted.seq) for element, posted in in_force.items()},
        result_seqs=[seq for seq, _ in task.results],
    )  # fmt: skip
    signed = {
        "task": task.id,
        "journal": task.journal,
        "verdicts": {element: posted.seq for element, posted in in_force.items()},
        "results": sorted(state.result_seqs),
    }
    return signed, signing_hash(state)


def element_cards(task: TaskView, text: Messages, names: Mapping[str, str], role: Role) -> list[Json]:
    """Show each element: the verdict in force with its evidence, and what it superseded, newest first."""
    return [
        {
            "element": element,
            "held": element in task.held,
            "in_force": verdict_shown(task.verdicts[element][-1], text, names, role)
            if element in task.verdicts
            else None,
            "history": [
                verdict_shown(posted, text, names, role)
                for posted in reversed(task.verdicts.get(element, [])[:-1])
            ],
        }
        for element in ELEMENTS
    ]


def verdict_shown(posted: Posted, text: Messages, names: Mapping[str, str], role: Role) -> Json:
    """Show a verdict with its reasons in both languages and the records that show them."""
    verdict = posted.verdict
    other: Language = "zh" if text.language == "en" else "en"
    return {
        "seq": posted.seq,
        "t_utc_ns": posted.t_utc_ns,
        "status": verdict.status,
        "finality": verdict.finality,
        "late": verdict.late,
        "cause": verdict.cause,
        "cause_seq": verdict.cause_seq,
        "reasons": [
            {
                "status": reason.status,
                "text": reason_text(reason, text.language, role, names),
                "other": reason_text(reason, other, role, names),
                "other_language": other,
                "seqs": reason.seqs,
            }
            for reason in verdict.reasons
        ],
    }


def binding_rows(task: TaskView, names: Mapping[str, str]) -> list[Json]:
    """List the bindings in order of their start: who and what took part, from when to when."""
    return [
        {
            "role": binding.role,
            "target": names.get(binding.target, binding.target),
            "from_utc_ns": task.utc_at(binding.from_run_ns),
            "to_utc_ns": None if binding.to_run_ns is None else task.utc_at(binding.to_run_ns),
            "late": binding.late,
        }
        for binding in sorted(task.bindings, key=lambda binding: (binding.role, binding.from_run_ns))
    ]


def entry_rows(task: TaskView, names: Mapping[str, str], role: Role) -> list[Json]:
    """List the readings entered by hand, corrected ones too; a regulator sees who and when, no figures."""
    return [
        {
            "seq": each.seq,
            "channel": each.entry.target,
            "text": f"{each.entry.text} {each.entry.unit}".strip() if role == "lab" else None,
            "corrected": repr(each.entry.corrected)
            if role == "lab" and each.entry.corrected is not None
            else "",
            "at_utc_ns": each.entry.at_utc_ns,
            "late": each.entry.late,
            "foreseen": each.entry.foreseen,
            "person": names.get(each.entry.actor.person, each.entry.actor.person),
            "reason": each.entry.reason if role == "lab" else "",
            "corrects": each.entry.corrects,
            "replaced_by": each.replaced_by,
            "photo": each.entry.photo_sha256 or "",
        }
        for each in task.entries
    ]


def entry_channels(task: TaskView) -> list[str]:
    """List the channels for which readings may be entered by hand: what the task measures."""
    return sorted({binding.target for binding in task.bindings if binding.role == "measurand"})


def correctable(task: TaskView, role: Role) -> list[Json]:
    """List the readings entered by hand that another may still correct."""
    return [one for one in entry_rows(task, {}, role) if one["replaced_by"] is None]


def result_rows(task: TaskView, role: Role) -> list[Json]:
    """List the results; a regulator sees that there is one, its conformity and its seqs, no value."""
    return [_result(seq, result, role) for seq, result in task.results]


def _result(seq: int, result: Result, role: Role) -> Json:
    row: Json = {
        "seq": seq,
        "quantity": result.quantity,
        "unit": result.unit,
        "conformity": result.conformity.decision if result.conformity else "",
        "rule": result.conformity.rule if result.conformity else "",
        "seqs": result.seqs,
        "algorithm": f"{result.algorithm} v{result.version}",
        "value": None,
        "uncertainty": None,
        "k": None,
    }
    if role == "lab":
        uncertainty = None if result.uncertainty is None else shown_uncertainty(result.uncertainty)
        k = None if result.k is None else value_text(result.k, None)
        row |= {"value": shown_value(result), "uncertainty": uncertainty, "k": k}
    return row
