"""The literal table of drivers: a new driver is one folder and one line here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from drivers.modbus.line_settings import (
    ModbusAsciiSettings,
    ModbusRtuSettings,
    ModbusRtuTcpSettings,
    ModbusTcpSettings,
    ModbusUdpSettings,
)
from drivers.modbus.lines import (
    build_modbus_ascii,
    build_modbus_rtu,
    build_modbus_rtu_tcp,
    build_modbus_tcp,
    build_modbus_udp,
)
from drivers.mtsics import MtsicsSettings, build_mtsics

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.door import Driver
    from drivers.settings import InstrumentSettings


@dataclass(frozen=True, slots=True)
class DriverKind:
    """One driver: its settings, and how the instruments of one line become drivers."""

    settings: type[InstrumentSettings]
    build: Callable[[Any, Any, Any, Any], list[Driver]]
    """(settings of all instruments of one endpoint, clock, rng, wires) -> drivers in the same order."""


DRIVERS: dict[str, DriverKind] = {
    "modbus-tcp": DriverKind(ModbusTcpSettings, build_modbus_tcp),
    "modbus-udp": DriverKind(ModbusUdpSettings, build_modbus_udp),
    "modbus-rtu": DriverKind(ModbusRtuSettings, build_modbus_rtu),
    "modbus-rtu-tcp": DriverKind(ModbusRtuTcpSettings, build_modbus_rtu_tcp),
    "modbus-ascii": DriverKind(ModbusAsciiSettings, build_modbus_ascii),
    "mtsics": DriverKind(MtsicsSettings, build_mtsics),
}

AnyInstrument: TypeAlias = (
    ModbusTcpSettings
    | ModbusUdpSettings
    | ModbusRtuSettings
    | ModbusRtuTcpSettings
    | ModbusAsciiSettings
    | MtsicsSettings
)
"""Settings of any instrument, told apart by `driver`: for type checkers and the loader."""
