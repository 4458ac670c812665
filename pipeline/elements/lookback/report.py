"""The impact report of a look-back: as plain maps, and as text in either language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.codec import to_body
from pipeline.elements.lookback.texts import CAUSES, REPORT
from pipeline.elements.texts import fill, say

if TYPE_CHECKING:
    from pipeline.elements.lookback.shapes import Affected
    from pipeline.elements.lookback.state import LookBackState
    from pipeline.elements.state import State
    from pipeline.elements.vocabulary import Overall
    from pipeline.records.events import Language

_RELEASED = frozenset(
    {"released", "released-with-limitation", "amended", "clear", "released-under-look-back"}
)
"""What had left the laboratory, or could have, when the look-back found it."""


def waiting(known: LookBackState, state: State) -> list[str]:
    """List the affected tasks that still wait for a person's disposition."""
    here = [
        one.task
        for one in known.affected
        if one.moved and (task := state.tasks.get(one.task)) is not None and (task.held or not task.final)
    ]
    name, described = known.opened.lookback, {one.task for one in known.affected}
    further = [
        task
        for task, names in state.lookbacks.of_task.items()
        if name in names and task not in described and state.tasks[task].held
    ]
    return [*here, *further, *known.parked]


def look_backs(state: State) -> list[dict[str, Any]]:
    """List the look-backs, open ones first, then the newest."""
    known = sorted(
        state.lookbacks.items.values(), key=lambda one: (one.closed is not None, -one.opened.cause_seq)
    )
    return [_brief(one, state) for one in known]


def _brief(known: LookBackState, state: State) -> dict[str, Any]:
    opened = known.opened
    return {
        "lookback": opened.lookback,
        "cause": opened.cause,
        "subject": opened.subject,
        "method": opened.method,
        "failed": opened.failed,
        "open": known.closed is None,
        "affected": len(known.affected) + known.further,
        "further": known.further,
        "released": sum(one.overall in _RELEASED for one in known.affected),
        "waiting": len(waiting(known, state)),
        "reached": known.reached,
        "beyond": known.beyond,
        "from_utc_ns": opened.from_utc_ns,
        "to_utc_ns": opened.to_utc_ns,
        "seq": known.seq,
    }


def look_back_report(state: State, name: str) -> dict[str, Any] | None:
    """Show a look-back in full, with the report as text in both languages."""
    known = state.lookbacks.items.get(name)
    if known is None:
        return None
    body: dict[str, Any] = to_body(known.opened)
    tasks = [{**to_body(one), "now": _now(known, state, one)} for one in known.affected]
    closed = None if known.closed is None else {
        "seq": known.close_seq, "person": known.closed.actor.person, "conclusion": known.closed.conclusion,
        "closed_utc_ns": known.closed_utc_ns,
    }  # fmt: skip
    shown = {**body, **_brief(known, state), "affected": tasks, "closed": closed}
    return {**shown, "en": report_text(shown, "en"), "zh": report_text(shown, "zh")}


def _now(known: LookBackState, state: State, one: Affected) -> Overall:
    task = state.tasks.get(one.task)
    return known.left.get(one.task, one.overall) if task is None else task.overall()


def report_text(shown: dict[str, Any], language: Language) -> str:
    """Write a report out for people."""
    column = 0 if language == "en" else 1

    def line(name: str, **more: object) -> str:
        return fill(REPORT[name][column], {**shown, **more})

    counts = {"affected": len(shown["affected"]) + shown["further"], "open": shown["waiting"]}
    lines = [
        line("title"),
        line("cause", cause=CAUSES[shown["cause"]][column]),
        line("no-last-good" if shown["from_utc_ns"] is None else "last-good"),
        line("span"),
        line("count" if shown["affected"] else "none", **counts),
    ]
    if not shown["reached"]:
        lines.append(line("collecting"))
    if shown["beyond"]:
        lines.append(line("beyond"))
    if shown["further"]:
        lines.append(line("further"))
    for one in shown["affected"]:
        lines.append(_task_line(one, language))
        if one["links"]:
            ids = ", ".join(f"{system} {external}" for system, external in one["links"])
            lines.append(line("links", links=ids))
    if shown["closed"] is not None:
        lines.append(line("closed", **shown["closed"]))
    return "\n".join(lines)


def _task_line(one: dict[str, Any], language: Language) -> str:
    results = "; ".join(f"{each['quantity']} {each['value']} {each['unit']}" for each in one["results"])
    words = {
        "before": say("overall", one["overall"], language), "now": say("overall", one["now"], language),
        "results": results,
    }  # fmt: skip
    return fill(REPORT["task"][0 if language == "en" else 1], {**one, **words})
