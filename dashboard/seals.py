"""Trust: how far the record is sealed, who outside has seen it, and whether it is kept elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard import language as lang
from dashboard.context import render
from dashboard.events import event_rows
from dashboard.kept import cosigned
from dashboard.trust import trust_items
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.context import Context
    from dashboard.language import Messages
    from dashboard.sessions import Viewer

Json = dict[str, Any]
SECOND_NS = 1_000_000_000
EVENTS_READ = 2000
"""Newest events without an instrument among which changes of trust are looked for."""
CHANGES_SHOWN = 20


def witness_rows(status: Mapping[str, Any]) -> list[Json]:
    """List the witnesses: how many records each has cosigned, when by its own clock, how many not yet."""
    durable = int((status.get("journal") or {}).get("durable_seq", -1)) + 1
    return [
        {
            "name": name,
            "operator": one["operator"],
            "size": one["size"],
            "t_utc_ns": one["t_s"] * SECOND_NS if one["size"] else None,
            "not_yet": max(0, durable - one["size"]),
        }
        for name, one in sorted((status.get("witnesses") or {}).items())
    ]


def journal_facts(status: Mapping[str, Any]) -> Json | None:
    """Show what the daemon says of its record and of what others keep of it; None without a daemon."""
    journal = status.get("journal")
    if not journal:
        return None
    publisher = status.get("publisher") or {}
    # Without the counters, nothing is claimed of receipts: they are told only when durable.
    told = bool(publisher)
    return {
        "durable": int(journal.get("durable_seq", -1)) + 1,
        "receipted": int(journal.get("receipted_through", -1)) + 1,
        "waiting": journal.get("backlog_records", 0),
        "damaged": journal.get("damaged", 0),
        "holes": journal.get("holes", 0),
        "trouble": journal.get("trouble") or "",
        "reserve": journal.get("reserve", ""),
        "verified_utc_ns": journal.get("verified_utc_ns") or None,
        "told": told,
        "receipts": publisher.get("receipts", 0),
        "refused": publisher.get("receipts_refused", 0),
        "refused_why": publisher.get("receipt_error", ""),
        "no_collector": bool(publisher.get("no_collector")),
        "denied": publisher.get("refused") or {},
    }


async def belief_rows(context: Context, viewer: Viewer, text: Messages) -> list[Json]:
    """List the recorded changes of who is believed, newest first; none while the store is away."""
    watcher = context.watcher
    try:
        rows = await watcher.store.ledger(watcher.origin, "event", key="", limit=EVENTS_READ)
    except StoreError:
        return []
    found = [row for row in rows if str(row.body.get("code", "")).startswith("trust-")][:CHANGES_SHOWN]
    names = await context.sessions.names(viewer)
    shown = event_rows(found, viewer.role, text, names)
    return [
        {
            **one,
            "journal": row.journal.hex(),
            "at_ns": row.t_utc_ns,
            "before": str(row.body["args"].get("before") or ""),
            "after": str(row.body["args"].get("after") or ""),
        }
        for one, row in zip(shown, found, strict=True)
    ]


async def trust(context: Context, request: Request, viewer: Viewer) -> Response:
    """Show seals, witnesses, archive and store."""
    view = await context.watcher.view()
    text = lang.messages(lang.language_of(request))
    status = view.status or {}
    checkpoints = view.ledger.get("checkpoint") or []
    sealed, watcher = int(checkpoints[0].body["size"]) if checkpoints else 0, context.watcher
    return render(context, request, viewer, "trust.html", view, {
        "items": trust_items(view, text),
        "checkpoint": checkpoints[0] if checkpoints else None,
        "witnesses": witness_rows(status or await cosigned(watcher.store, watcher.origin, sealed)),
        "journal": journal_facts(status),
        "beliefs": await belief_rows(context, viewer, text),
        "store": await context.watcher.store.health(),
        "no_status": "trust.door_away" if view.door_error else "trust.no_door",
    })  # fmt: skip
