"""Pressure transmitter, Modbus TCP, made to be read at 50 Hz.

Input registers (0-based): 0-1 pressure in MPa (float32), 2-3 raw code of the converter (int32),
4 status (bit 0 sensor fault, bit 1 above range, bit 2 below zero). The pressure is computed from the
raw code, so that the two always agree. Discrete inputs 0-2 repeat the status bits, coil 0 locks the
keys, holding register 0 is the damping in ms (kept, without effect on the value).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field as Limits

from config.model import Identifier, Settings
from simulators.clock import to_ns
from simulators.exchange import ChannelValue
from simulators.fault_board import Effects
from simulators.identity import Identity
from simulators.instruments.vessel import Vessel
from simulators.modbus.registers import ByteOrder, Field, RegisterMap
from simulators.noise import gauss, stream_key

FULL_SCALE_CODE = 1 << 23
SENSOR_FAULT, ABOVE_RANGE, BELOW_ZERO = 1, 2, 4

_FIELDS = (
    Field("pressure", "input", 0, "float32", quantity="pressure"),
    Field("raw_code", "input", 2, "int32", quantity="pressure"),
    Field("status", "input", 4, "uint16", quantity="pressure"),
    Field("sensor_fault", "discrete", 0, "bit", quantity="pressure"),
    Field("above_range", "discrete", 1, "bit", quantity="pressure"),
    Field("below_zero", "discrete", 2, "bit", quantity="pressure"),
    Field("key_lock", "coil", 0, "bit", writable=(0, 1)),
    Field("damping", "holding", 0, "uint16", writable=(0, 10_000)),
)


class PressureSettings(Settings):
    """One transmitter on a vessel."""

    vessel: Identifier
    """Id of the vessel that it is screwed to."""
    span_mpa: float = Limits(default=70.0, gt=0)
    """Upper end of the range; the lower one is zero."""
    offset_mpa: float = 0.0
    """Its own deviation from the true pressure."""
    noise_mpa: float = Limits(default=0.002, ge=0)
    """Standard deviation of one conversion."""
    conversion_s: float = Limits(default=0.005, ge=0.001)
    """A new conversion so often; by default consecutive readings at 50 Hz never share one."""
    byte_order: ByteOrder = "ABCD"
    """Order of the four bytes of two-register values on the wire."""


class PressureTransmitter:
    """One transmitter."""

    quantities: tuple[str, ...] = ("pressure",)

    def __init__(self, settings: PressureSettings, vessel: Vessel, serial: str, seed: int) -> None:
        self.identity = Identity("Pressure transmitter", "SIM-P70", serial)
        self.registers = RegisterMap(_FIELDS, byte_order=settings.byte_order)
        self.defaults: Mapping[str, int] = {"key_lock": 0, "damping": 0}
        self._settings = settings
        self._vessel = vessel
        self._lsb_mpa = settings.span_mpa / FULL_SCALE_CODE
        self._conversion_ns = to_ns(settings.conversion_s)
        self._key = stream_key(seed, serial, "pressure")

    def pressure_mpa(self, t_ns: int) -> float:
        """Return what the sensor feels, noise included, in MPa."""
        s = self._settings
        conversion = t_ns // self._conversion_ns
        noise = s.noise_mpa * gauss(self._key, conversion)
        return self._vessel.pressure_mpa(conversion * self._conversion_ns) + s.offset_mpa + noise

    def measure(self, t_ns: int, effects: Effects, written: Mapping[str, int]) -> Mapping[str, ChannelValue]:
        """Return the value of every channel at scenario time `t_ns`."""
        felt = effects.apply("pressure", t_ns, self.pressure_mpa)
        code = None if felt is None else round(felt / self._lsb_mpa)
        status = SENSOR_FAULT
        if code is not None:
            status = (ABOVE_RANGE if code > FULL_SCALE_CODE else 0) | (BELOW_ZERO if code < 0 else 0)
        return {
            "pressure": None if code is None else code * self._lsb_mpa,
            "raw_code": code,
            "status": status,
            "sensor_fault": int(status & SENSOR_FAULT != 0),
            "above_range": int(status & ABOVE_RANGE != 0),
            "below_zero": int(status & BELOW_ZERO != 0),
            **written,
        }
