"""`yaosu collect` as processes between a real broker and a real InfluxDB: frozen, ended, refused, emptied."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from gateway.collector.dead_letters import read_letters
from gateway.edge.state import StateFolder
from pipeline.mqtt import MqttSettings, Topics
from pipeline.store import InfluxStoreSettings, Origin, open_store
from tests.support.bench import MAIN, until
from tests.support.collecting import key_of, publishing
from tests.support.journal_fake import T0_NS, JournalInMemory, data_body
from tests.support.proxy import TcpProxy
from tests.support.services import InfluxDatabase, InfluxdFactory, Mosquitto

pytestmark = pytest.mark.timeout(180)

SITE = """
[site]
lab = "lab"
gateway = "centre"
state_dir = "state"

[mqtt]
port = {broker}
keep_alive_s = 5

[store]
kind = "influxdb"
url = "{url}"
database = "{database}"
retry_after_s = 0.1
{more}
"""
ORIGIN = Origin("lab", "one")
SECOND_NS = 10**9


class CollectorProcess:
    """One `yaosu collect` with files of its own."""

    def __init__(self, folder: Path, mosquitto: Mosquitto, url: str, database: str, more: str = "") -> None:
        self.folder = folder
        folder.mkdir()
        self.config = folder / "collector.toml"
        text = SITE.format(broker=mosquitto.port, url=url, database=database, more=more)
        self.config.write_text(text, encoding="utf-8")
        self.state = StateFolder(folder / "state")
        self.key = key_of(folder / "state")
        self.process: asyncio.subprocess.Process | None = None

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run a command of the product on this site; return its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MAIN, *arguments, "-c", str(self.config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=self.folder,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def start(self, **environment: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", MAIN, "collect", "-c", str(self.config),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, **environment},
            )  # fmt: skip

    async def status(self) -> dict[str, Any]:
        """What it says of itself; {} while it does not answer."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.state.socket("collect")))
        async with httpx.AsyncClient(transport=transport, base_url="http://collector") as client:
            with contextlib.suppress(httpx.TransportError):
                return dict((await client.get("/v1/status")).json())
        return {}

    async def until_status(self, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait until something holds of its status; return that one."""

        async def asked() -> dict[str, Any] | None:
            assert self.process is not None
            assert self.process.returncode is None, (self.folder / "log").read_text()
            status = await self.status()
            return status if status and holds(status) else None

        return dict(await until(asked, what))

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def end(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.send(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20.0)

    async def kill(self) -> None:
        """End it, whatever its state is; does nothing when it has ended."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


Making = Callable[..., CollectorProcess]


@pytest.fixture
async def make(tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase) -> AsyncIterator[Making]:
    """Give a function that makes collectors into the test's database, or to another address."""
    made: list[CollectorProcess] = []

    def one(url: str = influxdb.url, database: str = influxdb.database, more: str = "") -> CollectorProcess:
        made.append(CollectorProcess(tmp_path / f"collector-{len(made)}", mosquitto, url, database, more))
        return made[-1]

    yield one
    for collector in made:
        await collector.kill()


@pytest.fixture
def mqtt(mosquitto: Mosquitto) -> MqttSettings:
    return MqttSettings(
        host=mosquitto.host, port=mosquitto.port, republish_first_s=0.5, republish_max_s=1.0,
        message_bytes_max=4096, window_bytes=262144,
    )  # fmt: skip


def fill(journal: JournalInMemory, frames: int, *, from_ns: int = T0_NS, rows: int = 10) -> None:
    """Append frames of one instrument, a second apart."""
    first = sum(record.kind == "data" for record in journal.records)
    for number in range(first, first + frames):
        journal.append("data", data_body("oven", number * rows, from_ns + number * SECOND_NS, rows))


async def receipted(journal: JournalInMemory) -> None:
    """Have the publisher look, and wait until every record has its receipt."""
    await journal.grow("tick", {})
    async with asyncio.timeout(60):
        await journal.all_receipted()


async def rows_of(url: str, database: str) -> tuple[int, int]:
    """Rows and duplicates of the oven in a database, by an exact count."""
    async with open_store(InfluxStoreSettings(kind="influxdb", url=url, database=database)) as store:
        found = (await store.counts(ORIGIN, -(2**62), 2**62)).get("oven")
    return (0, 0) if found is None else (found.rows, found.duplicates)


async def test_a_collector_that_freezes_is_taken_over_and_doubles_nothing_when_it_thaws(
    make: Making, mqtt: MqttSettings, influxdb: InfluxDatabase
) -> None:
    collectors = [make(), make()]
    journal = JournalInMemory()
    trusted = {one.key.id: one.key.public for one in collectors}
    async with publishing(mqtt, journal, trusted, Topics(*ORIGIN)):
        for one in collectors:
            await one.start()
        for one in collectors:
            await one.until_status(lambda status: status["link"]["connected"], "both are connected")
        fill(journal, 20)
        await receipted(journal)
        frozen, living = collectors
        frozen.send(signal.SIGSTOP)
        fill(journal, 40)
        await receipted(journal)  # the broker goes on giving the frozen one its share
        frozen.send(signal.SIGCONT)
        fill(journal, 20)
        await receipted(journal)
        await frozen.until_status(lambda status: status["link"]["connected"], "the thawed one is back")
        assert (await living.status())["forks"] == 0
    assert await rows_of(influxdb.url, influxdb.database) == (800, 0)
    for one in collectors:
        assert await one.end() == 0


async def test_a_collector_is_ended_while_its_kernel_is_being_compiled(make: Making, tmp_path: Path) -> None:
    collector = make()
    await collector.start(NUMBA_CACHE_DIR=str(tmp_path / "cold"))
    assert collector.process is not None
    process = psutil.Process(collector.process.pid)

    async def compiler() -> list[psutil.Process]:
        return [child for child in process.children() if "compiling" in " ".join(child.cmdline())]

    (child,) = await until(compiler, "the kernel is compiled by a child")
    child.suspend()  # it would never be done
    assert await collector.end() == 0
    assert not child.is_running()


class Watch:
    """Sees a batch go to the server."""

    def __init__(self) -> None:
        self.written = asyncio.Event()

    def look(self, data: bytes, *, to_server: bool) -> None:
        if to_server and b"POST /write" in data:
            self.written.set()

    def strike(self) -> None:
        """Never asked for."""


async def test_a_collector_is_ended_while_a_silent_server_holds_its_batch(
    make: Making, mqtt: MqttSettings, influxd_factory: InfluxdFactory
) -> None:
    server = influxd_factory()
    journal = JournalInMemory()
    fill(journal, 5)
    watch = Watch()
    async with TcpProxy(server.port, random.Random(1), lambda: watch) as proxy:
        collector = make(url=f"http://127.0.0.1:{proxy.port}", database="yaosu", more="timeout_s = 300.0")
        async with publishing(mqtt, journal, {collector.key.id: collector.key.public}, Topics(*ORIGIN)):
            await collector.start()
            await receipted(journal)
            proxy.become("half-open")
            fill(journal, 5)
            await journal.grow("tick", {})
            watch.written.clear()
            async with asyncio.timeout(60):
                await watch.written.wait()
            assert await collector.end() == 0
            proxy.reset()
            proxy.become("clear")
            await collector.start()
            await receipted(journal)
        assert await rows_of(server.url, "yaosu") == (100, 0)


async def test_a_refused_line_is_listed_offered_again_and_stored_with_the_collector_and_without(
    make: Making, mqtt: MqttSettings, influxdb: InfluxDatabase
) -> None:
    def write(text: str) -> None:
        answer = httpx.post(
            f"{influxdb.url}/write", params={"db": influxdb.database}, content=text, trust_env=False
        )
        assert answer.is_success, answer.text

    def drop(statement: str) -> None:
        answer = httpx.post(
            f"{influxdb.url}/query", params={"db": influxdb.database}, data={"q": statement}, trust_env=False
        )
        assert "error" not in answer.text, answer.text

    write(f"reading,lab=x temperature=1i {T0_NS}")
    collector = make()
    journal = JournalInMemory()
    async with publishing(mqtt, journal, {collector.key.id: collector.key.public}, Topics(*ORIGIN)):
        await collector.start()
        fill(journal, 3)
        await receipted(journal)
        found = read_letters(collector.state.dead_letters)
        assert [letter["seq"] for letter in found.values()] == [0] * 10 + [1] * 10 + [2] * 10
        assert all("field type conflict" in letter["reason"] for letter in found.values())
        assert (await collector.status())["dead_letters"] == 30
        name, *_, last = found
        code, out = await collector.command("dead-letter", "requeue", name)
        assert code == 1
        assert "field type conflict" in out
        assert read_letters(collector.state.dead_letters) == found
        drop("DROP MEASUREMENT reading")
        assert (await collector.command("dead-letter", "requeue", name, last))[0] == 0
        assert (await collector.status())["dead_letters"] == 28
        assert await collector.end() == 0
        code, out = await collector.command("dead-letter", "requeue", "--all")
        assert (code, out) == (0, "stored: 28\n")
        assert read_letters(collector.state.dead_letters) == {}
    assert await rows_of(influxdb.url, influxdb.database) == (30, 0)
