"""Names of people and customers stay in the laboratory: no byte of what leaves it holds one."""

from __future__ import annotations

import asyncio
import json
import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING

import aiomqtt
import httpx
import pytest

from gateway.demo.site import REGISTRY
from tests.support.bench import Bench, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.services import InfluxDatabase, Mosquitto

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def names() -> list[str]:
    """Names of the registry's people and customers."""
    content = tomllib.loads(REGISTRY.read_text(encoding="utf-8"))
    found = [entry["name"] for kind in ("person", "customer") for entry in content[kind]]
    assert len(found) >= 5
    return found


def disguises(name: str) -> list[bytes]:
    """The ways in which a name could stand in bytes."""
    escaped = json.dumps(name)[1:-1].encode()
    return [
        name.encode(), name.encode("gb18030"), name.encode("utf-16-le"), name.encode("utf-16-be"),
        escaped, escaped.upper().replace(b"\\U", b"\\u"), escaped.replace(b"\\", b"\\\\"),
    ]  # fmt: skip


def assert_nameless(what: str, data: bytes) -> None:
    for name in names():
        for disguise in disguises(name):
            assert disguise not in data, f"{name} stands in {what}"


def bytes_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


class Outside:
    """Somebody who keeps every message of the broker, topic and payload, as it came."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.heard = bytearray()
        self.topics: set[str] = set()

    async def listen(self, ready: asyncio.Event) -> None:
        async with aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe("#", qos=1)
            ready.set()
            async for message in client.messages:
                self.topics.add(str(message.topic))
                self.heard += str(message.topic).encode() + b"\n" + bytes(message.payload) + b"\n"


async def dump(influx: InfluxDatabase) -> bytes:
    """All that the database holds, as text."""
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
        answer = await client.get(
            f"{influx.url}/query", params={"db": influx.database, "q": "SELECT * FROM /.*/"}
        )
        assert answer.status_code == httpx.codes.OK
        return answer.content


async def a_task(bench: Bench) -> str:
    """Start a task, hand it over, stop it, and wait for its verdicts."""
    await bench.import_registry()
    started = await bench.acting(
        "lin", "task.start", sample="V-0001", method="pressure-hold", instruments=["p-1"]
    )
    assert started["ok"], started
    task: str = started["result"]["task"]
    assert (await bench.acting("lin", "task.handover", task=task, operator="p-0002"))["ok"]
    refused = await bench.acting("lin", "hold.release", task=task, reason="-", signed_hash="0" * 64)
    assert not refused["ok"]
    assert (await bench.acting("su", "task.stop", task=task))["ok"]

    async def final() -> bool:
        async with bench.door() as door:
            return bool((await door.get(f"tasks/{task}"))["final"])

    await until(final, "the verdicts are final")
    return task


async def test_no_name_leaves_the_laboratory(
    tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase
) -> None:
    bench, outside = Bench(tmp_path, mosquitto.port, influxdb, "clean"), Outside(mosquitto.port)
    ready = asyncio.Event()
    listening = asyncio.create_task(outside.listen(ready))
    try:
        await ready.wait()
        await bench.prepare()
        await bench.start("collect")
        await bench.start("run")
        await bench.running()
        task = await a_task(bench)
        await bench.drained()
        assert await bench.end("run") == 0, bench.log("run")
        stored = await dump(influxdb)
    finally:
        await bench.end_all()
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
    site = bench.site
    places = {
        "the journal": bytes_under(site.state.journal),
        "the archive": bytes_under(site.state.archive),
        "a message of the broker": bytes(outside.heard),
        "the database": stored,
        "the daemon's log": bench.log("run").encode(),
        "the collector's log": bench.log("collect").encode(),
    }
    for what, data in places.items():
        assert_nameless(what, data)
    # It was looked at the right places: the task and its people are in each of them, by id.
    for what in ("the journal", "the archive", "a message of the broker", "the database"):
        assert task.encode() in places[what], what
        assert b"p-0002" in places[what], what
    kinds = {topic.split("/")[5] for topic in outside.topics if "/rec/" in topic}
    assert {"data", "event", "registry", "task", "verdict", "config"} <= kinds
    directory = site.state.persons.read_text(encoding="utf-8")
    assert all(name in directory for name in names())
