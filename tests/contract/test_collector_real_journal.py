"""The whole way with the real parts: journal, publisher, broker, collector, embedded store."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from gateway.broker import EmbeddedBroker
from gateway.edge.state import StateFolder
from pipeline.archive import Archive
from pipeline.journal import Journal, JournalSettings
from pipeline.mqtt import MqttSettings
from pipeline.store import Origin
from tests.support.collecting import collecting, embedded_store, key_of, publishing
from tests.support.journal_fake import T0_NS, JournalInMemory, data_body
from tests.support.services import Mosquitto
from tests.support.waiting import until

SECOND_NS = 1_000_000_000
ORIGIN = Origin("lab", "one")


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "journal", JournalSettings(), purpose="production")
    yield opened
    await opened.close()


async def test_every_record_of_a_real_journal_is_stored_once(
    mosquitto: Mosquitto, journal: Journal, tmp_path: Path
) -> None:
    mqtt = MqttSettings(host=mosquitto.host, port=mosquitto.port, republish_first_s=1.0)
    key = key_of(tmp_path)
    start_ns = time.time_ns()
    async with (
        embedded_store(tmp_path) as store,
        collecting(mqtt, tmp_path, store) as collector,
        publishing(mqtt, journal, {key.id: key.public}),
    ):
        for number in range(8):
            body = data_body("oven", number * 5, time.time_ns(), 5)
            journal.append("data", body, source="live")
            last = journal.append("tick", {}, source="live")
            await journal.wait_durable(last.seq)
        await until(lambda: journal.receipts.done.covers(0, last.seq))
        status = await collector.until_status(lambda s: s["records"] == last.seq + 1)
        counts = await store.counts(ORIGIN, start_ns - SECOND_NS, time.time_ns() + SECOND_NS)
        records = await journal.read(0, bytes_max=2**24)
    assert (counts["oven"].rows, counts["oven"].duplicates) == (40, 0)
    assert status["readings"] == 80
    assert 0 < status["latency_ms"]["p50"] < 5000
    archive = await Archive.open(StateFolder(tmp_path).archive, bytes(16))
    assert [one.data for one in await archive.records(journal.id, 0)] == [record.data for record in records]
    await archive.close()


async def test_over_the_embedded_broker_a_collector_that_comes_late_gets_everything(tmp_path: Path) -> None:
    journal = JournalInMemory()
    for number in range(60):
        journal.append("data", data_body("oven", number * 100, T0_NS + number * SECOND_NS, 100))
    key = key_of(tmp_path)
    async with EmbeddedBroker() as broker, embedded_store(tmp_path) as store:
        # The window is full before anybody listens, and this broker does not say so.
        mqtt = MqttSettings(
            port=broker.port,
            republish_first_s=0.2,
            republish_max_s=60.0,
            window_bytes=65536,
            message_bytes_max=4096,
        )
        async with publishing(mqtt, journal, {key.id: key.public}) as publisher:
            await until(lambda: publisher.health.window_bytes > 40_000)
            # Everything has been sent once more, unheard, after its first back-off.
            await until(lambda: publisher.health.published > 2 * publisher.health.window_messages)
            async with collecting(mqtt, tmp_path, store):
                await journal.all_receipted()
        counts = await store.counts(ORIGIN, T0_NS, T0_NS + 100 * SECOND_NS)
    assert (counts["oven"].rows, counts["oven"].duplicates) == (6000, 0)


def test_the_same_under_uvloop(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def scenario() -> int:
        journal = JournalInMemory()
        for number in range(20):
            journal.append("data", data_body("oven", number * 10, T0_NS + number * SECOND_NS, 10))
        key = key_of(tmp_path)
        mqtt = MqttSettings(host=mosquitto.host, port=mosquitto.port, republish_first_s=0.5)
        async with (
            embedded_store(tmp_path) as store,
            collecting(mqtt, tmp_path, store),
            publishing(mqtt, journal, {key.id: key.public}),
        ):
            await journal.all_receipted()
            counts = await store.counts(ORIGIN, T0_NS, T0_NS + 100 * SECOND_NS)
        return counts["oven"].rows

    assert uvloop.run(scenario()) == 200
