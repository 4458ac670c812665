"""Settings of the collector."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.model import Settings
from pipeline.archive import ArchiveSettings


class CollectorSettings(Settings):
    """How the collector puts together what it stores."""

    batch_delay_s: Annotated[float, Field(gt=0, le=10)] = 0.1
    """A batch is stored at most this long after its first message came."""
    batch_quiet_s: Annotated[float, Field(gt=0, le=1)] = 0.01
    """A batch is stored earlier when no further message came for this long."""
    batch_bytes_max: Annotated[int, Field(ge=4096, le=256 * 1024 * 1024)] = 1024 * 1024
    """A batch is stored when its payloads have this size: live frames wait for the batch before."""
    dead_letter_bytes_max: Annotated[int, Field(ge=65536)] = 256 * 1024 * 1024
    """Size of the dead-letter file above which nothing is added: its records then get no receipt."""
    archive: ArchiveSettings = ArchiveSettings()
    """The archive of record bytes."""
