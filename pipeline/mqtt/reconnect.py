"""Connect, work, and after a loss connect again: with back-off and jitter, for ever."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.mqtt.errors import LinkLostError, PublishRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from pipeline.mqtt.link import Link
    from pipeline.records import Clock

LOG = logging.getLogger(__name__)
DELAY_FIRST_S = 0.25
DELAY_MAX_S = 30.0
STABLE_S = 10.0
"""A connection that held this long starts the back-off over; two clients of one name would else drive each
other out four times a second."""


@dataclass(slots=True)
class LinkHealth:
    """What the status page says of a connection."""

    connected: bool = False
    since_utc_ns: int = 0
    """When the present state began."""
    error: str = ""
    """Why the last connection ended or could not be made; empty while connected."""
    connections: int = 0


async def keep_connected(
    connect: Callable[[], Link], work: Callable[[Link], Awaitable[None]], health: LinkHealth, clock: Clock,
    random: Random,
) -> None:  # fmt: skip
    """Run `work` on a connection; on loss or refusal wait 0.25 s, doubling to 30 s, half of it random."""
    loop, delay_s = asyncio.get_running_loop(), DELAY_FIRST_S
    health.since_utc_ns = clock.utc_ns()
    connected_s, told = math.inf, ""

    async def session() -> None:
        nonlocal connected_s, told
        async with connect() as link:
            connected_s = loop.time()
            if told:
                LOG.info("MQTT connection: made again")
            told = ""
            health.connected, health.since_utc_ns, health.error = True, clock.utc_ns(), ""
            health.connections += 1
            await work(link)

    while True:
        connected_s = math.inf
        try:
            await alone(session())
        except* (LinkLostError, PublishRefusedError, OSError) as group:
            health.error = "; ".join(dict.fromkeys(str(error) for error in _leaves(group)))
            if health.error != told:  # an outage of days is one line, not one every 30 s
                LOG.warning("MQTT connection: %s; tried again until it is there", health.error)
            told = health.error
        finally:
            if health.connected:
                health.connected, health.since_utc_ns = False, clock.utc_ns()
        if loop.time() - connected_s >= STABLE_S:
            delay_s = DELAY_FIRST_S
        await asyncio.sleep(delay_s * (0.5 + random.random() / 2))
        delay_s = min(2 * delay_s, DELAY_MAX_S)


async def alone(work: Awaitable[None]) -> None:
    """Await something in a task of its own, so that whoever is cancelled meanwhile ends by that.

    When a part of an `asyncio.TaskGroup` fails at the moment at which the task around it is cancelled, the
    group raises the failure and the cancellation is lost (github.com/python/cpython/issues/116720): who
    catches the failure and goes on would never stop. Nor can `Task.cancelling()` tell: in Python 3.11 a group
    whose part failed leaves a count behind.
    """
    task = asyncio.ensure_future(work)
    stopped: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            stopped = error
            task.cancel()
    if stopped is None:
        task.result()
        return
    if not task.cancelled():
        task.exception()  # it was asked to end, and how it did is nobody's business; else the loop complains
    raise stopped


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
