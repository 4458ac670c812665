"""Readings entered by hand, on a task's page and at the scan station: from a filled-in form to a command."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse

from dashboard import language as lang
from dashboard.task_page import read_task_form, refusal_of, send, show

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.language import Messages
    from dashboard.sessions import Viewer

FIELDS = ("deed", "channel", "entry", "value", "unit", "reason", "at_utc", "serial")
_NEEDED = ("value", "reason", "secret")


async def act(context: Context, request: Request, viewer: Viewer) -> Response:
    """Send a signed entry or correction to the daemon; a refusal is shown with what to do next."""
    posted = await read_task_form(context, request, viewer)
    if not isinstance(posted, tuple):
        return posted
    view, form, found = posted
    text = lang.messages(lang.language_of(request))
    problem = missing(form, text)
    if problem is None:
        command, args = command_of(found.id, form)
        answer = await _send(context, viewer, command, args, form)
        if answer.get("ok"):
            seq = next(iter(answer.get("seq") or ()), "")
            return RedirectResponse(f"/tasks/{found.id}?recorded={seq}#entries-title", HTTPStatus.SEE_OTHER)
        if answer.get("code") == "session-ended":
            context.sessions.close(viewer)
        problem = refusal_of(answer, text)
    entered = {f"entry_{name}": form.get(name, "") for name in FIELDS}
    return await show(context, request, viewer, found, view, entered=entered, refusal=problem)


def missing(form: dict[str, str], text: Messages) -> dict[str, str] | None:
    """Say what a form must have and has not; None for a whole one."""
    for name in _NEEDED:
        if not form.get(name, "").strip():
            return {"text": text(f"entry.missing_{name}"), "hint": text("sign.missing_hint")}
    return None


def command_of(task: str, form: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Make the command of a filled-in form: an entry, or the correction of the one that it names."""
    args: dict[str, Any] = {"task": task, "value": form["value"].strip(), "reason": form["reason"].strip()}
    given = {name: form.get(name, "").strip() for name in ("unit", "at_utc", "serial")}
    entry = form.get("entry", "")
    if form.get("deed") == "correct" and entry.isdecimal() and len(entry) <= 18:
        return "task.correct", {**args, "entry": int(entry), "unit": given["unit"]}
    return "task.enter", {
        **args, "channel": form.get("channel", ""),
        **{name: value for name, value in given.items() if value},
    }  # fmt: skip


async def _send(
    context: Context, viewer: Viewer, command: str, args: dict[str, Any], form: dict[str, str]
) -> dict[str, Any]:
    actor = {**signature_in(form), "person": viewer.person, "station": "web", "meaning": command}
    return await send(context, command, args, actor, token=viewer.token, key=form.get("key") or None)


def signature_in(form: dict[str, str]) -> dict[str, str]:
    """Give what a form signs with: the secret of whoever read the instrument, and the reason."""
    secret = "password" if form.get("how") == "password" else "pin"
    return {secret: form["secret"], "reason": form["reason"].strip()}
