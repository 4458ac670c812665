"""Functions of the readings of a channel, one frame after the other in bounded memory.

first, last, min, max: single readings. count, mean, sd: of all readings; sd with n - 1.
gross: the last reading under load (above the method's `min_load`); tare: the last one of the empty pan before
that load, 0 without one; net: gross - tare; loaded: mean of the first readings under load.
The last four take stable readings only, where the instrument says which are.

What is kept does not depend on how the rows were cut into frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from pipeline.elements.formulas.evaluate import square_root
from pipeline.elements.formulas.progress import SERIES_MAX, Moments, SeriesProgress, UsedReading
from pipeline.qc.control.decimals import exact

if TYPE_CHECKING:
    from numpy.typing import NDArray

SELECTING = frozenset({"gross", "tare", "net", "loaded"})
"""Functions that pick readings under load: the others of the window do not count."""
EMPTY = "empty"
"""Last reading of the empty pan: the tare of a load that follows, no part of the result by itself."""
_MOMENTS = frozenset({"mean", "sd", "count"})
_WHOLE_MAX = float(2**53)
_DIGITS_MAX = 15
_SPLIT = float(2**27 + 1)
"""Dekker's constant: it splits a double into two halves whose products are exact."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Usable readings of one channel in order: good status, finite, stable where that is asked for."""

    n: NDArray[np.int64]
    t_run_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    flag: NDArray[np.uint8]
    seq: NDArray[np.int64]
    shown: NDArray[np.float64] | None = None
    """What the instrument showed, where `values` are corrected ones."""

    def reading(self, position: int) -> UsedReading:
        """Give one row as a reading."""
        seq = int(self.seq[position])
        return UsedReading(
            int(self.n[position]), seq, float(self.values[position]), int(self.flag[position]),
            int(self.t_run_ns[position]), seq, None if self.shown is None else float(self.shown[position]),
        )  # fmt: skip


def feed(series: SeriesProgress, rows: Rows, min_load: float) -> None:
    """Take rows in; at least one."""
    wanted = set(series.functions)
    if series.seq_first < 0:
        series.seq_first = int(rows.seq[0])
    series.seq_last = int(rows.seq[-1])
    if "first" in wanted and "first" not in series.readings:
        series.readings["first"] = rows.reading(0)
    if "last" in wanted:
        series.readings["last"] = rows.reading(len(rows.n) - 1)
    for name, position in (("min", rows.values.argmin()), ("max", rows.values.argmax())):
        if name in wanted:
            _extreme(series, name, rows.reading(int(position)))
    if wanted & _MOMENTS:
        _add(series.moments, rows.values, series.decimals)
    if wanted & SELECTING:
        _weigh(series, rows, min_load)


def _extreme(series: SeriesProgress, name: str, reading: UsedReading) -> None:
    known = series.readings.get(name)
    further = known is None or (reading.value < known.value if name == "min" else reading.value > known.value)
    if further:
        series.readings[name] = reading


def _weigh(series: SeriesProgress, rows: Rows, min_load: float) -> None:
    for position in range(len(rows.n)):
        reading = rows.reading(position)
        if reading.value <= min_load:
            series.readings[EMPTY] = reading
            continue
        if {"gross", "tare"} & set(series.functions):
            series.readings["gross"] = reading
            if EMPTY in series.readings:
                series.readings["tare"] = series.readings[EMPTY]
        if "loaded" in series.functions and len(series.loaded) < SERIES_MAX:
            series.loaded.append(reading)


def _add(moments: Moments, values: NDArray[np.float64], decimals: int | None) -> None:
    moments.count += len(values)
    digits = decimals if decimals is not None and 0 <= decimals <= _DIGITS_MAX else None
    whole, fits = _whole(values, digits)
    others = values[~fits]
    if len(others):
        moments.parts = _exact_parts(moments.parts, others)
        moments.square_parts = _exact_parts(moments.square_parts, _squares(others))
    numbers = [int(number) for number in whole[fits]]
    if digits is None or not numbers:
        return
    shift = digits - moments.digits
    own = 10 ** max(-shift, 0)  # an instrument that changed to fewer digits
    kept = 10 ** max(shift, 0)
    moments.digits = max(digits, moments.digits)
    moments.whole = str(int(moments.whole) * kept + sum(numbers) * own)
    squares = sum(number * number for number in numbers) * own * own
    moments.whole_squares = str(int(moments.whole_squares) * kept * kept + squares)


