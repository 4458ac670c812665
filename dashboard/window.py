"""A regulator's reading of one channel of one task, under a recorded trigger.

The daemon decides: its command `window.read` records the read-notice and answers with the span only once the
notice is durable. Nothing is read from the store before that.
"""

from __future__ import annotations

import io
import math
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import Response

from dashboard import language as lang
from dashboard.context import read_form, refusal_page, render
from dashboard.task_page import refusal_of, send
from dashboard.trend import POINTS_MAX
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from starlette.requests import Request

    from dashboard.context import Context
    from dashboard.sessions import Viewer
    from pipeline.store.door import Series

Json = dict[str, Any]
_CHANNEL = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9_]*")
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


async def window(context: Context, request: Request, viewer: Viewer) -> Response:
    """Serve the window as CSV, after the daemon has recorded the notice of it."""
    if viewer.role != "regulator" or viewer.token is None or context.door is None:
        return refusal_page(context, request, viewer, "refused.window", HTTPStatus.FORBIDDEN)
    try:
        channel = (await read_form(request)).get("channel", "")
    except ValueError:
        channel = ""
    if not _CHANNEL.fullmatch(channel):
        return refusal_page(context, request, viewer, "refused.bad_form", HTTPStatus.BAD_REQUEST)
    args = {"task": request.path_params["task"], "channel": channel}
    actor = {"station": "web", "meaning": "window.read"}
    answer = await send(context, "window.read", args, actor, token=viewer.token)
    if not answer.get("ok"):
        if answer.get("code") == "session-ended":
            context.sessions.close(viewer)
        refusal = refusal_of(answer, lang.messages(lang.language_of(request)))
        values = {"message": f"{refusal['text']} {refusal['hint']}".strip(), "status": HTTPStatus.FORBIDDEN}
        return render(
            context, request, viewer, "refused.html", None, values, status=HTTPStatus.FORBIDDEN
        )  # fmt: skip
    return await _serve(context, request, viewer, answer)


async def _serve(context: Context, request: Request, viewer: Viewer, answer: Json) -> Response:
    allowed = answer["result"]
    instrument, _, channel = str(allowed["channel"]).partition(".")
    watcher, span = context.watcher, (int(allowed["from_utc_ns"]), int(allowed["to_utc_ns"]))
    try:
        series = await watcher.store.window(watcher.origin, instrument, channel, *span, POINTS_MAX)
    except StoreError:
        return refusal_page(context, request, viewer, "trust.store_away", HTTPStatus.SERVICE_UNAVAILABLE)
    name = _NAME.sub("-", f"{allowed['task']}-{allowed['channel']}")
    head = {"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "no-store"}
    return Response(write_csv(series, allowed, answer["seq"]), media_type="text/csv", headers=head)


def write_csv(series: Series, allowed: Json, notice_seqs: list[int]) -> str:
    """Write a window as CSV, every value exact; the head says under which trigger and notice it was read."""
    out = io.StringIO()
    out.write(f"# task {allowed['task']}, channel {allowed['channel']}\n")
    notice = ", ".join(map(str, notice_seqs[:1]))
    out.write(f"# trigger: record {allowed['trigger_seq']}; notice of this reading: record {notice}\n")
    whole = "some rows that passed are left out" if series.decimated else "every stored row"
    out.write(f"# {whole}\nt_utc,t_utc_ns,value,corrected,flag,reason_mask\n")
    corrected = np.full(len(series.value), np.nan) if series.corrected is None else series.corrected
    columns = (series.t_utc_ns, series.value, corrected, series.flag, series.reason)
    for t_ns, value, true, flag, reason in zip(*(column.tolist() for column in columns), strict=True):
        at = datetime.fromtimestamp(t_ns // 1_000_000_000, UTC)
        out.write(f"{at:%Y-%m-%dT%H:%M:%SZ},{t_ns},{_number(value)},{_number(true)},{flag},{reason}\n")
    return out.getvalue()


def _number(value: float) -> str:
    """Write a number exactly; nothing where nothing was measured."""
    return "" if math.isnan(value) else repr(value)
