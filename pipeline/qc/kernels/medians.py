"""Rules on medians of the last readings: Hampel, level shift."""
# ruff: noqa: ARG001, PLR0913, PLR0917 - the kernels share one signature; a kernel has no keywords

from pipeline.compiled.jit import Slots, kernel
from pipeline.qc.kernel_constants import SHIFT_STATE
from pipeline.qc.kernels.common import NOT_EVALUATED, PASS, decide, two_limits
from pipeline.qc.kernels.flat import ring_index
from pipeline.qc.memory import VALID

SIGMA_PER_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation (Hampel 1974)."""


@kernel
def insert(x: float, f: Slots, ascending: int, count: int) -> None:
    """Add a value to `count` values in ascending order."""
    place = ascending + count
    while place > ascending and f[place - 1] > x:
        f[place] = f[place - 1]
        place -= 1
    f[place] = x


@kernel
def exchange(old: float, new: float, f: Slots, ascending: int, count: int) -> None:
    """Put a value in the place of another one in ascending order."""
    low, high = ascending, ascending + count
    while low < high:
        middle = (low + high) >> 1
        if f[middle] < old:
            low = middle + 1
        else:
            high = middle
    last = ascending + count - 1
    while low < last and f[low + 1] < new:
        f[low] = f[low + 1]
        low += 1
    while low > ascending and f[low - 1] > new:
        f[low] = f[low - 1]
        low -= 1
    f[low] = new


@kernel
def deviation_of(f: Slots, ascending: int, half: int) -> float:
    """Return the median absolute deviation of 2 * half + 1 values in ascending order.

    Deviations to the left and to the right of the median ascend, so that the one in the middle of both is
    found by halving: of the half + 1 least ones `low` lie to the left, `half - low` to the right, and one in
    the middle.
    """
    median = f[ascending + half]
    low, high = 0, half
    while low < high:
        left = (low + high) >> 1
        if median - f[ascending + half - left - 1] < f[ascending + half + half - left] - median:
            low = left + 1
        else:
            high = left
    return float(max(median - f[ascending + half - low], f[ascending + half + half - low] - median))


@kernel
def hampel(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare |x - median| with k * 1.4826 * MAD of the last valid readings, this one included.

    Parameters: k suspect, k fail (p, p+1), readings (p+2, odd), max gap ns (p+3). State: seen (s), t_run of
    the previous valid reading (s+1), count (s+2), place of the oldest (s+3); ring: the readings, and
    they in order.
    """
    if kind != VALID:
        return NOT_EVALUATED
    size, ring = i[p + 2], r
    if i[s] == 0 or t_run < i[s + 1] or t_run - i[s + 1] > i[p + 3]:
        i[s] = 1
        i[s + 2] = i[s + 3] = 0
    i[s + 1] = t_run
    count, place = i[s + 2], i[s + 3]
    if count < size:
        insert(x, f, ring + size, count)
        i[s + 2] = count + 1
    else:
        exchange(f[ring + place], x, f, ring + size, size)
    f[ring + place] = x
    i[s + 3] = ring_index(place, 1, size)
    if i[s + 2] < size:
        return NOT_EVALUATED
    half = size >> 1
    scale = SIGMA_PER_MAD * deviation_of(f, ring + size, half)
    return two_limits(abs(x - f[ring + size + half]), f[p] * scale, f[p + 1] * scale)


@kernel
def shift_slide(x: float, f: Slots, i: Slots, s: int, r: int, size: int) -> None:
    """Move both windows of a level shift on by one valid reading."""
    count, head = i[s + 6], i[s + 7]
    values = r + size
    before, after = values + 2 * size, values + 3 * size
    if count < 2 * size:
        if count < size:
            insert(x, f, before, count)
        else:
            insert(x, f, after, count - size)
        f[values + count] = x
        i[s + 6] = count + 1
        return
    moved = f[values + ring_index(head, size, 2 * size)]
    exchange(f[values + head], moved, f, before, size)
    exchange(moved, x, f, after, size)
    f[values + head] = x
    i[s + 7] = ring_index(head, 1, 2 * size)


@kernel
def shift_close(i: Slots, s: int, r: int, size: int, bit: int, out: Slots) -> None:
    """Say 2 for all pending rows: what comes is no neighbour of theirs."""
    for k in range(i[s + 1]):
        decide(out, bit, i[r + ring_index(i[s + 3], k, size)], NOT_EVALUATED)
    for k in range(SHIFT_STATE):
        i[s + k] = 0


@kernel
def level_shift(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare the median of a reading and those that follow with the median of those before it.

    Parameters: suspect, fail (p, p+1), readings of a window (p+2, odd), max gap ns (p+3), bit (p+4). State:
    ordinal + 1 of the oldest pending row (s, 0: none), number pending (s+1), of places for them (s+2), place
    of the oldest (s+3), seen (s+4), t_run of the latest valid reading (s+5), number of readings held (s+6),
    place of the oldest (s+7); ring: ordinals of the pending rows, the readings, and both windows in
    ascending order.
    """
    size = i[p + 2]
    if i[s + 4] != 0 and t_run - i[s + 5] > i[p + 3]:
        shift_close(i, s, r, size, i[p + 4], out)
    if kind != VALID:
        return NOT_EVALUATED
    i[s + 2] = size
    i[s + 4] = 1
    i[s + 5] = t_run
    has_before = i[s + 6] >= size
    shift_slide(x, f, i, s, r, size)
    if not has_before:
        return NOT_EVALUATED
    i[r + ring_index(i[s + 3], i[s + 1], size)] = n
    i[s + 1] += 1
    if i[s + 1] == size:
        half = size >> 1
        before = r + 3 * size
        verdict = two_limits(abs(f[before + size + half] - f[before + half]), f[p], f[p + 1])
        if verdict != PASS:
            decide(out, i[p + 4], i[r + i[s + 3]], verdict)
        i[s + 3] = ring_index(i[s + 3], 1, size)
        i[s + 1] -= 1
    i[s] = i[r + i[s + 3]] + 1 if i[s + 1] > 0 else 0
    return PASS
