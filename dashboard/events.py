"""Events as people read them, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.records.events import render_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dashboard.language import Messages
    from dashboard.sessions import Role
    from pipeline.records.events import Language
    from pipeline.store.door import LedgerRow

WITH_INSTRUMENT_TEXT = frozenset({"device-message"})
"""Events that carry an instrument's own words, which may hold a reading: not for regulators."""


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
            "text": render_event(_named(row.body, names), text.language),
            "other": render_event(_named(row.body, names), other),
            "other_language": other,
        }
        for row in rows
        if role == "lab" or row.body.get("code") not in WITH_INSTRUMENT_TEXT
    ]


def _named(body: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    args = {
        key: names.get(value, value) if isinstance(value, str) else value
        for key, value in body.get("args", {}).items()
    }
    return {**body, "args": args}
