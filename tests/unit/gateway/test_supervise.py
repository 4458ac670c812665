"""Parts that fail are started again; parts that are stopped end."""

from __future__ import annotations

import asyncio
from functools import partial
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
    # One failure again and again is told once.
    assert failures == [("flaky", "ValueError: no")]
    assert supervisor.health["flaky"].restarts == 4
    assert supervisor.failing()["flaky"].error == "ValueError: no"


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


async def test_a_part_that_runs_well_again_is_no_longer_failing() -> None:
    attempts = []

    async def once_bad() -> None:
        attempts.append(True)
        if len(attempts) == 1:
            raise ValueError("no")
        await asyncio.Event().wait()

    async with Supervisor(lambda part, error: None) as supervisor:
        supervisor.start("part", once_bad)
        await asyncio.sleep(10.0)
        assert set(supervisor.failing()) == {"part"}
        await asyncio.sleep(60.0)
        assert supervisor.failing() == {}
        assert supervisor.health["part"].restarts == 1


async def test_a_failure_that_cannot_be_recorded_ends_nothing() -> None:
    def refuse(part: str, error: str) -> None:
        raise OSError("the journal is full")

    async def fail() -> None:
        raise ValueError("no")

    async with Supervisor(refuse) as supervisor:
        supervisor.start("flaky", fail)
        supervisor.start("steady", asyncio.Event().wait)  # type: ignore[arg-type]
        await asyncio.sleep(5.0)
        assert supervisor.health["flaky"].restarts > 2
        assert supervisor.health["steady"].running


async def test_an_exception_of_the_body_passes_as_it_is_and_stops_the_parts() -> None:
    ended = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def body() -> None:
        async with Supervisor(lambda part, error: None) as supervisor:
            supervisor.start("a", part)
            await asyncio.sleep(0)
            raise PermissionError("no")

    with pytest.raises(PermissionError, match="no"):
        await body()
    assert ended == [True]


async def test_cancelling_the_body_cancels_the_parts() -> None:
    async def body() -> None:
        async with Supervisor(lambda part, error: None) as supervisor:
            supervisor.start("a", asyncio.Event().wait)  # type: ignore[arg-type]
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_part_that_fails_at_the_moment_of_a_stop_is_not_started_again() -> None:
    starts = 0

    async def part(fail: asyncio.Event) -> None:
        nonlocal starts
        starts += 1

        async def inner() -> None:
            await fail.wait()
            raise OSError("gone")

        async with asyncio.TaskGroup() as parts:
            parts.create_task(inner())
            parts.create_task(asyncio.Event().wait())

    for pause in range(6):
        starts, fail = 0, asyncio.Event()
        async with Supervisor(lambda _part, _error: None) as supervisor:
            supervisor.start("part", partial(part, fail))
            await asyncio.sleep(0.01)
            fail.set()
            for _ in range(pause):
                await asyncio.sleep(0)
            async with asyncio.timeout(100.0):
                await supervisor.stop("part")
        assert starts == 1
