"""The collector over a real broker: store and archive first, then the receipt, whatever happens between."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.collector import CollectorSettings
from gateway.door.socket_server import SocketInUseError
from gateway.edge.state import StateFolder
from pipeline.archive import Archive
from pipeline.journal.disk import RealDisk
from pipeline.mqtt import Link, MqttSettings, Topics
from pipeline.records.envelope import encode
from pipeline.store import Origin, Store, StoreUnavailable
from tests.support.collecting import (
    StoreUnderTest,
    collecting,
    embedded_store,
    key_of,
    publishing,
)
from tests.support.journal_fake import CLOCK, T0_NS, JournalInMemory, data_body, make_record
from tests.support.services import Mosquitto
from tests.support.waiting import until

TOPICS = Topics("lab", "one")
SECOND_NS = 1_000_000_000


@pytest.fixture
def mqtt(mosquitto: Mosquitto) -> MqttSettings:
    return MqttSettings(
        host=mosquitto.host, port=mosquitto.port, republish_first_s=0.3, republish_max_s=1.0,
        message_bytes_max=4096, window_bytes=262144,
    )  # fmt: skip


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with embedded_store(tmp_path) as opened:
        yield opened


def fill(journal: JournalInMemory, frames: int, rows: int = 10, first: int = 0) -> None:
    for number in range(first, first + frames):
        t_utc_ns = T0_NS + number * SECOND_NS
        journal.append("data", data_body(f"instrument-{number % 3}", number // 3 * rows, t_utc_ns, rows))
        journal.append("tick", {})


async def archived(folder: Path, journal: JournalInMemory) -> dict[int, bytes]:
    """Read what the archive of a stopped collector holds of a journal."""
    archive = await Archive.open(StateFolder(folder).archive, bytes(16))
    try:
        assert await archive.verify() == []
        found = await archive.records(journal.id, 0, 100_000)
    finally:
        await archive.close()
    index = {record.data: record.seq for record in journal.records}
    assert len(found) == len({one.data for one in found})
    return {index[one.data]: one.data for one in found}


async def stored_rows(store: Store) -> dict[str, Any]:
    origin = Origin("lab", "one")
    return dict(await store.counts(origin, T0_NS - SECOND_NS, T0_NS + 10_000 * SECOND_NS))


async def test_every_record_is_stored_once_archived_and_receipted(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal = JournalInMemory()
    fill(journal, 60)
    key = key_of(tmp_path)
    async with (
        collecting(mqtt, tmp_path, store) as collector,
        publishing(mqtt, journal, {key.id: key.public}),
    ):
        for _ in range(20):
            await journal.grow("event", {"code": "daemon-start", "severity": "info", "args": {}})
        await journal.all_receipted()
        status = await collector.until_status(
            lambda s: s["records"] == 140 and "status" in s["gateways"].get("lab/one", {})
        )
    assert status["gateways"]["lab/one"]["status"] == {"state": "online", "version": "test"}
    assert status["readings"] == 60 * 10 * 2
    assert status["role"] == "collector"
    assert status["key"] == key.id
    assert status["receipts"] >= 1
    assert status["store"]["ok"]
    assert status["link"]["connected"]
    assert (status["forks"], status["dead_letters"], status["malformed"]) == (0, 0, 0)
    # Rows of the past: stored now, answered 2 ms after their stamps.
    assert status["latency_ms"]["p50"] > 1000
    assert status["lag_s"] > 1
    counts = await stored_rows(store)
    assert {name: (c.rows, c.duplicates) for name, c in counts.items()} == {
        f"instrument-{number}": (200, 0) for number in range(3)
    }
    assert await archived(tmp_path, journal) == {r.seq: r.data for r in journal.records}


async def test_a_store_that_is_away_holds_everything_up_and_loses_nothing(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal = JournalInMemory()
    fill(journal, 10)
    key = key_of(tmp_path)
    watched = StoreUnderTest(store)
    watched.failure = StoreUnavailable("the database is away", retry_after_s=0.01, hint="start it")
    async with (
        collecting(mqtt, tmp_path, watched.as_store()) as collector,
        publishing(mqtt, journal, {key.id: key.public}),
    ):
        await until(lambda: watched.writes >= 2)
        status = await collector.status()
        assert not status["store"]["ok"]
        assert status["store"]["since_utc_ns"] > 0
        assert "away" in status["store"]["error"]
        assert status["store"]["hint"] == "start it"
        assert list(journal.receipts.done) == []
        watched.failure = None
        await journal.all_receipted()
        assert (await collector.status())["store"]["ok"]
    assert len(await archived(tmp_path, journal)) == len(journal.records)


async def test_an_archive_that_cannot_be_synced_holds_everything_up_and_loses_nothing(
    mqtt: MqttSettings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, broken, refused = JournalInMemory(), asyncio.Event(), asyncio.Event()
    loop, sync = asyncio.get_running_loop(), RealDisk.sync

    def failing(disk: RealDisk, path: Path) -> None:
        if path.suffix == ".segment" and broken.is_set():
            loop.call_soon_threadsafe(refused.set)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(disk, path)

    monkeypatch.setattr(RealDisk, "sync", failing)
    fill(journal, 10)
    key = key_of(tmp_path)
    watched = StoreUnderTest(store)
    broken.set()
    async with (
        collecting(mqtt, tmp_path, watched.as_store()) as collector,
        publishing(mqtt, journal, {key.id: key.public}),
    ):
        await refused.wait()
        status = await collector.until_status(lambda s: not s["archive"]["ok"])
        assert "Input/output error" in status["archive"]["error"]
        assert watched.writes == 0
        assert list(journal.receipts.done) == []
        broken.clear()
        await journal.all_receipted()
        assert (await collector.status())["archive"]["ok"]
    assert len(await archived(tmp_path, journal)) == len(journal.records)


async def test_a_store_that_breaks_for_reasons_of_its_own_buries_nothing(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal = JournalInMemory()
    fill(journal, 3)
    key = key_of(tmp_path)
    watched = StoreUnderTest(store)
    watched.failure = RuntimeError("out of threads")
    async with (
        collecting(mqtt, tmp_path, watched.as_store()) as collector,
        publishing(mqtt, journal, {key.id: key.public}),
    ):
        await until(lambda: watched.writes >= 2)
        assert "out of threads" in (await collector.status())["store"]["error"]
        watched.failure = None
        await journal.all_receipted()
    assert not (tmp_path / "dead-letters.jsonl").exists()


async def test_a_record_that_breaks_the_store_is_buried_and_the_others_are_stored(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal = JournalInMemory()
    fill(journal, 8)
    key = key_of(tmp_path)
    watched = StoreUnderTest(store)
    watched.poison = 6
    async with (
        collecting(mqtt, tmp_path, watched.as_store()) as collector,
        publishing(mqtt, journal, {key.id: key.public}),
    ):
        await journal.all_receipted()
        assert (await collector.status())["dead_letters"] == 1
    (letter,) = letters(tmp_path)
    assert (letter["seq"], letter["journal"]) == (6, journal.id.hex())
    assert bytes.fromhex(letter["line"]) == journal.records[6].data
    assert len(await archived(tmp_path, journal)) == len(journal.records)


def letters(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "dead-letters.jsonl").read_text().splitlines()]


async def test_a_full_dead_letter_file_gives_no_receipt(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal = JournalInMemory()
    journal.append("event", {"fill": bytes(70_000)})
    journal.append("tick", {})
    key = key_of(tmp_path)
    watched = StoreUnderTest(store)
    watched.poison = 0
    settings = CollectorSettings(dead_letter_bytes_max=65536)
    async with (
        collecting(mqtt, tmp_path, watched.as_store(), settings) as collector,
        publishing(mqtt, journal, {key.id: key.public}),
    ):
        await until(lambda: 1 in journal.receipts.done)
        await collector.until_status(lambda s: s["dead_letters_full"] is True)
        assert 0 not in journal.receipts.done


async def test_what_is_no_record_is_buried_and_stops_nothing(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal = JournalInMemory()
    journal.append("tick", {})
    key = key_of(tmp_path)
    huge = encode(
        kind="tick", source="live", journal=bytes(16), epoch=0, boot=1, seq=2**63, t_utc_ns=0, t_run_ns=0,
        clock=CLOCK, by=None, body={},
    )  # fmt: skip
    good = make_record(0, "tick", {}, bytes(range(1, 17)))
    async with collecting(mqtt, tmp_path, store) as collector, Link(mqtt, "somebody") as link:
        topic = TOPICS.record("event", None)
        while not await link.publish(topic, b""):
            pass  # until somebody subscribes
        await link.publish(topic, b"\xc1\xc1")
        await link.publish(topic, b"\x01")
        await link.publish(topic, make_record(1, journal=b"short").data)
        await link.publish(topic, huge.data)
        await link.publish(topic, good.data + b"\x93\x01\x02\x03")
        await link.publish("yaosu/v1/lab/one/rec/x", good.data[:-1])
        await link.publish(TOPICS.status, b"{not json", retain=True)
        async with publishing(mqtt, journal, {key.id: key.public}):
            await journal.all_receipted()
        status = await collector.until_status(lambda s: s["malformed"] == 6)
        assert status["records"] == 2
    assert len(letters(tmp_path)) == 6
    assert {letter["topic"] for letter in letters(tmp_path)} == {topic, "yaosu/v1/lab/one/rec/x"}


async def test_a_fork_is_kept_reported_and_not_receipted(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal, other = JournalInMemory(), JournalInMemory()
    for number in range(3):
        journal.append("event", {"number": number})
        other.append("event", {"number": number if number != 1 else 99})
    key = key_of(tmp_path)
    async with collecting(mqtt, tmp_path, store) as collector:
        async with publishing(mqtt, journal, {key.id: key.public}):
            await journal.all_receipted()
        async with publishing(mqtt, other, {key.id: key.public}):
            await until(lambda: 0 in other.receipts.done and 2 in other.receipts.done)
            await collector.until_status(lambda s: s["forks"] > 0)
        assert 1 not in other.receipts.done
    archive = await Archive.open(StateFolder(tmp_path).archive, bytes(16))
    assert len(await archive.read(journal.id, 1)) == 2
    await archive.close()


async def test_one_of_two_collectors_dies_and_nothing_is_lost(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal = JournalInMemory()
    first, second = tmp_path / "first", tmp_path / "second"
    trusted = {key.id: key.public for key in (key_of(first), key_of(second))}
    watched = StoreUnderTest(store)
    async with (
        collecting(mqtt, first, watched.as_store()) as dying,
        collecting(mqtt, second, store) as living,
        publishing(mqtt, journal, trusted),
    ):
        fill(journal, 40)
        await journal.grow("tick", {})
        await until(lambda: watched.writes >= 1)
        # It dies with a batch in its hands: archived, not stored, not receipted.
        watched.failure = StoreUnavailable("the database is away", retry_after_s=0.01)
        fill(journal, 41, first=40)
        await journal.grow("tick", {})
        while (await dying.status())["store"]["ok"]:
            await journal.grow("tick", {})
            await asyncio.sleep(0.01)
        await dying.die()
        await journal.all_receipted()
        assert (await living.status())["receipts"] > 0
    one, other = await archived(first, journal), await archived(second, journal)
    assert one | other == {r.seq: r.data for r in journal.records}
    counts = await stored_rows(store)
    assert sum(c.duplicates for c in counts.values()) == 0
    assert {name: c.rows for name, c in counts.items()} == {f"instrument-{n}": 270 for n in range(3)}


async def test_a_broker_restart_in_mid_run_loses_nothing(
    mosquitto: Mosquitto, mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    journal = JournalInMemory()
    key = key_of(tmp_path)
    async with (
        collecting(mqtt, tmp_path, store),
        publishing(mqtt, journal, {key.id: key.public}) as publisher,
    ):
        fill(journal, 20)
        await journal.grow("tick", {})
        await until(lambda: len(journal.receipts.done) > 0)
        mosquitto.kill()
        fill(journal, 20, first=20)
        await journal.grow("tick", {})
        await until(lambda: not publisher.health.link.connected)
        mosquitto.start()
        await journal.all_receipted()
    assert await archived(tmp_path, journal) == {r.seq: r.data for r in journal.records}


async def test_two_collectors_on_one_state_folder_are_refused(
    mqtt: MqttSettings, store: Store, tmp_path: Path
) -> None:
    async with collecting(mqtt, tmp_path, store):
        with pytest.raises(SocketInUseError):
            async with collecting(mqtt, tmp_path, store):
                pass


async def test_two_gateways_of_one_identity_drive_each_other_out_and_lose_nothing(
    tmp_path: Path, mqtt: MqttSettings, store: Store
) -> None:
    journals = [JournalInMemory(bytes([number]) * 16) for number in (1, 2)]
    for journal in journals:
        for number in range(40):
            journal.append("event", {"code": "part", "number": number})
    folder = tmp_path / "collector"
    key = key_of(folder)
    trusted = {key.id: key.public}
    async with collecting(mqtt, folder, store), asyncio.timeout(30):
        async with publishing(mqtt, journals[0], trusted) as one:
            async with publishing(mqtt, journals[1], trusted) as other:
                await until(lambda: min(one.health.link.connections, other.health.link.connections) > 1)
                twins = [(one, journals[1]), (other, journals[0])]
                while not any(twin.id.hex() in own.health.namesake for own, twin in twins):
                    for journal in journals:
                        await journal.grow("event", {"code": "part", "number": len(journal.records)})
                    await asyncio.sleep(0.01)
            await journals[0].all_receipted()
        async with publishing(mqtt, journals[1], trusted):
            await journals[1].all_receipted()
    rows = await store.ledger(Origin("lab", "one"), "event")
    assert {row.journal for row in rows} == {journal.id for journal in journals}
    assert len(rows) == sum(len(journal.records) for journal in journals)
