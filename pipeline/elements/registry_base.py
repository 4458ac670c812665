"""What the tables of a registry file share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from config.model import EntryId, Instant, Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Target = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z][a-z0-9_]*$", max_length=130)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


def to_ns(instant: datetime | None) -> int | None:
    """UTC in ns, exact; None stays None."""
    return None if instant is None else instant_ns(instant)


def instant_ns(instant: datetime) -> int:
    """UTC in ns, exact: TOML tells microseconds at most."""
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000


class EntrySettings(Settings):
    """What every entry has."""

    id: EntryId
    """Unique in the laboratory within its type."""
    valid_from: Instant | None = None
    """First instant at which this is so; without it the file's own, else the time of import."""
    valid_to: Instant | None = None
    """First instant at which this is no longer so."""
