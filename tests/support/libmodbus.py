"""A server made of libmodbus, an encoder that is not ours, and faults between it and the driver."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.scripted import rtu

SOURCE = Path(__file__).parents[1] / "contract" / "libmodbus_server.c"
_ANSWER_S = 5.0

Answer = list[tuple[float, bytes]]
Fault = Callable[[bytes, bytes], "bytes | tuple[float, bytes] | None"]
"""(request PDU, answer PDU of libmodbus) -> what is answered: a PDU, a delay in s and a PDU, or nothing."""


@pytest.fixture(scope="session")
def libmodbus_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the server; a missing compiler or library fails the test."""
    for program in ("gcc", "pkg-config"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed: run scripts/debian-packages", pytrace=False)
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=True
    )
    target = tmp_path_factory.mktemp("libmodbus") / "server"
    subprocess.run(
        ["gcc", "-Wall", "-Werror", "-O1", "-o", target, SOURCE, *flags.stdout.split()], check=True
    )
    return target


@pytest.fixture
def libmodbus_port(libmodbus_server: Path) -> Iterator[int]:
    """Run the server: its port. It serves one connection at a time."""
    with subprocess.Popen([libmodbus_server], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


@pytest.fixture
def relay(libmodbus_port: int) -> Iterator[Relay]:
    """Give a relay to the server."""
    made = Relay(libmodbus_port)
    yield made
    made.close()


class Relay:
    """Asks libmodbus what an instrument is asked, and lets a fault have its way with the answer.

    `tcp` and `rtu` are answers for the scripted instruments: the driver talks to a socket or a pty, and the
    registers come from libmodbus.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S)
        self.fault: Fault = lambda _, answer: answer
        self.reads: list[range] = []
        """Addresses of every read, in order."""

    def close(self) -> None:
        """Leave the server."""
        self._socket.close()

    def ask(self, pdu: bytes) -> bytes:
        """Return libmodbus' answer to a PDU."""
        self._socket.sendall(bytes([0, 1, 0, 0, 0, len(pdu) + 1, 1]) + pdu)
        head = self._take(7)
        return self._take(int.from_bytes(head[4:6], "big") - 1)

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            assert piece, "libmodbus has hung up"
            data += piece
        return data

    def _answered(self, pdu: bytes) -> tuple[float, bytes] | None:
        first = int.from_bytes(pdu[1:3], "big")
        self.reads.append(range(first, first + int.from_bytes(pdu[3:5], "big")))
        given = self.fault(pdu, self.ask(pdu))
        return (0.0, given) if isinstance(given, bytes) else given

    def tcp(self, data: bytes) -> Answer:
        """Answer one request with MBAP header."""
        given = self._answered(data[7:])
        if given is None:
            return []
        delay_s, pdu = given
        return [(delay_s, data[:4] + (len(pdu) + 1).to_bytes(2, "big") + data[6:7] + pdu)]

    def rtu(self, data: bytes) -> Answer:
        """Answer one RTU request."""
        given = self._answered(data[1:-2])
        return [] if given is None else [(given[0], rtu(data[0], given[1]))]
