"""Commands of people: each is checked against the state and becomes drafts, or is refused with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.commands import holds, others, tasks
from pipeline.elements.commands.request import Planned, Request

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS: dict[str, Callable[[Request], Planned]] = {
    "task.start": tasks.start,
    "task.handover": tasks.handover,
    "task.bind": tasks.bind,
    "task.stop": tasks.stop,
    "task.abort": tasks.abort,
    "task.link": tasks.link,
    "hold.release": holds.release,
    "instrument.state": others.set_state,
    "registry.import": others.import_registry,
}
"""The literal table of commands."""

__all__ = ["COMMANDS", "Planned", "Request"]
