"""Run a witness: its key, its memory, its status on a Unix socket, its end."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gateway.door.socket_server import bind, serve
from gateway.supervise import Supervisor
from gateway.witness.judge import Witness
from gateway.witness.keys import load_key
from gateway.witness.service import WitnessService
from gateway.witness.state import Alarms, WitnessState
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.mqtt import Link, keep_connected

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from random import Random

    from starlette.requests import Request

    from gateway.edge.state import StateFolder
    from gateway.witness.settings import WitnessSettings
    from pipeline.mqtt import MqttSettings
    from pipeline.records import Clock

LOG = logging.getLogger(__name__)
ROLE = "witness"


async def run_witness(
    settings: WitnessSettings, *, mqtt: MqttSettings, state: StateFolder, clock: Clock, random: Random,
    stop: asyncio.Event, password: str | None = None, ready: Callable[[str], None] = lambda _vkey: None,
) -> None:  # fmt: skip
    """Witness until `stop` is set; status is served at `state.socket("witness")` as GET /v1/status.

    Args:
        settings: who witnesses whom.
        mqtt: the broker.
        state: where key, memory, alarms and socket lie.
        clock: UTC of the cosignatures.
        random: jitter of back-off.
        stop: set it to end in order.
        password: the broker's, when it asks for one.
        ready: called with the public key (vkey) once the parts run.

    Raises:
        SocketInUseError: another witness runs on this state folder.
        WitnessStateError: what it signed before is not known any more, or how it came to its key.
        OSError: the state folder cannot be used.
    """
    listener = bind(state.socket(ROLE))
    try:
        memory = WitnessState(state.witness_state, state.witness_key)
        key, changes = load_key(state.witness_key, state.witness_keys, settings.name)
        own = witness_key(settings.name, key.public)
        alarms = Alarms(state.witness_alarms, settings.alarm_bytes_max)
        service = WitnessService(settings, Witness(settings.name, key, memory), own, changes, alarms, clock)
        link = partial(Link, mqtt, f"yaosu-witness-{key.id}", None, password)
        application = _application(lambda: _status(settings, service, memory, alarms, vkey(own)))
        health = service.health.link
        async with Supervisor(lambda part, error: LOG.error("%s failed: %s", part, error)) as parts:
            parts.start("status", lambda: serve(application, listener))
            parts.start("link", lambda: keep_connected(link, service.work, health, clock, random))
            ready(vkey(own))
            await stop.wait()
    finally:
        listener.close()
        state.socket(ROLE).unlink(missing_ok=True)


def _status(
    settings: WitnessSettings, service: WitnessService, memory: WitnessState, alarms: Alarms, key: str
) -> dict[str, Any]:
    health = service.health
    return {
        "role": ROLE, "operator": settings.operator, "key": key, "link": health.link, "logs": health.logs,
        "cosigned": {origin: {"size": one.size, "t_s": one.t_s} for origin, one in memory.all().items()},
        "alarms": alarms.count, "last_alarm": alarms.last,
    }  # fmt: skip


def _application(status: Callable[[], dict[str, Any]]) -> Starlette:
    async def answer(_request: Request) -> Response:
        return Response(orjson.dumps(status()), media_type="application/json")

    return Starlette(routes=[Route("/v1/status", answer, methods=["GET"])])
