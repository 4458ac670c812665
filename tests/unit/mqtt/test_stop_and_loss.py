"""A stop that comes at the moment of a loss is a stop, whichever comes first by how little."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from pipeline.mqtt import LinkLostError, keep_connected
from pipeline.mqtt.reconnect import LinkHealth
from tests.crash.models import ManualClock

if TYPE_CHECKING:
    from types import TracebackType


class Connection:
    """Stands for a connection that is made at once."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.sleep(0)


async def pause(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


@pytest.mark.virtual_time
@pytest.mark.parametrize("stop_after", range(6))
@pytest.mark.parametrize("lose_after", range(6))
async def test_a_loss_at_the_moment_of_a_stop_does_not_swallow_the_stop(
    stop_after: int, lose_after: int
) -> None:
    lost = asyncio.Event()

    async def part() -> None:
        await lost.wait()
        raise LinkLostError("another client has taken over the session")

    async def work(_link: Any) -> None:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(part())
            parts.create_task(asyncio.Event().wait())

    task = asyncio.create_task(
        keep_connected(cast("Any", Connection), work, LinkHealth(), ManualClock(), random.Random(1))
    )
    await pause(5)

    async def lose() -> None:
        await pause(lose_after)
        lost.set()

    losing = asyncio.create_task(lose())
    await pause(stop_after)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=100.0)
    task.cancel()
    await asyncio.gather(task, losing, return_exceptions=True)
    assert done, "the stop was swallowed: the connection is made again for ever"
    assert task.cancelled()


@pytest.mark.virtual_time
async def test_a_loss_alone_is_followed_by_another_connection() -> None:
    health = LinkHealth()

    async def part() -> None:
        raise LinkLostError("the broker closed the connection")

    async def work(_link: Any) -> None:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(part())
            parts.create_task(asyncio.Event().wait())

    task = asyncio.create_task(
        keep_connected(cast("Any", Connection), work, health, ManualClock(), random.Random(1))
    )
    await asyncio.sleep(5.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert health.connections > 3
    assert not health.connected
