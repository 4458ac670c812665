"""Raw clients of the simulators: they know bytes and nothing of the code that made them."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from simulators import Endpoint, Scenario, ScenarioRunner
from simulators.clock import ScenarioClock, to_ns

ANSWER_TIMEOUT_S = 10.0


class ManualClock(ScenarioClock):
    """Scenario time that stands still until a test moves it."""

    def __init__(self, t_s: float = 0.0) -> None:
        super().__init__()
        self.t_s = t_s

    def now_ns(self) -> int:
        return to_ns(self.t_s)

    def rewind(self) -> None:
        """Stay where the test has put it."""


class RunningClock(ScenarioClock):
    """Scenario time that has been running for a while, so that every pan has come to rest."""

    def now_ns(self) -> int:
        return super().now_ns() + to_ns(10.0)


def modbus_tcp(pdu: str, *, transaction: int = 1, unit: int = 1) -> bytes:
    """Return the frame of a request PDU written in hexadecimal."""
    body = bytes((unit,)) + bytes.fromhex(pdu)
    return transaction.to_bytes(2, "big") + bytes(2) + len(body).to_bytes(2, "big") + body


async def until(condition: Callable[[], object]) -> None:
    """Give the loop turns until the condition holds."""
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0)


class TcpClient:
    """A TCP connection on which every wait has an end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> bytes:
        """Return the next whole Modbus TCP frame."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            head = await self.reader.readexactly(6)
            return head + await self.reader.readexactly(int.from_bytes(head[4:6], "big"))

    async def ask(self, pdu: str, *, transaction: int = 1, unit: int = 1) -> bytes:
        """Send a request PDU and return the answer's PDU."""
        self.send(modbus_tcp(pdu, transaction=transaction, unit=unit))
        return (await self.frame())[7:]

    async def line(self) -> str:
        """Return the next text line without its line end."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return (await self.reader.readuntil(b"\r\n")).decode("ascii").removesuffix("\r\n")

    async def command(self, text: str) -> str:
        """Send a command line and return the answer."""
        self.send(f"{text}\r\n".encode("ascii"))
        return await self.line()

    async def end(self) -> bytes:
        """Return what comes until the other side hangs up."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


@contextlib.asynccontextmanager
async def tcp_client(endpoint: Endpoint) -> AsyncIterator[TcpClient]:
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    try:
        yield TcpClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):  # the simulator may have hung up first, as some tests ask it to
            await writer.wait_closed()


class SerialClient(asyncio.Protocol):
    """An open serial line, as bytes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1000)
        self._rest = b""
        self.hung_up = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, self._on_readable)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except OSError:
            data = b""
        if data:
            self._chunks.put_nowait(data)
        else:
            asyncio.get_running_loop().remove_reader(self._fd)
            self.hung_up.set()

    def send(self, data: bytes) -> None:
        os.write(self._fd, data)

    async def read(self, length: int) -> bytes:
        """Return exactly so many bytes."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while len(self._rest) < length:
                self._rest += await self._chunks.get()
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    async def line(self) -> str:
        """Return the next text line without its line end."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while b"\r\n" not in self._rest:
                self._rest += await self._chunks.get()
        taken, _, self._rest = self._rest.partition(b"\r\n")
        return taken.decode("ascii")

    async def command(self, text: str) -> str:
        """Send a command line and return the answer."""
        self.send(f"{text}\r\n".encode("ascii"))
        return await self.line()


@contextlib.asynccontextmanager
async def serial_client(endpoint: Endpoint) -> AsyncIterator[SerialClient]:
    fd = os.open(str(endpoint.path), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    client = SerialClient(fd)
    try:
        yield client
    finally:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)


def scenario_of(*instruments: dict[str, Any], **tables: Any) -> Scenario:
    """Build a scenario from tables; vessel 'v' and the line 'bus' are there."""
    return Scenario.model_validate(
        {
            "scenario": {"name": "test", "title_en": "T", "title_zh": "T", "seed": 1, "duration_s": 30.0},
            "vessel": [{"id": "v"}],
            "line": [{"id": "bus", "path": Path("dev/bus")}],
            "instrument": list(instruments),
            **tables,
        }
    )


def is_there(path: str | None) -> bool:
    """Say whether a path leads to something."""
    return path is not None and Path(path).exists()


def answers_of(log: Path) -> list[dict[str, Any]]:
    """Return the whole lines of an answer log: one that is being written right now has no end yet."""
    whole, _, _ = log.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


PRESSURE = {
    "id": "p-1",
    "type": "pressure",
    "serial": "SIM-P-9",
    "tcp_port": 0,
    "settings": {"vessel": "v"},
}
AIR = {"temperature_c": 30.5, "humidity_pct": 54.6}
STILL_AIR = {
    **AIR,
    "temperature_swing_c": 0.0,
    "temperature_noise_c": 0.0,
    "humidity_swing_pct": 0.0,
    "humidity_noise_pct": 0.0,
}
ROOM = {
    "id": "th-1",
    "type": "temperature_humidity",
    "serial": "SIM-TH-9",
    "line": "bus",
    "unit": 1,
    "settings": STILL_AIR,
}
QUICK_PAN = {"settling_s": 0.001, "stability_window_s": 0.02, "noise_g": 0.0}
"""A balance whose pan settles within the blink of a test."""
BALANCE = {"id": "bal-1", "type": "balance", "serial": "SIM-BAL-9", "tcp_port": 0, "settings": QUICK_PAN}

__all__ = [
    "AIR",
    "ANSWER_TIMEOUT_S",
    "BALANCE",
    "PRESSURE",
    "QUICK_PAN",
    "ROOM",
    "STILL_AIR",
    "ManualClock",
    "RunningClock",
    "ScenarioRunner",
    "SerialClient",
    "TcpClient",
    "answers_of",
    "is_there",
    "modbus_tcp",
    "scenario_of",
    "serial_client",
    "tcp_client",
    "until",
]
