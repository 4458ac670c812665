"""Three-phase energy meter of the SDM630 type, Modbus TCP or RTU.

Input registers hold float32 values, high word first, at the 0-based addresses of the Eastron SDM630
protocol description; register 30001 is address 0. Addresses between the parameters read as zero, and
a request for more than 80 registers (40 parameters) is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field as Limits

from config.model import Settings
from simulators.exchange import ChannelValue
from simulators.fault_board import Effects
from simulators.identity import Identity
from simulators.modbus.registers import Field, RegisterMap
from simulators.noise import gauss, stream_key

REGISTERS_MAX = 80
CONVERSION_NS = 200_000_000
"""The meter renews its values every ten cycles of the mains."""

_PER_PHASE = (
    ("voltage_l{}", 0x0000, "voltage"),
    ("current_l{}", 0x0006, "load"),
    ("power_l{}", 0x000C, "load"),
    ("apparent_power_l{}", 0x0012, "load"),
    ("reactive_power_l{}", 0x0018, "load"),
    ("power_factor_l{}", 0x001E, "load"),
    ("phase_angle_l{}", 0x0024, "load"),
    ("energy_import_l{}", 0x015A, "energy"),
    ("energy_total_l{}", 0x0166, "energy"),
)
_TOTALS = (
    ("voltage_ln_mean", 0x002A, "voltage"),
    ("current_mean", 0x002E, "load"),
    ("current_sum", 0x0030, "load"),
    ("power_total", 0x0034, "load"),
    ("apparent_power_total", 0x0038, "load"),
    ("reactive_power_total", 0x003C, "load"),
    ("power_factor_total", 0x003E, "load"),
    ("phase_angle_total", 0x0042, "load"),
    ("frequency", 0x0046, "frequency"),
    ("energy_import", 0x0048, "energy"),
    ("energy_export", 0x004A, "energy"),
    ("reactive_energy_import", 0x004C, "energy"),
    ("reactive_energy_export", 0x004E, "energy"),
    ("voltage_l1_l2", 0x00C8, "voltage"),
    ("voltage_l2_l3", 0x00CA, "voltage"),
    ("voltage_l3_l1", 0x00CC, "voltage"),
    ("voltage_ll_mean", 0x00CE, "voltage"),
    ("neutral_current", 0x00E0, "load"),
    ("energy_total", 0x0156, "energy"),
    ("reactive_energy_total", 0x0158, "energy"),
)
FIELDS = (
    *(
        Field(name.format(i + 1), "input", address + 2 * i, "float32", quantity=quantity)
        for name, address, quantity in _PER_PHASE
        for i in range(3)
    ),
    *(Field(name, "input", address, "float32", quantity=quantity) for name, address, quantity in _TOTALS),
)


class EnergyMeterSettings(Settings):
    """The mains and the load behind the meter."""

    voltage_v: float = Limits(default=230.5, gt=0)
    """Mean voltage from line to neutral."""
    voltage_noise_v: float = Limits(default=0.4, ge=0)
    """Standard deviation of one voltage."""
    frequency_hz: float = Limits(default=50.0, gt=0)
    """Mean frequency."""
    frequency_noise_hz: float = Limits(default=0.01, ge=0)
    """Standard deviation of the frequency."""
    load_w: float = Limits(default=4200.0, ge=0)
    """Mean active power of all phases together."""
    load_swing: float = Limits(default=0.15, ge=0, lt=1)
    """Relative amplitude of the slow swing of the load."""
    load_period_s: float = Limits(default=45.0, gt=0)
    """Period of the swing."""
    power_factor: float = Limits(default=0.92, gt=0, le=1)
    """Power factor of the load (inductive)."""
    energy_start_kwh: float = Limits(default=1206.42, ge=0)
    """Register of the imported energy when the scenario begins."""


@dataclass(frozen=True, slots=True)
class _Load:
    """A symmetric load: active power of all phases in W, and its split."""

    power_w: float | None
    factor: float

    def per_phase(self, ratio: float) -> float | None:
        return None if self.power_w is None else self.power_w / 3 * ratio

    def total(self, ratio: float) -> float | None:
        return None if self.power_w is None else self.power_w * ratio


class EnergyMeter:
    """One meter."""

    registers = RegisterMap(FIELDS, zero_in_gaps=True, count_max=REGISTERS_MAX)
    quantities: tuple[str, ...] = ("load", "voltage", "frequency", "energy")

    def __init__(self, settings: EnergyMeterSettings, serial: str, seed: int) -> None:
        self.identity = Identity("Energy meter", "SIM-SDM630", serial)
        self.defaults: Mapping[str, int] = {}
        self._settings = settings
        self._keys = tuple(stream_key(seed, serial, f"voltage_l{i}") for i in (1, 2, 3))
        self._frequency_key = stream_key(seed, serial, "frequency")

    def load_w(self, t_ns: int) -> float:
        """Return the active power of all phases in W."""
        s = self._settings
        return s.load_w * (1.0 + s.load_swing * math.sin(2.0 * math.pi * t_ns / 1e9 / s.load_period_s))

    def energy_kwh(self, t_ns: int) -> float:
        """Return the integral of the power since the begin, plus the start value, in kWh."""
        s = self._settings
        t_s = t_ns / 1e9
        omega = 2.0 * math.pi / s.load_period_s
        swung_s = s.load_swing * (1.0 - math.cos(omega * t_s)) / omega
        return s.energy_start_kwh + s.load_w * (t_s + swung_s) / 3.6e6

    def voltage_v(self, phase: int, t_ns: int) -> float:
        """Return the voltage of phase 0, 1 or 2 to neutral in V."""
        s = self._settings
        return s.voltage_v + s.voltage_noise_v * gauss(self._keys[phase], t_ns // CONVERSION_NS)

    def measure(self, t_ns: int, effects: Effects, written: Mapping[str, int]) -> Mapping[str, ChannelValue]:
        """Return the value of every channel at scenario time `t_ns`."""
        del written
        voltages = [
            effects.apply("voltage", t_ns, lambda t, phase=phase: self.voltage_v(phase, t))  # type: ignore[misc]
            for phase in range(3)
        ]
        load = _Load(effects.apply("load", t_ns, self.load_w), self._settings.power_factor)
        values: dict[str, ChannelValue] = {"frequency": effects.apply("frequency", t_ns, self._frequency_hz)}
        values |= _line_voltages(voltages)
        for i, voltage in enumerate(voltages):
            values |= _phase(f"_l{i + 1}", voltage, load)
        values |= self._totals(values, load)
        return values | self._energies(effects.apply("energy", t_ns, self.energy_kwh))

    def _frequency_hz(self, t_ns: int) -> float:
        s = self._settings
        return s.frequency_hz + s.frequency_noise_hz * gauss(self._frequency_key, t_ns // CONVERSION_NS)

    def _totals(self, values: Mapping[str, ChannelValue], load: _Load) -> dict[str, ChannelValue]:
        currents = [values[f"current_l{i}"] for i in (1, 2, 3)]
        known = [c for c in currents if c is not None]
        sum_a = sum(known) if len(known) == 3 else None
        return {
            "current_sum": sum_a,
            "current_mean": None if sum_a is None else sum_a / 3,
            "neutral_current": None if sum_a is None else 0.0,
            "power_total": load.power_w,
            "apparent_power_total": load.total(1 / load.factor),
            "reactive_power_total": load.total(_tangent(load.factor)),
            "power_factor_total": None if load.power_w is None else load.factor,
            "phase_angle_total": None if load.power_w is None else math.degrees(math.acos(load.factor)),
        }

    def _energies(self, imported_kwh: float | None) -> dict[str, ChannelValue]:
        third = None if imported_kwh is None else imported_kwh / 3
        reactive = None if imported_kwh is None else imported_kwh * _tangent(self._settings.power_factor)
        values: dict[str, ChannelValue] = {
            "energy_import": imported_kwh,
            "energy_export": None if imported_kwh is None else 0.0,
            "energy_total": imported_kwh,
            "reactive_energy_import": reactive,
            "reactive_energy_export": None if imported_kwh is None else 0.0,
            "reactive_energy_total": reactive,
        }
        for i in (1, 2, 3):
            values[f"energy_import_l{i}"] = values[f"energy_total_l{i}"] = third
        return values


def _phase(suffix: str, voltage: float | None, load: _Load) -> dict[str, ChannelValue]:
    apparent_va = load.per_phase(1 / load.factor)
    current_a = None if voltage is None or apparent_va is None else apparent_va / voltage
    return {
        "voltage" + suffix: voltage,
        "current" + suffix: current_a,
        "power" + suffix: load.per_phase(1.0),
        "apparent_power" + suffix: apparent_va,
        "reactive_power" + suffix: load.per_phase(_tangent(load.factor)),
        "power_factor" + suffix: None if load.power_w is None else load.factor,
        "phase_angle" + suffix: None if load.power_w is None else math.degrees(math.acos(load.factor)),
    }


def _line_voltages(voltages: list[float | None]) -> dict[str, ChannelValue]:
    known = [v for v in voltages if v is not None]
    if len(known) != 3:
        names = ("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1", "voltage_ln_mean", "voltage_ll_mean")
        return dict.fromkeys(names)
    a, b, c = known
    # Phasors 120 degrees apart: |A - B|^2 = a^2 + b^2 + ab.
    between = [math.sqrt(x * x + y * y + x * y) for x, y in ((a, b), (b, c), (c, a))]
    return {
        "voltage_l1_l2": between[0],
        "voltage_l2_l3": between[1],
        "voltage_l3_l1": between[2],
        "voltage_ln_mean": (a + b + c) / 3,
        "voltage_ll_mean": sum(between) / 3,
    }


def _tangent(factor: float) -> float:
    """Return the ratio of reactive to active power at a power factor."""
    return math.sqrt(1.0 - factor * factor) / factor
