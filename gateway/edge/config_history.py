"""What authenticated persons did: configurations, whom to believe, writes without an end; a small fold."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from gateway.edge.open_writes import OpenWrites
from gateway.trust.history import TrustHistory

if TYPE_CHECKING:
    from pipeline.records import Record

VERSION = 3
NAME = "config-history"


@dataclass(frozen=True, slots=True)
class Birth:
    """The `config` record of a start, as it is published; not its content, which is large on a large site."""

    seq: int
    sha256: str
    packed: bytes
    """The record's bytes, deflated: asked for at a connection only, and 12 MB on a large site."""

    @staticmethod
    def of(record: Record) -> Birth:
        """Keep what is needed of the record."""
        return Birth(record.seq, record.body.get("sha256", ""), zlib.compress(record.data, level=1))

    @property
    def data(self) -> bytes:
        """The record's bytes."""
        return zlib.decompress(self.packed)


class ConfigHistory:
    """Remembers the configuration applied last and by whom, the record of the start, and who is believed."""

    def __init__(self) -> None:
        self.applied_sha256: str | None = None
        self.applied_by: dict[str, Any] | None = None
        self.birth: Birth | None = None
        self.trust = TrustHistory()
        self.writes = OpenWrites()

    def see(self, record: Record) -> None:
        """Take one record; only `config` records and events about trust and writes matter."""
        self.trust.see(record)
        self.writes.see(record)
        if record.kind != "config":
            return
        if record.body.get("action") == "apply":
            self.applied_sha256 = record.body.get("sha256")
            self.applied_by = record.body.get("actor")
        else:
            self.birth = Birth.of(record)

    def snapshot(self) -> bytes:
        """State for the next start; the record of the last start is written anew by each start."""
        packed: bytes = msgpack.packb(
            [self.applied_sha256, self.applied_by, self.trust.snapshot(), self.writes.snapshot()]
        )
        return packed

    def restore(self, state: bytes) -> None:
        """Take up a snapshot."""
        sha256, by, told, written = msgpack.unpackb(state)
        trust, writes = TrustHistory(), OpenWrites()
        trust.restore(told)
        writes.restore(written)
        self.applied_sha256, self.applied_by, self.trust, self.writes = sha256, by, trust, writes
