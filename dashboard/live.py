"""Server-sent events: one stream for each page, fed from the shared view.

A stream has no queue: when its client is ready it takes the newest view, so a slow client skips views and
gets the latest. Event ids are `seq` or, on a channel's stream, `seq.t`: the stored time up to which points
were sent, from which a client that comes back (`Last-Event-ID`) is served on. Source: WHATWG HTML,
Server-sent events.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import StreamingResponse

from dashboard import language as lang
from dashboard.context import json_response
from dashboard.trend import live_points

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.sessions import Viewer
    from dashboard.watch import View

PERIOD_S = 0.5
COMMENT_PERIOD_S = 15.0
RETRY_MS = 3000
STREAMS_MAX = 200
TRAILING_NS = 5_000_000_000
"""Points so far back are sent again: rules that need the future may have flagged them meanwhile."""
RESUME_NS_MAX = 600 * 1_000_000_000
"""A client that was away longer reads its window anew instead."""
LIVE_POINTS_MAX = 4000
LEDGER_KINDS = ("task", "verdict", "review", "entry", "event")


def _event(name: str, event_id: str, content: Any) -> bytes:
    return (
        b"event: "
        + name.encode()
        + b"\nid: "
        + event_id.encode()
        + b"\ndata: "
        + orjson.dumps(content)
        + b"\n\n"
    )


class Stream:
    """One client's stream.

    Args:
        context: the parts behind the pages.
        request: the client's request; `view=overview`, `view=ledger`, or `channel=INSTRUMENT/CHANNEL`.
        viewer: who asks.
    """

    def __init__(self, context: Context, request: Request, viewer: Viewer) -> None:
        self._context = context
        self._viewer = viewer
        self._text = lang.messages(lang.language_of(request))
        self._kind = request.query_params.get("view", "overview")
        self._instrument, _, self._channel = request.query_params.get("channel", "").partition("/")
        self._last_id = request.headers.get("last-event-id") or request.query_params.get("last", "")
        self._sent_ns = self._resume_from_ns()
        self._sent = b""
        self._sent_seqs: dict[str, int] = {}
        self._begun = False

    def _resume_from_ns(self) -> int:
        now_ns = self._context.watcher.utc_now_ns()
        _, _, t_ns = self._last_id.partition(".")
        return max(int(t_ns), now_ns - RESUME_NS_MAX) if t_ns.isdigit() else now_ns - TRAILING_NS

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield events until the server stops, the client goes away, or the login no longer stands."""
        stop = self._context.stop
        quiet_s = 0.0
        yield f"retry: {RETRY_MS}\n\n".encode()
        while not stop.is_set() and await self._context.sessions.is_open(self._viewer):
            written = b"".join([part async for part in self._round()])
            quiet_s = 0.0 if written else quiet_s + PERIOD_S
            if quiet_s >= COMMENT_PERIOD_S:
                written, quiet_s = b": still here\n\n", 0.0
            if written:
                yield written
            try:
                await asyncio.wait_for(stop.wait(), PERIOD_S)
            except TimeoutError:
                continue

    async def _round(self) -> AsyncIterator[bytes]:
        view = await self._context.watcher.view()
        if self._channel:
            yield await self._points(view)
        elif self._kind == "ledger":
            yield self._ledger(view)
        else:
            yield await self._overview(view)

    async def _overview(self, view: View) -> bytes:
        names = await self._context.sessions.names(self._viewer)
        required = await self._context.required()
        content = dict(self._context.overviews.get(view, self._viewer.role, self._text, names, required))
        now_ms = content.pop("now_ms")
        digest = orjson.dumps(content)
        if digest == self._sent:
            return b""
        self._sent = digest
        return _event("overview", str(view.seq), {**content, "now_ms": now_ms})

    def _ledger(self, view: View) -> bytes:
        """Tell which kinds have new records, and of which tasks: pages that show them load them."""
        seqs = {kind: rows[0].seq for kind in LEDGER_KINDS if (rows := view.ledger.get(kind))}
        if not self._begun:
            self._begun = True
            last = int(self._last_id) if self._last_id.isdecimal() else None
            self._sent_seqs = {kind: seq if last is None else min(seq, last) for kind, seq in seqs.items()}
            hello = _event("ledger", str(max(seqs.values(), default=0)), {"kinds": [], "tasks": []})
            return hello if last is None else hello + self._ledger(view)
        fresh = [kind for kind, seq in seqs.items() if seq != self._sent_seqs.get(kind)]
        tasks = {
            str(row.body.get("task") or "")
            for kind in fresh
            for row in view.ledger[kind]
            if row.seq > self._sent_seqs.get(kind, -1)
        }
        self._sent_seqs = seqs
        if not fresh:
            return b""
        return _event(
            "ledger", str(max(seqs.values())), {"kinds": sorted(fresh), "tasks": sorted(tasks - {""})}
        )

    async def _points(self, view: View) -> bytes:
        row = view.latest.get(self._instrument)
        if row is None or view.store_error or (row.t_utc_ns <= self._sent_ns and self._sent):
            return b""
        watcher = self._context.watcher
        since_ns = self._sent_ns - TRAILING_NS
        series = await watcher.store.window(
            watcher.origin, self._instrument, self._channel, since_ns, row.t_utc_ns + 1, LIVE_POINTS_MAX
        )
        self._sent, self._sent_ns = b"points", row.t_utc_ns
        content = {"since_ms": since_ns / 1e6, "now_ms": view.at_utc_ns / 1e6, **live_points(series)}
        return _event("points", f"{row.seq}.{row.t_utc_ns}", content)


class StreamCount:
    """How many streams are open; above `STREAMS_MAX` a further one is refused with 503."""

    def __init__(self) -> None:
        self.open = 0


def live_handler(count: StreamCount) -> Any:
    """Make the handler of `/live`."""

    async def live(context: Context, request: Request, viewer: Viewer) -> Response:
        if request.query_params.get("channel") and viewer.role != "lab":
            text = lang.messages(lang.language_of(request))
            return json_response({"ok": False, "code": "lab-only", "text": text("refused.lab_only")}, 403)
        if count.open >= STREAMS_MAX:
            return json_response({"ok": False, "code": "too-many-streams"}, 503)

        async def counted() -> AsyncIterator[bytes]:
            count.open += 1
            try:
                async for part in Stream(context, request, viewer).parts():
                    yield part
            finally:
                count.open -= 1

        return StreamingResponse(
            counted(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    return live
