"""Limits proposed for the rules with memory: what the clean stretch itself needs, and some room."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc
from pipeline.qc.settings_windows import NoiseQc, RepeatedQc, StabilityQc

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

READINGS = 15
"""Window of Hampel and level shift."""
WINDOW = 30
"""Readings in a window of noise and stability."""
LOOKED_AT_MAX = 20_000
"""Readings of the clean stretch that are looked at, from its begin."""
ROOM = 1.5
"""A limit lies so many times beyond the greatest value that the clean stretch reaches."""
WEIGHT, SLACK = 0.3, 0.5
MAD_TO_SD = 1.4826


class Learnt(NamedTuple):
    """What the rules with memory would have made of the clean stretch; None where nothing can be said."""

    centre: float
    """Median; unit of the channel."""
    sigma: float
    """1.4826 * median absolute deviation of the readings; unit of the channel."""
    noise_low: float
    noise_high: float
    """Least and greatest standard deviation of `WINDOW` readings."""
    widest: float
    """Greatest max - min of `WINDOW` readings."""
    most_repeats: int
    hampel_k: float | None
    """Greatest distance from the median of `READINGS`, in scaled MAD; None where a MAD is 0."""
    shift: float
    """Greatest difference of the medians of neighbouring windows of `READINGS`."""
    ewma_k: float
    """Greatest distance of the moving average from the centre, in its standard deviations."""
    cusum_h: float
    """Greatest sum, in sigma."""


def learn(values: NDArray[np.float64], most_repeats: int) -> Learnt | None:
    """Look at valid readings of a clean stretch; None when they are too few or never change."""
    values = values[:LOOKED_AT_MAX]
    if len(values) < 4 * WINDOW:
        return None
    centre = float(np.median(values))
    sigma = MAD_TO_SD * float(np.median(np.abs(values - centre)))
    if sigma == 0:
        return None
    spreads = sliding_window_view(values, WINDOW)
    deviations, widths = spreads.std(axis=1), np.ptp(spreads, axis=1)
    windows = sliding_window_view(values, READINGS)
    medians = np.median(windows, axis=1)
    mads = MAD_TO_SD * np.median(np.abs(windows - medians[:, None]), axis=1)
    distances = np.abs(windows[:, -1] - medians)
    average, sums = _charts((values - centre) / sigma)
    return Learnt(
        centre=centre,
        sigma=sigma,
        noise_low=float(deviations.min()),
        noise_high=float(deviations.max()),
        widest=float(widths.max()),
        most_repeats=most_repeats,
        hampel_k=float((distances / mads).max()) if mads.min() > 0 else None,
        shift=float(np.abs(medians[READINGS:] - medians[:-READINGS]).max()),
        ewma_k=average / math.sqrt(WEIGHT / (2 - WEIGHT)),
        cusum_h=sums,
    )


def _charts(z: NDArray[np.float64]) -> tuple[float, float]:
    """Return the greatest moving average and the greatest CUSUM of standardised readings."""
    average = largest = upper = lower = largest_sum = 0.0
    for x in z.tolist():
        average += WEIGHT * (x - average)
        upper, lower = max(0.0, upper + x - SLACK), max(0.0, lower - x - SLACK)
        largest, largest_sum = max(largest, abs(average)), max(largest_sum, upper, lower)
    return largest, largest_sum


def tables_for(
    learnt: Learnt, cadence_s: float, max_gap_s: float, digits: Callable[[float], float]
) -> dict[str, Any]:
    """Propose the tables; `digits` rounds a limit up to what it is worth."""
    window_s = digits(WINDOW * cadence_s)
    repeats = math.ceil(max(10, 3 * learnt.most_repeats))
    gap: dict[str, Any] = {"max_gap_s": max_gap_s}
    tables: dict[str, Any] = {
        "repeated": RepeatedQc(suspect_n=repeats, fail_n=3 * repeats, **gap),
        "noise": NoiseQc(
            suspect_low=digits(learnt.noise_low / (2 * ROOM)) if learnt.noise_low > 0 else None,
            suspect_high=digits(ROOM * learnt.noise_high), fail_high=digits(3 * ROOM * learnt.noise_high),
            window_s=window_s, **gap,
        ),
        "level_shift": LevelShiftQc(suspect=digits(2 * ROOM * learnt.shift), readings=READINGS, **gap),
        "ewma": EwmaQc(
            centre=learnt.centre, sigma=learnt.sigma, weight=WEIGHT,
            suspect_k=digits(max(3.0, ROOM * learnt.ewma_k)), **gap,
        ),
        "cusum": CusumQc(
            target=learnt.centre, sigma=learnt.sigma, k=SLACK,
            suspect_h=digits(max(5.0, ROOM * learnt.cusum_h)), **gap,
        ),
        "stability": StabilityQc(tolerance=digits(learnt.widest / 2), duration_s=window_s, **gap),
    }  # fmt: skip
    if learnt.hampel_k is not None:
        limit = digits(max(5.0, ROOM * learnt.hampel_k))
        tables["hampel"] = HampelQc(suspect_k=limit, readings=READINGS, **gap)
    return tables
