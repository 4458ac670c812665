"""The end of a look-back: a person's evaluation of its impact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.lookback.report import waiting
from pipeline.elements.lookback.shapes import LookBackClose
from pipeline.elements.refusal import Refused
from pipeline.elements.shapes import Draft

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request

_AUTHENTICATED = frozenset({"password", "pin"})


def close(request: Request) -> Planned:
    """Close a look-back once every result that it held has been disposed of."""
    request.only("lookback", "conclusion")
    if request.actor.how not in _AUTHENTICATED:
        raise Refused("not-authenticated", how=request.actor.how)
    name, conclusion = request.text("lookback"), request.text("conclusion")
    known = request.state.lookbacks.items.get(name)
    if known is None:
        raise Refused("unknown-lookback", lookback=name)
    if known.closed is not None:
        raise Refused("lookback-closed", lookback=name, person=known.closed.actor.person)
    if not known.reached:
        raise Refused("lookback-unreached", lookback=name)
    held = waiting(known, request.state)
    if held:
        raise Refused("lookback-held", lookback=name, count=str(len(held)))
    action = LookBackClose(name, conclusion, request.actor)
    return Planned((Draft("lookback", to_body(action)),), {"lookback": name})
