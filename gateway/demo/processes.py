"""Start and stop the roles of a demonstration as processes of their own, from the installed program."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STOP_S = 120.0
"""Time for what is to be brought to disk and receipted, on a busy machine too."""
PROGRAM = "from gateway.cli.main import main; main()"
SETTABLE = "from gateway.demo.settable import app; app()"
"""Plays the role `run` on a clock that can be set."""


class RoleFailedError(Exception):
    """A role ended before it was asked to; the message carries the end of its log."""


@dataclass(slots=True)
class Roles:
    """Child processes by role; each writes its log to `logs/ROLE.log`."""

    logs: Path
    programs: Mapping[str, str] = field(default_factory=dict)
    """Role to the program that plays it, where that is not the installed one."""
    _running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, role: str, config: Path) -> None:
        """Start `yaosu ROLE -c CONFIG`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.log(role).open("ab") as log:
            self._running[role] = await asyncio.create_subprocess_exec(
                sys.executable, "-c", self.programs.get(role, PROGRAM), role, "-c", str(config),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def log(self, role: str) -> Path:
        """Log file of a role."""
        return self.logs / f"{role}.log"

    def check(self) -> None:
        """Raise RoleFailedError when a role has ended by itself."""
        for role, process in self._running.items():
            if process.returncode is not None:
                tail = self.log(role).read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
                raise RoleFailedError(f"{role} ended with {process.returncode}:\n" + "\n".join(tail))

    async def stop(self, role: str) -> None:
        """Ask a role to end in order and wait for it; after STOP_S it is killed."""
        process = self._running.pop(role, None)
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def stop_all(self) -> None:
        """Stop what still runs."""
        for role in list(self._running):
            await self.stop(role)
