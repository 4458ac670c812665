"""What the triggers remember."""

from __future__ import annotations

from dataclasses import dataclass, field

TASKS_MAX = 20_000
"""Tasks whose triggers are kept; the oldest gives way, and its window is closed again."""


@dataclass(slots=True)
class TaskTriggers:
    """The triggers of one task."""

    seqs: dict[str, int] = field(default_factory=dict)
    """Trigger to the seq of its record; -1 between draft and record."""
    margin_s: float = 0.0
    """Seconds that the window holds before and after the task, as recorded."""


@dataclass(slots=True)
class TriggerState:
    """Memory of the triggers; a part of the fold's state."""

    recorded: dict[str, TaskTriggers] = field(default_factory=dict)
    """By task."""
