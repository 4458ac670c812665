"""A serial line of the scenario: a pseudo-terminal that a symbolic link names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from collections.abc import Callable
from pathlib import Path

from simulators.errors import ScenarioError
from simulators.link import Link, Session

READ_MAX = 4096

SPEEDS = {
    1200: termios.B1200,
    2400: termios.B2400,
    4800: termios.B4800,
    9600: termios.B9600,
    19200: termios.B19200,
    38400: termios.B38400,
    57600: termios.B57600,
    115200: termios.B115200,
}


class PtyLine:
    """The instruments' end of a serial line; clients open `path`.

    The slave is kept open here too, so that the line lives on when a client closes it (otherwise reads
    of the master fail with EIO). Write policy: what the full pty buffer cannot take is lost and counted,
    as on a line to which nobody listens. Always 8N1: a Linux pty with parity or 7 bits opens once only.
    """

    def __init__(self, path: Path, baud: int, open_session: Callable[[Link], Session]) -> None:
        self.path = path
        self._baud = baud
        self._open_session = open_session
        self._master: int | None = None
        self._slave: int | None = None
        self._session: Session | None = None
        self._holds = 0

    async def set_connected(self, *, connected: bool) -> None:
        """Plug the line in, or pull it out: its device disappears and open clients see a hang-up."""
        if connected == (self._master is not None):
            return
        if connected:
            self._plug_in()
        else:
            self.close()

    def write(self, data: bytes) -> None:
        """Send bytes to whoever has the line open; what nobody reads is lost, as on a real line."""
        if self._master is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)

    def pause(self) -> None:
        """Stop reading; calls nest."""
        self._holds += 1
        if self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)

    def resume(self) -> None:
        """Undo one `pause`."""
        self._holds -= 1
        if self._holds == 0 and self._master is not None:
            asyncio.get_running_loop().add_reader(self._master, self._on_readable)

    def close(self) -> None:
        """Pull the line out and remove its link."""
        if self._master is None or self._slave is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        if self._session is not None:
            self._session.close()
        if self.path.is_symlink() and str(self.path.readlink()) == os.ttyname(self._slave):
            self.path.unlink()
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = self._session = None

    def _plug_in(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        mode = termios.tcgetattr(self._slave)
        mode[4] = mode[5] = SPEEDS[self._baud]
        termios.tcsetattr(self._slave, termios.TCSANOW, mode)
        os.set_blocking(self._master, False)
        self._holds = 0
        self._session = self._open_session(self)
        asyncio.get_running_loop().add_reader(self._master, self._on_readable)
        self._name(os.ttyname(self._slave))

    def _name(self, device: str) -> None:
        """Let the link point to the device; the change is atomic for a client that opens it meanwhile."""
        if self.path.exists() and not self.path.is_symlink():
            self.close()
            raise ScenarioError(
                f"the line's path {self.path} exists and is not a symbolic link",
                "choose another run directory, or another path for the line in the scenario",
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(device)
        fresh.replace(self.path)

    def _on_readable(self) -> None:
        if self._master is None or self._session is None:
            return
        try:
            data = os.read(self._master, READ_MAX)
        except BlockingIOError:
            return
        self._session.receive(data)