def _whole(values: NDArray[np.float64], digits: int | None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give values as whole numbers of their last digit, and which are the double of such a decimal."""
    if digits is None:
        return values, np.zeros(len(values), dtype=np.bool_)
    scale = 10.0**digits
    whole = np.rint(values * scale)
    return whole, (whole / scale == values) & (np.abs(whole) < _WHOLE_MAX)


def _exact_parts(parts: list[float], values: NDArray[np.float64]) -> list[float]:
    """Add doubles without rounding: the sum, then what it lacks, until nothing is left (Shewchuk 1997)."""
    terms, found = [*parts, *values.tolist()], []
    while (total := math.fsum(terms)) != 0:
        found.append(total)
        terms.append(-total)
    return found


def _squares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squares as float64[2n]: each rounded one and its error, exact (Dekker 1971)."""
    high = values * _SPLIT
    high = high - (high - values)
    low = values - high
    square = values * values
    error = low * low - ((square - high * high) - 2.0 * high * low)
    return np.concatenate((square, error))


def exact_sum(moments: Moments) -> Fraction:
    """Give the sum of all readings."""
    parts = sum((Fraction(part) for part in moments.parts), Fraction(0))
    return Fraction(int(moments.whole), 10**moments.digits) + parts


def variance(moments: Moments) -> Fraction | None:
    """Give s² of all readings (JCGM 100:2008, 4.2.2); None for fewer than two."""
    n = moments.count
    if n < 2:
        return None
    parts = sum((Fraction(part) for part in moments.square_parts), Fraction(0))
    squares = Fraction(int(moments.whole_squares), 10 ** (2 * moments.digits)) + parts
    return max(Fraction(0), (squares - exact_sum(moments) ** 2 / n) / (n - 1))


def value_of(series: SeriesProgress, function: str) -> Fraction | None:
    """Give the value of a function, in the unit of the readings; None where the readings do not suffice."""
    if function in _MOMENTS:
        return _of_all(series.moments, function)
    if function == "loaded":
        numbers = [exact(reading.value) for reading in series.loaded]
        return sum(numbers, Fraction(0)) / len(numbers) if numbers else None
    if function == "tare" and "tare" not in series.readings:
        return Fraction(0) if "gross" in series.readings else None
    if function == "net":
        gross, tare = value_of(series, "gross"), value_of(series, "tare")
        return None if gross is None or tare is None else gross - tare
    reading = series.readings.get(function)
    return None if reading is None else exact(reading.value)


def _of_all(moments: Moments, function: str) -> Fraction | None:
    if function == "count":
        return Fraction(moments.count)
    if function == "sd":
        found = variance(moments)
        return None if found is None else square_root(found)
    return exact_sum(moments) / moments.count if moments.count else None


def scatter_of(series: SeriesProgress, function: str) -> Fraction:
    """Give u_A² of a function of readings: s²/n of a mean (JCGM 100:2008, 4.2.3), 0 of anything else."""
    if function == "mean":
        found = variance(series.moments)
        return Fraction(0) if found is None else found / series.moments.count
    if function != "loaded" or len(series.loaded) < 2:
        return Fraction(0)
    numbers = [exact(reading.value) for reading in series.loaded]
    mean = sum(numbers, Fraction(0)) / len(numbers)
    squares = sum(((number - mean) ** 2 for number in numbers), Fraction(0))
    return squares / (len(numbers) - 1) / len(numbers)


def count_of(series: SeriesProgress, function: str) -> int:
    """Tell how many readings a mean was taken of; 1 for anything else."""
    return {"mean": series.moments.count, "loaded": len(series.loaded)}.get(function, 1)


def shown_span(series: SeriesProgress, function: str) -> tuple[float, float]:
    """Give the least and greatest reading that a function rests on, as the instrument showed them."""
    if function == "loaded":
        readings = series.loaded
    else:
        readings = [series.readings[function]] if function in series.readings else []
    shown = [reading.value if reading.shown is None else reading.shown for reading in readings]
    if not shown:
        shown = [limit for one in series.corrections for limit in (one.low, one.high)]
    return (min(shown), max(shown)) if shown else (0.0, 0.0)


def used_readings(series: SeriesProgress) -> list[UsedReading]:
    """List the single readings that the functions rest on, in order of their ordinals."""
    names = [name for name in series.readings if name != EMPTY]
    used = {reading.n: reading for reading in (*(series.readings[name] for name in names), *series.loaded)}
    return [used[n] for n in sorted(used)]
