"""Limits and running statistics of Shewhart, EWMA and CUSUM charts.

Limits are strict: a value on a limit passes. NaN is missing: the statistic waits, nothing fires. An infinite
value fires and the statistic waits, as it would never come back from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from pipeline.qc.control.decimals import exact, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

CusumReset: TypeAlias = Literal["none", "on-alarm"]
_FACTOR_MIN = 1e-30
"""Below this the part of the EWMA variance that decays is 0: no denormals."""


class ShewhartLines(NamedTuple):
    """Centre line and the lines at 1, 2 and 3 SD on both sides, in the unit of the values."""

    low_3: float
    low_2: float
    low_1: float
    centre: float
    high_1: float
    high_2: float
    high_3: float


def shewhart_lines(centre: float, sd: float) -> ShewhartLines:
    """Return the lines, reckoned in decimals and rounded once.

    A mean of 5.0 and an SD of 0.1 give 5.2, not 5.2 and a bit, so a value of 5.2 lies on the line.

    Raises:
        ValueError: the centre is not finite, or the SD not finite and above 0.
    """
    if not math.isfinite(centre) or not 0 < sd < math.inf:
        raise ValueError(f"a chart needs a finite centre line and an SD above 0, not {centre} and {sd}")
    return ShewhartLines(*(nearest(exact(centre) + k * exact(sd)) for k in range(-3, 4)))


@dataclass(frozen=True, slots=True)
class EwmaTrack:
    """EWMA of each value and its limits then; NaN before the first valid value. All lists of length n."""

    z: list[float]
    low: list[float]
    high: list[float]
    fired: list[bool]


def ewma_half_width(sd: float, weight: float, width: float, t: int | None) -> float:
    """Return the distance of the EWMA limits from the centre: L sd sqrt(λ/(2-λ) (1-(1-λ)^2t)).

    Roberts, Technometrics 1 (1959) 239; NIST/SEMATECH e-Handbook 6.3.2.4.

    Args:
        sd: standard deviation of one value.
        weight: λ.
        width: L.
        t: how many values the EWMA holds; None: the limit for many.
    """
    part = 1.0 if t is None else 1.0 - _decayed(weight, t)
    return width * sd * math.sqrt(weight / (2.0 - weight) * part)


def _decayed(weight: float, t: int) -> float:
    left: float = (1.0 - weight) ** (2 * t)
    return left if left > _FACTOR_MIN else 0.0


def ewma(
    values: Sequence[float], centre: float, sd: float, *, weight: float = 0.2, width: float = 3.0,
    settled: bool = False,
) -> EwmaTrack:  # fmt: skip
    """Run an EWMA chart: z = λ x + (1 - λ) z, from z = centre.

    Args:
        values: in time order; NaN is missing.
        centre: centre line.
        sd: standard deviation of one value.
        weight: λ, above 0 and at most 1.
        width: L, limits in SD of z, 0 or more.
        settled: the limits for many values; False: limits that widen with t.

    Raises:
        ValueError: a parameter is out of its range.
    """
    shewhart_lines(centre, sd)
    if not 0 < weight <= 1:
        raise ValueError(f"the weight of an EWMA lies above 0 and at most at 1, not at {weight}")
    if not 0 <= width < math.inf:
        raise ValueError(f"the width of EWMA limits is 0 or more, not {width}")
    track = EwmaTrack([], [], [], [])
    z, t = centre, 0
    for x in values:
        half = math.nan
        if math.isfinite(x):
            z, t = weight * x + (1.0 - weight) * z, t + 1
        if t:
            half = ewma_half_width(sd, weight, width, None if settled else t)
        low, high = centre - half, centre + half
        track.z.append(z if t else math.nan)
        track.low.append(low)
        track.high.append(high)
        track.fired.append(math.isinf(x) or (math.isfinite(x) and not low <= z <= high))
    return track


@dataclass(frozen=True, slots=True)
class CusumTrack:
    """Both sums after each value, in the unit of the values, and whether one passed H. Lists of length n."""

    high: list[float]
    low: list[float]
    fired: list[bool]


def cusum(
    values: Sequence[float], centre: float, sd: float, *, k: float = 0.5, h: float = 5.0,
    head_start: float = 0.0, reset: CusumReset = "none",
) -> CusumTrack:  # fmt: skip
    """Run a tabular two-sided CUSUM: S+ = max(0, S+ + x - centre - K), S- = max(0, S- + centre - K - x).

    Page, Biometrika 41 (1954) 100; NIST/SEMATECH e-Handbook 6.3.2.3; head start: Lucas, Crosier,
    Technometrics 24 (1982) 199.

    Args:
        values: in time order; NaN is missing.
        centre: target.
        sd: standard deviation of one value; K = k sd, H = h sd.
        k: slack in SD, 0 or more.
        h: decision limit in SD, 0 or more; an alarm is a sum above it.
        head_start: where both sums begin, as a fraction of H, 0 to below 1.
        reset: whether both sums begin anew (at the head start) after an alarm.

    Raises:
        ValueError: a parameter is out of its range.
    """
    shewhart_lines(centre, sd)
    if not (0 <= k < math.inf and 0 <= h < math.inf and 0 <= head_start < 1):
        raise ValueError(f"a CUSUM needs k >= 0, h >= 0, 0 <= head start < 1, not {k}, {h}, {head_start}")
    slack, limit = k * sd, h * sd
    high = low = head_start * limit
    track = CusumTrack([], [], [])
    for x in values:
        if math.isfinite(x):
            high, low = max(0.0, high + (x - centre) - slack), max(0.0, low + (centre - x) - slack)
        fired = math.isinf(x) or (math.isfinite(x) and max(high, low) > limit)
        track.high.append(high)
        track.low.append(low)
        track.fired.append(fired)
        if fired and reset == "on-alarm":
            high = low = head_start * limit
    return track
