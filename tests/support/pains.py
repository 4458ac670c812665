"""What the tests of the fifteen pains share: libmodbus behind a fault, and a device that can be away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers import open_drivers
from drivers.errors import LinkDown
from drivers.modbus.bus import ModbusBus
from drivers.modbus.framing import TcpFraming
from drivers.modbus.instrument import ModbusInstrument
from drivers.modbus.line_settings import ModbusTcpSettings
from drivers.poller import Poller
from drivers.transport import Line
from pipeline.records import Status
from tests.support.scripted import (
    LoopClock,
    MemoryWire,
    RealClock,
    events,
    mbap,
    registers_pdu,
    rows,
    seeded,
    status,
    take,
    tcp_instrument,
    value,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.door import Driver
    from pipeline.records import Block, Item
    from tests.support.libmodbus import Fault, Relay


def registers(*addresses: int) -> list[dict[str, Any]]:
    """Channels of libmodbus' registers from 64 on: the one at address a holds 1000 + a."""
    return [{"name": f"r{address}", "address": address} for address in addresses]


def device(
    port: int, channels: list[dict[str, Any]], name: str = "device", **other: Any
) -> ModbusTcpSettings:
    return ModbusTcpSettings.model_validate({
        "id": name, "host": "127.0.0.1", "port": port, "poll_interval_s": 0.05, "timeout_s": 0.1,
        "read_identity": False, "channels": channels, **other,
    })  # fmt: skip


async def read(
    relay: Relay, channels: list[dict[str, Any]], enough: Callable[[list[Item]], object], **other: Any
) -> list[Item]:
    """Read libmodbus' registers over a socket until it is enough."""
    async with tcp_instrument(relay.tcp) as instrument:
        (driver,) = open_drivers([device(instrument.port, channels, **other)], RealClock(), seeded())
        items = await take(driver, enough)
        assert instrument.connections <= 1 + len(events(items, "instrument-lost"))
    return items


def number_of_rows(count: int) -> Callable[[list[Item]], bool]:
    return lambda items: len(rows(items)) >= count


def assert_true(blocks: list[Block]) -> int:
    """Every value is that of its own register; returns how many there are."""
    found = 0
    for block in blocks:
        for channel in block.layout.channels:
            if status(block, channel.name) == Status.GOOD:
                assert value(block, channel.name) == 1000 + int(channel.name[1:]), channel.name
                found += 1
    return found


def after(count: int, fault: Fault) -> Fault:
    """Let `count` answers pass, then the fault has its way."""
    left = [count]

    def later(request: bytes, answer: bytes) -> bytes | tuple[float, bytes] | None:
        left[0] -= 1
        return answer if left[0] >= 0 else fault(request, answer)

    return later


class Remote:
    """A device in memory; register a holds what `numbers` says, else 1000 + a. It can be away."""

    def __init__(self) -> None:
        self.away = False
        self.clock = LoopClock()
        self.wires: list[MemoryWire] = []
        self.numbers: dict[int, int] = {}
        self.reads: list[range] = []

    async def connect(self) -> MemoryWire:
        if self.away:
            raise LinkDown("no route to host")
        self.wires.append(MemoryWire(self.clock, self.answers))
        return self.wires[-1]

    def answers(self, data: bytes) -> list[tuple[float, bytes]]:
        first, count = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
        self.reads.append(range(first, first + count))
        found = [self.numbers.get(at, 1000 + at) for at in range(first, first + count)]
        return [(0.002, mbap(int.from_bytes(data[:2], "big"), data[6], registers_pdu(data[7], found)))]

    def driver(self, channels: list[dict[str, Any]], **other: Any) -> Driver:
        settings = device(502, channels, poll_interval_s=1.0, **other)
        bus = ModbusBus(Line("memory", self.connect, self.clock, seeded()), TcpFraming())
        return Poller(ModbusInstrument(settings, bus), self.clock, seeded())

    def leave(self) -> None:
        self.away = True
        self.wires[-1].close()
