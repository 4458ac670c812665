"""Views that the daemon folds from its record: alarms, batches, charts, look-backs, risk.

The daemon's door gives them, only with what is durable. Where there is no door, or nobody answers at it, they
are told from the records that the store keeps, and the page says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from dashboard.kept import NAMES, Answer
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from dashboard.context import Context


async def read_view(
    context: Context, name: str, argument: str | None = None, *, subject: str | None = None
) -> Answer:
    """Read a view of the daemon, or of its stored records. Raises nothing: who is away is a problem to show.

    Args:
        context: the parts behind the pages.
        name: the view.
        argument: one item of it.
        subject: for the view `risk`, whose index.
    """
    if context.door is None:
        return await _kept(context, name, subject or argument, "quality.no_door")
    path = name if argument is None else f"{name}/{quote(argument, safe='')}"
    if subject is not None:
        path += f"?subject={quote(subject, safe='')}"
    try:
        content = await context.door.get(path)
    except ConnectionError:
        return await _kept(context, name, subject or argument, "trust.door_away")
    if isinstance(content, dict) and content.get("ok") is False:
        missing = content.get("code") == "not-found"
        return Answer(problem="quality.not_found" if missing else "quality.not_durable")
    return Answer(content)


async def _kept(context: Context, name: str, argument: str | None, problem: str) -> Answer:
    """Tell a view from the stored records; `problem` where they cannot tell it, or there are none yet."""
    if name not in NAMES:
        return Answer(problem=problem)
    try:
        content = await context.kept.view(name, argument)
    except KeyError:
        return Answer(problem="quality.not_found" if context.kept.through_seq >= 0 else problem)
    except StoreError:
        return Answer(problem="trust.store_away")
    if context.kept.through_seq < 0:
        return Answer(problem=problem)
    return Answer(content, kept_through=context.kept.through_seq)
