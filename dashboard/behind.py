"""Views that only the daemon's door gives: alarms, batches, charts, look-backs, risk.

They are folded by the daemon from its own record and answer only with what is durable. A page at the centre
has no door, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from dashboard.context import Context


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door said: the content, or the key of the message that says why there is none."""

    content: Any = None
    problem: str = ""
    """Key of a message; empty when there is content."""


async def read_view(
    context: Context, name: str, argument: str | None = None, *, subject: str | None = None
) -> Answer:
    """Read a view of the daemon. Raises nothing: a door that is away is a problem to show.

    Args:
        context: the parts behind the pages.
        name: the view.
        argument: one item of it.
        subject: for the view `risk`, whose index.
    """
    if context.door is None:
        return Answer(problem="quality.no_door")
    path = name if argument is None else f"{name}/{quote(argument, safe='')}"
    if subject is not None:
        path += f"?subject={quote(subject, safe='')}"
    try:
        content = await context.door.get(path)
    except ConnectionError:
        return Answer(problem="trust.door_away")
    if isinstance(content, dict) and content.get("ok") is False:
        missing = content.get("code") == "not-found"
        return Answer(problem="quality.not_found" if missing else "quality.not_durable")
    return Answer(content)
