"""Receipts that are refused: counted, shown while it goes on, logged once a minute."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipeline.mqtt import Delivery, MqttSettings, Publisher, Topics, seal_receipt
from pipeline.records.signing import SigningKey
from tests.crash.models import ManualClock
from tests.support.journal_fake import JournalInMemory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECOND_NS = 10**9
TOPICS = Topics("lab", "one")


class Receiving:
    """Stands for a connection over which receipts come."""

    def __init__(self, payloads: list[bytes], clock: ManualClock, pause_s: float) -> None:
        self._payloads = payloads
        self._clock = clock
        self._pause_ns = round(pause_s * SECOND_NS)

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Bring one after the other, with time between them."""
        for payload in self._payloads:
            self._clock.advance(self._pause_ns)
            yield Delivery(TOPICS.receipt, payload, lambda: None)


class Bench:
    """A publisher with one trusted collector, and two that are not."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.journal = JournalInMemory()
        self.journal.append("event", {})
        keys = [SigningKey.load_or_create(folder / f"{name}.key") for name in ("own", "first", "second")]
        self.good, *self.strange = (seal_receipt(key, self.journal.id, [(0, 0)]) for key in keys)
        self.publisher = Publisher(
            settings=MqttSettings(), topics=TOPICS, source=self.journal, clock=self.clock,
            random=random.Random(1), trusted=lambda: {keys[0].id: keys[0].public}, status=dict, retained=dict,
        )  # fmt: skip

    async def take(self, *payloads: bytes, pause_s: float = 5.0) -> dict[str, Any]:
        """Take receipts; returns the health afterwards."""
        await self.publisher._take_receipts(cast("Any", Receiving([*payloads], self.clock, pause_s)))
        return self.publisher.status()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_refusals_are_counted_and_shown_although_other_receipts_are_accepted(bench: Bench) -> None:
    assert bench.publisher.status()["refusing"] is False
    began_ns = bench.clock.utc + 10 * SECOND_NS
    health = await bench.take(bench.good, bench.strange[0], bench.good, bench.strange[0], bench.good)
    assert list(bench.journal.receipts.done) == [(0, 0)]
    assert (health["receipts"], health["receipts_refused"]) == (3, 2)
    assert health["refusing"] is True
    assert health["refusing_since_utc_ns"] == began_ns
    assert "not trusted" in health["receipt_error"]


async def test_a_minute_without_a_refusal_ends_the_trouble_and_the_next_one_begins_it_anew(
    bench: Bench,
) -> None:
    first = await bench.take(bench.strange[0])
    bench.clock.advance(60 * SECOND_NS)
    assert bench.publisher.status()["refusing"] is False
    again = await bench.take(bench.strange[0])
    assert again["refusing"] is True
    assert again["refusing_since_utc_ns"] == first["refusing_since_utc_ns"] + 65 * SECOND_NS


async def test_the_log_tells_of_refusals_once_a_minute_whoever_sends_them(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    health = await bench.take(*(bench.strange[number % 2] for number in range(240)), pause_s=1.0)
    assert health["receipts_refused"] == 240
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 4
    assert told[0].startswith("receipt refused, 1 since the start: collector key")
    assert told[1].startswith("receipt refused, 61 since the start:")
