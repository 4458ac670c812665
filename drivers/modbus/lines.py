"""Instruments of one line become drivers that share it: one builder for each kind of line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from drivers.modbus.bus import ModbusBus
from drivers.modbus.framing import AsciiFraming, RtuFraming, TcpFraming
from drivers.modbus.instrument import ModbusInstrument
from drivers.poller import Poller
from drivers.transport import Line, open_serial, open_tcp, open_udp

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from drivers.door import Driver
    from drivers.modbus.framing import Framing
    from drivers.modbus.line_settings import (
        ModbusAsciiSettings,
        ModbusRtuSettings,
        ModbusRtuTcpSettings,
        ModbusTcpSettings,
        ModbusUdpSettings,
        SerialSettings,
    )
    from drivers.modbus.settings import ModbusSettings
    from drivers.transport import Wire
    from drivers.transport.line import Wires
    from pipeline.records import Clock


def build_modbus_tcp(
    instruments: Sequence[ModbusTcpSettings], clock: Clock, rng: random.Random, wires: Wires
) -> list[Driver]:
    """Make the drivers of all units behind one host and port, dealt over its connections."""
    first = instruments[0]
    connect = partial(
        open_tcp, first.host, first.port, timeout_s=first.connect_timeout_s, clock=clock, tls=first.tls
    )
    buses = [
        ModbusBus(Line(first.endpoint, wires(connect), clock, rng), TcpFraming())
        for _ in range(min(first.connections, len(instruments)))
    ]
    return [_driver(settings, buses[at % len(buses)], clock, rng) for at, settings in enumerate(instruments)]


def build_modbus_udp(
    instruments: Sequence[ModbusUdpSettings], clock: Clock, rng: random.Random, wires: Wires
) -> list[Driver]:
    """Make the drivers of all units behind one host and port: they share a socket."""
    first = instruments[0]
    connect = partial(open_udp, first.host, first.port, clock=clock)
    bus = ModbusBus(Line(first.endpoint, wires(connect), clock, rng), TcpFraming())
    return [_driver(settings, bus, clock, rng) for settings in instruments]


def build_modbus_rtu_tcp(
    instruments: Sequence[ModbusRtuTcpSettings], clock: Clock, rng: random.Random, wires: Wires
) -> list[Driver]:
    """Make the drivers of all units behind one serial device server, which keeps the silence of its line."""
    first = instruments[0]
    connect = partial(open_tcp, first.host, first.port, timeout_s=first.connect_timeout_s, clock=clock)
    line = Line(first.endpoint, wires(connect), clock, rng, quarantine=True)
    bus = ModbusBus(line, RtuFraming())
    return [_driver(settings, bus, clock, rng) for settings in instruments]


def build_modbus_rtu(
    instruments: Sequence[ModbusRtuSettings], clock: Clock, rng: random.Random, wires: Wires
) -> list[Driver]:
    """Make the drivers of all units of one serial port."""
    return _build_serial(instruments, RtuFraming(), clock, rng, wires)


def build_modbus_ascii(
    instruments: Sequence[ModbusAsciiSettings], clock: Clock, rng: random.Random, wires: Wires
) -> list[Driver]:
    """Make the drivers of all units of one serial port."""
    return _build_serial(instruments, AsciiFraming(), clock, rng, wires)


def _build_serial(
    instruments: Sequence[SerialSettings], framing: Framing, clock: Clock, rng: random.Random, wires: Wires
) -> list[Driver]:
    first = instruments[0]
    parameters = first.serial()

    async def connect() -> Wire:
        return open_serial(parameters, clock=clock)

    line = Line(first.endpoint, wires(connect), clock, rng, silence_s=first.quiet_s, quarantine=True)
    bus = ModbusBus(line, framing, character_s=parameters.character_s)
    return [_driver(settings, bus, clock, rng) for settings in instruments]


def _driver(settings: ModbusSettings, bus: ModbusBus, clock: Clock, rng: random.Random) -> Driver:
    return Poller(ModbusInstrument(settings, bus), clock, rng)
