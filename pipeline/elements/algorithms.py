"""How results come from readings: one literal table of algorithms, each with a name and a version.

An algorithm reads the instrument's own values. Its `feed` keeps, row by row, only the readings that the
result would rest on if the task ended now, so that a task of any length costs the same memory. Versions are
part of the record format: a change of the calculation is a new version.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pipeline.elements.shapes import Conformity
from pipeline.elements.state import UsedReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.elements.registry_shapes import DecisionRule
    from pipeline.elements.state import Calculation

SERIES_MAX = 600
"""Readings that a mean rests on at most: the first ones under load."""
_EMPTY = "empty"
"""Last stable reading of the empty pan: the tare of a load that follows, no part of the result by itself."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Usable readings of one frame: good status, finite, and stable where the algorithm asks for it."""

    n: NDArray[np.int64]
    t_run_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    flag: NDArray[np.uint8]
    seq: int

    def readings(self) -> Iterator[UsedReading]:
        """Give each row as a reading."""
        for position in range(len(self.n)):
            yield self.reading(position)

    def reading(self, position: int) -> UsedReading:
        """Give one row as a reading."""
        return UsedReading(
            n=int(self.n[position]),
            seq=self.seq,
            value=float(self.values[position]),
            flag=int(self.flag[position]),
            t_run_ns=int(self.t_run_ns[position]),
            flag_seq=self.seq,
        )


@dataclass(frozen=True, slots=True)
class Computed:
    """A value with the intermediate values that a person needs to follow it."""

    value: float
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One entry of the table."""

    version: int
    stable_only: bool
    feed: Callable[[Calculation, Rows], None]
    compute: Callable[[Calculation, float | None], Computed | None]
    """From progress and the certified value of the reference, if any; None: the readings do not suffice."""
    selects: bool
    """The result rests on single readings; otherwise on the whole window."""
    needs_reference: bool = False


def _exact(value: float) -> Fraction:
    """Take a reading as the decimal number that the instrument showed (its shortest decimal form).

    Differences are then exact: 100.0010 - 100.0000 is 0.001, and a deviation equal to a limit passes it. In
    binary it would be 0.00100000000000477 and fail.
    """
    return Fraction(repr(value))


def _feed_net_weight(progress: Calculation, rows: Rows) -> None:
    for reading in rows.readings():
        if reading.value > progress.min_load:
            progress.readings["gross"] = reading
            if _EMPTY in progress.readings:
                progress.readings["tare"] = progress.readings[_EMPTY]
        else:
            progress.readings[_EMPTY] = reading


def _net_weight(progress: Calculation, _certified: float | None) -> Computed | None:
    gross, tare = progress.readings.get("gross"), progress.readings.get("tare")
    if gross is None:
        return None
    tare_value = 0.0 if tare is None else tare.value
    facts = {"gross": gross.value, "tare": tare_value, "tare_basis": "none" if tare is None else "empty-pan"}
    return Computed(float(_exact(gross.value) - _exact(tare_value)), facts)


def _feed_loaded(progress: Calculation, rows: Rows) -> None:
    for reading in rows.readings():
        if reading.value > progress.min_load and len(progress.series) < SERIES_MAX:
            progress.series.append(reading)


def _deviation(progress: Calculation, certified: float | None) -> Computed | None:
    if not progress.series or certified is None:
        return None
    mean = sum(_exact(reading.value) for reading in progress.series) / len(progress.series)
    facts = {"mean": float(mean), "certified": certified, "readings": len(progress.series)}
    return Computed(float(mean - _exact(certified)), facts)


def _feed_ends(progress: Calculation, rows: Rows) -> None:
    progress.readings.setdefault("first", rows.reading(0))
    progress.readings["last"] = rows.reading(len(rows.n) - 1)


def _drop(progress: Calculation, _certified: float | None) -> Computed | None:
    first, last = progress.readings.get("first"), progress.readings.get("last")
    if first is None or last is None or first.n == last.n:
        return None
    facts = {
        "first": first.value,
        "last": last.value,
        "first_run_ns": first.t_run_ns,
        "last_run_ns": last.t_run_ns,
    }
    return Computed(float(_exact(first.value) - _exact(last.value)), facts)


ALGORITHMS: dict[str, Algorithm] = {
    # last stable reading under load minus the last stable empty-pan reading before that load (0 without one)
    "net-weight": Algorithm(1, stable_only=True, feed=_feed_net_weight, compute=_net_weight, selects=True),
    # mean of the first stable readings under load, at most SERIES_MAX, minus the certified value
    "check-weight": Algorithm(
        1, stable_only=True, feed=_feed_loaded, compute=_deviation, selects=True, needs_reference=True
    ),
    # first valid reading of the window minus the last one
    "pressure-drop": Algorithm(1, stable_only=False, feed=_feed_ends, compute=_drop, selects=False),
}


def used_readings(progress: Calculation) -> list[UsedReading]:
    """List the readings that the result rests on, in order of their ordinals."""
    names = [name for name in progress.readings if name != _EMPTY]
    used = {
        reading.n: reading for reading in (*(progress.readings[name] for name in names), *progress.series)
    }
    return [used[n] for n in sorted(used)]


def decide(value: float, rule: DecisionRule | None) -> Conformity | None:
    """State conformity: the limit itself passes; a guard band narrows both limits (JCGM 106, ILAC-G8)."""
    if rule is None:
        return None
    width = rule.guard_band if rule.rule == "guard-band" else 0.0
    low_fails = rule.low is not None and value < rule.low + width
    high_fails = rule.high is not None and value > rule.high - width
    return Conformity("fail" if low_fails or high_fails else "pass", rule.rule, rule.low, rule.high, width)
