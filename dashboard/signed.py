"""A signed step on a page: a command with its reason, and the person's secret once more."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse

from dashboard import language as lang
from dashboard.context import read_form, refusal_page
from dashboard.task_page import refusal_of, send

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.sessions import Viewer


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a step was not done, in the reader's language, and what was typed, so that it can be mended."""

    said: dict[str, str]
    """Text and hint."""
    form: dict[str, str]


def signing(request: Request, refusal: Refusal | None = None) -> dict[str, Any]:
    """Give a page what its form for a signed step needs; a step that was just done says its record."""
    recorded = request.query_params.get("recorded", "")
    return {
        "refusal": None if refusal is None else refusal.said,
        "form": {} if refusal is None else {k: v for k, v in refusal.form.items() if k != "secret"},
        "recorded": recorded if recorded.isdecimal() else "",
        "key": secrets.token_hex(16),
    }


async def read_step(context: Context, request: Request, viewer: Viewer) -> dict[str, str] | Response:
    """Read the form of a signed step, or say on a page why nobody can sign here."""
    if not viewer.may_act or context.door is None:
        return refusal_page(context, request, viewer, "refused.login", HTTPStatus.UNAUTHORIZED)
    try:
        return await read_form(request)
    except ValueError:
        return refusal_page(context, request, viewer, "refused.bad_form", HTTPStatus.BAD_REQUEST)


async def carry_out(
    context: Context, request: Request, viewer: Viewer, form: dict[str, str],
    command: str, args: dict[str, Any], *, back: str, reason_needed: bool = True,
) -> Response | Refusal:  # fmt: skip
    """Send a step to the daemon: once done, back to the page; else the refusal, with what to do next.

    Args:
        context: the parts behind the pages.
        request: the post.
        viewer: who signs.
        form: `text` the reason, `how` and `secret` the person's, `key` of the form.
        command: what is sent.
        args: its arguments.
        back: path of the page.
        reason_needed: whether a step without a reason is not sent.
    """
    text, said = lang.messages(lang.language_of(request)), form.get("text", "").strip()
    missing = "reason" if reason_needed and not said else ""
    missing = missing or ("" if form.get("secret", "").strip() else "password")
    if missing:
        return Refusal({"text": text(f"sign.missing_{missing}"), "hint": text("sign.missing_hint")}, form)
    secret = {"password" if form.get("how") == "password" else "pin": form["secret"]}
    actor = {"person": viewer.person, **secret, "station": "web", "meaning": command, "reason": said}
    answer = await send(context, command, args, actor, token=viewer.token, key=form.get("key") or None)
    if answer.get("ok"):
        seq = next(iter(answer.get("seq") or ()), "")
        return RedirectResponse(f"{back}?recorded={seq}", HTTPStatus.SEE_OTHER)
    if answer.get("code") == "session-ended":
        context.sessions.close(viewer)
    return Refusal(refusal_of(answer, text), form)
