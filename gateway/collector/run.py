"""Run a collector: its parts, its status on a Unix socket, its end."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gateway.collector.collector import Collector
from gateway.collector.dead_letters import DeadLetters, read_letters
from gateway.collector.requeue import requeue
from gateway.collector.upkeep import Upkeep
from gateway.door.socket_server import bind, serve
from gateway.supervise import Supervisor
from pipeline.archive import Archive
from pipeline.mqtt import Link, keep_connected
from pipeline.records.signing import SigningKey, take_over

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path
    from random import Random

    from starlette.requests import Request

    from gateway.collector.settings import CollectorSettings
    from gateway.edge.state import StateFolder
    from pipeline.mqtt import MqttSettings
    from pipeline.records import Clock
    from pipeline.store.door import Store

LOG = logging.getLogger(__name__)
ROLE = "collect"


async def run_collector(
    settings: CollectorSettings, *, mqtt: MqttSettings, state: StateFolder, store: Store, clock: Clock,
    random: Random, stop: asyncio.Event, password: str | None = None,
    ready: Callable[[str], None] = lambda _key: None,
) -> None:  # fmt: skip
    """Collect until `stop` is set; status is served at `state.socket("collect")` as GET /v1/status.

    Args:
        settings: batching, archive, dead letters.
        mqtt: the broker.
        state: where key, archive, dead letters and socket lie.
        store: open; the caller closes it.
        clock: UTC for stamps.
        random: jitter of back-off.
        stop: set it to end in order.
        password: the broker's, when it asks for one.
        ready: called with the id of the signing key once the parts run.

    Raises:
        SocketInUseError, ArchiveBusyError: another collector runs on this state folder.
        ArchiveError, OSError: the state folder cannot be used.
    """
    async with _opened(settings, state) as (listener, key, archive, dead_letters):
        collector = Collector(
            settings, store=store, archive=archive, dead_letters=dead_letters, key=key, clock=clock,
            random=random,
        )  # fmt: skip
        health = collector.health
        link = partial(Link, mqtt, f"yaosu-collector-{key.id}", None, password)
        application = _application(
            partial(health.as_json, key=key.id, dead_letters=dead_letters, archive=archive, clock=clock),
            partial(_requeue, state.dead_letters, dead_letters, archive, store),
        )
        async with Supervisor(_report) as parts:
            parts.start("status", lambda: serve(application, listener))
            parts.start("archive upkeep", Upkeep(state.archive, archive, settings.archive, clock).run)
            parts.start("encoder", store.warm)
            parts.start("link", lambda: keep_connected(link, collector.work, health.link, clock, random))
            ready(key.id)
            await stop.wait()


@asynccontextmanager
async def _opened(
    settings: CollectorSettings, state: StateFolder
) -> AsyncIterator[tuple[socket.socket, SigningKey, Archive, DeadLetters]]:
    """Take the role's socket first, so that a second collector touches nothing; then key and files."""
    listener = bind(state.socket(ROLE))
    try:
        take_over(state.collector_key)
        key = SigningKey.load_or_create(state.collector_key)
        archive = await Archive.open(
            state.archive, hashlib.sha256(key.public).digest()[:16], settings.archive
        )
        try:
            dead_letters = DeadLetters(state.dead_letters, settings.dead_letter_bytes_max)
            await asyncio.to_thread(dead_letters.count_those_there)
            yield listener, key, archive, dead_letters
        finally:
            await archive.close()
    finally:
        listener.close()
        state.socket(ROLE).unlink(missing_ok=True)


def _report(part: str, error: str) -> None:
    LOG.error("%s failed and is started again: %s", part, error)


async def _requeue(
    path: Path, dead_letters: DeadLetters, archive: Archive, store: Store, wanted: list[str]
) -> dict[str, Any]:  # fmt: skip
    """Offer letters to the store again; all of them when none is named."""
    letters = await asyncio.to_thread(read_letters, path)
    chosen = {name: letter for name, letter in letters.items() if not wanted or name in wanted}
    try:
        done = await requeue(dead_letters, chosen, archive, store)
    except OSError as error:
        return {"ok": False, "error": str(error)}
    return {"ok": True, "unknown": sorted(set(wanted) - set(letters)), **asdict(done)}


def _application(
    status: Callable[[], dict[str, Any]], requeue_letters: Callable[[list[str]], Awaitable[dict[str, Any]]]
) -> Starlette:  # fmt: skip
    async def answer(_request: Request) -> Response:
        return Response(orjson.dumps(status()), media_type="application/json")

    async def take(request: Request) -> Response:
        try:
            wanted = [str(name) for name in orjson.loads(await request.body())["ids"]]
        except (ValueError, TypeError, LookupError) as error:
            refusal = {"ok": False, "error": f"not a request: {error}"}
            return Response(orjson.dumps(refusal), 400, media_type="application/json")
        return Response(orjson.dumps(await requeue_letters(wanted)), media_type="application/json")

    return Starlette(
        routes=[
            Route("/v1/status", answer, methods=["GET"]),
            Route("/v1/dead-letters/requeue", take, methods=["POST"]),
        ]
    )
