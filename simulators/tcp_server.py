"""A TCP port of an instrument, which can be taken off the network and put back."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import cast

from simulators.errors import PortInUseError, ScenarioError
from simulators.link import Link, Session

CONNECTIONS_MAX = 16
"""Limit of connections to one instrument; one more is closed at once."""
CLOSING_TURNS = 3

SessionFactory = Callable[[Link], Session]


class _Connection(asyncio.Protocol):
    """One client. Buffer: what the client does not read stops the reading of its requests."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._holds = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._server.connections) >= CONNECTIONS_MAX:
            self._transport.abort()
            return
        self._server.connections.add(self)
        self._session = self._server.open_session(self)

    def data_received(self, data: bytes) -> None:
        if self._session is not None:
            self._session.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.connections.discard(self)
        if self._session is not None:
            self._session.close()
            self._session = None

    def pause_writing(self) -> None:
        self.pause()

    def resume_writing(self) -> None:
        self.resume()

    def write(self, data: bytes) -> None:
        """Send bytes; nothing is sent to a client that has stopped reading."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause(self) -> None:
        """Stop reading; calls nest."""
        self._holds += 1
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Undo one `pause`."""
        self._holds -= 1
        if self._holds == 0 and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()


class TcpServer:
    """Listens for one instrument. The port stays bound while the instrument is off the network.

    A bound socket that does not listen refuses connections and keeps others from taking the port.
    """

    def __init__(self, instrument_id: str, host: str, port: int, open_session: SessionFactory) -> None:
        self.open_session = open_session
        self.connections: set[_Connection] = set()
        self._instrument_id = instrument_id
        self._host = host
        self._wanted_port = port
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Return the port that was taken."""
        return self._wanted_port

    def bind(self) -> socket.socket:
        """Take the port, if it is not taken yet. Raises `PortInUseError` or `ScenarioError`."""
        if self._socket is not None:
            return self._socket
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self._host, self._wanted_port))
        except OSError as error:
            bound.close()
            raise self._refused(error) from error
        self._wanted_port = bound.getsockname()[1]
        self._socket = bound
        return bound

    async def set_connected(self, *, connected: bool) -> None:
        """Listen, or close every connection and refuse new ones."""
        if connected == (self._server is not None):
            return
        if connected:
            bound = self.bind()
            try:
                self._server = await asyncio.get_running_loop().create_server(
                    lambda: _Connection(self), sock=bound
                )
            except OSError as error:
                raise self._refused(error) from error
            return
        await self._hang_up()
        self._socket = None
        self.bind()

    async def close(self) -> None:
        """Give the port back."""
        await self._hang_up()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self.connections):
            connection.close()
        # Event loops close aborted transports and listening sockets in their next turns.
        for _ in range(CLOSING_TURNS):
            await asyncio.sleep(0)

    def _refused(self, error: OSError) -> ScenarioError:
        where = f"{self._host}:{self._wanted_port}"
        name = f"instrument '{self._instrument_id}'"
        if error.errno == errno.EADDRINUSE:
            return PortInUseError(
                f"the simulator of {name} cannot listen on {where}: the port is in use",
                "choose other ports (--port, 0 for any free ones), or another tcp_port in the scenario",
            )
        return ScenarioError(
            f"the simulator of {name} cannot listen on {where}: {error.strerror}",
            f"choose a host of this machine, and a tcp_port above 1023 or 0 for {name}",
        )
