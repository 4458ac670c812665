"""Settings of the archive."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.model import Settings


class ArchiveSettings(Settings):
    """Where the archive's limits lie."""

    segment_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024 * 1024)] = 64 * 1024 * 1024
    """A segment file that has grown past this size is closed for ever and the next one begun."""
