"""Guards that fail a test which leaves a task or a thread behind."""

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

THREAD_END_TIMEOUT_S = 5.0
_SETTLING_TURNS = 5  # turns of the loop in which cancelled tasks and closing transports may finish


def _is_async(function: object) -> bool:
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inspect.iscoroutinefunction(inner)


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail when tasks of the test's loop still run after the test and the fixtures that it asked for."""
    yield
    for _ in range(_SETTLING_TURNS):
        await asyncio.sleep(0)
    leaked = sorted(str(task) for task in asyncio.all_tasks() if task is not asyncio.current_task())
    if leaked:
        pytest.fail("the test left tasks behind:\n  " + "\n  ".join(leaked), pytrace=False)


def _started_since(before: set[threading.Thread]) -> list[threading.Thread]:
    # Workers of a loop's default executor (asyncio_0, ...) end with the loop, after this check.
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before and not thread.daemon and not thread.name.startswith("asyncio_")
    ]


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail when the test leaves a task or a non-daemon thread behind."""
    before = set(threading.enumerate())
    if _is_async(getattr(request.node, "obj", None)):
        request.getfixturevalue("no_leaked_tasks")
    yield
    deadline = time.monotonic() + THREAD_END_TIMEOUT_S
    for thread in _started_since(before):
        thread.join(max(0.0, deadline - time.monotonic()))
    if leaked := [thread.name for thread in _started_since(before)]:
        pytest.fail("the test left threads behind: " + ", ".join(leaked), pytrace=False)
