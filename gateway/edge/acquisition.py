"""Run every driver as a part of its own: one that fails never stops another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drivers.door import Driver
    from gateway.edge.pulse import Pulse
    from gateway.supervise import Supervisor
    from pipeline.records import Item

CLOSE_PERIOD_S = 0.025
"""Between two looks for frames whose time has come."""
FLUSH_S = 5.0
"""What was read is handed on for so long when the journal has no room at a stop."""
STOP_S = 2.0
"""A driver that has not ended by then is cancelled; its open gap is closed at the next start."""


class Taker(Protocol):
    """Where the items of drivers go: the intake of the journal, or what routes them to one of two."""

    async def take(self, item: Item) -> None:
        """Take one item of a driver's stream; waits while the journal has no room."""
        ...

    def interrupted(self, instrument: str, period_ns: int) -> None:
        """Account for the time until the next row of an instrument whose driver failed and starts again."""
        ...

    def close_due(self) -> None:
        """Close the frames whose time has come."""
        ...

    async def end(self) -> None:
        """Hand on what waits; may be cancelled, and then it is lost."""
        ...


class Acquisition:
    """Drivers to intake."""

    def __init__(
        self, drivers: Sequence[Driver], intake: Taker, supervisor: Supervisor, pulse: Pulse,
        note: Callable[[Item], None] | None = None,
    ) -> None:  # fmt: skip
        self._drivers = drivers
        self._intake = intake
        self._supervisor = supervisor
        self._pulse = pulse
        self._note = note
        self._parts: list[str] = []
        self._begun: set[str] = set()

    def start(self) -> None:
        """Start a part for each driver, and the one that closes frames in time."""
        for driver in self._drivers:
            part = f"driver {driver.describe().instrument}"
            self._parts.append(part)
            self._supervisor.start(part, lambda driver=driver: self._read(driver))  # type: ignore[misc]
        self._supervisor.start("frames", self._close_frames)

    async def _read(self, driver: Driver) -> None:
        known = driver.describe()
        if known.instrument in self._begun:
            # It failed and is started again: the polls left out meanwhile are a gap.
            self._intake.interrupted(known.instrument, round((known.poll_interval_s or 0.0) * 1e9))
        self._begun.add(known.instrument)
        async with driver:
            stream = driver.stream()
            try:
                async for item in stream:
                    if self._note is not None:
                        self._note(item)
                    await self._intake.take(item)
            finally:
                if isinstance(stream, AsyncGenerator):
                    await stream.aclose()

    async def _close_frames(self) -> None:
        while True:
            self._intake.close_due()
            self._pulse.beat("frames")
            await asyncio.sleep(CLOSE_PERIOD_S)

    async def stop(self) -> None:
        """Let the drivers finish the exchange in flight, then hand what they gave to the journal."""
        for driver in self._drivers:
            driver.stop()
        await self._supervisor.wait(self._parts, STOP_S)
        await self._supervisor.stop(*self._parts)
        await self._supervisor.stop("frames")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._intake.end()
