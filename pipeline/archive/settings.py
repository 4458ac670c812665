"""Settings of the archive."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.model import Settings


class ArchiveSettings(Settings):
    """Where the archive's limits lie."""

    segment_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024 * 1024)] = 64 * 1024 * 1024
    """A segment file that has grown past this size is closed for ever and the next one begun."""

    keep_years: Annotated[float, Field(ge=0, le=1000)] = 6.0
    """Records stay at least this long; then whole segments go, but for their hashes and what is held."""

    check_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    """Within this time every byte is read again and compared."""

    check_bytes_per_s: Annotated[int, Field(ge=65536)] = 8 * 1024 * 1024
    """The check reads no faster than this on average."""
