"""Connections that another thread can cut, so that nobody waits at the end for a server that says nothing."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from weakref import WeakSet

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Wires:
    """Every connection that pools of `pools` make. Thread-safe.

    Closing a pool lets requests that are under way go on; `cut` ends them with an error, and new ones too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: WeakSet[HTTPConnection] = WeakSet()
        self._is_cut = False
        self.pools = _pools(self)
        """Scheme to the class of connection pools."""

    def add(self, connection: HTTPConnection) -> None:
        """Take a connection that has just been made. Raises ConnectionAbortedError after `cut`."""
        with self._lock:
            if not self._is_cut:
                self._made.add(connection)
                return
        connection.close()
        raise ConnectionAbortedError("the store is being closed")

    def cut(self) -> None:
        """End every request, now and from now on."""
        with self._lock:
            self._is_cut = True
            ends = [end for connection in self._made if (end := connection.sock) is not None]
        for end in ends:
            with suppress(OSError):  # the server was quicker
                # Of the socket below TLS: whoever reads at this moment keeps his own state of it.
                socket.socket.shutdown(end, socket.SHUT_RDWR)


def _pools(wires: Wires) -> dict[str, type[HTTPConnectionPool]]:
    class HttpConnection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            wires.add(self)

    class HttpsConnection(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            wires.add(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = HttpConnection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = HttpsConnection

    return {"http": PlainPool, "https": SecurePool}
