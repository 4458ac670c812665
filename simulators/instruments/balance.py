"""Laboratory balance: a load timeline, a pan that settles, and the display's increment.

The step response is that of a critically damped pan, 1 - (1 + t/T) exp(-t/T); every change of load
adds its own response, so that the weight at any time is a closed expression of the time.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Self

from pydantic import Field as Limits
from pydantic import model_validator

from config.model import Settings
from simulators.clock import to_ns
from simulators.identity import Identity
from simulators.noise import gauss, stream_key

CONVERSION_NS = 100_000_000
"""The display is renewed ten times a second."""
HAND_LOADS_MAX = 64
_SETTLED = 40
"""After so many time constants a step is complete to the last bit."""


class LoadStep(Settings):
    """From this time on this load is on the pan."""

    at_s: float = Limits(ge=0)
    load_g: float
    """True mass on the pan; below zero: the pan itself has been lifted off."""
    label: str = ""
    """What it is, for the reader of the scenario."""


class BalanceSettings(Settings):
    """One balance and what is put on it."""

    capacity_g: float = Limits(default=220.0, gt=0)
    underload_g: float = Limits(default=-5.0, lt=0)
    """Gross weight below which the display shows underload."""
    decimals: int = Limits(default=4, ge=0, le=6)
    """Decimals of the display; the increment d is one unit of the last."""
    noise_g: float = Limits(default=0.00003, ge=0)
    """Standard deviation of one display value."""
    settling_s: float = Limits(default=0.1, gt=0)
    """Time constant T of the pan."""
    stability_window_s: float = Limits(default=0.5, gt=0)
    """The display counts as stable when the pan moved less than d/2 in this time."""
    stability_timeout_s: float = Limits(default=10.0, gt=0)
    """S, T and Z give up (`S I`) after this time."""
    stream_period_s: float = Limits(default=0.2, ge=0.05)
    """Period of the SIR stream."""
    loads: tuple[LoadStep, ...] = ()
    """Load timeline, in the order of time; the pan is empty before."""
    repeat_s: float | None = Limits(default=None, gt=0)
    """The timeline begins again after this time."""
    print_key_s: tuple[float, ...] = ()
    """Times at which somebody presses the print key; they repeat with the timeline."""

    @model_validator(mode="after")
    def _timeline_is_in_order(self) -> Self:
        times = [step.at_s for step in self.loads]
        if times != sorted(times):
            msg = "the loads are not in the order of time"
            raise ValueError(msg)
        last_s = max([*times, *self.print_key_s], default=0.0)
        if self.repeat_s is not None and last_s >= self.repeat_s:
            msg = f"repeat_s = {self.repeat_s} is not after the last load or print key ({last_s} s)"
            raise ValueError(msg)
        return self


class Balance:
    """What the pan carries and the load cell feels; tare and zero belong to the dialogue."""

    quantities: tuple[str, ...] = ("weight",)

    def __init__(self, settings: BalanceSettings, serial: str, seed: int) -> None:
        self.identity = Identity("Balance", "SIM-XS204", serial)
        self.settings = settings
        self.increment_g = 10.0**-settings.decimals
        self._key = stream_key(seed, serial, "weight")
        self._window_ns = to_ns(settings.stability_window_s)
        self._by_hand: list[tuple[int, float]] = []

    def put(self, t_ns: int, load_g: float) -> None:
        """Put a load on the pan in place of what is there; the timeline ends with the first one.

        Remembers the latest `HAND_LOADS_MAX` loads; older ones have settled long ago.
        """
        self._by_hand = [*self._by_hand[1 - HAND_LOADS_MAX :], (t_ns, load_g)]

    def rewind(self) -> None:
        """Forget what was put on by hand: the timeline begins again."""
        self._by_hand = []

    def pan_g(self, t_ns: int) -> float:
        """Return the weight that the pan transmits, settling included, without noise."""
        s = self.settings
        steps = self._steps_before(t_ns)
        weight_g = steps[0][1] if steps else 0.0
        for (_, before_g), (at_ns, load_g) in pairwise(steps):
            x = (t_ns - at_ns) / 1e9 / s.settling_s
            response = 1.0 if x > _SETTLED else 1.0 - (1.0 + x) * math.exp(-x)
            weight_g += (load_g - before_g) * response
        return weight_g

    def gross_g(self, t_ns: int) -> float:
        """Return the weight that the load cell feels, noise included."""
        return self.pan_g(t_ns) + self.settings.noise_g * gauss(self._key, t_ns // CONVERSION_NS)

    def is_at_rest(self, t_ns: int) -> bool:
        """Say whether the pan moved less than half an increment within the stability window."""
        return abs(self.pan_g(t_ns) - self.pan_g(t_ns - self._window_ns)) < self.increment_g / 2

    def next_print_ns(self, after_ns: int) -> int | None:
        """Return the next time after `after_ns` at which the print key is pressed."""
        s = self.settings
        if s.repeat_s is None:
            return min((to_ns(p) for p in s.print_key_s if to_ns(p) > after_ns), default=None)
        repeat_ns = to_ns(s.repeat_s)
        cycle = max(after_ns, 0) // repeat_ns
        times = (c * repeat_ns + to_ns(p) for c in (cycle, cycle + 1) for p in s.print_key_s)
        return min((t for t in times if t > after_ns), default=None)

    def _steps_before(self, t_ns: int) -> list[tuple[int, float]]:
        """Return (time, load) up to `t_ns`, led by the load before them."""
        if not self._by_hand or t_ns < self._by_hand[0][0]:
            return self._scheduled_before(t_ns)
        before = self._scheduled_before(self._by_hand[0][0])
        return [*before, *(step for step in self._by_hand if step[0] <= t_ns)]

    def _scheduled_before(self, t_ns: int) -> list[tuple[int, float]]:
        """Return (time, load) of the timeline up to `t_ns`, over at least one full cycle."""
        s = self.settings
        if s.repeat_s is None:
            cycles, repeat_ns, before_g = [0], 0, 0.0
        else:
            repeat_ns = to_ns(s.repeat_s)
            cycle = max(t_ns, 0) // repeat_ns
            cycles = [c for c in (cycle - 1, cycle) if c >= 0]
            before_g = s.loads[-1].load_g if cycle > 1 and s.loads else 0.0
        steps = [(c * repeat_ns + to_ns(step.at_s), step.load_g) for c in cycles for step in s.loads]
        return [(0, before_g), *(step for step in steps if step[0] <= t_ns)]
