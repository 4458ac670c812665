"""What every handler needs, and the guards around handlers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import jinja2
import orjson
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dashboard import language as lang
from dashboard.overview import Overviews
from dashboard.registry import load_registry, required_elements
from dashboard.sessions import Viewer
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from dashboard.door import Door
    from dashboard.kept import Answer, Kept
    from dashboard.sessions import Sessions
    from dashboard.settings import WebSettings
    from dashboard.tasks import Required
    from dashboard.watch import View, Watcher
    from pipeline.elements.registry import Registry

FORM_BYTES_MAX = 64 * 1024
REGISTRY_AGE_NS = 2_000_000_000


class _Cached:
    registry: Registry | None = None
    read_utc_ns: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """The parts behind the pages of one origin."""

    settings: WebSettings
    watcher: Watcher
    door: Door | None
    sessions: Sessions
    stop: asyncio.Event
    """Set when the server stops: live streams end at once."""
    kept: Kept
    """What the stored records tell where no daemon answers."""
    overviews: Overviews = field(default_factory=Overviews)
    _cached: _Cached = field(default_factory=_Cached)

    async def registry(self) -> Registry:
        """Return the registry as stored, at most two seconds old. Raises StoreUnavailable."""
        now_ns = self.watcher.utc_now_ns()
        if self._cached.registry is None or abs(now_ns - self._cached.read_utc_ns) > REGISTRY_AGE_NS:
            self._cached.registry = await load_registry(self.watcher.store, self.watcher.origin)
            self._cached.read_utc_ns = now_ns
        return self._cached.registry

    async def required(self) -> Required:
        """Return the rule which elements a task's method requires; every one while the store is away."""
        try:
            registry = await self.registry()
        except StoreError:
            return lambda _start: None
        return lambda start: required_elements(registry, start)


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def json_response(content: Any, status: int = HTTPStatus.OK) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def render(
    context: Context, request: Request, viewer: Viewer, template: str, view: View | None,
    values: Mapping[str, Any], *, status: int = HTTPStatus.OK, kept: Answer | None = None,
) -> Response:  # fmt: skip
    """Answer with a page in the reader's language; a language asked for in the address is remembered.

    `kept` is what the page shows of the daemon's views: told from stored records, the page says so.
    """
    language = lang.language_of(request)
    now_ns = context.watcher.utc_now_ns()
    other = "zh" if language == "en" else "en"
    switch_url = request.url.include_query_params(lang=other).replace(scheme="", netloc="")
    page = _TEMPLATES.get_template(template).render(
        t=lang.messages(language),
        language=language,
        other_language=other,
        switch_url=str(switch_url),
        viewer=viewer,
        origin=context.watcher.origin,
        site=view.site if view else None,
        rehearsal=view.rehearsal if view else False,
        ledger_seq=view.ledger_seq if view else -1,
        has_door=context.door is not None,
        kept_through=None if kept is None else kept.kept_through,
        path=request.url.path,
        utc_offset_min=lang.utc_offset_min(now_ns),
        offset_text=lang.offset_text(lang.utc_offset_min(now_ns)),
        time_text=lang.time_text,
        **values,
    )  # fmt: skip
    response = HTMLResponse(page, status)
    if request.query_params.get("lang") in lang.LANGUAGES:
        response.set_cookie(
            lang.COOKIE, language, max_age=365 * 86400, samesite="strict", httponly=True, path="/"
        )
    return response


def page(
    context: Context, handler: Any, *, lab_only: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    """Guard a page: whoever may see nothing is sent to the login, and back afterwards."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        viewer = await context.sessions.viewer(request)
        if viewer.role == "none":
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(target, safe='')}", HTTPStatus.SEE_OTHER)
        if lab_only and viewer.role != "lab":
            return refusal_page(context, request, viewer, "refused.lab_only", HTTPStatus.FORBIDDEN)
        response: Response = await handler(context, request, viewer)
        return response

    return guarded


def data(
    context: Context, handler: Any, *, lab_only: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    """Guard a data route: it answers 401 or 403 with a reason, never a page."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        viewer = await context.sessions.viewer(request)
        text = lang.messages(lang.language_of(request))
        if viewer.role == "none":
            return json_response(
                {"ok": False, "code": "not-authenticated", "text": text("refused.login")}, 401
            )
        if lab_only and viewer.role != "lab":
            return json_response({"ok": False, "code": "lab-only", "text": text("refused.lab_only")}, 403)
        try:
            response: Response = await handler(context, request, viewer)
        except StoreError as error:
            return json_response(
                {"ok": False, "code": "store-away", "text": text("trust.store_away"), "hint": str(error)}, 503
            )
        return response

    return guarded


def refusal_page(context: Context, request: Request, viewer: Viewer, key: str, status: int) -> Response:
    """Answer with a page that says why not and what to do."""
    text = lang.messages(lang.language_of(request))
    return render(
        context,
        request,
        viewer,
        "refused.html",
        None,
        {"message": text(key), "status": status},
        status=status,
    )


async def read_form(request: Request) -> dict[str, str]:
    """Read a small urlencoded form; the last of equal names counts.

    Raises:
        ValueError: it is larger than `FORM_BYTES_MAX` or not UTF-8.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise ValueError("the form is larger than 64 KiB")
    return dict(parse_qsl(body.decode(), keep_blank_values=True))
