"""A TCP connection as a wire."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, cast

from drivers.errors import LinkDown
from drivers.transport.wire import Inbox

if TYPE_CHECKING:
    from config.tls import TlsSettings
    from pipeline.records import Clock

_UNSENT_BYTES_MAX = 65536
_KEEPALIVE_IDLE_S = 30
_KEEPALIVE_INTERVAL_S = 10
_KEEPALIVE_PROBES = 3


class TcpWire(asyncio.Protocol):
    """One TCP connection; made by `open_tcp`."""

    def __init__(self, clock: Clock, endpoint: str) -> None:
        self.inbox = Inbox(clock)
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and let the kernel notice a peer that has silently gone."""
        self._transport = cast("asyncio.Transport", transport)
        handle = transport.get_extra_info("socket")
        # Loops of tests have sockets that are none.
        if handle is not None and handle.family in {socket.AF_INET, socket.AF_INET6}:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S)
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on."""
        self.inbox.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection."""
        reason = "the device closed the connection" if exc is None else f"connection lost: {describe(exc)}"
        self.inbox.fail(LinkDown(reason, endpoint=self._endpoint, hint="check the device and the network"))

    def write(self, data: bytes) -> None:
        """Send bytes without waiting. Raises LinkDown when the connection is gone or takes no more bytes."""
        if self.inbox.lost is not None:
            raise self.inbox.lost
        if self._transport is None or self._transport.get_write_buffer_size() > _UNSENT_BYTES_MAX:
            raise LinkDown(
                "the device takes no more bytes", endpoint=self._endpoint, hint="restart the device"
            )
        self._transport.write(data)

    def close(self) -> None:
        """Close at once: unsent bytes are of no use any more."""
        self.inbox.fail(LinkDown("the connection is closed", endpoint=self._endpoint))
        if self._transport is not None:
            self._transport.abort()


async def open_tcp(
    host: str, port: int, *, timeout_s: float, clock: Clock, tls: TlsSettings | None = None
) -> TcpWire:
    """Connect, and with `tls` see that the certificate is that of `host`. Raises LinkDown."""
    endpoint = f"{host}:{port}"
    hint = "check address, cable and that the device is switched on"
    try:
        async with asyncio.timeout(timeout_s):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: TcpWire(clock, endpoint), host, port, ssl=None if tls is None else tls.context()
            )
    except TimeoutError as error:
        raise LinkDown(f"no connection within {timeout_s:g} s", endpoint=endpoint, hint=hint) from error
    except ssl.SSLError as error:
        raise LinkDown(
            f"no secure connection: {error.reason or describe(error)}",
            endpoint=endpoint,
            hint="check ca_file, certificate_file and key_file, and that host is the name in the certificate",
        ) from error
    except OSError as error:
        raise LinkDown(f"cannot connect: {describe(error)}", endpoint=endpoint, hint=hint) from error
    return wire


def describe(error: Exception) -> str:
    """Write an operating-system error without the address that it often repeats."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
