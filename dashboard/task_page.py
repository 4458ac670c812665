"""The page of one task: verdicts with their evidence, bindings, results, and the disposition of a hold."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, get_args

from starlette.responses import RedirectResponse

from dashboard import language as lang
from dashboard.context import read_form, refusal_page, render
from dashboard.task_facts import calculation_rows, known_then, step_rows, then_and_now
from dashboard.tasks import fold_tasks
from dashboard.verdicts import (
    binding_rows,
    correctable,
    element_cards,
    entry_channels,
    entry_rows,
    result_rows,
    signature_of,
)
from pipeline.elements.registry_shapes import Environment
from pipeline.elements.triggers.vocabulary import TRIGGER_TEXTS
from pipeline.elements.vocabulary import ELEMENTS, Disposition
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.language import Messages
    from dashboard.sessions import Viewer
    from dashboard.tasks import TaskView
    from dashboard.watch import View
    from pipeline.store.door import LedgerRow

TASK_KINDS = ("task", "verdict", "result", "review", "entry")
RECORDS_LIMIT = 5000
"""Newest records of each kind read for one task."""
MOMENTS_SHOWN = 12
"""Newest moments of the past that are offered to be compared with now."""
SEQ_DIGITS_MAX = 18
DISPOSITIONS: tuple[Disposition, ...] = get_args(Disposition)


async def task_rows(context: Context, task_id: str) -> list[LedgerRow]:
    """Read the records of one task from the store. Raises StoreUnavailable."""
    watcher = context.watcher
    rows = []
    for kind in TASK_KINDS:
        rows += await watcher.store.ledger(watcher.origin, kind, key=task_id, limit=RECORDS_LIMIT)
    return rows


async def load_task(context: Context, task_id: str) -> TaskView | None:
    """Read one task from the store. Raises StoreUnavailable."""
    return fold_tasks(await task_rows(context, task_id), await context.required()).get(task_id)


async def task(context: Context, request: Request, viewer: Viewer) -> Response:
    """Show one task."""
    # The view comes first: what is stored after it was read is told by the live stream, so nothing is missed.
    view = await context.watcher.view()
    try:
        found = await load_task(context, request.path_params["task"])
    except StoreError:
        return refusal_page(context, request, viewer, "trust.store_away", HTTPStatus.SERVICE_UNAVAILABLE)
    if found is None:
        return refusal_page(context, request, viewer, "refused.no_task", HTTPStatus.NOT_FOUND)
    return await show(context, request, viewer, found, view)


async def show(
    context: Context, request: Request, viewer: Viewer, found: TaskView, view: View, *,
    entered: dict[str, str] | None = None, refusal: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    """Render the page of a task; with what was entered in a form and why it was refused."""
    names = await context.sessions.names(viewer)
    text = lang.messages(lang.language_of(request))
    signed, signed_hash = signature_of(found)
    recorded = request.query_params.get("recorded", "")
    return render(context, request, viewer, "task.html", view, {
        "task": found,
        "names": names,
        "cards": element_cards(found, text, names, viewer.role),
        "bindings": binding_rows(found, names),
        "results": result_rows(found, viewer.role),
        "entries": entry_rows(found, names, viewer.role),
        **_entering(context, viewer, found),
        "steps": step_rows(found, viewer.role),
        "calculations": calculation_rows(found, viewer.role),
        "compared": await _compared(context, request, viewer, found, text, names),
        "moments": moments(found),
        "signed": signed,
        "signed_hash": signed_hash,
        "held_words": ", ".join(text.word("element", name) for name in ELEMENTS if name in found.held),
        "dispositions": DISPOSITIONS,
        "triggers": await _triggers(context, found.id),
        "channels": await _channels(context, found) if viewer.role == "regulator" else [],
        "may_read": viewer.role == "regulator" and viewer.token is not None and context.door is not None,
        "may_sign": viewer.may_act and context.door is not None and found.final and found.phase != "aborted",
        "entered": entered or {},
        "refusal": refusal,
        "recorded": recorded if recorded.isdecimal() else "",
        "already_shown": any(str(seq) == recorded for seq, _, _ in found.reviews),
        "key": secrets.token_hex(16),
    })  # fmt: skip


def _entering(context: Context, viewer: Viewer, found: TaskView) -> dict[str, Any]:
    """Say what may be entered by hand here: nothing at the centre, nothing of an aborted task."""
    may = viewer.may_act and context.door is not None and found.phase != "aborted"
    return {
        "may_enter": may,
        "entry_key": secrets.token_hex(16),
        "entry_channels": entry_channels(found),
        "correctable": correctable(found, viewer.role) if may else [],
    }


def moments(found: TaskView) -> list[int]:
    """List the records at which what was known of the task changed: verdicts that were replaced."""
    replaced = {old.seq for posted in found.verdicts.values() for old in posted[:-1]}
    return sorted(replaced)[-MOMENTS_SHOWN:]


async def _compared(
    context: Context, request: Request, viewer: Viewer, found: TaskView, text: Messages,
    names: Mapping[str, str],
) -> dict[str, Any] | None:  # fmt: skip
    """Set what was known at `?known_at=SEQ` beside what is known now; None where nobody asks."""
    wanted = request.query_params.get("known_at", "")
    if not wanted.isdecimal() or len(wanted) > SEQ_DIGITS_MAX:
        return None
    try:
        rows = await task_rows(context, found.id)
    except StoreError:
        return None
    then = known_then(rows, found, int(wanted), await context.required())
    return then_and_now(then, found, int(wanted), text=text, names=names, role=viewer.role)


async def _triggers(context: Context, task_id: str) -> list[dict[str, Any]]:
    """List the triggers recorded for a task, newest first; none while the store is away."""
    watcher = context.watcher
    try:
        rows = await watcher.store.ledger(watcher.origin, "event", key="", limit=RECORDS_LIMIT)
    except StoreError:
        return []
    found = []
    for row in rows:
        args = row.body.get("args") or {}
        if row.body.get("code") == "trigger" and args.get("task") == task_id:
            texts = TRIGGER_TEXTS.get(args["trigger"], (args["trigger"],) * 2)
            found.append({"seq": row.seq, "t_utc_ns": row.t_utc_ns, "en": texts[0], "zh": texts[1], **args})
    return found


async def _channels(context: Context, found: TaskView) -> list[str]:
    """List the channels of a task: what it measured, and the channels of its places as registered then."""
    targets = {binding.target for binding in found.bindings if binding.role == "measurand"}
    try:
        registry = await context.registry()
    except StoreError:
        return sorted(targets)
    for binding in found.bindings:
        if binding.role in {"environment", "storage"}:
            place = registry.at(Environment, binding.target, found.start.at_utc_ns)
            targets.update(channel.target for channel in (() if place is None else place[0].channels))
    return sorted(targets)


async def read_task_form(
    context: Context, request: Request, viewer: Viewer
) -> tuple[View, dict[str, str], TaskView] | Response:
    """Read what was posted about a task, and the task; or say on a page why nothing can be done with it."""
    if not viewer.may_act or context.door is None:
        return refusal_page(context, request, viewer, "refused.login", HTTPStatus.UNAUTHORIZED)
    view = await context.watcher.view()
    try:
        form = await read_form(request)
        found = await load_task(context, request.path_params["task"])
    except ValueError:
        return refusal_page(context, request, viewer, "refused.bad_form", HTTPStatus.BAD_REQUEST)
    except StoreError:
        return refusal_page(context, request, viewer, "trust.store_away", HTTPStatus.SERVICE_UNAVAILABLE)
    if found is None:
        return refusal_page(context, request, viewer, "refused.no_task", HTTPStatus.NOT_FOUND)
    return view, form, found


async def dispose(context: Context, request: Request, viewer: Viewer) -> Response:
    """Send a signed disposition to the daemon; a refusal is shown on the page with what to do next."""
    posted = await read_task_form(context, request, viewer)
    if not isinstance(posted, tuple):
        return posted
    view, form, found = posted
    text = lang.messages(lang.language_of(request))
    problem = _missing(form, text)
    if problem is None:
        answer = await _sign(context, viewer, found.id, form)
        if answer.get("ok"):
            seq = next(iter(answer.get("seq") or ()), "")
            return RedirectResponse(f"/tasks/{found.id}?recorded={seq}", HTTPStatus.SEE_OTHER)
        if answer.get("code") == "session-ended":
            context.sessions.close(viewer)
        problem = refusal_of(answer, text)
    entered = {name: form.get(name, "") for name in ("disposition", "reason", "limitation")}
    # A refusal answers a person on a page, with 200: browsers log anything else as an error of the page.
    return await show(context, request, viewer, found, view, entered=entered, refusal=problem)


def _missing(form: dict[str, str], text: Messages) -> dict[str, str] | None:
    for name in ("disposition", "reason", "password"):
        if not form.get(name, "").strip():
            return {"text": text(f"sign.missing_{name}"), "hint": text("sign.missing_hint")}
    return None


async def _sign(context: Context, viewer: Viewer, task_id: str, form: dict[str, str]) -> dict[str, Any]:
    args = {
        "task": task_id,
        "disposition": form["disposition"],
        "reason": form["reason"].strip(),
        "signed_hash": form.get("signed_hash", ""),
    }
    if form.get("limitation", "").strip():
        args["limitation"] = form["limitation"].strip()
    actor = {
        "person": viewer.person,
        "password": form["password"],
        "station": "web",
        "meaning": form["disposition"],
        "reason": args["reason"],
    }
    return await send(context, "hold.release", args, actor, token=viewer.token, key=form.get("key") or None)


async def send(
    context: Context, name: str, args: dict[str, Any], actor: dict[str, Any], *,
    token: str | None = None, key: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Send a command; a daemon that does not answer is a refusal too."""
    if context.door is None:
        return {"ok": False, "code": "no-door"}
    try:
        answer: dict[str, Any] = await context.door.command(name, args, actor, token=token, key=key)
    except ConnectionError:
        return {"ok": False, "code": "door-away"}
    return answer


def refusal_of(answer: dict[str, Any], text: Messages) -> dict[str, str]:
    """Say a refusal in the reader's language, with what to do."""
    own = text.table("door").get(str(answer.get("code", "")).replace("-", "_"))
    language = text.language
    said = own or answer.get(language) or answer.get("en") or str(answer.get("code", ""))
    hint = answer.get(f"hint_{language}") or answer.get("hint") or ""
    own_hint = text.table("door_hint").get(str(answer.get("code", "")).replace("-", "_"))
    return {"text": str(said), "hint": str(own_hint or hint), "code": str(answer.get("code", ""))}
