"""Settings of the intake."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.model import Settings


class IntakeSettings(Settings):
    """How long checked readings wait for others of their instrument."""

    frame_delay_ms: Annotated[int, Field(ge=0, le=1000)] = 100
    """A frame of readings is closed at most this long after its oldest one; 0: each poll is a frame, at once.
    Fewer readings in a frame cost more CPU and bytes a reading; what is polled once a second gains nothing by
    waiting."""
