"""A witness over a real broker: proof, cosignature, record; then a gateway that rewrites its history."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import httpx
import orjson
import pytest

from gateway.edge.key_change import KeyChange
from gateway.edge.recorder import Recorder
from gateway.edge.state import StateFolder
from gateway.edge.witnessing import Witnessing
from gateway.trust import TrustedWitnesses
from gateway.trust.history import TrustHistory
from gateway.witness import WitnessSettings, run_witness
from gateway.witness.settings import WitnessedLog
from pipeline.elements import Elements
from pipeline.evidence.cosignature import cosigned_at, vkey, witness_key
from pipeline.evidence.policy import LOG, Key
from pipeline.journal import Journal, JournalSettings
from pipeline.journal.succession import WITNESS_KIND, read_succession
from pipeline.mqtt import Link, MqttSettings, Publisher, Questions, Topics
from pipeline.records import Record, SystemClock
from pipeline.records.signing import SigningKey, next_key_path
from tests.support.services import Mosquitto
from tests.support.waiting import until

TOPICS = Topics("lab", "one")
ORIGIN = "yaosu/lab/one"
NAME = "witness.institute.example/w1"


@pytest.fixture
def mqtt(mosquitto: Mosquitto) -> MqttSettings:
    return MqttSettings(host=mosquitto.host, port=mosquitto.port)


class Gateway:
    """A journal that seals when told, with a publisher that answers witnesses."""

    def __init__(self, mqtt: MqttSettings, journal: Journal, folder: Path) -> None:
        self.journal = journal
        self.latest: Record | None = None
        self.recorder = Recorder(journal, Elements(), {}, "live")
        self.trusted = TrustedWitnesses(folder / "trusted-witnesses.json")
        self.witnessing = Witnessing(
            self.recorder, lambda: self.latest, journal.consistency_proof, self.trusted.witnesses,
            TrustHistory(),
        )  # fmt: skip
        self.publisher = Publisher(
            settings=mqtt, topics=TOPICS, source=journal, clock=SystemClock(), random=random.Random(2),
            trusted=dict, status=dict, retained=self._retained,
        )  # fmt: skip
        self.publisher.questions = Questions(TOPICS.witness, self.witnessing.answer)

    def _retained(self) -> dict[str, bytes]:
        told = self.journal.keys.successions
        keys = {TOPICS.keys: orjson.dumps(told)} if told else {}
        sealed = {} if self.latest is None else {TOPICS.checkpoint: self.latest.body["note"].encode()}
        return {**keys, **sealed}

    async def seal(self, events: int) -> int:
        """Append events and a checkpoint over them; return its size."""
        for number in range(events):
            self.recorder.append("event", {"code": "x", "args": {"n": number}})
        await self.journal.wait_durable(self.journal.head_seq - 1)
        sealed = self.journal.checkpoint()
        assert sealed is not None
        await self.journal.wait_durable(sealed.seq)
        self.latest = sealed
        return int(sealed.body["size"])

    async def cosignatures(self) -> list[Record]:
        records = await self.journal.read(0, bytes_max=2**24)
        return [record for record in records if record.kind == "cosignature"]

    async def until_cosigned(self, size: int) -> Record:
        while not (found := [r for r in await self.cosignatures() if r.body["size"] >= size]):
            await self.journal.wait_beyond(self.journal.durable_seq)
        return found[0]


@contextlib.asynccontextmanager
async def gateway_on(mqtt: MqttSettings, folder: Path) -> AsyncIterator[Gateway]:
    journal = await Journal.open(folder, JournalSettings(), purpose="production", origin=ORIGIN)
    gateway = Gateway(mqtt, journal, folder)
    task = asyncio.create_task(gateway.publisher.run())
    try:
        yield gateway
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close()


@contextlib.asynccontextmanager
async def witnessing(
    mqtt: MqttSettings, folder: Path, log: Key, period_s: float = 0.01
) -> AsyncIterator[Callable[..., Any]]:
    """Run a witness; yields a function that waits until its status fits."""
    stop, ready, state = asyncio.Event(), asyncio.Event(), StateFolder(folder)
    settings = WitnessSettings(
        operator="Institute", name=NAME, period_s=period_s, answer_s=2.0, log=(WitnessedLog(key=vkey(log)),)
    )
    task = asyncio.create_task(run_witness(
        settings, mqtt=mqtt, state=state, clock=SystemClock(), random=random.Random(3), stop=stop,
        ready=lambda _vkey: ready.set(),
    ))  # fmt: skip

    async def until_status(holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        transport = httpx.AsyncHTTPTransport(uds=str(state.socket("witness")))
        async with httpx.AsyncClient(transport=transport, base_url="http://witness") as client:
            while not holds(status := cast("dict[str, Any]", (await client.get("/v1/status")).json())):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return status

    try:
        await ready.wait()
        yield until_status
    finally:
        stop.set()
        await task


def own_key(folder: Path) -> Key:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "witness.json").write_text("{}")
    return witness_key(NAME, SigningKey.load_or_create(folder / "witness.key").public)


async def test_what_is_proved_is_cosigned_and_recorded(mqtt: MqttSettings, tmp_path: Path) -> None:
    own = own_key(tmp_path / "witness")
    async with gateway_on(mqtt, tmp_path / "journal") as gateway:
        gateway.trusted.trust(vkey(own), "Institute of Metrology")
        first = await gateway.seal(5)
        log = Key(ORIGIN, LOG, gateway.journal.key.public)
        async with witnessing(mqtt, tmp_path / "witness", log) as until_status:
            record = await gateway.until_cosigned(first)
            assert cosigned_at(record.body["note"], own) == record.body["t_s"]
            assert (record.body["witness"], record.body["operator"]) == (NAME, "Institute of Metrology")
            second = await gateway.seal(300)
            await gateway.until_cosigned(second)
            status = await until_status(lambda s: s["logs"][ORIGIN]["cosignatures"] >= 2)
        assert status["cosigned"][ORIGIN]["size"] >= second
        assert (status["alarms"], status["operator"]) == (0, "Institute")
        assert gateway.witnessing.health[NAME].size >= second


async def test_a_witness_follows_a_gateway_that_changes_the_key_of_its_log(
    mqtt: MqttSettings, tmp_path: Path
) -> None:
    own = own_key(tmp_path / "witness")
    async with gateway_on(mqtt, tmp_path / "journal") as gateway:
        gateway.trusted.trust(vkey(own), "Institute")
        log = Key(ORIGIN, LOG, gateway.journal.key.public)
        first = await gateway.seal(5)
        async with witnessing(mqtt, tmp_path / "witness", log) as until_status:
            await gateway.until_cosigned(first)
            SigningKey.load_or_create(next_key_path(tmp_path / "journal" / "journal.key"))
            await KeyChange(gateway.recorder).look()
            assert gateway.journal.key.public != log.public
            second = await gateway.seal(5)
            await gateway.until_cosigned(second)
            status = await until_status(lambda s: s["cosigned"][ORIGIN]["size"] >= second)
        assert status["alarms"] == 0
        # Later, with the key that it was told at first.
        third = await gateway.seal(5)
        async with witnessing(mqtt, tmp_path / "witness", log):
            await gateway.until_cosigned(third)


async def test_a_witness_that_changes_its_key_is_followed_and_the_record_holds_the_change(
    mqtt: MqttSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "witness"
    own = own_key(folder)
    async with gateway_on(mqtt, tmp_path / "journal") as gateway:
        gateway.trusted.trust(vkey(own), "Institute")
        first = await gateway.seal(5)
        log = Key(ORIGIN, LOG, gateway.journal.key.public)
        async with witnessing(mqtt, folder, log):
            await gateway.until_cosigned(first)
        new = witness_key(NAME, SigningKey.load_or_create(next_key_path(folder / "witness.key")).public)
        async with witnessing(mqtt, folder, log) as until_status:
            waits = await until_status(lambda s: "not sealed yet" in s["logs"][ORIGIN]["refused"])
            assert waits["key"] == vkey(new)
            await gateway.journal.wait_durable(gateway.journal.head_seq - 1)
            (change,) = [r for r in await gateway.journal.read(0, bytes_max=2**24) if r.kind == WITNESS_KIND]
            assert read_succession(change.body["note"]) == (NAME, own.public, new.public)
            second = await gateway.seal(5)
            record = await gateway.until_cosigned(second)
        assert cosigned_at(record.body["note"], new) == record.body["t_s"]
        assert record.body["operator"] == "Institute"
        assert second > change.seq > first


async def test_a_gateway_that_rewrites_its_history_gets_no_cosignature_and_raises_an_alarm(
    mqtt: MqttSettings, tmp_path: Path
) -> None:
    own = own_key(tmp_path / "witness")
    async with gateway_on(mqtt, tmp_path / "one") as gateway:
        gateway.trusted.trust(vkey(own), "Institute")
        size = await gateway.seal(20)
        log = Key(ORIGIN, LOG, gateway.journal.key.public)
        async with witnessing(mqtt, tmp_path / "witness", log):
            await gateway.until_cosigned(size)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "journal.key").write_bytes((tmp_path / "one" / "journal.key").read_bytes())
    (tmp_path / "two" / "journal.key").chmod(0o600)
    async with gateway_on(mqtt, tmp_path / "two") as forger:
        forger.trusted.trust(vkey(own), "Institute")
        await forger.seal(3)
        async with witnessing(mqtt, tmp_path / "witness", log) as until_status:
            status = await until_status(lambda s: s["alarms"] >= 1)
            assert status["last_alarm"]["kind"] == "rollback"
            await forger.seal(40)
            status = await until_status(lambda s: s["alarms"] >= 2)
            assert status["last_alarm"]["kind"] == "fork"
        assert await forger.cosignatures() == []
    lines = (tmp_path / "witness" / "witness-alarms.jsonl").read_text().splitlines()
    assert all(ORIGIN in line for line in lines)


async def test_a_witness_that_is_not_pinned_learns_why_it_gets_nothing(
    mqtt: MqttSettings, tmp_path: Path
) -> None:
    async with gateway_on(mqtt, tmp_path / "journal") as gateway:
        await gateway.seal(3)
        log = Key(ORIGIN, LOG, gateway.journal.key.public)
        async with witnessing(mqtt, tmp_path / "witness", log) as until_status:
            status = await until_status(lambda s: s["logs"][ORIGIN]["refused"])
            assert "yaosu keys trust" in status["logs"][ORIGIN]["refused"]
            gateway.trusted.trust(status["key"], "Institute")
            await gateway.until_cosigned(3)


async def test_nobody_makes_the_gateway_speak_at_another_topic_or_chokes_it(
    mqtt: MqttSettings, tmp_path: Path
) -> None:
    async with gateway_on(mqtt, tmp_path / "journal") as gateway:
        await gateway.seal(3)
        async with Link(mqtt, "asker") as link:
            await link.subscribe("elsewhere", f"{TOPICS.witness}/me")
            await until(lambda: gateway.publisher.health.link.connected)
            for payload in (b"", b"{", b"\xff", b"{}", b"old 1", b"x" * 70_000, b'{"key": 1, "old": []}'):
                await link.publish(TOPICS.witness, payload, response_topic="elsewhere")
            await link.publish(
                TOPICS.witness, b"{}", response_topic=f"{TOPICS.witness}/me", correlation=b"42"
            )
            delivery = await anext(link.deliveries())
            assert (delivery.topic, delivery.correlation) == (f"{TOPICS.witness}/me", b"42")
            assert b"not a question" in delivery.payload
