"""The faults of one instrument at work: which of them hit this exchange, this reading."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from simulators import faults
from simulators.clock import to_ns
from simulators.noise import gauss, stream_key, uniform

INJECTED_MAX = 64
"""Limit of faults injected at run time and still active; the oldest is dropped when it is reached."""

_NOISE_STEP_NS = 1_000_000


@dataclass(slots=True)
class ArmedFault:
    """A fault with its window in ns, its noise stream, and what it has already done."""

    fault: faults.WireFault | faults.PhysicsFault
    key: int
    quantity: str
    from_ns: int
    to_ns: int | None
    every_ns: int | None
    window_ns: int = -1
    spent: int = 0
    ordinal: int = 0

    def window_start_ns(self, t_ns: int) -> int | None:
        """Return the begin of the window that holds `t_ns`, or None outside of every window."""
        if t_ns < self.from_ns:
            return None
        start_ns = self.from_ns
        if self.every_ns is not None:
            start_ns += (t_ns - self.from_ns) // self.every_ns * self.every_ns
        if self.to_ns is not None and t_ns - start_ns >= self.to_ns - self.from_ns:
            return None
        return start_ns

    def next_change_ns(self, t_ns: int) -> int | None:
        """Return the next begin or end of a window after `t_ns`, or None when none comes."""
        if t_ns < self.from_ns:
            return self.from_ns
        start_ns = self.window_start_ns(t_ns)
        if start_ns is not None:
            return None if self.to_ns is None else start_ns + self.to_ns - self.from_ns
        if self.every_ns is None:
            return None
        return self.from_ns + ((t_ns - self.from_ns) // self.every_ns + 1) * self.every_ns

    def hits(self, start_ns: int) -> bool:
        """Say whether the coming exchange is hit, without counting it."""
        if self.fault.count is not None and self.window_ns == start_ns and self.spent >= self.fault.count:
            return False
        return self.fault.probability >= 1.0 or uniform(self.key, self.ordinal) < self.fault.probability

    def spend(self, start_ns: int) -> None:
        """Count a hit in the window that began at `start_ns`."""
        if self.window_ns != start_ns:
            self.window_ns, self.spent = start_ns, 0
        self.spent += 1


@dataclass(frozen=True, slots=True)
class Effect:
    """A physics fault that hits one reading."""

    armed: ArmedFault
    since_ns: int

    def shift(self, t_ns: int) -> float:
        """Return what is added to the true value, in its unit."""
        fault = self.armed.fault
        match fault:
            case faults.Spike():
                return fault.magnitude
            case faults.Drift():
                return fault.rate_per_s * (t_ns - self.since_ns) / 1e9
            case faults.Offset():
                return fault.step
            case faults.ExtraNoise():
                return fault.sigma * gauss(self.armed.key, t_ns // _NOISE_STEP_NS)
            case faults.Excursion():
                length_ns = (self.armed.to_ns or t_ns) - self.armed.from_ns
                return fault.peak * 0.5 * (1.0 - math.cos(2.0 * math.pi * (t_ns - self.since_ns) / length_ns))
        return 0.0


@dataclass(frozen=True, slots=True)
class Effects:
    """The physics faults that hit one reading of one instrument."""

    active: tuple[Effect, ...] = ()

    def apply(self, quantity: str, t_ns: int, value_at: Callable[[int], float]) -> float | None:
        """Return the measured value of a quantity, None when the instrument has none.

        `value_at` gives the undisturbed value (noise included) at any time.
        """
        mine = [effect for effect in self.active if effect.armed.quantity == quantity]
        if not mine:
            return value_at(t_ns)
        if any(isinstance(effect.armed.fault, faults.Dropout) for effect in mine):
            return None
        for effect in mine:
            if isinstance(effect.armed.fault, faults.Stuck):
                return value_at(effect.since_ns)
        for effect in mine:
            if isinstance(effect.armed.fault, faults.Repeat):
                return value_at(t_ns - to_ns(effect.armed.fault.ago_s))
        return value_at(t_ns) + sum(effect.shift(t_ns) for effect in mine)

    def moves(self) -> bool:
        """Say whether the value cannot come to rest (a balance reports it as unstable)."""
        return any(isinstance(effect.armed.fault, faults.ExtraNoise | faults.Drift) for effect in self.active)

    def name(self) -> str | None:
        """Return the kinds of the faults, joined by '+', or None."""
        return "+".join(effect.armed.fault.kind for effect in self.active) or None


UNDISTURBED = Effects()


@dataclass(slots=True)
class FaultBoard:
    """All faults of one instrument: scheduled ones and those injected at run time.

    Not thread-safe. Memory: the schedule plus at most `INJECTED_MAX` injected faults.
    """

    instrument: str
    quantities: Sequence[str]
    seed: int
    scheduled: list[ArmedFault] = field(default_factory=list)
    injected: list[ArmedFault] = field(default_factory=list)

    def schedule(self, wanted: Iterable[faults.WireFault | faults.PhysicsFault]) -> None:
        """Take over the faults of the scenario that name this instrument."""
        for fault in wanted:
            if fault.instrument == self.instrument:
                self.scheduled.append(self._arm(fault, 0, len(self.scheduled)))

    def inject(self, fault: faults.WireFault | faults.PhysicsFault, t_ns: int, duration_s: float) -> None:
        """Let a fault act from now on for a while, whatever window it carries."""
        window = {"from_s": 0.0, "to_s": duration_s, "every_s": None}
        armed = self._arm(fault.model_copy(update=window), t_ns, -1 - len(self.injected))
        kept = [a for a in self.injected if a.to_ns is None or a.to_ns > t_ns]
        self.injected = [*kept[-(INJECTED_MAX - 1) :], armed]

    def rewind(self) -> None:
        """Forget what has happened: the scenario begins again."""
        self.injected = []
        for armed in self.scheduled:
            armed.window_ns, armed.spent, armed.ordinal = -1, 0, 0

    def wire_fault(self, t_ns: int) -> tuple[faults.WireFault, ArmedFault] | None:
        """Decide which wire fault hits this exchange, and count it. Call once an exchange."""
        chosen: tuple[faults.WireFault, ArmedFault] | None = None
        for armed in (*self.scheduled, *self.injected):
            fault = armed.fault
            if not isinstance(fault, faults.WireFault) or isinstance(fault, faults.Disconnect):
                continue
            start_ns = armed.window_start_ns(t_ns)
            if start_ns is None:
                continue
            if chosen is None and armed.hits(start_ns):
                armed.spend(start_ns)
                chosen = (fault, armed)
            armed.ordinal += 1
        return chosen

    def effects(self, t_ns: int, quantities: Collection[str]) -> Effects:
        """Return the physics faults that would hit a reading of these quantities now."""
        active = [
            Effect(armed, start_ns)
            for armed in (*self.scheduled, *self.injected)
            if isinstance(armed.fault, faults.PhysicsFault)
            and armed.quantity in quantities
            and (start_ns := armed.window_start_ns(t_ns)) is not None
            and armed.hits(start_ns)
        ]
        return Effects(tuple(active)) if active else UNDISTURBED

    def count_reading(self, effects: Effects, quantities: Collection[str]) -> None:
        """Count a reading that was handed out with `effects`."""
        for effect in effects.active:
            effect.armed.spend(effect.since_ns)
        for armed in (*self.scheduled, *self.injected):
            if isinstance(armed.fault, faults.PhysicsFault) and armed.quantity in quantities:
                armed.ordinal += 1

    def is_disconnected(self, t_ns: int) -> bool:
        """Say whether the instrument is off the line. The draw is made once for each window."""
        for armed in (*self.scheduled, *self.injected):
            if not isinstance(armed.fault, faults.Disconnect):
                continue
            start_ns = armed.window_start_ns(t_ns)
            if start_ns is not None and uniform(armed.key, start_ns) < armed.fault.probability:
                return True
        return False

    def next_disconnect_change_ns(self, t_ns: int) -> int | None:
        """Return when `is_disconnected` may change next, or None when it never will."""
        changes = [
            change_ns
            for armed in (*self.scheduled, *self.injected)
            if isinstance(armed.fault, faults.Disconnect)
            and (change_ns := armed.next_change_ns(t_ns)) is not None
        ]
        return min(changes, default=None)

    def _arm(self, fault: faults.WireFault | faults.PhysicsFault, base_ns: int, index: int) -> ArmedFault:
        channel = fault.channel if isinstance(fault, faults.PhysicsFault) else ""
        return ArmedFault(
            fault=fault,
            key=stream_key(self.seed, self.instrument, "fault", fault.kind, str(index)),
            quantity=channel or self.quantities[0],
            from_ns=base_ns + to_ns(fault.from_s),
            to_ns=None if fault.to_s is None else base_ns + to_ns(fault.to_s),
            every_ns=None if fault.every_s is None else to_ns(fault.every_s),
        )
