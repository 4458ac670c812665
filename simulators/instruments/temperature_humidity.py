"""Temperature and humidity transmitter of the XY-MD02 (SHT20) type, Modbus RTU or TCP.

Register map as printed for the XY-MD02: input registers 1 and 2 hold int16 x 10; holding registers
0101h to 0104h hold address, baud-rate code and the two corrections (int16 x 10).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field as Limits

from config.model import Settings
from simulators.exchange import ChannelValue
from simulators.fault_board import Effects
from simulators.identity import Identity
from simulators.modbus.registers import Field, RegisterMap
from simulators.noise import gauss, stream_key

CONVERSION_NS = 500_000_000
"""The sensor takes a new value twice a second."""

_FIELDS = (
    Field("temperature", "input", 1, "int16", quantity="temperature", divisor=10),
    Field("humidity", "input", 2, "int16", quantity="humidity", divisor=10),
    Field("unit_address", "holding", 0x0101, "uint16", writable=(1, 247)),
    Field("baud_rate", "holding", 0x0102, "uint16"),
    Field("temperature_correction", "holding", 0x0103, "int16", divisor=10, writable=(-100, 100)),
    Field("humidity_correction", "holding", 0x0104, "int16", divisor=10, writable=(-100, 100)),
)


class TemperatureHumiditySettings(Settings):
    """The air around the sensor."""

    temperature_c: float = Limits(default=23.0, ge=-40, le=125)
    """Mean temperature in degrees Celsius."""
    temperature_swing_c: float = Limits(default=0.3, ge=0)
    """Amplitude of the slow swing of the temperature."""
    temperature_noise_c: float = Limits(default=0.03, ge=0)
    """Standard deviation of one conversion."""
    humidity_pct: float = Limits(default=50.0, ge=0, le=100)
    """Mean relative humidity in %."""
    humidity_swing_pct: float = Limits(default=1.0, ge=0)
    """Amplitude of the slow swing of the humidity."""
    humidity_noise_pct: float = Limits(default=0.2, ge=0)
    """Standard deviation of one conversion."""
    swing_period_s: float = Limits(default=600.0, gt=0)
    """Period of both swings."""


class TemperatureHumidity:
    """One transmitter."""

    registers = RegisterMap(_FIELDS)
    quantities: tuple[str, ...] = ("temperature", "humidity")

    def __init__(self, settings: TemperatureHumiditySettings, serial: str, seed: int) -> None:
        self.identity = Identity("Temperature and humidity transmitter", "SIM-TH20", serial)
        self.defaults: Mapping[str, int] = {
            "unit_address": 1,
            "temperature_correction": 0,
            "humidity_correction": 0,
        }
        self._settings = settings
        self._temperature_key = stream_key(seed, serial, "temperature")
        self._humidity_key = stream_key(seed, serial, "humidity")

    def temperature_c(self, t_ns: int) -> float:
        """Return the temperature that the sensor converts, noise included, in degrees Celsius."""
        s = self._settings
        noise = s.temperature_noise_c * gauss(self._temperature_key, t_ns // CONVERSION_NS)
        return s.temperature_c + s.temperature_swing_c * self._swing(t_ns) + noise

    def humidity_pct(self, t_ns: int) -> float:
        """Return the relative humidity that the sensor converts, noise included, in %."""
        s = self._settings
        noise = s.humidity_noise_pct * gauss(self._humidity_key, t_ns // CONVERSION_NS)
        # Air that warms up without taking up water gets drier: the swing is the opposite one.
        return min(max(s.humidity_pct - s.humidity_swing_pct * self._swing(t_ns) + noise, 0.0), 100.0)

    def measure(self, t_ns: int, effects: Effects, written: Mapping[str, int]) -> Mapping[str, ChannelValue]:
        """Return the value of every channel at scenario time `t_ns`."""
        temperature = effects.apply("temperature", t_ns, self.temperature_c)
        humidity = effects.apply("humidity", t_ns, self.humidity_pct)
        corrections = (written["temperature_correction"] / 10, written["humidity_correction"] / 10)
        return {
            "temperature": None if temperature is None else temperature + corrections[0],
            "humidity": None if humidity is None else humidity + corrections[1],
            "unit_address": written["unit_address"],
            "baud_rate": 9600,
            "temperature_correction": corrections[0],
            "humidity_correction": corrections[1],
        }

    def _swing(self, t_ns: int) -> float:
        return math.sin(2.0 * math.pi * t_ns / 1e9 / self._settings.swing_period_s)
