"""What the collector's status says."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from gateway.collector.latency import Latency
from pipeline.mqtt.reconnect import LinkHealth
from pipeline.mqtt.topics import gateway_of
from pipeline.records.envelope import MalformedRecord, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.collector.dead_letters import DeadLetters
    from pipeline.archive import Archive
    from pipeline.records import Clock

GATEWAYS_MAX = 1000
"""Gateways whose retained messages are kept; those heard later are left out."""
RETAINED_BYTES_MAX = 65536
BIRTH_BYTES_MAX = 4 * 1024 * 1024
"""Of a birth, only what it says of itself is kept."""


@dataclass(slots=True)
class TargetHealth:
    """Whether store and archive take what they are given."""

    ok: bool = True
    since_utc_ns: int = 0
    """When the present state began."""
    error: str = ""
    hint: str = ""

    def set(self, *, ok: bool, utc_ns: int, error: str = "", hint: str = "") -> None:
        """Note an outcome; the time changes only with the state."""
        if ok != self.ok or not self.since_utc_ns:
            self.since_utc_ns = utc_ns
        self.ok, self.error, self.hint = ok, error, hint


@dataclass(slots=True)
class CollectorHealth:
    """Counters since this process started, and states."""

    records: int = 0
    """Different records archived and stored; when the connection is lost in between, they count as known."""
    readings: int = 0
    """Readings in them: rows times channels."""
    known: int = 0
    """Records that came again."""
    receipts: int = 0
    receipts_refused: str = ""
    """Why the broker did not take the last receipt that it refused."""
    forks: int = 0
    """Records of an identity that has different bytes: no receipt was given."""
    malformed: int = 0
    """Payloads, or parts of them, that are no records."""
    dead_letters_full: bool = False
    lag_s: float | None = None
    """Age of the oldest record of the last stored batch when it was stored; None before the first."""
    under_way_utc_ns: list[int] = field(default_factory=list)
    """Stamp of the oldest record of each batch that is on its way to the store."""
    waiting: int = 0
    """Messages received and not yet stored."""
    dropped: int = 0
    """Messages of this connection for which there was no room; their gateways send them again."""
    store: TargetHealth = field(default_factory=TargetHealth)
    archive: TargetHealth = field(default_factory=TargetHealth)
    link: LinkHealth = field(default_factory=LinkHealth)
    latency: Latency = field(default_factory=Latency)
    gateways: dict[str, dict[str, Any]] = field(default_factory=dict)
    """ "lab/gateway" to what its retained topics say."""

    @contextmanager
    def storing(self, oldest_utc_ns: int | None) -> Iterator[None]:
        """Count a batch as under way; None: it has no record for the store."""
        if oldest_utc_ns is None:
            yield
            return
        self.under_way_utc_ns.append(oldest_utc_ns)
        try:
            yield
        finally:
            self.under_way_utc_ns.remove(oldest_utc_ns)

    def lag_now_s(self, now_utc_ns: int) -> float | None:
        """Return how old the oldest record here is that the store does not have, or `lag_s` if that is more.

        It grows while the store takes nothing: a lag of yesterday is not shown as one of today.
        """
        waiting_s = [(now_utc_ns - oldest_utc_ns) / 1e9 for oldest_utc_ns in self.under_way_utc_ns]
        return max([*waiting_s, *([] if self.lag_s is None else [self.lag_s])], default=None)

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a retained message of a gateway; one that makes no sense is shown as such."""
        try:
            topics = gateway_of(topic)
        except ValueError:
            return
        name = f"{topics.lab}/{topics.gateway}"
        what = topic.rsplit("/", 1)[1]
        too_large = len(payload) > (BIRTH_BYTES_MAX if what == "birth" else RETAINED_BYTES_MAX)
        too_many = name not in self.gateways and len(self.gateways) >= GATEWAYS_MAX
        if not (too_large or too_many):
            self.gateways.setdefault(name, {}).update(_told(what, payload))

    def as_json(
        self, *, key: str, dead_letters: DeadLetters, archive: Archive, clock: Clock
    ) -> dict[str, Any]:  # fmt: skip
        """Everything for the status page."""
        return {
            "role": "collector", "key": key, "records": self.records, "readings": self.readings,
            "known": self.known, "receipts": self.receipts, "receipts_refused": self.receipts_refused,
            "forks": self.forks, "malformed": self.malformed, "dead_letters": dead_letters.count,
            "dead_letters_full": self.dead_letters_full, "lag_s": self.lag_now_s(clock.utc_ns()),
            "waiting": self.waiting, "dropped": self.dropped,
            "latency_ms": self.latency.percentiles_ms(), "store": asdict(self.store),
            "archive": asdict(self.archive) | asdict(archive.health), "link": asdict(self.link),
            "gateways": self.gateways,
        }  # fmt: skip


def _told(what: str, payload: bytes) -> dict[str, Any]:
    try:
        if what == "status":
            return {"status": orjson.loads(payload)}
        if what == "birth":
            record = decode(payload)
            return {
                "birth": {"seq": record.seq, "t_utc_ns": record.t_utc_ns, "journal": record.journal.hex()}
            }
        return {what: payload.decode()}
    except (orjson.JSONDecodeError, MalformedRecord, UnicodeDecodeError) as error:
        return {what: {"malformed": str(error)}}
