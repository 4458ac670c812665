"""Which configurations an authenticated person applied: a small fold over `config` records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from pipeline.records import Record

VERSION = 1
NAME = "config-history"


@dataclass(frozen=True, slots=True)
class Birth:
    """The `config` record of a start, as it is published; not its content, which is large on a large site."""

    seq: int
    sha256: str
    data: bytes
    """The record's bytes."""

    @staticmethod
    def of(record: Record) -> Birth:
        """Keep what is needed of the record."""
        return Birth(record.seq, record.body.get("sha256", ""), record.data)


class ConfigHistory:
    """Remembers the hash of the configuration that a person applied last, and the record of the start."""

    def __init__(self) -> None:
        self.applied_sha256: str | None = None
        self.applied_by: dict[str, Any] | None = None
        self.birth: Birth | None = None

    def see(self, record: Record) -> None:
        """Take one record; only `config` records matter."""
        if record.kind != "config":
            return
        if record.body.get("action") == "apply":
            self.applied_sha256 = record.body.get("sha256")
            self.applied_by = record.body.get("actor")
        else:
            self.birth = Birth.of(record)

    def snapshot(self) -> bytes:
        """State for the next start; the record of the last start is written anew by each start."""
        packed: bytes = msgpack.packb([self.applied_sha256, self.applied_by])
        return packed

    def restore(self, state: bytes) -> None:
        """Take up a snapshot."""
        self.applied_sha256, self.applied_by = msgpack.unpackb(state)
