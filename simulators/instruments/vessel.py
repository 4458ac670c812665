"""A pressurised vessel that several gauges share."""

from __future__ import annotations

import math

from pydantic import Field as Limits

from config.model import Identifier, Settings


class VesselSettings(Settings):
    """A vessel under a pressure-hold test."""

    id: Identifier
    hold_mpa: float = Limits(default=35.0, gt=0)
    """Pressure at the begin of the hold."""
    leak_mpa_per_h: float = Limits(default=0.05, ge=0)
    """Slope of the hold curve at its begin."""
    settling_mpa: float = Limits(default=0.02, ge=0)
    """Fall of the pressure while the gas, warm from filling, cools down."""
    settling_s: float = Limits(default=120.0, gt=0)
    """Time constant of the cooling."""


class Vessel:
    """The pressure in the vessel, the same for every gauge on it."""

    def __init__(self, settings: VesselSettings) -> None:
        self._settings = settings
        # An orifice lets out in proportion to the pressure, so the decay is exponential.
        self._leak_per_s = settings.leak_mpa_per_h / 3600.0 / settings.hold_mpa

    def pressure_mpa(self, t_ns: int) -> float:
        """Return the true pressure in MPa."""
        s = self._settings
        t_s = t_ns / 1e9
        cooling = s.settling_mpa * math.exp(-t_s / s.settling_s)
        return s.hold_mpa * math.exp(-self._leak_per_s * t_s) + cooling
