"""The operational risk index with all that it consists of, and the official class and table as imported."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from dashboard import language as lang
from dashboard.behind import read_view
from dashboard.context import refusal_page, render
from dashboard.subjects import may_see, subject_text
from pipeline.elements.risk.state import LEVEL_TEXTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.language import Messages
    from dashboard.sessions import Viewer

Json = dict[str, Any]
LEVEL_MARKS = {"ordinary": "info", "attention": "attention", "action": "alarm"}
"""Level to the mark that it is shown with."""


def risk_row(one: Json, text: Messages, names: Mapping[str, str]) -> Json:
    """Show a subject: its index with one decimal, its level in words, whether there is enough work."""
    return {
        **one,
        "title": subject_text(one["subject"], text, names),
        "index_text": f"{one['index']:.1f}",
        # Not rounded up: what is a little less than enough must not look like enough.
        "work_text": f"{math.floor(one['work'] * 100) / 100:.2f}",
        "mark": LEVEL_MARKS.get(one["level"], "unknown"),
        "level_text": LEVEL_TEXTS.get(one["level"], (one["level"],) * 2)[0 if text.language == "en" else 1],
    }


async def risk(context: Context, request: Request, viewer: Viewer) -> Response:
    """Show every subject, those that want most attention first, and what was imported."""
    answer = await read_view(context, "risk")
    text, names = lang.messages(lang.language_of(request)), await context.sessions.names(viewer)
    content: Json = answer.content or {"subjects": [], "credit_class": None, "spot_checks": None}
    rows = [risk_row(one, text, names) for one in content["subjects"] if may_see(one["subject"], viewer.role)]
    as_of = content.get("as_of_utc_ns")
    return render(context, request, viewer, "risk.html", await context.watcher.view(), {
        "as_of": lang.time_text(as_of) if as_of else "",
        "risk": content, "subjects": rows, "problem": answer.problem, "names": names,
    }, kept=answer)  # fmt: skip


async def subject(context: Context, request: Request, viewer: Viewer) -> Response:
    """Show one index, event by event: the points add up to it."""
    name = request.path_params["subject"]
    if not may_see(name, viewer.role):
        return refusal_page(context, request, viewer, "refused.lab_only", HTTPStatus.FORBIDDEN)
    answer = await read_view(context, "risk", subject=name)
    if answer.problem:
        status = HTTPStatus.NOT_FOUND if answer.problem == "quality.not_found" else HTTPStatus.OK
        return refusal_page(context, request, viewer, answer.problem, status)
    text, names = lang.messages(lang.language_of(request)), await context.sessions.names(viewer)
    return render(context, request, viewer, "subject.html", await context.watcher.view(), {
        "as_of": lang.time_text(answer.content["as_of_utc_ns"]),
        "subject": risk_row(answer.content, text, names),
        "groups": by_code(answer.content["contributions"], answer.content["index"], text),
        "parts": [
            {**part, "title": text.word("risk_code", part["code"])}
            for part in answer.content["contributions"]
        ],
    }, kept=answer)  # fmt: skip


def by_code(parts: list[Json], index: float, text: Messages) -> list[Json]:
    """Sum the parts of an index up by what counts, the largest first."""
    groups: dict[str, list[Json]] = {}
    for part in parts:
        groups.setdefault(part["code"], []).append(part)
    rows = [
        {
            "code": code,
            "title": text.word("risk_code", code),
            "points": math.fsum(part["points"] for part in group),
            "count": sum(part["count"] for part in group),
            "seqs": [min(part["seq_first"] for part in group), max(part["seq_last"] for part in group)],
        }
        for code, group in groups.items()
    ]
    rows.sort(key=lambda row: -row["points"])
    return [{**row, "share": share_of(row["points"], index)} for row in rows]


def share_of(points: float, index: float) -> str:
    """Write the share of an index that points make up."""
    return "–" if index <= 0 else f"{100 * points / index:.0f} %"
