"""Rules on one reading and its neighbours, and on time stamps."""
# ruff: noqa: ARG001, PLR0913, PLR0917 - the kernels share one signature; a kernel has no keywords

import numpy as np

from pipeline.compiled.jit import Slots, kernel
from pipeline.qc.kernels.common import FAIL, MISSED, NOT_EVALUATED, PASS, SUSPECT, decide, two_limits
from pipeline.qc.memory import INFINITE, MISSING, VALID


@kernel
def missing(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Say 9 where there is no value. The driver has looked at NaN and status already."""
    return MISSED if kind == MISSING else PASS


@kernel
def gross_range(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare with suspect low, suspect high, fail low, fail high (p..p+3, NaN: absent). Infinity fails."""
    if kind == INFINITE:
        return FAIL
    if kind != VALID:
        return NOT_EVALUATED
    if x < f[p + 2] or x > f[p + 3]:
        return FAIL
    if x < f[p] or x > f[p + 1]:
        return SUSPECT
    return PASS


@kernel
def rate(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare |x - previous| / dt with suspect, fail (p, p+1, per second) unless dt > max gap (p+2, ns).

    State: seen (s), t_run of the previous valid reading (s+1), its value (s+2).
    """
    if kind != VALID:
        return NOT_EVALUATED
    verdict = NOT_EVALUATED
    dt_ns = t_run - i[s + 1]
    # Without time between the two there is no rate; backward time is the order rule's business.
    if i[s] != 0 and 0 < dt_ns <= i[p + 2]:
        verdict = two_limits(abs(x - f[s + 2]) / (dt_ns / 1e9), f[p], f[p + 1])
    i[s] = 1
    i[s + 1] = t_run
    f[s + 2] = x
    return verdict


@kernel
def spike_height(left: float, middle: float, right: float, differential: bool) -> float:  # noqa: FBT001 - a kernel has no keywords
    """Return how far the middle reading stands out, by the average or the differential method."""
    if differential:
        up, down = middle - left, right - middle
        turns = (up > 0 and down < 0) or (up < 0 and down > 0)
        return min(abs(up), abs(down)) if turns else 0.0
    total = left + right
    # Halving first keeps two huge neighbours finite, but would lose the last bit of denormal ones.
    mean = total / 2 if np.isfinite(total) else left / 2 + right / 2
    return abs(middle - mean)


@kernel
def spike(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Judge the reading before this one against both its neighbours.

    Parameters: suspect, fail (p, p+1), max gap ns (p+2), differential (p+3), bit (p+4).
    State: ordinal + 1 of the pending reading (s, 0: none), number of readings held (s+1), t_run of the
    latest (s+2), its value (s+3), the value before (s+4). A reading without a left neighbour is known at once
    to be not evaluated; one with a left neighbour is pending until the next valid reading, or until any row
    shows that this neighbour is too far away.
    """
    held = i[s + 1]
    verdict = PASS
    if held != 0 and t_run - i[s + 2] > i[p + 2]:
        verdict = NOT_EVALUATED
        held = 0
    elif kind == VALID and i[s] != 0:
        verdict = two_limits(spike_height(f[s + 4], f[s + 3], x, i[p + 3] != 0), f[p], f[p + 1])
    if verdict != PASS and i[s] != 0:
        decide(out, i[p + 4], i[s] - 1, verdict)
    if kind != VALID:
        i[s + 1] = held
        i[s] = i[s] if held != 0 else 0
        return NOT_EVALUATED
    f[s + 4] = f[s + 3]
    f[s + 3] = x
    i[s + 2] = t_run
    i[s + 1] = 1 if held == 0 else 2
    i[s] = n + 1 if held != 0 else 0
    return PASS if held != 0 else NOT_EVALUATED


@kernel
def gap(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare the time since the previous valid reading with the interval (p, ns). State: seen, t_run."""
    if kind != VALID:
        return NOT_EVALUATED
    verdict = NOT_EVALUATED
    if i[s] != 0:
        verdict = SUSPECT if t_run - i[s + 1] > i[p] else PASS
    i[s] = 1
    i[s + 1] = t_run
    return verdict


@kernel
def order(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Say suspect for a stamp before that of the previous valid reading. State: seen, t_utc."""
    if kind != VALID:
        return NOT_EVALUATED
    verdict = NOT_EVALUATED
    if i[s] != 0:
        verdict = SUSPECT if t_utc < i[s + 1] else PASS
    i[s] = 1
    i[s + 1] = t_utc
    return verdict


@kernel
def duplicate(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Say suspect for a stamp equal to that of the previous valid reading. State: seen, t_utc."""
    if kind != VALID:
        return NOT_EVALUATED
    verdict = NOT_EVALUATED
    if i[s] != 0:
        verdict = SUSPECT if t_utc == i[s + 1] else PASS
    i[s] = 1
    i[s + 1] = t_utc
    return verdict
