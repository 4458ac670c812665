"""Put deliveries together, and take their records apart again."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.mqtt.topics import gateway_of
from pipeline.records.envelope import MalformedRecord, decode, split
from pipeline.store.door import Origin

if TYPE_CHECKING:
    from gateway.collector.settings import CollectorSettings
    from pipeline.mqtt import Delivery
    from pipeline.records import Record

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
CONTENT_ERRORS = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, MemoryError)
"""What code raises over content that it did not expect; a record may even claim to have 10**12 rows."""
LETTER_BYTES_MAX = 65536
"""A payload that is no record is kept in its dead letter up to this size: anybody may have sent it."""


async def gather(queue: asyncio.Queue[Delivery], settings: CollectorSettings) -> list[Delivery]:
    """Wait for a delivery and take what comes with it: until it is quiet, late or large."""
    batch = [await queue.get()]
    size = len(batch[0].payload)
    latest_s = asyncio.get_running_loop().time() + settings.batch_delay_s
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(latest_s):
            while size < settings.batch_bytes_max:
                async with asyncio.timeout(settings.batch_quiet_s):
                    delivery = await queue.get()
                batch.append(delivery)
                size += len(delivery.payload)
    return batch


@dataclass(slots=True)
class Opened:
    """What a batch of deliveries holds."""

    items: list[tuple[Origin, Record]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    """Dead letters: parts of payloads that are no records."""


def open_batch(batch: list[Delivery]) -> Opened:
    """Take the records out of a batch; whatever is none becomes a dead letter, never an error."""
    opened = Opened()
    for delivery in batch:
        try:
            topics = gateway_of(delivery.topic)
            parts = split(delivery.payload)
        except CONTENT_ERRORS as error:
            opened.letters.append(_letter(delivery.topic, delivery.payload, str(error)))
            continue
        origin = Origin(topics.lab, topics.gateway)
        for part in parts:
            try:
                record = _admitted(decode(part))
            except CONTENT_ERRORS as error:  # MalformedRecord is one
                opened.letters.append(_letter(delivery.topic, part, f"{type(error).__name__}: {error}"))
            else:
                opened.items.append((origin, record))
    return opened


def _admitted(record: Record) -> Record:
    """Return a record that can be kept at all: 16 bytes of journal, numbers that fit into 64 bits."""
    numbers = (record.epoch, record.boot, record.seq, record.t_utc_ns, record.t_run_ns)
    if (
        len(record.journal) != 16 or record.seq < 0
        or min(numbers) < _INT64_MIN or max(numbers) > _INT64_MAX
    ):  # fmt: skip
        raise MalformedRecord("record envelope is damaged: an identity or a time is out of range")
    return record


def _letter(topic: str, payload: bytes, reason: str) -> dict[str, Any]:
    return {
        "topic": topic, "reason": reason, "bytes": len(payload), "payload": payload[:LETTER_BYTES_MAX].hex(),
    }  # fmt: skip
