"""What persons do: log in and out, and scan."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import RedirectResponse

from dashboard import language as lang
from dashboard.context import json_response, read_form, refusal_page, render
from dashboard.entries import command_of, missing, signature_in
from dashboard.scan import CODES_MAX, fitting_methods, follow, scan_state
from dashboard.sessions import COOKIE_TLS, cookie_name
from dashboard.task_page import load_task, refusal_of, send
from dashboard.tasks import fold_tasks, gather
from pipeline.elements.registry_shapes import Material

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.sessions import Viewer

BODY_BYTES_MAX = 16 * 1024
CODE_LENGTH_MAX = 200
ENTER = "task.enter"


def _local(target: str) -> str:
    """Return a path of this site to go on to: never an address of another one."""
    plain = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if plain and target.isprintable() else "/"


async def login_page(context: Context, request: Request) -> Response:
    """Show the login."""
    return await _login(context, request, request.query_params.get("next", "/"))


async def _login(
    context: Context, request: Request, target: str, refusal: dict[str, str] | None = None, person: str = ""
) -> Response:  # fmt: skip
    values = {"next": _local(target), "refusal": refusal, "person": person}
    return render(context, request, await context.sessions.viewer(request), "login.html", None, values)


async def login(context: Context, request: Request) -> Response:
    """Relay person and password to the daemon, and keep the session that it opens."""
    text = lang.messages(lang.language_of(request))
    try:
        form = await read_form(request)
    except ValueError:
        return await _login(context, request, "/", {"text": text("refused.bad_form"), "hint": ""})
    person, target = form.get("person", "").strip(), form.get("next", "/")
    answer: dict[str, Any] = {"ok": False, "code": "no-door"}
    if context.door is not None:
        try:
            answer = await context.door.login(person, form.get("password", ""))
        except ConnectionError:
            answer = {"ok": False, "code": "door-away"}
    if not answer.get("ok"):
        return await _login(context, request, target, refusal_of(answer, text), person)
    response = RedirectResponse(_local(target), HTTPStatus.SEE_OTHER)
    context.sessions.open(answer, request, response)
    return response


async def logout(context: Context, request: Request) -> Response:
    """End the session here and at the daemon."""
    viewer = await context.sessions.viewer(request)
    context.sessions.close(viewer)
    if viewer.token is not None and context.door is not None:
        # A daemon that is away has no sessions any more when it comes back.
        with contextlib.suppress(ConnectionError):
            await context.door.logout(viewer.token)
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    name = cookie_name(request)
    response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=name == COOKIE_TLS)
    return response


async def scan_page(context: Context, request: Request, viewer: Viewer) -> Response:
    """Show the scan page: whoever opened the station, each act carries the badge that was scanned for it."""
    if context.door is None:
        return refusal_page(context, request, viewer, "refused.read_only", HTTPStatus.CONFLICT)
    return render(context, request, viewer, "scan.html", await context.watcher.view(), {})


async def _read_json(request: Request) -> dict[str, Any] | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return None
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _codes(content: dict[str, Any]) -> list[str]:
    codes = content.get("codes")
    if not isinstance(codes, list):
        return []
    return [
        code.strip()[:CODE_LENGTH_MAX]
        for code in codes[: CODES_MAX + 1]
        if isinstance(code, str) and code.strip()
    ]


async def scan(context: Context, request: Request, viewer: Viewer) -> Response:
    """Follow the codes scanned so far: `{codes: [...]}` → where the scan stands."""
    content = await _read_json(request)
    text = lang.messages(lang.language_of(request))
    if content is None:
        return json_response({"ok": False, "text": text("refused.bad_form")}, HTTPStatus.BAD_REQUEST)
    view, registry = await context.watcher.view(), await context.registry()
    tasks = fold_tasks(gather(view.ledger), await context.required())
    now_ns = context.watcher.utc_now_ns()
    followed = follow(_codes(content), registry, tasks, list(view.site.instruments), now_ns)
    if chosen := await load_task(context, followed.task) if followed.task else None:
        tasks[followed.task] = chosen  # with its readings entered by hand, which only its own records tell
    names = await context.sessions.names(viewer)
    return json_response({"ok": True, **scan_state(followed, registry, tasks, names, text, now_ns)})


async def scan_act(context: Context, request: Request, _viewer: Viewer) -> Response:
    """Do what was scanned: `{codes, action: start|handover|stop|enter, method?, item?, form?, station, key}`.

    Whoever is scanned acts; a reading entered by hand is signed with that person's PIN or password.
    """
    content = await _read_json(request)
    text = lang.messages(lang.language_of(request))
    if content is None:
        return json_response({"ok": False, "text": text("refused.bad_form")}, HTTPStatus.BAD_REQUEST)
    planned = await _plan(context, content)
    if planned is None:
        return json_response({"ok": False, "text": text("scan.incomplete"), "hint": text("scan.start_over")})
    name, args, who = planned
    if name == ENTER:
        form = _form(content)
        if problem := missing(form, text):
            return json_response({"ok": False, **problem})
        name, args = command_of(args["task"], form)
        who |= signature_in(form)
    actor = {**who, "station": str(content.get("station") or "scan")[:80], "meaning": name}
    answer = await send(context, name, args, actor, key=str(content.get("key") or "")[:64] or None)
    if not answer.get("ok"):
        return json_response({"ok": False, **refusal_of(answer, text)})
    task = str((answer.get("result") or {}).get("task", args.get("task", "")))
    done = text(f"scan.done_{name.partition('.')[2]}", task=task)
    return json_response({"ok": True, "task": task, "seq": answer.get("seq"), "text": done})


def _form(content: dict[str, Any]) -> dict[str, str]:
    form = content.get("form")
    return {str(name): str(value) for name, value in form.items()} if isinstance(form, dict) else {}


async def _plan(
    context: Context, content: dict[str, Any]
) -> tuple[str, dict[str, Any], dict[str, str]] | None:
    """Make the command of a scan: (name, arguments, who acts); None when the scan does not lead to it."""
    view, registry = await context.watcher.view(), await context.registry()
    tasks = fold_tasks(gather(view.ledger), await context.required())
    now_ns = context.watcher.utc_now_ns()
    followed = follow(_codes(content), registry, tasks, list(view.site.instruments), now_ns)
    action = content.get("action")
    if action in {"handover", "stop"} and followed.step == "task-action":
        return f"task.{action}", {"task": followed.task}, {"badge": followed.badge}
    if action == "enter" and followed.step == "task-action":
        return ENTER, {"task": followed.task}, {"person": followed.person}
    if action != "start" or followed.step != "method":
        return None
    chosen = next(
        (m for m in fitting_methods(followed, registry, now_ns) if m["method"] == content.get("method")), None
    )
    if chosen is None:
        return None
    item = str(content.get("item") or chosen["items"][0])
    args: dict[str, Any] = {
        "method": chosen["method"],
        "purpose": chosen["purpose"],
        "instruments": followed.instruments,
        "item": item,
    }
    material = registry.at(Material, followed.sample, now_ns)
    args["sample" if material is None or material[0].kind == "sample" else "reference"] = followed.sample
    return "task.start", args, {"badge": followed.badge}
