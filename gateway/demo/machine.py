"""Hands on the machine of a demonstration's gateway: its clock and its files, and nobody else's.

The clock that is set is the one that the gateway's process reads (`gateway.demo.settable`); the byte that is
changed is one of the journal in the demonstration's own folder, while the gateway is stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from gateway.demo.clock import CLOCK_FILE, SettableClock
from pipeline.journal.disk import RealDisk
from pipeline.journal.segments import list_segments

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import Any

    from gateway.demo.processes import Roles
    from gateway.site import LoadedSite


class DemoMachine:
    """The machine that the gateway of a demonstration believes to run on; see `gateway.demo.day.Machine`.

    Args:
        site: of the gateway.
        roles: the processes, of which `run` is the gateway.
        all_read: waits until the gateway has read every instrument since it started.
    """

    def __init__(self, site: LoadedSite, roles: Roles, all_read: Callable[[], Awaitable[None]]) -> None:
        self._site = site
        self._roles = roles
        self._all_read = all_read
        self._clock = SettableClock(site.path.with_name(CLOCK_FILE))
        self._readings = 0

    @property
    def was_set(self) -> bool:
        """Whether its clock is another than the other processes have."""
        return self._clock.set_ns != 0

    def set_clock(self, by_s: float) -> str:
        """Set the UTC clock, by so many seconds; say what was set."""
        self._clock.step(round(by_s * 1e9))
        return f"{by_s:+g} s on the clock that the gateway's process reads; this computer's is left alone"

    async def restart(self, *, change: bool) -> str:
        """Stop the gateway and start it again, one byte of its journal changed in between; say which."""
        await self.stop()
        changed = change_a_byte(self._site.state.journal) if change else ""
        await self._roles.start("run", self._site.path)
        await self._all_read()
        return changed

    async def stop(self) -> dict[str, Any]:
        """Stop the gateway in order; what it has acquired in all its runs."""
        await self._roles.stop("run")
        last: dict[str, Any] = orjson.loads(self._site.state.last_run.read_bytes())
        self._readings += last["readings"]
        return {**last, "readings": self._readings}


def change_a_byte(journal: Path) -> str:
    """Change one byte, in the middle of a journal's newest sealed segment or of the open one; say which."""
    segments = list_segments(RealDisk(), journal)
    path = segments[-2].path if len(segments) > 1 else segments[-1].path
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0x01
    path.write_bytes(bytes(content))
    return f"byte {middle} of {path.name} in the demonstration's own journal"
