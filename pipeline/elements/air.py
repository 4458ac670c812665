"""What the registered environments read between tasks: now, and every excursion since a material came in.

The latest reading of each environment channel is taken at every tick. A start can so be judged by the air of
that moment, and storage by all the time since receipt, not only while a task runs. Between two readings the
value counts as the earlier one, and not beyond the channel's `staleness_s`: what nobody read is no excursion,
and the silence is told by its own reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.elements.registry_shapes import Environment, Limit
from pipeline.records.flags import Flag, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.elements.registry import Registry
    from pipeline.elements.registry_shapes import EnvironmentChannel, Method
    from pipeline.records.frame import Frame

EXCURSIONS_MAX = 1000
"""Excursions kept for one channel; of more, the two oldest are taken together."""
_SECOND_NS = 1_000_000_000
_HOUR_NS = 3600 * _SECOND_NS


@dataclass(slots=True)
class AirReading:
    """A valid reading of an environment channel."""

    target: str
    value: float
    t_utc_ns: int
    t_run_ns: int
    seq: int


@dataclass(slots=True)
class Excursion:
    """A time outside the limits, with the excess integrated over it."""

    from_utc_ns: int
    to_utc_ns: int
    seq_first: int
    seq_last: int
    excess_h: float = 0.0
    """∫ max(v - high, low - v, 0) dt, unit of the channel · h."""


@dataclass(slots=True)
class ChannelAir:
    """One channel of a registered environment."""

    last: AirReading
    since_utc_ns: int
    """Since when it is watched."""
    silent_ns: int = 0
    """Time without a reading that is fresh enough, in all."""
    silent_to_utc_ns: int | None = None
    """End of the last such time."""
    excursions: list[Excursion] = field(default_factory=list)
    outside: bool = False


@dataclass(slots=True)
class AirState:
    """Every channel of every registered environment that was read."""

    channels: dict[str, ChannelAir] = field(default_factory=dict)


def latest(frame: Frame, channel: str, target: str, seq: int) -> AirReading | None:
    """Give the last valid reading of a channel in a frame; None where there is none."""
    position = frame.block.layout.index.get(channel)
    if position is None or frame.block.layout.channels[position].kind == "text":
        return None
    corrected = frame.corrected.get(channel)
    values = np.asarray(frame.block.column(channel) if corrected is None else corrected[1], dtype=np.float64)
    valid = (frame.block.status[position] == Status.GOOD) & np.isfinite(values)
    rows = np.flatnonzero(valid & (frame.flag[position] != Flag.FAIL))
    if len(rows) == 0:
        return None
    row = int(rows[-1])
    block = frame.block
    return AirReading(target, float(values[row]), int(block.t_utc_ns[row]), int(block.t_run_ns[row]), seq)


def excess(value: float, low: float | None, high: float | None) -> float:
    """Tell how far a value is outside its limits; 0 within."""
    above = 0.0 if high is None else value - high
    below = 0.0 if low is None else low - value
    return max(above, below, 0.0)


def note(state: AirState, reading: AirReading, limits: EnvironmentChannel) -> None:
    """Take a reading in: integrate what the one before it was outside the limits until now."""
    known = state.channels.get(reading.target)
    if known is None:
        known = state.channels[reading.target] = ChannelAir(reading, reading.t_utc_ns)
    elif reading.t_run_ns > known.last.t_run_ns:
        _integrate(known, reading, limits)
        known.last = reading
    outside = excess(reading.value, limits.low, limits.high) > 0
    if outside and not known.outside:
        at_ns = reading.t_utc_ns
        known.excursions.append(Excursion(at_ns, at_ns, reading.seq, reading.seq))
        _shorten(known.excursions)
    known.outside = outside


def _integrate(known: ChannelAir, reading: AirReading, limits: EnvironmentChannel) -> None:
    apart_ns = reading.t_run_ns - known.last.t_run_ns
    fresh_ns = min(apart_ns, round(limits.staleness_s * _SECOND_NS))
    if apart_ns > fresh_ns:
        known.silent_ns += apart_ns - fresh_ns
        known.silent_to_utc_ns = reading.t_utc_ns
    if known.outside:
        under_way = known.excursions[-1]
        under_way.excess_h += excess(known.last.value, limits.low, limits.high) * (fresh_ns / _HOUR_NS)
        under_way.to_utc_ns, under_way.seq_last = reading.t_utc_ns, reading.seq


def _shorten(excursions: list[Excursion]) -> None:
    if len(excursions) > EXCURSIONS_MAX:
        first, second = excursions[:2]
        joined = Excursion(
            first.from_utc_ns, second.to_utc_ns, first.seq_first, second.seq_last,
            first.excess_h + second.excess_h,
        )  # fmt: skip
        excursions[:2] = [joined]


def exposure_h(known: ChannelAir, from_utc_ns: int, to_utc_ns: int) -> tuple[float, list[Excursion]]:
    """Sum the excess over a span, with its excursions; one that began before the span counts whole."""
    within = [one for one in known.excursions if one.to_utc_ns > from_utc_ns and one.from_utc_ns < to_utc_ns]
    return sum(one.excess_h for one in within), within


def limit_of(method: Method | None, channel: EnvironmentChannel, *, storage: bool) -> Limit:
    """Take the method's limit of a quantity where the work is done; else the place's own."""
    if not storage and method is not None:
        for limit in method.environment_limits:
            if limit.quantity == channel.quantity:
                staleness_s = channel.staleness_s if limit.staleness_s is None else limit.staleness_s
                return replace(limit, staleness_s=staleness_s)
    return Limit(
        channel.quantity, channel.low, channel.high, "hold", channel.staleness_s, channel.hysteresis,
        channel.grace_s, channel.rate_max_per_h, channel.rate_window_s,
    )  # fmt: skip


def outside_now(
    state: AirState, registry: Registry, method: Method, environments: Iterable[str], t: tuple[int, int]
) -> AirReading | None:
    """Give the first fresh reading of some environments that is outside its limits at (UTC, gateway time)."""
    for environment in environments:
        found = registry.at(Environment, environment, t[0])
        for channel in () if found is None else found[0].channels:
            known, limit = state.channels.get(channel.target), limit_of(method, channel, storage=False)
            if known is None or not is_fresh(known.last, limit, t[1]):
                continue
            if excess(known.last.value, limit.low, limit.high) > 0:
                return known.last
    return None


def is_fresh(reading: AirReading, limit: Limit, t_run_ns: int) -> bool:
    """Tell whether a reading still speaks for an instant."""
    return t_run_ns - reading.t_run_ns <= round((limit.staleness_s or 0.0) * _SECOND_NS)
