"""The reading pages and their data routes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from dashboard import language as lang
from dashboard.context import json_response, refusal_page, render
from dashboard.events import event_rows
from dashboard.tasks import fold_tasks, gather
from dashboard.trend import MEDIA_TYPE, POINTS_MAX, encode_series, gap_bands
from pipeline.qc.table import RULES
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from starlette.requests import Request

    from dashboard.context import Context
    from dashboard.sessions import Viewer

EVENTS_LIMIT = 300
TASKS_SHOWN = 200
GAPS_LIMIT = 5000


async def overview(context: Context, request: Request, viewer: Viewer) -> Response:
    """Overview; its script fills it from the live stream."""
    return render(context, request, viewer, "overview.html", await context.watcher.view(), {})


async def overview_data(context: Context, request: Request, viewer: Viewer) -> Response:
    """The overview once, as the live stream sends it."""
    view = await context.watcher.view()
    text, names = lang.messages(lang.language_of(request)), await context.sessions.names(viewer)
    return json_response(context.overviews.get(view, viewer.role, text, names, await context.required()))


async def events(context: Context, request: Request, viewer: Viewer) -> Response:
    """Events and alarms, newest first, in both languages."""
    view = await context.watcher.view()
    severity = request.query_params.get("severity", "")
    rows, error = [], view.store_error
    try:
        rows = await context.watcher.store.ledger(context.watcher.origin, "event", limit=EVENTS_LIMIT)
    except StoreError as problem:
        error = str(problem)
    text, names = lang.messages(lang.language_of(request)), await context.sessions.names(viewer)
    shown = [row for row in rows if not severity or row.body.get("severity") == severity]
    return render(context, request, viewer, "events.html", view, {
        "events": event_rows(shown, viewer.role, text, names), "severity": severity, "error": error,
        "limit": EVENTS_LIMIT,
    })  # fmt: skip


async def tasks(context: Context, request: Request, viewer: Viewer) -> Response:
    """All tasks of the view, newest first; `?show=held` or `?show=running` chooses."""
    view = await context.watcher.view()
    folded = fold_tasks(gather(view.ledger), await context.required()).values()
    show = request.query_params.get("show", "")
    chosen = [task for task in folded if _shown(task, show)][:TASKS_SHOWN]
    names = await context.sessions.names(viewer)
    return render(context, request, viewer, "tasks.html", view, {
        "tasks": chosen, "show": show, "names": names, "error": view.store_error, "total": len(folded),
    })  # fmt: skip


def _shown(task: Any, show: str) -> bool:
    if show == "held":
        return task.overall in {"held", "released-under-look-back"}
    return show != "running" or task.phase == "running"


async def channel(context: Context, request: Request, viewer: Viewer) -> Response:
    """One channel: its trend for the laboratory, counts of flags and gaps for a regulator."""
    instrument, name = request.path_params["instrument"], request.path_params["channel"]
    view = await context.watcher.view()
    info, row = view.site.instrument(instrument), view.latest.get(instrument)
    known = name in info.channels or (row is not None and name in row.flags)
    if not known:
        return refusal_page(context, request, viewer, "refused.no_channel", HTTPStatus.NOT_FOUND)
    configured = info.channels.get(name)
    counts = view.counts.get(instrument)
    text = lang.messages(lang.language_of(request))
    rules = {str(rule.bit): rule.title[0 if text.language == "en" else 1] for rule in RULES}
    return render(context, request, viewer, "channel.html", view, {
        "instrument": instrument,
        "channel": name,
        "unit": (row.units.get(name) if row else None) or (configured.unit if configured else ""),
        "counts": dict(counts.flags) if counts else {},
        "rules_on": [rules[str(rule.bit)] for rule in RULES if configured and rule.table in configured.rules],
        "settings": {
            "limits": configured.limits if configured else {},
            "decimals": configured.decimals if configured else None,
            "interval_s": info.channel_interval_s(name),
            "stale_after_s": info.channel_stale_after_s(name),
            "rules": rules,
            "future_rules": [rules[str(rule.bit)] for rule in RULES if rule.later],
            "latest_ms": view.earlier.get(instrument, {}).get(name, row.t_utc_ns) / 1e6 if row else None,
        },
    })  # fmt: skip


def _span(request: Request) -> tuple[int, int] | None:
    """Read `from_ns` and `to_ns`; None when they are no span."""
    first, last = request.query_params.get("from_ns", ""), request.query_params.get("to_ns", "")
    if not (first.isdecimal() and last.isdecimal() and len(first) < 20 and len(last) < 20):
        return None
    span = int(first), min(int(last), 2**63 - 1)
    return span if span[0] < span[1] else None


def _bad_span(request: Request) -> Response:
    text = lang.messages(lang.language_of(request))
    return json_response(
        {"ok": False, "code": "bad-span", "text": text("refused.bad_span")}, HTTPStatus.BAD_REQUEST
    )


async def channel_data(context: Context, request: Request, _viewer: Viewer) -> Response:
    """Points of a channel in a span: `trend.encode_series`."""
    span, points = _span(request), request.query_params.get("points", "4000")
    if span is None or not points.isdecimal() or len(points) > 6:
        return _bad_span(request)
    watcher = context.watcher
    series = await watcher.store.window(
        watcher.origin, request.path_params["instrument"], request.path_params["channel"],
        *span, max(4, min(int(points), POINTS_MAX)),
    )  # fmt: skip
    return Response(encode_series(series), media_type=MEDIA_TYPE)


async def channel_gaps(context: Context, request: Request, _viewer: Viewer) -> Response:
    """Gaps of an instrument that touch a span."""
    span = _span(request)
    if span is None:
        return _bad_span(request)
    instrument, watcher = request.path_params["instrument"], context.watcher
    rows = await watcher.store.ledger(watcher.origin, "gap", key=instrument, limit=GAPS_LIMIT)
    text = lang.messages(lang.language_of(request))
    bands = gap_bands(rows, instrument, *span)
    return json_response([{**band, "cause_text": text.word("gap_cause", band["cause"])} for band in bands])


async def script_messages(_context: Context, request: Request, _viewer: Viewer) -> Response:
    """The texts that the scripts of the pages show."""
    text = lang.messages(lang.language_of(request))
    tables = ("js", "flag", "state", "severity")
    content: dict[str, Any] = {name: text.table(name) for name in tables}
    content["status"] = {name: text.word("status", name) for name in ("ok", "flag", "hold", "not_evaluated")}
    content["element"] = text.table("element_short")
    content["element_name"] = {name: text.word("element", name) for name in content["element"]}
    return json_response(content)


async def health(context: Context, _request: Request) -> Response:
    """Health of the web role: can it read the store, does the daemon answer. Says nothing of the content."""
    store = await context.watcher.store.health()
    door = "none"
    if context.door is not None:
        try:
            await context.door.get("status")
            door = "ok"
        except ConnectionError as error:
            door = str(error)
    ok = store.ok and door in {"none", "ok"}
    body = {
        "role": "web", "state": "ok" if ok else "degraded", "now_utc_ns": context.watcher.utc_now_ns(),
        "store": {"ok": store.ok, "kind": store.kind, "detail": store.detail}, "door": door,
    }  # fmt: skip
    return json_response(body, HTTPStatus.OK if store.ok else HTTPStatus.SERVICE_UNAVAILABLE)
