"""The broker of `yaosu demo`: rumqttd (by iotcore) in a child process, with a configuration of our own.

What differs from Mosquitto 2.0.11 (tests/contract/test_embedded_broker.py): it never says that nobody
subscribes, so that a publisher learns of a missing collector only by missing receipts; it takes no notice
of a client's receive maximum, so that IN_FLIGHT_MAX bounds what it hands out; it drops a client that
acknowledges a message twice. Not for production: it keeps nothing on a disk.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from iotcore import Broker

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
PAYLOAD_BYTES_MAX = 4 * 1024 * 1024
SEGMENTS = 8
SEGMENT_BYTES = 1024 * 1024
"""The log of a topic filter: 41 MB of memory in all, against 736 MB by the defaults."""
IN_FLIGHT_MAX = 100

_CONFIGURATION = """\
id = 0

[router]
id = 0
max_connections = 64
max_outgoing_packet_count = 200
max_segment_size = {segment_bytes}
max_segment_count = {segments}

[v5.1]
name = "demo"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = {payload_bytes_max}
    max_inflight_count = {in_flight_max}
    dynamic_filters = true
"""


class BrokerStartError(Exception):
    """The embedded broker did not start; the message says what to do."""


class EmbeddedBroker:
    """An MQTT 5 broker on 127.0.0.1, as an async context manager; it ends with this process at the latest.

    Args:
        port: TCP port; None takes one that is free.
    """

    def __init__(self, port: int | None = None) -> None:
        self._chosen = port
        self._broker: Broker | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.port = 0
        """The port, once started."""

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._start)
        return self

    def _start(self) -> None:
        self.port = _free_port() if self._chosen is None else self._chosen
        self._folder = tempfile.TemporaryDirectory(prefix="yaosu-broker-")
        path = Path(self._folder.name) / "rumqttd.toml"
        path.write_text(_configuration(self.port), encoding="utf-8")
        self._broker = Broker(config_path=str(path))
        try:
            self._broker.start(START_TIMEOUT_S)
        except (OSError, RuntimeError) as error:
            self._folder.cleanup()
            raise BrokerStartError(
                f"the embedded broker cannot serve 127.0.0.1:{self.port}: {error}; choose another port"
            ) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        if self._broker is not None:
            self._broker.stop(STOP_TIMEOUT_S)
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def running(self) -> bool:
        """Whether the child process lives."""
        return self._broker is not None and self._broker.is_running


def _configuration(port: int) -> str:
    return _CONFIGURATION.format(
        port=port, payload_bytes_max=PAYLOAD_BYTES_MAX, segments=SEGMENTS, segment_bytes=SEGMENT_BYTES,
        in_flight_max=IN_FLIGHT_MAX,
    )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
