"""A publisher and collectors of a test, in one process over a real broker."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import httpx

from gateway.collector import CollectorSettings, run_collector
from gateway.edge.state import StateFolder
from pipeline.mqtt import MqttSettings, Publisher, Topics
from pipeline.mqtt.filling import Source
from pipeline.records import Record, SystemClock
from pipeline.records.signing import SigningKey
from pipeline.store import EmbeddedStoreSettings, Origin, Store, StoreUnavailable, WriteReport, open_store


def key_of(folder: Path) -> SigningKey:
    """Return the signing key of a collector's state folder, made when there is none yet."""
    return SigningKey.load_or_create(StateFolder(folder).collector_key)


class CollectorInTest:
    """A collector that runs as a task."""

    def __init__(self, task: asyncio.Task[None], folder: Path, stop: asyncio.Event) -> None:
        self.task, self.folder, self.stop = task, folder, stop

    async def status(self) -> dict[str, Any]:
        transport = httpx.AsyncHTTPTransport(uds=str(StateFolder(self.folder).socket("collect")))
        async with httpx.AsyncClient(transport=transport, base_url="http://collector") as client:
            answer = await client.get("/v1/status")
            assert answer.status_code == httpx.codes.OK
            return cast("dict[str, Any]", answer.json())

    async def die(self) -> None:
        """End abruptly, wherever it is."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def until_status(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for the status until something holds of it; return that one."""
        while not holds(status := await self.status()):  # noqa: ASYNC110 - it is asked as a person would
            await asyncio.sleep(0.01)
        return status


@contextlib.asynccontextmanager
async def collecting(
    mqtt: MqttSettings, folder: Path, store: Store, settings: CollectorSettings | None = None
) -> AsyncIterator[CollectorInTest]:
    """Run a collector until the context ends, then stop it in order."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        run_collector(
            settings or CollectorSettings(), mqtt=mqtt, state=StateFolder(folder), store=store,
            clock=SystemClock(), random=random.Random(1), stop=stop, ready=lambda _key: ready.set(),
        )
    )  # fmt: skip
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    collector = CollectorInTest(task, folder, stop)
    try:
        yield collector
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def publishing(
    mqtt: MqttSettings, source: Source, trusted: Mapping[str, bytes], topics: Topics | None = None
) -> AsyncIterator[Publisher]:
    """Run a publisher until the context ends."""
    publisher = Publisher(
        settings=mqtt, topics=topics or Topics("lab", "one"), source=source, clock=SystemClock(),
        random=random.Random(2), trusted=lambda: trusted, status=lambda: {"version": "test"},
        retained=dict,
    )  # fmt: skip
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def embedded_store(folder: Path) -> AsyncIterator[Store]:
    """Open the embedded store of a folder."""
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=folder / "store.sqlite")) as store:
        yield store


class StoreUnderTest:
    """A store whose `write` first asks the test what to do: raise, or go on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failure: Exception | None = None
        self.poison: int | None = None
        """Seq of a record over which the store breaks."""
        self.writes = 0
        self.away_after = -1
        """Writes after which it is away."""

    async def warm(self) -> None:
        await self._store.warm()

    async def write(self, origin: Origin, records: list[Record]) -> WriteReport:
        if self.writes == self.away_after:
            raise StoreUnavailable("away", retry_after_s=1)
        self.writes += 1
        if self.failure is not None:
            raise self.failure
        if any(record.seq == self.poison for record in records):
            raise KeyError("a body that nobody expected")
        return await self._store.write(origin, records)

    def as_store(self) -> Store:
        return cast("Store", self)
