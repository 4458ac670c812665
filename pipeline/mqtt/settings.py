"""Settings of the MQTT connection, the same for the gateway and the collector."""

from __future__ import annotations

import ssl
from typing import Annotated

from pydantic import Field

from config.model import CredentialRef, Port, Seconds, Settings
from config.tls import TlsSettings


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho forgets such a socket open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the standard library's signature
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class BrokerTlsSettings(TlsSettings):
    """Transport security: the broker's certificate is always checked."""

    def context(self) -> ssl.SSLContext:
        """Build the TLS context, TLS 1.2 or newer. Raises OSError for files that cannot be read."""
        context = super().context()
        context.sslsocket_class = _ClosingSocket
        return context


class MqttSettings(Settings):
    """Where the broker is, and how much may be under way to it."""

    host: str = "127.0.0.1"
    """Host name or address of the MQTT 5 broker."""
    port: Port = 1883
    """TCP port of the broker; 8883 is usual with TLS."""
    username: str | None = None
    """User name, where the broker asks for one."""
    password: CredentialRef | None = None
    """Password of `username`."""
    tls: BrokerTlsSettings | None = None
    """Transport security; leave it out only on a network of your own."""
    keep_alive_s: Annotated[int, Field(ge=5, le=600)] = 30
    """Seconds without traffic after which client and broker look for each other."""
    in_flight_max: Annotated[int, Field(ge=1, le=1000)] = 20
    """Messages under way at once, in each direction; the broker may lower it."""
    held_bytes_max: Annotated[int, Field(ge=65536, le=1024 * 1024 * 1024)] = 64 * 1024 * 1024
    """Bytes of received messages held at once; what comes beyond them is dropped and sent again later."""
    window_bytes: Annotated[int, Field(ge=65536, le=256 * 1024 * 1024)] = 8 * 1024 * 1024
    """Bytes published and not yet receipted; a quarter is kept for live frames while a backlog drains."""
    message_bytes_max: Annotated[int, Field(ge=4096, le=16 * 1024 * 1024)] = 128 * 1024
    """Records are put together into messages up to this size; one larger record is a message of its own."""
    republish_first_s: Seconds = 10.0
    """A message without a receipt is published again after this time, then after twice as long, and so on."""
    republish_max_s: Seconds = 300.0
    """Longest time between two publications of a message without a receipt."""
