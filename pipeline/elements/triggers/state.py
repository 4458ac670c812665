"""What the triggers remember."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.elements.triggers.vocabulary import Trigger


@dataclass(slots=True)
class TriggerState:
    """Task to the triggers recorded for it; the oldest task gives way with the fold's finished tasks."""

    recorded: dict[str, list[Trigger]] = field(default_factory=dict)
