"""Quality control of batches, control charts in units of s, and look-backs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from dashboard import language as lang
from dashboard.behind import read_view
from dashboard.context import json_response, refusal_page, render
from dashboard.language import value_text
from dashboard.signed import signing
from pipeline.elements.lookback.texts import CAUSES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.sessions import Role, Viewer
    from dashboard.signed import Refusal

Json = dict[str, Any]
POINT_MARKS = {"pass": "pass", "warn": "suspect", "fail": "fail", "not-evaluated": "not_evaluated"}
"""Status of a control to the mark that it is shown with."""
FIGURES_DECIMALS = 4


async def batches(context: Context, request: Request, viewer: Viewer) -> Response:
    """List the batches with what of quality control is due."""
    view = await context.watcher.view()
    listed, due = await read_view(context, "batches"), await read_view(context, "qc-due")
    names = await context.sessions.names(viewer)
    return render(context, request, viewer, "batches.html", view, {
        "batches": listed.content or [], "due": due.content or [], "problem": listed.problem or due.problem,
        "names": names,
    }, kept=listed)  # fmt: skip


async def batch(
    context: Context, request: Request, viewer: Viewer, refusal: Refusal | None = None
) -> Response:
    """Show one batch: its tasks by place, its controls, and what its plan still asks for."""
    answer = await read_view(context, "batches", request.path_params["batch"])
    if answer.problem:
        return _problem(context, request, viewer, answer.problem)
    one: Json = answer.content
    members = [member_row(member, viewer.role) for member in one["members"]]
    return render(context, request, viewer, "batch.html", await context.watcher.view(), {
        "batch": one, "members": members, "names": await context.sessions.names(viewer),
        "signing": signing(request, refusal),
    }, kept=answer)  # fmt: skip


def member_row(member: Json, role: Role) -> Json:
    """Show a task of a batch; figures of its controls are for the laboratory."""
    outcomes = [
        {
            "quantity": one["quantity"],
            "status": one["status"],
            "mark": POINT_MARKS.get(one["status"], "not_evaluated"),
            "figure": figure_text(one, role),
            "rules": [f"{fired['rule']} {fired['scope']}" for fired in one.get("rules", ())],
            "why": one.get("why", ""),
            "seq": one["seq"],
        }
        for one in member["outcomes"]
    ]
    empty = {"place": None, "role": "", "sample": None, "phase": "", "overall": ""}
    return {**empty, **member, "outcomes": outcomes}


def figure_text(outcome: Json, role: Role) -> str:
    """Write what was judged and its limits; nothing for a regulator or where there is no figure."""
    if role != "lab" or outcome.get("figure") is None:
        return ""
    said = value_text(outcome["figure"], FIGURES_DECIMALS) or ""
    limits = [None if outcome.get(key) is None else f"{outcome[key]:g}" for key in ("low", "high")]
    if limits == [None, None]:
        return said
    return f"{said} [{limits[0] or '…'}, {limits[1] or '…'}]"


async def charts(context: Context, request: Request, viewer: Viewer) -> Response:
    """List the control charts with how they stand."""
    answer = await read_view(context, "charts")
    rows = [
        {**one, "mark": POINT_MARKS.get(one["last_status"] or "", "none")} for one in answer.content or []
    ]
    return render(context, request, viewer, "charts.html", await context.watcher.view(), {
        "charts": rows, "problem": answer.problem,
    }, kept=answer)  # fmt: skip


async def chart(
    context: Context, request: Request, viewer: Viewer, refusal: Refusal | None = None
) -> Response:
    """Show one control chart with its table."""
    answer = await read_view(context, "charts", request.path_params["chart"])
    if answer.problem:
        return _problem(context, request, viewer, answer.problem)
    text = lang.messages(lang.language_of(request))
    one: Json = answer.content
    return render(context, request, viewer, "chart.html", await context.watcher.view(), {
        "chart": one,
        "points": list(reversed([point_row(n, p, text.language) for n, p in enumerate(one["points"], 1)])),
        "names": await context.sessions.names(viewer),
        "waiting": [version for version in one["versions"] if version["approval"] is None],
        "signing": signing(request, refusal),
    }, kept=answer)  # fmt: skip


async def chart_data(context: Context, request: Request, _viewer: Viewer) -> Response:
    """The points of a chart for its drawing: place, z, mark, rules, and where lot or version changes."""
    answer = await read_view(context, "charts", request.path_params["chart"])
    text = lang.messages(lang.language_of(request))
    if answer.problem:
        status = HTTPStatus.NOT_FOUND if answer.problem == "quality.not_found" else 503
        return json_response({"ok": False, "text": text(answer.problem)}, status)
    one: Json = answer.content
    return json_response({
        "z_lines": one["z_lines"],
        "points": [point_row(n, point, text.language) for n, point in enumerate(one["points"], 1)],
        "changes": [
            {"at": change["before"] + 1, "text": _change_text(change, text)} for change in one["changes"]
        ],
    })  # fmt: skip


def _change_text(change: Json, text: lang.Messages) -> str:
    if change["version"] is None:
        return text("chart.change_lot", lot=change["lot"])
    return text("chart.change", lot=change["lot"], version=change["version"])


def point_row(number: int, point: Json, language: str) -> Json:
    """Show a point of a chart: its number on it, z, mark, and each rule by its name with its explanation."""
    return {
        "n": number,
        "z": point["z"],
        "value": value_text(point["value"], None),
        "unit": point["unit"],
        "mark": POINT_MARKS.get(point["status"], "not_evaluated"),
        "status": point["status"],
        "rules": [rule.split(" ", 1)[0] for rule in point["rules"]],
        "said": point[language],
        "lot": point["lot"],
        "version": point["version"],
        "task": point["task"],
        "batch": point["batch"],
        "t_utc_ns": point["t_utc_ns"],
        "seq": point["seq"],
    }


async def lookbacks(context: Context, request: Request, viewer: Viewer) -> Response:
    """List the look-backs, open ones first."""
    answer = await read_view(context, "lookbacks")
    return render(context, request, viewer, "lookbacks.html", await context.watcher.view(), {
        "lookbacks": answer.content or [], "problem": answer.problem, "causes": CAUSES,
    }, kept=answer)  # fmt: skip


async def lookback(
    context: Context, request: Request, viewer: Viewer, refusal: Refusal | None = None
) -> Response:
    """Show one look-back: the impact report, task by task."""
    answer = await read_view(context, "lookbacks", request.path_params["lookback"])
    if answer.problem:
        return _problem(context, request, viewer, answer.problem)
    return render(context, request, viewer, "lookback.html", await context.watcher.view(), {
        "lookback": answer.content, "causes": CAUSES, "names": await context.sessions.names(viewer),
        "signing": signing(request, refusal),
    }, kept=answer)  # fmt: skip


def _problem(context: Context, request: Request, viewer: Viewer, key: str) -> Response:
    status = HTTPStatus.NOT_FOUND if key == "quality.not_found" else HTTPStatus.OK
    return refusal_page(context, request, viewer, key, status)
