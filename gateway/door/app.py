"""Routes of the daemon's door. What a command means is decided by the services behind it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from gateway.door.actors import RefusedActorError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from gateway.door.actors import Actors

LOG = logging.getLogger(__name__)
BODY_BYTES_MAX = 4 * 1024 * 1024
BODY_S = 10.0
"""A caller that has not sent its request by then is let go."""
KEY_LENGTH_MAX = 128

Json = dict[str, Any]


class CommandRefusedError(Exception):
    """A command that was understood and will not be done; says why in both languages and what to do."""

    def __init__(self, code: str, en: str, zh: str, hint: str = "", status: int = 409) -> None:
        super().__init__(en)
        self.code, self.en, self.zh, self.hint, self.status = code, en, zh, hint, status


class Services(Protocol):
    """What the daemon offers behind its door."""

    actors: Actors

    async def settled(self) -> bool:
        """Wait until all recorded so far is durable: nobody outside sees what a power cut could undo."""
        ...

    def status(self, *, settled: bool) -> Json:
        """Health of the daemon; without what was recorded where that is not durable."""
        ...

    async def execute(self, command: str, args: Json, actor: Json, idempotency_key: str) -> Json:
        """Do a command once; the same key gives the same answer. Raises CommandRefusedError."""
        ...

    async def refused(self, command: str, code: str, person: str, args: Json | None = None) -> None:
        """Record that a command, or a login, was refused; `person` is an id on file or `actors.UNKNOWN`."""
        ...

    async def view(self, name: str, argument: str | None, query: dict[str, str]) -> Any:
        """A reading view: tasks, holds, registry, instruments, elements.

        Raises:
            KeyError: there is none.
            ValueError: the query is not understood.
        """
        ...

    def names(self) -> dict[str, str]:
        """Names behind opaque ids."""
        ...


def _json(content: Any, status: int = 200) -> Response:
    body = orjson.dumps(
        content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY, default=_bytes_as_hex
    )
    return Response(body, status, media_type="application/json")


def _bytes_as_hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _refusal(code: str, en: str, zh: str, hint: str = "", status: int = 409) -> Response:
    return _json({"ok": False, "code": code, "en": en, "zh": zh, "hint": hint}, status)


def _not_found(name: str, argument: str | None) -> Response:
    """Refuse a reading of what is not there; a command that was not sent by POST comes here too."""
    if name == "commands":
        en, zh = "a command is a POST with a JSON body", "命令须以 POST 发送，并附 JSON 正文"
        hint = """curl sends one with --data '{"args": {…}, "idempotency_key": "…"}'"""
    elif argument is None:
        en, zh = f"there is no view '{name}'", f"没有视图“{name}”"
        hint = "the views are listed in docs/command-door.md; GET /v1/tasks is one"
    else:
        en, zh = f"{name}: nothing is known of '{argument}'", f"{name}：没有“{argument}”"
        hint = "take the id as the list of all shows it; the views are listed in docs/command-door.md"
    return _refusal("not-found", en, zh, hint, status=404)


def _token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def _peer(request: Request) -> str:
    return str(request.client.host) if request.client else "unknown"


async def _received(request: Request) -> bytes:
    """Read the body, never more than BODY_BYTES_MAX of it."""
    too_large = CommandRefusedError(
        "too-large", "the request is larger than 4 MiB", "请求大于 4 MiB", status=413
    )
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > BODY_BYTES_MAX:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES_MAX:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise CommandRefusedError(
            "too-slow", f"the request did not arrive within {BODY_S:g} s", "请求未在时限内到达", status=408
        ) from None
    return b"".join(parts)


async def _body(request: Request) -> Json:
    raw = await _received(request)
    try:
        content = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise CommandRefusedError(
            "not-json", f"the request is not JSON: {error}", f"请求不是 JSON:{error}", status=400
        ) from None
    if not isinstance(content, dict):
        raise CommandRefusedError(
            "not-json", "the request is not a JSON object", "请求不是 JSON 对象", status=400
        )
    return content


def _guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except CommandRefusedError as refused:
            return _refusal(refused.code, refused.en, refused.zh, refused.hint, refused.status)
        except RefusedActorError as refused:
            return _refusal(refused.code, refused.en, refused.zh, refused.hint, status=401)
        except ClientDisconnect:
            raise
        except Exception as error:
            # The arguments may hold a secret: the type and the place are told, the request never is.
            LOG.exception("%s %s failed", request.method, request.url.path)
            return _refusal(
                "internal", f"the daemon could not answer ({type(error).__name__}); its log says more",
                f"守护进程未能应答({type(error).__name__}),详见日志", status=500,
            )  # fmt: skip

    return guarded


class _Door:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, _request: Request) -> Response:
        answer = _json(self._services.status(settled=True))
        # After the view: what is recorded while this waits must not be in the answer.
        return answer if await self._services.settled() else _json(self._services.status(settled=False))

    async def login(self, request: Request) -> Response:
        body, actors = await _body(request), self._services.actors
        who, password = str(body.get("person", "")), str(body.get("password", ""))
        try:
            session = await actors.login(who, password)
        except RefusedActorError as refused:
            await self._services.refused("login", refused.code, actors.claimed({"person": who}, None))
            raise
        person = session.person
        return _json(
            {
                "ok": True,
                "token": session.token,
                "person": person.id,
                "name": person.name,
                "roles": person.roles,
            }
        )

    async def logout(self, request: Request) -> Response:
        self._services.actors.logout(_token(request) or "")
        return _json({"ok": True})

    async def command(self, request: Request) -> Response:
        name, body = request.path_params["name"], await _body(request)
        args, claim = body.get("args") or {}, body.get("actor") or {}
        key = str(body.get("idempotency_key") or "")
        if not isinstance(args, dict) or not isinstance(claim, dict) or not 0 < len(key) <= KEY_LENGTH_MAX:
            return _refusal(
                "bad-request",
                "a command has args, actor and an idempotency_key of 1 to 128 characters",
                "命令须含 args、actor 和 1 至 128 字符的 idempotency_key",
                hint='as in {"args": {…}, "actor": {…}, "idempotency_key": "order-4711-start"}',
                status=400,
            )
        actors, token = self._services.actors, _token(request)
        try:
            actor = await actors.identify(name, args, claim, token, _peer(request))
            actor["idempotency_key"] = key
            result = await self._services.execute(name, args, actor, key)
        except (RefusedActorError, CommandRefusedError) as refused:
            await self._services.refused(name, refused.code, actors.claimed(claim, token), args)
            raise
        return _json({"ok": True, **result})

    async def view(self, request: Request) -> Response:
        name, argument = request.path_params["name"], request.path_params.get("argument")
        try:
            answer = _json(await self._services.view(name, argument, dict(request.query_params)))
        except KeyError:
            return _not_found(name, argument)
        except ValueError as error:
            return _refusal("bad-request", f"not acceptable: {error}", f"参数不可接受：{error}", status=400)
        # After the view: what is recorded while this waits must not be in the answer.
        if not await self._services.settled():
            return _refusal(
                "not-durable",
                "the journal cannot write now; see: yaosu status",
                "记录暂时无法落盘",
                status=503,
            )
        return answer

    async def persons(self, request: Request) -> Response:
        session = self._services.actors.session(_token(request) or "")
        if session is None:
            return _refusal(
                "not-authenticated",
                "names are shown to who has logged in",
                "登录后方可查看姓名",
                hint="log in: POST /v1/login with person and password",
                status=401,
            )
        if set(session.person.roles) <= {"regulator"}:
            return _refusal(
                "lab-only",
                "names are for the laboratory's own people",
                "姓名仅供本实验室人员查看",
                status=403,
            )
        return _json(self._services.names())


def build_door(services: Services) -> Starlette:
    """Make the application that serves the daemon's door."""
    door = _Door(services)
    return Starlette(
        routes=[
            Route("/v1/status", _guarded(door.status), methods=["GET"]),
            Route("/v1/login", _guarded(door.login), methods=["POST"]),
            Route("/v1/logout", _guarded(door.logout), methods=["POST"]),
            Route("/v1/commands/{name}", _guarded(door.command), methods=["POST"]),
            Route("/v1/persons", _guarded(door.persons), methods=["GET"]),
            Route("/v1/{name}", _guarded(door.view), methods=["GET"]),
            Route("/v1/{name}/{argument:path}", _guarded(door.view), methods=["GET"]),
        ]
    )
