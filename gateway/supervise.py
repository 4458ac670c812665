"""Run the parts of a process: one task each, started again when they fail, stopped together."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

LOG = logging.getLogger(__name__)
DELAY_FIRST_S = 0.5
DELAY_MAX_S = 30.0
HEALTHY_S = 60.0
"""A part that ran this long before it failed starts again without delay growth."""


@dataclass(slots=True)
class PartHealth:
    """What the status page says of one part."""

    running: bool = False
    restarts: int = 0
    error: str = ""


class Supervisor:
    """Parts with a restart policy: an exception restarts the part after a growing delay, forever.

    A part that returns is done. Cancellation is never swallowed. `on_failure(part, error)` records a failure.
    An async context manager around one TaskGroup: leaving it stops what still runs.
    """

    def __init__(self, on_failure: Callable[[str, str], None]) -> None:
        self._on_failure = on_failure
        self._group = asyncio.TaskGroup()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.health: dict[str, PartHealth] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
        await self._group.__aexit__(kind, error, traceback)

    def start(self, part: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a part under a name that is not in use."""
        if part in self._tasks:
            raise ValueError(f"part '{part}' runs already")
        self.health[part] = PartHealth()
        self._tasks[part] = self._group.create_task(self._keep(part, run), name=part)

    async def _keep(self, part: str, run: Callable[[], Awaitable[None]]) -> None:
        health, delay_s = self.health[part], DELAY_FIRST_S
        loop = asyncio.get_running_loop()
        while True:
            started_s, health.running = loop.time(), True
            try:
                await run()
            except Exception as error:
                LOG.exception("%s failed", part)
                health.restarts += 1
                health.error = f"{type(error).__name__}: {error}"
                self._on_failure(part, health.error)
            else:
                return
            finally:
                health.running = False
            if loop.time() - started_s >= HEALTHY_S:
                delay_s = DELAY_FIRST_S
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, DELAY_MAX_S)

    async def stop(self, *parts: str) -> None:
        """Cancel the named parts (default: all) and wait until they have ended."""
        chosen = [self._tasks.pop(part) for part in (parts or list(self._tasks)) if part in self._tasks]
        for task in chosen:
            task.cancel()
        await asyncio.gather(*chosen, return_exceptions=True)

    async def wait(self, parts: Iterable[str], timeout_s: float) -> None:
        """Wait until the named parts have returned by themselves, at most `timeout_s`."""
        chosen = [self._tasks[part] for part in parts if part in self._tasks]
        if chosen:
            await asyncio.wait(chosen, timeout=timeout_s)

    def running(self) -> list[str]:
        """Names of the parts that have not been stopped."""
        return list(self._tasks)
