"""Rules on a trailing window of time: attenuated or noisy, rate in standard deviations, completeness."""
# ruff: noqa: ARG001, PLR0913, PLR0917 - the kernels share one signature; a kernel has no keywords

from pipeline.compiled.jit import Slots, kernel
from pipeline.qc.kernels.common import FAIL, NOT_EVALUATED, PASS, SUSPECT, two_limits
from pipeline.qc.kernels.flat import ring_index
from pipeline.qc.kernels.moments import window_clear, window_expire, window_push, window_variation
from pipeline.qc.memory import VALID


@kernel
def noise(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare the variation of the valid readings of the last T, both ends included, with its limits.

    Parameters: suspect low, suspect high, fail low, fail high (p..p+3, NaN: absent), T (p+4), max gap (p+5,
    ns),
    range instead of standard deviation (p+6), capacity (p+7). State: seen (s), t_run of the previous valid
    reading (s+1), of the first of the segment (s+2), window (s+3). A full ring starts the segment anew.
    """
    if kind != VALID:
        return NOT_EVALUATED
    w, capacity, spread = s + 3, i[p + 7], i[p + 6] != 0
    previous = i[s + 1]
    restart = i[s] == 0 or t_run < previous or t_run - previous > i[p + 5]
    if not restart:
        window_expire(t_run - i[p + 4], f, i, w, r, capacity, spread)
        restart = not window_push(x, t_run, f, i, w, r, capacity, spread)
    if restart:
        i[s] = 1
        i[s + 2] = t_run
        window_clear(i, w)
        window_push(x, t_run, f, i, w, r, capacity, spread)
    i[s + 1] = t_run
    if t_run - i[s + 2] < i[p + 4]:
        return NOT_EVALUATED
    variation = window_variation(f, i, w, r, spread)
    if variation < f[p + 2] or variation > f[p + 3]:
        return FAIL
    return SUSPECT if variation < f[p] or variation > f[p + 1] else PASS


@kernel
def rate_dev(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare |x - previous| with so many standard deviations of the valid readings of the T before it.

    Parameters: suspect, fail (p, p+1), T (p+2), max gap (p+3, ns), capacity (p+4). State: seen (s), t_run of
    the previous valid reading (s+1), of the first of the segment (s+2), value of the previous (s+3), window
    (s+4).
    """
    if kind != VALID:
        return NOT_EVALUATED
    w, capacity = s + 4, i[p + 4]
    previous = i[s + 1]
    restart = i[s] == 0 or t_run < previous or t_run - previous > i[p + 3]
    verdict = NOT_EVALUATED
    if not restart:
        window_expire(t_run - i[p + 2], f, i, w, r, capacity, False)  # noqa: FBT003 - a kernel has no keywords
        if t_run - i[s + 2] >= i[p + 2] and i[w + 1] > 1:
            deviation = window_variation(f, i, w, r, False)  # noqa: FBT003 - a kernel has no keywords
            verdict = two_limits(abs(x - f[s + 3]), f[p] * deviation, f[p + 1] * deviation)
        restart = not window_push(x, t_run, f, i, w, r, capacity, False)  # noqa: FBT003 - a kernel has no keywords
    if restart:
        i[s] = 1
        i[s + 2] = t_run
        window_clear(i, w)
        window_push(x, t_run, f, i, w, r, capacity, False)  # noqa: FBT003 - a kernel has no keywords
    i[s + 1] = t_run
    f[s + 3] = x
    return verdict


@kernel
def completeness(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare the number of valid readings of the last T, its far end left out, with what was to be polled.

    Parameters: suspect, fail (p, p+1: least numbers, NaN: absent), T (p+2, ns),
    capacity (p+3). State: seen (s),
    t_run of the first row (s+1), of the previous row (s+2), head and count (s+3, s+4); ring of times. Missing
    rows are judged too. A full ring holds more readings than were to be polled, so that its oldest may go.
    """
    ring, capacity = r, i[p + 3]
    if i[s] == 0 or t_run < i[s + 2]:
        i[s] = 1
        i[s + 1] = t_run
        i[s + 3] = i[s + 4] = 0
    i[s + 2] = t_run
    while i[s + 4] > 0 and (
        i[ring + i[s + 3]] <= t_run - i[p + 2] or (kind == VALID and i[s + 4] == capacity)
    ):
        i[s + 3] = ring_index(i[s + 3], 1, capacity)
        i[s + 4] -= 1
    if kind == VALID:
        i[ring + ring_index(i[s + 3], i[s + 4], capacity)] = t_run
        i[s + 4] += 1
    if t_run - i[s + 1] < i[p + 2]:
        return NOT_EVALUATED
    if i[s + 4] < f[p + 1]:
        return FAIL
    return SUSPECT if i[s + 4] < f[p] else PASS
