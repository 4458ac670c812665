"""Events as people read them, in both languages."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any

from dashboard.language import messages
from dashboard.subjects import may_see, subject_text
from dashboard.verdicts import visible
from pipeline.elements.refusal import REFUSALS
from pipeline.elements.risk.state import LEVEL_TEXTS
from pipeline.elements.texts import fill, render_reason, say
from pipeline.elements.triggers.vocabulary import TRIGGER_TEXTS
from pipeline.qc.table import BY_NAME
from pipeline.records.events import render_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dashboard.language import Messages
    from dashboard.sessions import Role
    from pipeline.records.events import Language
    from pipeline.store.door import LedgerRow

FLAGS = {"suspect": ("suspect", "可疑"), "fail": ("fail", "失败")}
"""Flags that an onset tells of (en, zh)."""
WITH_INSTRUMENT_TEXT = frozenset({"device-message"})
"""Events that carry an instrument's own words, which may hold a reading: not for regulators."""
OF_THE_ACTOR = frozenset({"own-task", "not-signatory"})
"""Refusals that speak of the person who gave the command; `person` of the others is somebody else."""


def event_rows(
    rows: Iterable[LedgerRow], role: Role, text: Messages, names: Mapping[str, str]
) -> list[dict[str, Any]]:  # fmt: skip
    """List events in the order given, each with its text in the reader's language and in the other one."""
    other: Language = "zh" if text.language == "en" else "en"
    return [
        {
            "seq": row.seq,
            "t_ms": row.t_utc_ns / 1e6,
            "t_utc_ns": str(row.t_utc_ns),
            "severity": row.body.get("severity", "info"),
            "severity_text": text.word("severity", row.body.get("severity", "info")),
            "instrument": row.body.get("instrument") or "",
            "text": _rendered(row.body, names, text.language, role),
            "other": _rendered(row.body, names, other, role),
            "other_language": other,
        }
        for row in rows
        if _is_open(row.body, role)
    ]


def _is_open(body: Mapping[str, Any], role: Role) -> bool:
    """Tell whether a role is shown an event."""
    if role == "lab":
        return True
    if body.get("code") == "risk-level":
        return may_see(str(body["args"]["subject"]), role)
    return body.get("code") not in WITH_INSTRUMENT_TEXT


def event_texts(
    body: dict[str, Any], role: Role, text: Messages, names: Mapping[str, str]
) -> tuple[str, str]:  # fmt: skip
    """Write an event out in the reader's language and in the other one; a closed one shows its code only."""
    if not _is_open(body, role):
        return str(body.get("code")), ""
    other: Language = "zh" if text.language == "en" else "en"
    return _rendered(body, names, text.language, role), _rendered(body, names, other, role)


def _rendered(body: dict[str, Any], names: Mapping[str, str], language: Language, role: Role) -> str:
    """Write an event out; what it says in codes of elements and rules is put into words first."""
    named = _named(body, names)
    args = dict(named["args"])
    if body.get("code") == "element-held" and isinstance(args.get("details"), dict):
        details = visible(args["details"], role, language)
        args["reason"] = render_reason(args["reason"], args["subject"], details, language)
        args["element"] = say("element", args["element"], language)
    elif body.get("code") == "qc-onset" and args.get("rule") in BY_NAME:
        args["rule"] = BY_NAME[args["rule"]].title[0 if language == "en" else 1]
        args["flag"] = FLAGS.get(args["flag"], (args["flag"],) * 2)[0 if language == "en" else 1]
    elif body.get("code") == "trigger" and args.get("trigger") in TRIGGER_TEXTS:
        args["trigger"] = TRIGGER_TEXTS[args["trigger"]][0 if language == "en" else 1]
    elif body.get("code") == "risk-level":
        for name in ("before", "level"):
            args[name] = LEVEL_TEXTS.get(args[name], (args[name],) * 2)[0 if language == "en" else 1]
        args["index"] = f"{args['index']:.1f}"
        args["subject"] = subject_text(args["subject"], messages(language), names)
    elif body.get("code") == "lookback-opened":
        args["cause"] = say("cause", args["cause"], language)
    elif body.get("code") == "evidence-element":
        args["element"] = say("element", args["element"], language)
    elif body.get("code") == "command-refused":
        args["reason"] = _refusal(str(args.get("reason", "")), args, language)
    return render_event({**named, "args": args}, language)


def _refusal(code: str, args: Mapping[str, Any], language: Language) -> str:
    """Say why a command was refused. The event keeps little of the command: what it lacks shows as `…`."""
    texts = REFUSALS.get(code)
    if texts is None:
        words = messages(language).table("door").get(code.replace("-", "_"), code.replace("-", " "))
        return words.rstrip(".。")
    template = texts.en if language == "en" else texts.zh
    known = {"command": args.get("command")}
    if code in OF_THE_ACTOR:
        known["person"] = args.get("person")
    lacking = {name for _, name, _, _ in Formatter().parse(template) if name} - known.keys()
    return fill(template, {**known, **dict.fromkeys(lacking, "…")})


def _named(body: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    args = {
        key: names.get(value, value) if isinstance(value, str) else value
        for key, value in body.get("args", {}).items()
    }
    return {**body, "args": args}
