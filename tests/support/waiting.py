"""Wait for what a real server will do in its own time."""

import asyncio
from collections.abc import Callable

_PERIOD_S = 0.005


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; the test's own time-out bounds it.

    Only for what raises no event in this process: a health figure that a socket's other end decides.
    """
    while not condition():  # noqa: ASYNC110 - see the docstring
        await asyncio.sleep(_PERIOD_S)
