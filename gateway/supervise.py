"""Run the parts of a process: one task each, started again when they fail, stopped together."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipeline.mqtt.reconnect import alone

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
    """Last failure; empty again once the part has run for HEALTHY_S."""


class Supervisor:
    """Parts with a restart policy: an exception restarts the part after a growing delay, forever.

    A part that returns is done. Cancellation is never swallowed. `on_failure(part, error)` records a failure,
    once for each new error: a part that fails in one way again and again is no news. An async context manager
    around one TaskGroup: leaving it stops what still runs; an exception of its body passes as it is.
    """

    def __init__(self, on_failure: Callable[[str, str], None]) -> None:
        self._on_failure = on_failure
        self._group = asyncio.TaskGroup()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started_s: dict[str, float] = {}
        self.health: dict[str, PartHealth] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            await self._group.__aexit__(kind, error, traceback)
        else:
            # The group would wrap the body's exception in an ExceptionGroup, and no caller would know it.
            await self._group.__aexit__(None, None, None)

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
            self._started_s[part] = started_s
            try:
                await alone(run())
            except Exception as error:
                LOG.exception("%s failed", part)
                if loop.time() - started_s >= HEALTHY_S:
                    health.error, delay_s = "", DELAY_FIRST_S
                health.restarts += 1
                self._tell(part, health, f"{type(error).__name__}: {error}")
            else:
                health.error = ""
                return
            finally:
                health.running = False
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, DELAY_MAX_S)

    def _tell(self, part: str, health: PartHealth, text: str) -> None:
        known, health.error = health.error == text, text
        if known:
            return
        try:
            self._on_failure(part, text)
        except Exception:
            # A failure that cannot be recorded (a full journal) must not end the other parts.
            LOG.exception("the failure of %s could not be recorded", part)

    def failing(self) -> dict[str, PartHealth]:
        """Parts that failed and have not run well for HEALTHY_S since."""
        now_s = asyncio.get_running_loop().time()
        for part, health in self.health.items():
            if health.running and now_s - self._started_s.get(part, now_s) >= HEALTHY_S:
                health.error = ""
        return {part: health for part, health in self.health.items() if health.error}

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
