"""Centre line and standard deviation from a training period, by an estimator that has a name.

Missing values (NaN) are left out and counted. An estimate that no chart can stand on is refused.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EstimatorName: TypeAlias = Literal["classical", "algorithm-a", "moving-range"]

ITERATIONS_MAX = 1000
CONVERGED = 1e-12
"""Relative change below which Algorithm A has settled."""
D2_OF_TWO = 1.128
"""Expected range of two values of a normal distribution in SD, as the tables print it (ISO 7870-2)."""


class EstimateRefused(ValueError):  # noqa: N818 - it states a result: these values give no chart
    """The training values give no centre line or no SD; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Centre line and SD, in the unit of the values."""

    centre: float
    sd: float
    n: int
    """Valid values that they rest on."""
    missing: int
    """Values that were missing and left out."""
    estimator: EstimatorName


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean, summed exactly and rounded once."""
    return statistics.fmean(values)


def classical(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation with n - 1 (ISO 3534-1).

    Deviations are taken from the mean and corrected for its rounding (Chan, Golub, LeVeque, Am. Stat. 37
    (1983) 242), each sum exact.
    """
    centre = mean(values)
    deviations = [value - centre for value in values]
    squares = math.fsum(deviation * deviation for deviation in deviations)
    correction = math.fsum(deviations) ** 2 / len(values)
    return centre, math.sqrt(max(squares - correction, 0.0) / (len(values) - 1))


def algorithm_a(values: Sequence[float]) -> tuple[float, float]:
    """Return robust mean and standard deviation: Algorithm A of ISO 13528:2015, annex C.3.

    Begins at x* = median and s* = 1.483 median |x - x*|; pulls values beyond x* ± 1.5 s* to those limits;
    takes x* = mean and s* = 1.134 SD of the result, until neither changes.

    Raises:
        EstimateRefused: more than half of the values are equal (s* would be 0 and stay so).
    """
    centre = statistics.median(values)
    sd = 1.483 * statistics.median(abs(value - centre) for value in values)
    if sd == 0:
        raise EstimateRefused(
            "more than half of the training values are equal, so Algorithm A finds no spread: take "
            "'classical', or values with more digits"
        )
    for _ in range(ITERATIONS_MAX):
        low, high = centre - 1.5 * sd, centre + 1.5 * sd
        moved, spread = classical([min(max(value, low), high) for value in values])
        before, (centre, sd) = (centre, sd), (moved, 1.134 * spread)
        if abs(centre - before[0]) <= CONVERGED * sd and abs(sd - before[1]) <= CONVERGED * sd:
            return centre, sd
    raise EstimateRefused(f"Algorithm A has not settled after {ITERATIONS_MAX} rounds: take 'classical'")


def moving_range(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the mean moving range of two divided by 1.128 (ISO 7870-2, individuals chart).

    `values` may hold NaN: a range that would span a missing value is left out, as its two values are not
    consecutive.

    Raises:
        EstimateRefused: no two values are consecutive.
    """
    ranges = [abs(b - a) for a, b in pairwise(values) if not (math.isnan(a) or math.isnan(b))]
    if not ranges:
        raise EstimateRefused("no two training values are consecutive: take 'classical'")
    return mean([value for value in values if not math.isnan(value)]), mean(ranges) / D2_OF_TWO


ESTIMATORS: dict[EstimatorName, Callable[[Sequence[float]], tuple[float, float]]] = {
    "classical": classical,
    "algorithm-a": algorithm_a,
    "moving-range": moving_range,
}


def estimate(values: Sequence[float], estimator: EstimatorName, *, n_min: int = 20) -> Estimate:
    """Estimate centre line and SD from training values in their order.

    Args:
        values: training values in time order; NaN is missing.
        estimator: which estimator.
        n_min: valid values that are asked for, at least 2. 20 is what Westgard and CLSI C24 ask for.

    Raises:
        EstimateRefused: too few values, an infinite one, or no spread.
        ValueError: there is no such estimator, or `n_min` is below 2.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"no estimator '{estimator}': take one of {', '.join(ESTIMATORS)}")
    if n_min < 2:
        raise ValueError("n_min must be 2 or more: one value has no spread")
    series = [float(value) for value in values]
    valid = [value for value in series if not math.isnan(value)]
    if any(math.isinf(value) for value in valid):
        raise EstimateRefused("a training value is infinite: leave it out, and say why in the reason")
    if len(valid) < n_min:
        raise EstimateRefused(f"{len(valid)} valid training values, {n_min} are needed: measure more")
    try:
        centre, sd = ESTIMATORS[estimator](series if estimator == "moving-range" else valid)
    except OverflowError as error:
        raise EstimateRefused("the training values are too large to reckon with: check their unit") from error
    if not (0 < sd < math.inf and math.isfinite(centre)):
        raise EstimateRefused(f"the training values give SD = {sd}: no limit could be drawn; check them")
    return Estimate(centre, sd, len(valid), len(series) - len(valid), estimator)
