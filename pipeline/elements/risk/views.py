"""What pages and commands show of the risk index: plain maps that go straight to JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.elements.codec import to_body
from pipeline.elements.risk.index import LAB, explain, work_now
from pipeline.elements.risk.state import RiskSubject

if TYPE_CHECKING:
    from pipeline.elements.risk.settings import RiskSettings
    from pipeline.elements.risk.state import RiskState, SpotCheckTable

_RANK = {"action": 0, "attention": 1, "ordinary": 2}


def overview(state: RiskState, settings: RiskSettings) -> dict[str, Any]:
    """Show every subject, those that want most attention first, with the imported class and table."""
    rows = [_brief(state, name, settings) for name in {LAB, *state.subjects}]
    rows.sort(key=lambda row: (_RANK[row["level"]], -row["index"], row["subject"]))
    newest = state.classes[-1] if state.classes else None
    return {
        "as_of_utc_ns": state.now_utc_ns,
        "unit": "weighted events in 100 tasks",
        "attention_from": settings.attention_from,
        "action_from": settings.action_from,
        "half_life_days": settings.half_life_days,
        "minimum_tasks": settings.minimum_tasks,
        "subjects": rows,
        "credit_class": None if newest is None else to_body(newest),
        "credit_classes_before": to_body(state.classes[:-1]),
        "spot_checks": _spot_checks(state.spot_checks, None if newest is None else newest.credit_class),
    }


def subject(state: RiskState, name: str, settings: RiskSettings) -> dict[str, Any] | None:
    """Show one subject with all that its index consists of; None for one that was never heard of."""
    if name != LAB and name not in state.subjects:
        return None
    return {
        **_brief(state, name, settings),
        "as_of_utc_ns": state.now_utc_ns,
        "half_life_days": settings.half_life_days,
        "minimum_tasks": settings.minimum_tasks,
        "contributions": [
            {
                "code": each.code, "count": each.count, "seq_first": each.seq_first,
                "seq_last": each.seq_last, "task": each.task, "weight": each.weight,
                "age_s": each.age_s, "points": each.points,
            }
            for each in explain(state, name, settings)
        ],
    }  # fmt: skip


def _brief(state: RiskState, name: str, settings: RiskSettings) -> dict[str, Any]:
    known = state.subjects.get(name, RiskSubject())
    work = work_now(known, state.now_run_ns, settings)
    contributions = explain(state, name, settings)
    return {
        "subject": name,
        "index": math.fsum(each.points for each in contributions),
        "level": known.level,
        "level_since_utc_ns": _utc_ns(state, known.level_run_ns),
        "tasks": known.tasks,
        "work": work,
        "basis": "enough" if work >= settings.minimum_tasks else "few-tasks",
        "events": sum(each.count for each in contributions),
    }


def _utc_ns(state: RiskState, run_ns: int) -> int | None:
    """Convert an instant of gateway time by that of the last tick; None for one that was never."""
    return state.now_utc_ns - (state.now_run_ns - run_ns) if run_ns else None


def _spot_checks(table: SpotCheckTable | None, credit_class: str | None) -> dict[str, Any] | None:
    """Show the regulator's table, and the row of the official class; without a class no row applies."""
    if table is None:
        return None
    applies = next((row for row in table.rows if row.credit_class == credit_class), None)
    return {**to_body(table), "applies": None if applies is None else to_body(applies)}
