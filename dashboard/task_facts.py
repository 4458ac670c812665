"""What a task's verdicts and results rest on: steps found, formula and budget, then and now."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dashboard.tasks import fold_tasks
from dashboard.verdicts import verdict_shown
from pipeline.elements.vocabulary import ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dashboard.language import Messages
    from dashboard.sessions import Role
    from dashboard.tasks import Required, TaskView
    from pipeline.elements.shapes import Result
    from pipeline.store.door import LedgerRow

Json = dict[str, Any]
SECOND_NS = 1_000_000_000


def step_rows(task: TaskView, role: Role) -> list[Json]:
    """List the method's steps as found, in its order; extremes are readings and so for the laboratory.

    Empty where the method has no steps, or the verdict in force was made before any was looked for.
    """
    posted = task.verdicts.get("method")
    found: Mapping[str, Any] = posted[-1].verdict.facts.get("steps") or {} if posted else {}
    return [_step(task, name, facts, role) for name, facts in found.items()]


def _step(task: TaskView, name: str, facts: Mapping[str, Any], role: Role) -> Json:
    seqs = [facts[key] for key in ("start_seq", "end_seq") if facts.get(key, -1) >= 0]
    extremes = [facts.get("minimum"), facts.get("maximum")]
    spans = [facts.get("shortest_ns"), facts.get("longest_ns")]
    ends = [facts.get("start_run_ns"), facts.get("end_run_ns")]
    return {
        "name": name,
        "passes": facts.get("passes", 0),
        "marked": bool(facts.get("marked")),
        "from_utc_ns": None if ends[0] is None else task.utc_at(ends[0]),
        "to_utc_ns": None if ends[1] is None else task.utc_at(ends[1]),
        "seconds": [None if span is None else f"{span / SECOND_NS:.1f}" for span in spans],
        "extremes": extremes if role == "lab" else [None, None],
        "hidden": role != "lab",
        "left": facts.get("left", 0),
        "pauses": facts.get("pauses", 0),
        "seqs": sorted(set(seqs)),
    }


def budget_rows(result: Result) -> list[Json]:
    """List the parts of a result's uncertainty: sensitivity c, contribution c u(x), share of the variance.

    Shares are of the sum of squares; between correlated inputs they are shares without the covariances.
    """
    parts = result.facts.get("budget") or []
    total = math.fsum(float(part["u"]) ** 2 for part in parts)
    return [
        {
            "input": part["input"],
            "sensitivity": f"{part['sensitivity']:.6g}",
            "effect": f"{part['u']:.4g}",
            "share": "–" if total <= 0 else f"{100 * float(part['u']) ** 2 / total:.0f} %",
        }
        for part in parts
    ]


def calculation_rows(task: TaskView, role: Role) -> list[Json]:
    """Show how each result with a declared formula came about; only to the laboratory."""
    if role != "lab":
        return []
    return [
        {
            "seq": seq,
            "quantity": result.quantity,
            "unit": result.unit,
            "formula": result.facts["formula"],
            "inputs": [
                (name, f"{value!r}" if isinstance(value, float) else str(value))
                for name, value in (result.facts.get("inputs") or {}).items()
            ],
            "budget": budget_rows(result),
        }
        for seq, result in task.results
        if result.facts.get("formula")
    ]


def known_then(
    rows: Iterable[LedgerRow], task: TaskView, known_at: int, required: Required
) -> TaskView | None:  # fmt: skip
    """Fold a task from what was known when a record was written; None when it was not on record yet."""
    earlier = [row for row in rows if row.journal.hex() == task.journal and row.seq <= known_at]
    return fold_tasks(earlier, required).get(task.id)


def then_and_now(
    then: TaskView | None, task: TaskView, known_at: int, *,
    text: Messages, names: Mapping[str, str], role: Role,
) -> Json:  # fmt: skip
    """Set the verdicts as they were known at a record beside those in force.

    Args:
        then: the task as known then.
        task: the task as known now.
        known_at: number of the last record that was known then.
        text: the reader's language.
        names: names behind opaque ids.
        role: who reads.
    """
    shown = {}
    for when, view in (("then", then), ("now", task)):
        posted = {} if view is None else view.in_force()
        shown[when] = {name: verdict_shown(one, text, names, role) for name, one in posted.items()}
    return {
        "known_at": known_at,
        "known": then is not None,
        "then_overall": None if then is None else then.overall,
        "now_overall": task.overall,
        "elements": [
            {
                "element": name,
                "then": shown["then"].get(name),
                "now": shown["now"].get(name),
                "differs": _status(shown["then"].get(name)) != _status(shown["now"].get(name)),
            }
            for name in ELEMENTS
        ],
    }


def _status(verdict: Json | None) -> tuple[str, str]:
    return ("", "") if verdict is None else (verdict["status"], verdict["finality"])
