"""Instruments for tests of drivers: scripted by the test, on wires in memory, sockets and ptys."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import random
import time
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from drivers.door import Driver
from drivers.errors import LinkDown
from drivers.transport import Inbox
from pipeline.records import Block, Clock, ClockState, DeviceEvent, Gap, Item

NS_PER_S = 1_000_000_000
UTC_START_NS = 1_780_000_000 * NS_PER_S
ITEMS_TIMEOUT_S = 20.0

Answers = Callable[[bytes], list[tuple[float, bytes]]]
"""What an instrument does with bytes that it gets: delays in s and bytes to send."""


class LoopClock:
    """Gateway time is the loop's time: it jumps with a virtual loop and runs with a real one."""

    utc_offset_ns = UTC_START_NS

    def run_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * NS_PER_S)

    def utc_ns(self) -> int:
        return self.run_ns() + self.utc_offset_ns

    def state(self) -> ClockState:
        return ClockState(synchronised=True, error_ns=0)


class RealClock(LoopClock):
    """The machine's clocks."""

    def run_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def utc_ns(self) -> int:
        return time.time_ns()


class MemoryWire:
    """A wire whose other end is a function."""

    def __init__(self, clock: Clock, answers: Answers) -> None:
        self.inbox = Inbox(clock)
        self.clock = clock
        self.answers = answers
        self.written: list[tuple[int, bytes]] = []

    def write(self, data: bytes) -> None:
        if self.inbox.lost is not None:
            raise self.inbox.lost
        self.written.append((self.clock.run_ns(), data))
        for delay_s, answer in self.answers(data):
            asyncio.get_running_loop().call_later(delay_s, self._deliver, answer)

    def _deliver(self, answer: bytes) -> None:
        if self.inbox.lost is None:
            self.inbox.feed(answer)

    def close(self) -> None:
        self.inbox.fail(LinkDown("the connection is closed"))


async def take(driver: Driver, enough: Callable[[list[Item]], object]) -> list[Item]:
    """Run a driver until what it yielded is enough, stop it, and return all items, the closing ones too."""
    items: list[Item] = []
    async with asyncio.timeout(ITEMS_TIMEOUT_S), driver:
        async for item in driver.stream():
            items.append(item)
            if enough(items):
                driver.stop()
    return items


async def run_for(drivers: list[Driver], seconds: float) -> list[list[Item]]:
    """Run drivers side by side for a time of the loop's clock; return the items of each."""

    async def run(driver: Driver) -> list[Item]:
        async with driver:
            return [item async for item in driver.stream()]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(driver)) for driver in drivers]
        await asyncio.sleep(seconds)
        for driver in drivers:
            driver.stop()
    return [task.result() for task in tasks]


def rows(items: list[Item]) -> list[Block]:
    return [item for item in items if isinstance(item, Block)]


def events(items: list[Item], code: str) -> list[DeviceEvent]:
    return [item for item in items if isinstance(item, DeviceEvent) and item.code == code]


def gaps(items: list[Item]) -> list[Gap]:
    """Return the ended gaps."""
    return [item for item in items if isinstance(item, Gap) and item.ended]


def value(block: Block, channel: str) -> float | int:
    """Return the value of a one-row block, whose status must be good."""
    assert block.status[block.layout.index[channel], 0] == 0
    return block.column(channel)[0]  # type: ignore[return-value]


def status(block: Block, channel: str) -> int:
    return int(block.status[block.layout.index[channel], 0])


def seeded() -> random.Random:
    return random.Random(20_260_301)


@contextlib.asynccontextmanager
async def tcp_instrument(answers: Answers, port: int = 0) -> AsyncIterator[TcpInstrument]:
    """Serve a scripted instrument on a loopback port."""
    instrument = TcpInstrument(answers)
    await instrument.listen(port)
    try:
        yield instrument
    finally:
        await instrument.hang_up()


class TcpInstrument:
    """A scripted instrument behind a real socket; b"" as an answer hangs up."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.port = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def hang_up(self) -> None:
        """Close every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def say(self, data: bytes) -> None:
        """Send bytes that nobody asked for."""
        for writer in self._writers:
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                for delay_s, answer in self.answers(data):
                    await asyncio.sleep(delay_s)
                    if not answer:
                        writer.transport.abort()
                    writer.write(answer)
        self._writers.discard(writer)
        writer.transport.abort()
        self._tasks.discard(task)


class PtyInstrument:
    """A scripted instrument behind a real pty."""

    def __init__(self, answers: Answers, *, one_byte_at_a_time: bool = False) -> None:
        self.answers = answers
        self._one_byte_at_a_time = one_byte_at_a_time
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.path = Path(os.ttyname(slave))
        self._slave: int | None = slave
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return
        for delay_s, answer in self.answers(data):
            self._loop.call_later(delay_s, self.say, answer)

    def say(self, data: bytes) -> None:
        """Send bytes."""
        if self._slave is None:
            return
        if not self._one_byte_at_a_time:
            os.write(self._master, data)
        elif data:
            os.write(self._master, data[:1])
            self._loop.call_later(0.0005, self.say, data[1:])

    def unplug(self) -> None:
        """Take the line away."""
        if self._slave is not None:
            self._loop.remove_reader(self._master)
            os.close(self._slave)
            os.close(self._master)
            self._slave = None


@contextlib.asynccontextmanager
async def pty_instrument(
    answers: Answers, *, one_byte_at_a_time: bool = False
) -> AsyncIterator[PtyInstrument]:
    instrument = PtyInstrument(answers, one_byte_at_a_time=one_byte_at_a_time)
    try:
        yield instrument
    finally:
        instrument.unplug()


def crc16(data: bytes) -> bytes:
    """CRC of Modbus RTU, computed bit by bit (Modbus over Serial Line V1.02, section 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def rtu(unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + crc16(body)


def mbap(transaction: int, unit: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + bytes(2) + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu


def registers_pdu(function: int, registers: list[int]) -> bytes:
    return bytes([function, 2 * len(registers)]) + b"".join(value.to_bytes(2, "big") for value in registers)
