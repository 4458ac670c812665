"""Commands that import what only authorities decide: the official class, the table of spot checks."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from pipeline.elements.codec import MalformedBody, from_body, to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.risk.state import CREDIT_CLASSES, SpotCheckTable
from pipeline.elements.shapes import Draft
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request

_MAY_IMPORT = frozenset({"password", "pin", "demo"})


def import_class(request: Request) -> Planned:
    """Record the official credit-risk class with who decided it, when and in which document."""
    request.only("credit_class", "source", "decided_on", "document")
    _see_identity(request)
    args = {
        "credit_class": request.choice("credit_class", CREDIT_CLASSES),
        "source": request.text("source"),
        "decided_on": _day(request, "decided_on"),
        "document": request.optional_text("document") or "",
    }
    return _planned(request, "credit-class", args, {"credit_class": args["credit_class"]})


def import_table(request: Request) -> Planned:
    """Record the regulator's table of spot checks as it was read from its file."""
    request.only("table")
    _see_identity(request)
    given = request.args.get("table")
    try:
        table = from_body(SpotCheckTable, given if isinstance(given, dict) else {})
    except MalformedBody as error:
        raise Refused("wrong-argument", argument="table", problem=str(error)) from None
    classes = [row.credit_class for row in table.rows]
    if not classes or len(classes) != len(set(classes)):
        raise Refused("wrong-argument", argument="table", problem="one row for each class, at least one")
    if any(not 0 <= row.proportion <= 1 or row.per_year < 0 for row in table.rows):
        raise Refused("wrong-argument", argument="table", problem="proportion is 0 to 1, per_year 0 or more")
    body: dict[str, Any] = to_body(table)
    args = {key: value for key, value in body.items() if key not in {"person", "seq"}}
    return _planned(request, "spot-check-table", args, {"title": table.title})


def _planned(request: Request, code: str, args: dict[str, Any], result: dict[str, Any]) -> Planned:
    body = event_body(code, **args)
    body["actor"] = to_body(request.actor)
    return Planned((Draft("event", body),), result)


def _see_identity(request: Request) -> None:
    if request.actor.how not in _MAY_IMPORT:
        raise Refused("not-authenticated", how=request.actor.how)


def _day(request: Request, name: str) -> str:
    text = request.text(name)
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Refused("wrong-argument", argument=name, problem="a date such as 2026-03-01") from None
