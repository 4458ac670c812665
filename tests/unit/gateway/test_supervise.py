"""Parts that fail are started again; parts that are stopped end."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from gateway.supervise import Supervisor

pytestmark = pytest.mark.virtual_time


async def test_a_part_that_fails_is_started_again_after_a_growing_delay() -> None:
    failures: list[tuple[str, str]] = []
    starts: list[float] = []
    loop = asyncio.get_running_loop()

    async def fail() -> None:
        starts.append(loop.time())
        raise ValueError("no")

    async with Supervisor(lambda part, error: failures.append((part, error))) as supervisor:
        supervisor.start("flaky", fail)
        await asyncio.sleep(4.0)
        await supervisor.stop("flaky")
    assert [round(b - a, 3) for a, b in pairwise(starts)] == [0.5, 1.0, 2.0]
    assert failures[0] == ("flaky", "ValueError: no")
    assert supervisor.health["flaky"].restarts == len(failures) == 4


async def test_a_part_that_returns_is_done_and_others_go_on() -> None:
    done = asyncio.Event()

    async def once() -> None:
        done.set()

    async with Supervisor(lambda part, error: None) as supervisor:
        supervisor.start("once", once)
        supervisor.start("forever", asyncio.Event().wait)  # type: ignore[arg-type]
        await done.wait()
        await supervisor.wait(["once"], 1.0)
        assert supervisor.health["forever"].running
        assert not supervisor.health["once"].running


async def test_leaving_stops_everything() -> None:
    ended = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with Supervisor(lambda part, error: None) as supervisor:
        supervisor.start("a", part)
        supervisor.start("b", part)
        await asyncio.sleep(0)
    assert ended == [True, True]


async def test_a_name_is_used_once() -> None:
    async with Supervisor(lambda part, error: None) as supervisor:
        supervisor.start("a", asyncio.Event().wait)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="runs already"):
            supervisor.start("a", asyncio.Event().wait)  # type: ignore[arg-type]
