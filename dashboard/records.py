"""One record by its number: what it says, and how to prove it to somebody who trusts nobody."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from dashboard import language as lang
from dashboard.context import refusal_page, render
from dashboard.events import event_texts
from pipeline.store.door import StoreError
from pipeline.store.schema import LEDGER_KEYS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.sessions import Viewer
    from pipeline.store.door import LedgerRow

SAME_SEQ_MAX = 8
"""Records of one number that are looked at: each journal of the place has its own."""
SEQ_DIGITS_MAX = 18


async def find_record(context: Context, seq: int, journal: str) -> LedgerRow | None:
    """Find a stored ledger record by its number; None for readings, which are stored by their time.

    Args:
        context: the parts behind the pages.
        seq: its number.
        journal: id of its journal, hexadecimal; empty: whichever has it.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    watcher = context.watcher
    for kind in LEDGER_KEYS:
        rows = await watcher.store.ledger(
            watcher.origin, kind, limit=SAME_SEQ_MAX, newest_first=False, seq_from=seq
        )
        for row in rows:
            if row.seq == seq and journal in {"", row.journal.hex()}:
                return row
    return None


async def record(context: Context, request: Request, viewer: Viewer) -> Response:
    """Show one record; its content is for the laboratory."""
    wanted = request.path_params["seq"]
    if not wanted.isdecimal() or len(wanted) > SEQ_DIGITS_MAX:
        return refusal_page(context, request, viewer, "refused.no_record", HTTPStatus.NOT_FOUND)
    view = await context.watcher.view()
    try:
        row = await find_record(context, int(wanted), request.query_params.get("journal", ""))
    except StoreError:
        return refusal_page(context, request, viewer, "trust.store_away", HTTPStatus.SERVICE_UNAVAILABLE)
    text, names = lang.messages(lang.language_of(request)), await context.sessions.names(viewer)
    said: tuple[str, str] = ("", "")
    if row is not None and row.kind == "event":
        said = event_texts(row.body, viewer.role, text, names)
    content: dict[str, Any] = row.body if row is not None and viewer.role == "lab" else {}
    return render(context, request, viewer, "record.html", view, {
        "seq": int(wanted),
        "record": row,
        "said": said,
        "body": orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() if content else "",
        "task": request.query_params.get("task", "") or str((row.body.get("task") if row else "") or ""),
    })  # fmt: skip
