"""The literal registry of instrument types: adding one touches its module and this table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from config.model import Identifier, Settings
from simulators.identity import SERIAL_PATTERN
from simulators.instruments.balance import BalanceSettings
from simulators.instruments.energy_meter import EnergyMeter, EnergyMeterSettings
from simulators.instruments.pressure import PressureSettings, PressureTransmitter
from simulators.instruments.temperature_humidity import TemperatureHumidity, TemperatureHumiditySettings
from simulators.instruments.vessel import Vessel
from simulators.modbus.device import ModbusInstrument


class InstrumentEntry(Settings):
    """An instrument of a scenario and where it is wired to: a TCP port, a serial line, or both."""

    id: Identifier
    """Its name in the scenario."""
    serial: Annotated[str, StringConstraints(pattern=SERIAL_PATTERN)]
    """Serial number that it tells, beginning with SIM-."""
    tcp_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """TCP port; 0 takes any free one."""
    line: Identifier | None = None
    """Id of the serial line that it hangs on."""


class ModbusEntry(InstrumentEntry):
    """An instrument with a Modbus unit number."""

    unit: int = Field(default=1, ge=1, le=247)
    """Unit number on the line and on TCP."""


class TemperatureHumidityEntry(ModbusEntry):
    """A temperature and humidity transmitter."""

    type: Literal["temperature_humidity"]
    settings: TemperatureHumiditySettings = TemperatureHumiditySettings()

    def build(self, vessels: dict[str, Vessel], seed: int) -> ModbusInstrument:
        """Build the instrument."""
        del vessels
        return TemperatureHumidity(self.settings, self.serial, seed)


class EnergyMeterEntry(ModbusEntry):
    """An energy meter."""

    type: Literal["energy_meter"]
    settings: EnergyMeterSettings = EnergyMeterSettings()

    def build(self, vessels: dict[str, Vessel], seed: int) -> ModbusInstrument:
        """Build the instrument."""
        del vessels
        return EnergyMeter(self.settings, self.serial, seed)


class PressureEntry(ModbusEntry):
    """A pressure transmitter on a vessel."""

    type: Literal["pressure"]
    settings: PressureSettings

    def build(self, vessels: dict[str, Vessel], seed: int) -> ModbusInstrument:
        """Build the instrument on its vessel."""
        return PressureTransmitter(self.settings, vessels[self.settings.vessel], self.serial, seed)


class BalanceEntry(InstrumentEntry):
    """A balance, which speaks MT-SICS."""

    type: Literal["balance"]
    settings: BalanceSettings = BalanceSettings()


AnyModbusEntry = TemperatureHumidityEntry | EnergyMeterEntry | PressureEntry
AnyEntry = Annotated[AnyModbusEntry | BalanceEntry, Field(discriminator="type")]

QUANTITIES: dict[str, tuple[str, ...]] = {
    "temperature_humidity": TemperatureHumidity.quantities,
    "energy_meter": EnergyMeter.quantities,
    "pressure": PressureTransmitter.quantities,
    "balance": ("weight",),
}
"""Physical quantities of each type that a physics fault can hit, the default one first."""
