"""Control charts on the stream: EWMA, CUSUM, Page-Hinkley."""
# ruff: noqa: ARG001, PLR0913, PLR0917 - the kernels share one signature; a kernel has no keywords

import math

from pipeline.compiled.jit import Slots, kernel
from pipeline.qc.kernels.common import NOT_EVALUATED, two_limits
from pipeline.qc.memory import VALID

DENORMAL = 1e-30
"""A factor below is taken as 0: it no longer counts, and denormal numbers halve the speed."""
CEILING = 1e300
"""Sums stop here: beyond they would become infinite and stay so."""


@kernel
def bounded(x: float) -> float:
    """Keep a finite or infinite number within the ceiling."""
    return min(max(x, -CEILING), CEILING)


@kernel
def ewma(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare |z - centre| with limits that widen with time (NIST/SEMATECH e-Handbook, 6.3.2.4).

    Parameters: lambda (p), centre (p+1), widths of the limits once the start is forgotten: suspect, fail
    (p+2, p+3), max gap ns (p+4). State: seen (s), t_run of the previous valid reading (s+1), z (s+2),
    (1-lambda)^2t (s+3). After a longer gap the chart starts anew.
    """
    if kind != VALID:
        return NOT_EVALUATED
    z, decay = f[s + 2], f[s + 3]
    if i[s] == 0 or t_run < i[s + 1] or t_run - i[s + 1] > i[p + 4]:
        i[s] = 1
        z, decay = f[p + 1], 1.0
    i[s + 1] = t_run
    left = 1.0 - f[p]
    z = f[p] * x + left * z
    decay *= left * left
    if decay < DENORMAL:
        decay = 0.0
    if abs(z) < DENORMAL * DENORMAL:
        z = 0.0
    f[s + 2] = z
    f[s + 3] = decay
    growth = math.sqrt(1.0 - decay)
    return two_limits(abs(z - f[p + 1]), f[p + 2] * growth, f[p + 3] * growth)


@kernel
def cusum(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare the larger of two tabular sums with H (NIST/SEMATECH e-Handbook, 6.3.2.3).

    Parameters: target, sigma, K (p..p+2, K in sigma), suspect, fail (p+3, p+4, H in sigma), head start (p+5,
    in sigma; Lucas and Crosier 1982), sum beyond which both start anew (p+6, NaN: never), max gap ns (p+7).
    State: seen (s), t_run of the previous valid reading (s+1), upper and lower sum (s+2, s+3).
    """
    if kind != VALID:
        return NOT_EVALUATED
    if i[s] == 0 or t_run < i[s + 1] or t_run - i[s + 1] > i[p + 7]:
        i[s] = 1
        f[s + 2] = f[s + 3] = f[p + 5]
    i[s + 1] = t_run
    deviation = bounded((x - f[p]) / f[p + 1])
    upper = bounded(max(0.0, f[s + 2] + deviation - f[p + 2]))
    lower = bounded(max(0.0, f[s + 3] - deviation - f[p + 2]))
    larger = max(upper, lower)
    if larger > f[p + 6]:
        upper = lower = f[p + 5]
    f[s + 2] = upper
    f[s + 3] = lower
    return two_limits(larger, f[p + 3], f[p + 4])


@kernel
def page_hinkley(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare the rise of the sum of x - mean - delta over its least value, and the fall, with limits.

    The rise is carried by itself: U = max(0, U + x - mean - delta), so that nothing grows for ever (Page
    1954). Parameters: delta, suspect, fail (p..p+2), rise beyond which all starts anew (p+3), least count
    (p+4), max gap ns (p+5). State: seen (s), t_run of the previous valid reading (s+1), count (s+2),
    mean (s+3), rise (s+4),
    fall (s+5).
    """
    if kind != VALID:
        return NOT_EVALUATED
    if i[s] == 0 or t_run < i[s + 1] or t_run - i[s + 1] > i[p + 5]:
        i[s] = 1
        i[s + 2] = 0
        f[s + 3] = f[s + 4] = f[s + 5] = 0.0
    i[s + 1] = t_run
    i[s + 2] += 1
    mean = f[s + 3] + bounded(x - f[s + 3]) / i[s + 2]
    step = bounded(x - mean)
    f[s + 3] = mean
    f[s + 4] = bounded(max(0.0, f[s + 4] + step - f[p]))
    f[s + 5] = bounded(max(0.0, f[s + 5] - step - f[p]))
    if i[s + 2] < i[p + 4]:
        return NOT_EVALUATED
    larger = max(f[s + 4], f[s + 5])
    if larger > f[p + 3]:
        i[s] = 0
    return two_limits(larger, f[p + 1], f[p + 2])
