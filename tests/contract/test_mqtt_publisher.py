"""Publisher over a real broker: until receipted, and whatever the broker does meanwhile."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.mqtt import Link, MqttSettings, Publisher, Topics, seal_receipt
from pipeline.mqtt.topics import ALL_RECORDS
from pipeline.records import SystemClock
from pipeline.records.envelope import decode, split
from pipeline.records.ranges import RangeSet
from pipeline.records.signing import SigningKey
from tests.support.journal_fake import JournalInMemory
from tests.support.services import Mosquitto, MosquittoFactory
from tests.support.waiting import until

TOPICS = Topics("lab", "one")
TIMEOUT_S = 20.0


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.load_or_create(tmp_path / "collector.key")


@pytest.fixture
def journal() -> JournalInMemory:
    return JournalInMemory()


def settings_of(server: Mosquitto, **changes: Any) -> MqttSettings:
    fast = {"republish_first_s": 0.2, "republish_max_s": 1.0}
    return MqttSettings.model_validate({"host": server.host, "port": server.port, **fast, **changes})


def make_publisher(
    settings: MqttSettings, journal: JournalInMemory, trusted: Mapping[str, bytes]
) -> Publisher:
    return Publisher(
        settings=settings, topics=TOPICS, source=journal, clock=SystemClock(), random=random.Random(1),
        trusted=lambda: trusted, status=lambda: {"version": "test"},
        retained=lambda: {TOPICS.birth: b"born", TOPICS.checkpoint: b"note"},
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[Publisher]:
    task = asyncio.create_task(publisher.run())
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield publisher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), task


class HandCollector:
    """Stores in memory and sends receipts when told to."""

    def __init__(self, link: Link, key: SigningKey, journal: JournalInMemory) -> None:
        self.link, self.key, self.journal = link, key, journal
        self.seen: Counter[int] = Counter()
        self.topics: Counter[str] = Counter()
        self.data: dict[int, bytes] = {}

    async def subscribe(self) -> None:
        await self.link.subscribe(ALL_RECORDS)

    async def take(self) -> RangeSet:
        """Take one message; return its seqs."""
        delivery = await anext(self.link.deliveries())
        delivery.done()
        seqs = RangeSet()
        for part in split(delivery.payload):
            record = decode(part)
            self.seen[record.seq] += 1
            self.data[record.seq] = part
            seqs.add(record.seq)
        self.topics[delivery.topic] += 1
        return seqs

    async def receipt(self, seqs: RangeSet, key: SigningKey | None = None) -> None:
        await self.link.publish(TOPICS.receipt, seal_receipt(key or self.key, self.journal.id, list(seqs)))

    async def serve(self) -> None:
        while True:
            await self.receipt(await self.take())


@contextlib.asynccontextmanager
async def serving(collector: HandCollector) -> AsyncIterator[None]:
    task = asyncio.create_task(collector.serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_records_are_published_again_until_receipted(
    mosquitto: Mosquitto, journal: JournalInMemory, key: SigningKey
) -> None:
    for number in range(5):
        journal.append("event", {"number": number})
    settings = settings_of(mosquitto)
    async with Link(settings, "collector") as link:
        collector = HandCollector(link, key, journal)
        await collector.subscribe()
        async with running(make_publisher(settings, journal, {key.id: key.public})) as publisher:
            while min(collector.seen[seq] for seq in range(5)) < 3:
                await collector.take()
            assert list(journal.receipts.done) == []
            await collector.receipt(RangeSet([(0, 4)]))
            await journal.all_receipted()
            assert collector.data == {r.seq: r.data for r in journal.records}
            assert publisher.health.receipts == 1
            await until(lambda: not publisher.health.window_messages)


async def test_forged_and_untrusted_receipts_count_for_nothing(
    mosquitto: Mosquitto, journal: JournalInMemory, key: SigningKey, tmp_path: Path
) -> None:
    journal.append("event", {})
    settings = settings_of(mosquitto)
    stranger = SigningKey.load_or_create(tmp_path / "stranger.key")
    async with Link(settings, "collector") as link:
        collector = HandCollector(link, key, journal)
        await collector.subscribe()
        async with running(make_publisher(settings, journal, {key.id: key.public})) as publisher:
            await collector.take()
            await collector.receipt(RangeSet([(0, 0)]), stranger)
            await link.publish(TOPICS.receipt, b"\xc1 not msgpack")
            await link.publish(TOPICS.receipt, b"")
            forged = bytearray(seal_receipt(key, journal.id, [(0, 0)]))
            forged[-1] ^= 1
            await link.publish(TOPICS.receipt, bytes(forged))
            await link.publish(TOPICS.receipt, seal_receipt(key, bytes(16), [(0, 0)]))  # another journal's
            await until(lambda: publisher.health.receipts_refused >= 4)
            assert "does not fit" in publisher.health.receipt_error
            await until(lambda: bytes(16).hex() in publisher.health.namesake)
            assert list(journal.receipts.done) == []
            await collector.receipt(RangeSet([(0, 99)]))  # beyond what was ever published
            await journal.all_receipted()
            assert list(journal.receipts.done) == [(0, 0)]


async def test_a_backlog_drains_after_an_outage_while_live_data_flows(
    mosquitto: Mosquitto, journal: JournalInMemory, key: SigningKey
) -> None:
    settings = settings_of(mosquitto, window_bytes=65536, message_bytes_max=8192, republish_first_s=2.0)
    async with running(make_publisher(settings, journal, {key.id: key.public})) as publisher:
        await until(lambda: publisher.health.link.connected)
        mosquitto.stop()
        for _ in range(400):
            await journal.grow("data", {"instrument": "old", "fill": bytes(2000)})
        await until(lambda: not publisher.health.link.connected)
        mosquitto.start()
        async with Link(settings, "collector") as link:
            collector = HandCollector(link, key, journal)
            await collector.subscribe()
            await until(
                lambda: publisher.health.link.connections >= 2 and publisher._outbox.contents()[1] > 40_000
            )
            async with serving(collector):
                live = await journal.grow("data", {"instrument": "new"})
                await until(lambda: live.seq in collector.seen)
                assert len(collector.seen) < len(journal.records), (
                    "the live record waited for the whole backlog"
                )
                await journal.all_receipted()
    assert collector.data == {r.seq: r.data for r in journal.records}
    assert list(collector.seen).index(live.seq) < 300, "the live record waited for the whole backlog"


async def test_after_an_outage_what_has_waited_comes_in_its_order(
    mosquitto: Mosquitto, journal: JournalInMemory, key: SigningKey
) -> None:
    settings = settings_of(mosquitto, window_bytes=65536, message_bytes_max=8192, republish_first_s=60.0)
    async with running(make_publisher(settings, journal, {key.id: key.public})) as publisher:
        await until(lambda: publisher.health.link.connected)
        mosquitto.kill()
        for _ in range(100):
            await journal.grow("data", {"instrument": "ph", "fill": bytes(2000)})
        await until(lambda: not publisher.health.link.connected)
        mosquitto.start()
        async with Link(settings, "collector") as link:
            collector = HandCollector(link, key, journal)
            await collector.subscribe()
            async with serving(collector):
                await journal.all_receipted()
    assert list(collector.seen) == sorted(collector.seen), "each for the first time, in the order of its seqs"
    assert collector.data == {r.seq: r.data for r in journal.records}


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_stop_while_the_broker_is_away_waits_for_nobody(
    mosquitto: Mosquitto, journal: JournalInMemory, *, waiting: bool
) -> None:
    publisher = make_publisher(settings_of(mosquitto), journal, {})
    task = asyncio.create_task(publisher.run())
    await until(lambda: publisher.health.link.connected)
    os.kill(mosquitto.pid, signal.SIGSTOP)  # it keeps its connections, and says nothing any more
    try:
        await journal.grow("data", {"instrument": "ph"})
        await until(lambda: publisher.health.window_messages > 0)
        if not waiting:
            os.kill(mosquitto.pid, signal.SIGKILL)
            await until(lambda: not publisher.health.link.connected)
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
    finally:
        mosquitto.kill()


async def test_a_full_backlog_lane_does_not_hold_up_live_records(
    mosquitto: Mosquitto, journal: JournalInMemory, key: SigningKey
) -> None:
    for _ in range(200):
        journal.append("data", {"instrument": "old", "fill": bytes(2000)})
    settings = settings_of(mosquitto, window_bytes=65536, message_bytes_max=8192, republish_first_s=60.0)
    async with Link(settings, "collector") as link:
        collector = HandCollector(link, key, journal)
        await collector.subscribe()
        async with running(make_publisher(settings, journal, {key.id: key.public})) as publisher:
            while publisher.health.window_bytes < 40_000:
                await collector.take()
            live = await journal.grow("data", {"instrument": "new"})
            while live.seq not in collector.seen:
                await collector.take()
            assert publisher.health.window_bytes < 65536 + 8192
            assert len(collector.seen) < 60


async def test_a_denied_topic_does_not_stop_the_others_and_is_offered_again(
    mosquitto_factory: MosquittoFactory, journal: JournalInMemory, key: SigningKey
) -> None:
    acl = (
        "topic readwrite yaosu/v1/lab/one/status\ntopic readwrite yaosu/v1/lab/one/receipt\n"
        "topic readwrite yaosu/v1/lab/one/birth\ntopic read yaosu/#\n"
        "topic readwrite yaosu/v1/lab/one/rec/data/good\n"
    )
    server = mosquitto_factory(acl=acl)
    for number in range(300):
        journal.append("data", {"instrument": "bad" if number % 3 else "good", "fill": bytes(1000)})
    settings = settings_of(server, window_bytes=65536, message_bytes_max=4096)
    good = {r.seq for r in journal.records if r.body["instrument"] == "good"}
    async with Link(settings, "collector") as link:
        collector = HandCollector(link, key, journal)
        await collector.subscribe()
        async with (
            running(make_publisher(settings, journal, {key.id: key.public})) as publisher,
            serving(collector),
        ):
            await until(lambda: all(seq in journal.receipts.done for seq in good))
            refused = set(publisher.health.refused)
            assert refused == {TOPICS.record("data", "bad"), TOPICS.checkpoint}
            live = await journal.grow("data", {"instrument": "good"})
            await until(lambda: live.seq in journal.receipts.done)
            assert set(collector.seen) == good | {live.seq}
            # The access list is mended: what waited is read again from the journal.
            (server._directory / "acl").write_text("topic readwrite #\n", encoding="utf-8")
            assert server._process is not None
            server._process.send_signal(1)
            await journal.all_receipted()
            await until(lambda: TOPICS.record("data", "bad") not in publisher.health.refused)
    assert collector.data == {r.seq: r.data for r in journal.records}


async def test_without_a_collector_it_is_quiet_and_says_so(
    mosquitto: Mosquitto, journal: JournalInMemory, key: SigningKey
) -> None:
    journal.append("event", {})
    settings = settings_of(mosquitto)
    async with running(make_publisher(settings, journal, {key.id: key.public})) as publisher:
        await until(lambda: publisher.health.no_collector)
        assert publisher.health.published == 0
        async with Link(settings, "collector") as link:
            collector = HandCollector(link, key, journal)
            await collector.subscribe()
            async with serving(collector):
                await journal.all_receipted()
        await until(lambda: not publisher.health.no_collector)


async def test_retained_topics_status_and_last_will(mosquitto: Mosquitto, journal: JournalInMemory) -> None:
    settings = settings_of(mosquitto)
    async with Link(settings, "watcher") as watcher:
        await watcher.subscribe(TOPICS.status, TOPICS.birth, TOPICS.checkpoint)
        seen: list[tuple[str, bytes]] = []

        async def watch(count: int) -> None:
            async with asyncio.timeout(TIMEOUT_S):
                while len(seen) < count:
                    delivery = await anext(watcher.deliveries())
                    delivery.done()
                    seen.append((delivery.topic, delivery.payload))

        async with running(make_publisher(settings, journal, {})):
            await watch(3)
        await watch(4)
    states = [orjson.loads(payload) for topic, payload in seen if topic == TOPICS.status]
    assert states == [{"state": "online", "version": "test"}, {"state": "offline", "version": "test"}]
    assert (TOPICS.birth, b"born") in seen
    assert (TOPICS.checkpoint, b"note") in seen


async def test_a_name_with_reserved_characters_goes_to_the_topic_of_its_kind(
    mosquitto: Mosquitto, journal: JournalInMemory, key: SigningKey
) -> None:
    journal.append("event", {"instrument": "a/+#"})
    settings = settings_of(mosquitto)
    async with Link(settings, "collector") as link:
        collector = HandCollector(link, key, journal)
        await collector.subscribe()
        async with running(make_publisher(settings, journal, {key.id: key.public})), serving(collector):
            await journal.all_receipted()
    assert set(collector.topics) == {TOPICS.record("event", None)}
