"""The pages as one ASGI application."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboard import (
    actions,
    alarms,
    approvals,
    entries,
    pages,
    quality,
    records,
    risk,
    seals,
    task_page,
    window,
)
from dashboard.context import Context, data, page
from dashboard.kept import Kept
from dashboard.live import StreamCount, live_handler
from dashboard.security import SameOrigin, SecurityHeaders
from dashboard.sessions import Sessions
from dashboard.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from dashboard.door import Door
    from dashboard.settings import WebSettings
    from pipeline.store.door import Origin, Store

STATIC = Path(__file__).parent / "static"
OWN_HOSTS = ("localhost", "127.0.0.1")


class _Static(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        # Asked for again each time, answered 304: no browser mixes old scripts with new pages.
        response.headers["cache-control"] = "no-cache"
        return response


def build_dashboard(
    *, store: Store, door: Door | None, settings: WebSettings, origin: Origin,
    utc_now_ns: Callable[[], int] = time.time_ns,
) -> Starlette:  # fmt: skip
    """Build the web application.

    Whoever serves it sets `application.state.stop` when the server is to stop, so that open live streams end
    at once; the lifespan's end sets it too, but servers wait for open streams before they get there.

    Args:
        store: where records are read.
        door: the daemon's door; None makes all pages read-only.
        settings: the web role's settings.
        origin: whose records are shown.
        utc_now_ns: UTC now, ns.
    """
    stop = asyncio.Event()
    watcher = Watcher(store, door, origin, utc_now_ns)
    context = Context(
        settings, watcher, door, Sessions(settings, door), stop, Kept(store, origin, utc_now_ns)
    )

    @asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        yield
        stop.set()

    application = Starlette(
        routes=_routes(context),
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(settings), www_redirect=False),
            Middleware(SameOrigin),
        ],
        exception_handlers={ClientDisconnect: _gone},
        lifespan=lifespan,
    )
    application.state.stop = stop
    return application


def _gone(_request: Request, _error: Exception) -> Response:
    """Answer a caller who left while asking: nobody reads it, and it is no failure of ours to log."""
    return Response(status_code=408)


def _hosts(settings: WebSettings) -> list[str]:
    return [*OWN_HOSTS, settings.host, *settings.hosts]


def _routes(context: Context) -> list[Any]:
    shown = partial(page, context)
    read = partial(data, context)
    channel = "/api/channels/{instrument}/{channel}"
    return [
        Route("/", shown(pages.overview)),
        Route("/channels/{instrument}/{channel}", shown(pages.channel)),
        Route("/tasks", shown(pages.tasks)),
        Route("/tasks/{task}", shown(task_page.task), methods=["GET"]),
        Route("/tasks/{task}/disposition", shown(task_page.dispose, lab_only=True), methods=["POST"]),
        Route("/tasks/{task}/entries", shown(entries.act, lab_only=True), methods=["POST"]),
        Route("/tasks/{task}/window", shown(window.window), methods=["POST"]),
        Route("/scan", shown(actions.scan_page, lab_only=True)),
        Route("/events", shown(pages.events)),
        Route("/records/{seq}", shown(records.record)),
        Route("/trust", shown(seals.trust)),
        Route("/alarms", shown(alarms.alarms)),
        Route("/alarms/{alarm}", shown(alarms.alarm), methods=["GET"]),
        Route("/alarms/{alarm}", shown(alarms.act, lab_only=True), methods=["POST"]),
        *_quality_routes(shown, read),
        Route("/api/overview", read(pages.overview_data)),
        Route("/api/messages", read(pages.script_messages)),
        Route(f"{channel}/data", read(pages.channel_data, lab_only=True)),
        Route(f"{channel}/gaps", read(pages.channel_gaps)),
        Route("/api/scan", read(actions.scan, lab_only=True), methods=["POST"]),
        Route("/api/scan/act", read(actions.scan_act, lab_only=True), methods=["POST"]),
        Route("/live", read(live_handler(StreamCount()))),
        Route("/login", partial(actions.login_page, context), methods=["GET"]),
        Route("/login", partial(actions.login, context), methods=["POST"]),
        Route("/logout", partial(actions.logout, context), methods=["POST"]),
        Route("/health", partial(pages.health, context)),
        Mount("/static", _Static(directory=STATIC)),
    ]


def _quality_routes(shown: Any, read: Any) -> list[Route]:
    return [
        Route("/batches", shown(quality.batches)),
        Route("/batches/{batch:path}", shown(quality.batch), methods=["GET"]),
        Route("/batches/{batch:path}", shown(approvals.close_batch, lab_only=True), methods=["POST"]),
        Route("/charts", shown(quality.charts)),
        Route("/charts/{chart}", shown(quality.chart, lab_only=True), methods=["GET"]),
        Route("/charts/{chart}", shown(approvals.approve_chart, lab_only=True), methods=["POST"]),
        Route("/api/charts/{chart}", read(quality.chart_data, lab_only=True)),
        Route("/lookbacks", shown(quality.lookbacks)),
        Route("/lookbacks/{lookback}", shown(quality.lookback), methods=["GET"]),
        Route("/lookbacks/{lookback}", shown(approvals.close_lookback, lab_only=True), methods=["POST"]),
        Route("/risk", shown(risk.risk)),
        Route("/risk/{subject}", shown(risk.subject)),
    ]
