"""Alarms: what calls for a person, and what that person does about it, step by step and signed."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dashboard import language as lang
from dashboard.behind import read_view
from dashboard.context import refusal_page, render
from dashboard.events import event_texts
from dashboard.signed import Refusal, carry_out, read_step, signing
from pipeline.elements.alarms.commands import ALLOWED
from pipeline.elements.alarms.texts import FLOOD
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.language import Messages
    from dashboard.sessions import Role, Viewer

Json = dict[str, Any]
EVENTS_READ = 2000
"""Newest events among which the first one of a listed alarm is looked for."""
STEPS = ("raised", "acknowledged", "cause", "action", "closed")
DEEDS = ("acknowledge", "cause", "action", "close")


async def _bodies(context: Context, alarms: list[Json]) -> dict[int, Json]:
    """Read the first event of each alarm from the store, by seq; those that are older are left out."""
    wanted = {int(one["first_seq"]) for one in alarms}
    watcher = context.watcher
    oldest = min(wanted, default=0)
    try:
        rows = await watcher.store.ledger(
            watcher.origin, "event", limit=EVENTS_READ, newest_first=False, seq_from=oldest
        )
    except StoreError:
        return {}
    return {row.seq: row.body for row in rows if row.seq in wanted}


def alarm_row(
    one: Json, body: Json | None, role: Role, text: Messages, names: Mapping[str, str]
) -> Json:  # fmt: skip
    """Show an alarm: its event in words of both languages, its step and its marks.

    Args:
        one: the alarm as the daemon's view shows it.
        body: its first event as stored; None: not stored any more, or not yet.
        role: a regulator is not shown the daemon's own wording, which may hold readings.
        text: the reader's language.
        names: names behind opaque ids.
    """
    if body is not None:
        said, other = event_texts(body, role, text, names)
    elif role == "lab":
        said, other = one[text.language], one["zh" if text.language == "en" else "en"]
    else:
        said, other = one["code"], ""
    flood = FLOOD[0 if text.language == "en" else 1] if one["flood"] and body is not None else ""
    return {
        **one,
        "text": flood + said,
        "other": other,
        "other_language": "zh" if text.language == "en" else "en",
        "step_text": one[f"step_{text.language}"],
        "kind": one["severity"] if one["open"] else "none",
        "url": f"/alarms/{quote(one['alarm'], safe='')}",
    }


async def alarms(context: Context, request: Request, viewer: Viewer) -> Response:
    """List the alarms, the worst first; `?show=all` with the closed ones."""
    view = await context.watcher.view()
    answer = await read_view(context, "alarms")
    text, names = lang.messages(lang.language_of(request)), await context.sessions.names(viewer)
    known: list[Json] = answer.content or []
    show = request.query_params.get("show", "")
    chosen = [one for one in known if one["open"] or show == "all"]
    bodies = await _bodies(context, chosen)
    rows = [alarm_row(one, bodies.get(one["first_seq"]), viewer.role, text, names) for one in chosen]
    return render(context, request, viewer, "alarms.html", view, {
        "alarms": rows, "problem": answer.problem, "show": show, "steps": STEPS,
        "open": sum(bool(one["open"]) for one in known),
        "by_step": [(step, sum(one["step"] == step for one in known)) for step in STEPS],
    }, kept=answer)  # fmt: skip


async def alarm(context: Context, request: Request, viewer: Viewer) -> Response:
    """Show one alarm."""
    return await _page(context, request, viewer)


async def _page(
    context: Context, request: Request, viewer: Viewer, refusal: Refusal | None = None
) -> Response:  # fmt: skip
    view = await context.watcher.view()
    answer = await read_view(context, "alarms", request.path_params["alarm"])
    if answer.problem:
        status = HTTPStatus.NOT_FOUND if answer.problem == "quality.not_found" else HTTPStatus.OK
        return refusal_page(context, request, viewer, answer.problem, status)
    one: Json = answer.content
    text, names = lang.messages(lang.language_of(request)), await context.sessions.names(viewer)
    bodies = await _bodies(context, [one])
    allowed = ALLOWED[one["step"]]
    return render(context, request, viewer, "alarm.html", view, {
        "alarm": alarm_row(one, bodies.get(one["first_seq"]), viewer.role, text, names),
        "steps": STEPS,
        "reached": STEPS.index(one["step"]),
        "deeds": [
            {**deed, "person": names.get(deed["person"], deed["person"]),
             "text": deed["text"] if viewer.role == "lab" else ""}
            for deed in one["deeds"]
        ],
        "allowed": [deed for deed in DEEDS if deed in allowed] if viewer.may_act else [],
        "chosen": refusal.form.get("deed", "") if refusal else next(reversed(allowed), ""),
        "signing": signing(request, refusal),
    }, kept=answer)  # fmt: skip


async def act(context: Context, request: Request, viewer: Viewer) -> Response:
    """Send a signed step to the daemon; a refusal is shown on the page with what to do next."""
    form = await read_step(context, request, viewer)
    if not isinstance(form, dict):
        return form
    deed, name = form.get("deed", ""), request.path_params["alarm"]
    if deed not in DEEDS:
        return refusal_page(context, request, viewer, "refused.bad_form", HTTPStatus.BAD_REQUEST)
    args = {"alarm": name, "text": form.get("text", "").strip()}
    back = f"/alarms/{quote(name, safe='')}"
    done = await carry_out(context, request, viewer, form, f"alarm.{deed}", args, back=back)
    return await _page(context, request, viewer, done) if isinstance(done, Refusal) else done
