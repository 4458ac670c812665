"""Datagrams to one address as a wire."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from drivers.errors import LinkDown
from drivers.transport.tcp import describe
from drivers.transport.wire import Inbox

if TYPE_CHECKING:
    from pipeline.records import Clock


class UdpWire(asyncio.DatagramProtocol):
    """A connected UDP socket; made by `open_udp`. A datagram that is lost is an answer that does not come."""

    def __init__(self, clock: Clock, endpoint: str) -> None:
        self.inbox = Inbox(clock)
        self._endpoint = endpoint
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        """Pass the bytes on."""
        self.inbox.feed(data)

    def error_received(self, exc: Exception) -> None:
        """Note that nobody listens there (ICMP)."""
        self._fail(f"the device cannot be reached: {describe(exc)}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the socket is closed."""
        self._fail("the socket is closed" if exc is None else f"the socket failed: {describe(exc)}")

    def _fail(self, reason: str) -> None:
        self.inbox.fail(LinkDown(reason, endpoint=self._endpoint, hint="check the device and the network"))

    def write(self, data: bytes) -> None:
        """Send one datagram. Raises LinkDown when the socket is gone."""
        if self.inbox.lost is not None:
            raise self.inbox.lost
        if self._transport is not None:
            self._transport.sendto(data)

    def close(self) -> None:
        """Close the socket; closing twice is harmless."""
        self._fail("the socket is closed")
        if self._transport is not None:
            self._transport.abort()


async def open_udp(host: str, port: int, *, clock: Clock) -> UdpWire:
    """Open a socket that sends to one address and hears only it. Raises LinkDown."""
    endpoint = f"{host}:{port}"
    try:
        _, wire = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: UdpWire(clock, endpoint), remote_addr=(host, port)
        )
    except OSError as error:
        raise LinkDown(
            f"no such address: {describe(error)}", endpoint=endpoint, hint="check host and network"
        ) from error
    return wire
