"""What opens a task's window to a regulator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.model import Seconds, Settings


class TriggerSettings(Settings):
    """Occasions and the window that they open."""

    offline: Seconds = 600.0
    """An instrument of a task that was silent for longer within it opens the task's window."""

    margin: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """Seconds before the start and after the end of the task that the window holds as well."""

    reason_length_min: Annotated[int, Field(ge=1, le=200)] = 4
    """Characters below which the reason of a release counts as none."""
