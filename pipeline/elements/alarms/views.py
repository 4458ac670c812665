"""What pages, commands and receivers outside are shown of alarms: plain maps that go straight to JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.alarms.texts import FLOOD, STEPS
from pipeline.elements.codec import to_body
from pipeline.records.events import render_event

if TYPE_CHECKING:
    from pipeline.elements.alarms.state import AlarmState
    from pipeline.elements.state import State

_RANK = {"alarm": 0, "warning": 1, "info": 2}
SUMMARY_MAX = 100
"""Open alarms told one by one in a summary; of the others the number."""


def alarms(state: State, *, closed: bool = True) -> list[dict[str, Any]]:
    """List the alarms: open before closed, the worst first, then the newest."""
    known = [one for one in state.alarms.items.values() if closed or one.is_open]
    return [brief(one) for one in sorted(known, key=_order)]


def _order(one: AlarmState) -> tuple[Any, ...]:
    return not one.is_open, bool(one.suppressed), -one.level, _RANK[one.severity], -one.last_seq


def brief(one: AlarmState) -> dict[str, Any]:
    """Show an alarm in brief, with its text in both languages."""
    return {
        "alarm": one.id,
        "code": one.code,
        "severity": one.severity,
        "step": one.step,
        "open": one.is_open,
        "level": one.level,
        "late": one.late,
        "suppressed": one.suppressed,
        "ended": one.ended_seq is not None,
        "instrument": one.instrument,
        "count": one.count,
        "flood": one.flood,
        "first_utc_ns": one.first_utc_ns,
        "last_utc_ns": one.last_utc_ns,
        "first_seq": one.first_seq,
        "last_seq": one.last_seq,
        "notice": one.notice,
        "en": (FLOOD[0] if one.flood else "") + render_event(one.body, "en"),
        "zh": (FLOOD[1] if one.flood else "") + render_event(one.body, "zh"),
        "step_en": STEPS[one.step][0],
        "step_zh": STEPS[one.step][1],
    }


def alarm(state: State, name: str) -> dict[str, Any] | None:
    """Show one alarm with its evidence and all that people did about it."""
    one = state.alarms.items.get(name)
    if one is None:
        return None
    return {
        **brief(one),
        "seq": one.seq,
        "group": one.group,
        "seqs": list(one.seqs),
        "ended_seq": one.ended_seq,
        "deeds": to_body(one.deeds),
        "told": one.told,
        "refused": one.refused,
    }


def summary(state: State) -> dict[str, Any]:
    """Sum up the open alarms for whoever comes to listen: bounded, whatever happens."""
    shown = [one for one in alarms(state, closed=False) if not one["suppressed"]]
    return {
        "open": len(shown),
        "suppressed": sum(one.is_open and bool(one.suppressed) for one in state.alarms.items.values()),
        "alarms": shown[:SUMMARY_MAX],
        "more": max(0, len(shown) - SUMMARY_MAX),
        "through_seq": state.alarms.changed_seq,
    }


def owed(state: State, severities: frozenset[str]) -> list[tuple[str, int, int]]:
    """List the alarms whose last notice the webhook has not taken: (id, notice, last record), oldest first.

    A receiver that was away for a week gets the present state of each alarm, not a week of changes.
    """
    return [
        (one.id, one.notice, max(one.first_seq, one.seq or 0, *(done.seq for done in one.deeds), 0))
        for one in state.alarms.items.values()
        if one.notice > one.told and one.severity in severities
    ]
