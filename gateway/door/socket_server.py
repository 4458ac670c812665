"""Serve an ASGI application on a Unix socket, inside the process's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

SHUTDOWN_S = 1
CONNECTIONS_MAX = 64
"""Further callers get 503: a caller that hangs must not take the daemon's files and memory."""
SILENT_S = 10
"""A connection on which nothing is asked for so long is closed."""
REQUEST_S = 20
"""A request, headers and body, has arrived by then, or its connection is closed."""
PROBE_S = 1.0
_UCRED = struct.Struct("3i")


class SocketInUseError(Exception):
    """Another process serves this socket: the role runs already."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose patience ends: SILENT_S for the first byte, REQUEST_S for a whole request.

    Uvicorn watches the time between requests only: one byte a minute would hold a connection for ever.
    """

    _arriving: asyncio.TimerHandle | None = None
    """Closes the connection of a request that is under way; None while none is."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time in which something has to be asked for."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(SILENT_S, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        """Take some bytes, and watch whether they are the end of a request."""
        super().data_received(data)
        cycle = cast("RequestResponseCycle | None", self.cycle)
        # Without a request in work these were headers that go on.
        self._watch(part=cycle is None or cycle.response_complete or cycle.more_body)

    def on_response_complete(self) -> None:
        """Go on to the next request, of which some may be there already."""
        super().on_response_complete()
        self._watch(part=self.cycle.more_body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._watch(part=False)

    def _watch(self, *, part: bool) -> None:
        if part and self._arriving is None:
            self._arriving = self.loop.call_later(REQUEST_S, self.transport.close)
        elif not part and self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None


class _PeerProtocol(PatientProtocol):
    """HTTP/1.1 that knows who calls: the scope's client is ("uid:1000", pid) by SO_PEERCRED (unix(7))."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(raw)
        self.client = (f"uid:{uid}", pid)


class QuietServer(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: signals belong to the process, which stops its parts in order."""
        yield


def bind(path: Path) -> socket.socket:
    """Bind and listen at `path` with mode 0660, removing what a dead process left behind.

    Raises:
        SocketInUseError: a living process answers there.
        OSError: the place cannot be used, or belongs to another user.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and _answers(path):
        raise SocketInUseError(f"another process already serves {path}; see: yaosu status")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)  # noqa: FBT003 - the socket module's signature
    # The mode is set before anybody can connect: bind makes the file, listen opens it.
    listener.bind(str(path))
    os.chmod(path, 0o660)  # noqa: PTH101 - the socket's own path
    listener.listen(64)
    return listener


def _answers(path: Path) -> bool:
    """Tell whether a living process listens at a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except TimeoutError:
            return True  # it listens, and is too busy to take a caller
    return True


async def serve(application: ASGIApp, listener: socket.socket) -> None:
    """Serve until cancelled; a cancelled server ends open requests within SHUTDOWN_S."""
    options: dict[str, Any] = {
        "http": _PeerProtocol, "ws": "none", "lifespan": "off", "log_config": None, "access_log": False,
        "timeout_graceful_shutdown": SHUTDOWN_S, "server_header": False, "loop": "none",
        "limit_concurrency": CONNECTIONS_MAX, "timeout_keep_alive": SILENT_S,
    }  # fmt: skip
    server = QuietServer(uvicorn.Config(application, **options))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.should_exit = True
        await running
        raise
