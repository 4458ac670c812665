"""Rules on what was expected: late arrival, unit change, identical data, schedule, redundancy."""
# ruff: noqa: ARG001, PLR0913, PLR0917 - the kernels share one signature; a kernel has no keywords

from pipeline.compiled.jit import Slots, kernel
from pipeline.qc.kernel_constants import HASH_BASE, SCHEDULE_FIXED
from pipeline.qc.kernels.common import FAIL, NOT_EVALUATED, PASS, SUSPECT, two_limits
from pipeline.qc.memory import MISSING, VALID

MIX = 0x1B873593CC9E2D51
"""Odd multiplier that spreads the bits of a value; float64 has mostly zeros at its low end."""


@kernel
def late(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare the age of a reading at its arrival with suspect, fail (p, p+1, ns)."""
    if kind == MISSING:
        return NOT_EVALUATED
    age = t_in - t_run
    if age > i[p + 1]:
        return FAIL
    return SUSPECT if age > i[p] else PASS


@kernel
def unit_change(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Flag the first row under another unit, range or last digit.

    Parameters: signature of unit, range and decimals in force (p), flag to give (p+1). State: seen (s),
    signature of the row before (s+1).
    """
    changed = i[s] != 0 and i[s + 1] != i[p]
    i[s] = 1
    i[s + 1] = i[p]
    return i[p + 1] if changed else PASS


@kernel
def redundancy(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare the difference from the partner channel with suspect, fail (p+1, p+2).

    x is the difference already: the driver subtracts the channel at the position in slot p.
    """
    return two_limits(abs(x), f[p + 1], f[p + 2]) if kind == VALID else NOT_EVALUATED


@kernel
def mixed(bits: int) -> int:
    """Spread the bits of a value."""
    return (bits ^ (bits >> 32)) * MIX


@kernel
def same_window(i: Slots, values: int, history: int, end: int, other_end: int, size: int) -> bool:
    """Compare two windows of raw values, bit by bit."""
    for k in range(size):  # noqa: SIM110 - a kernel has no generators
        if i[values + (end - k) % history] != i[values + (other_end - k) % history]:
            return False
    return True


@kernel
def earlier_end(i: Slots, p: int, s: int, r: int, bucket: int) -> int:
    """Return the end of the latest earlier window that equals the newest one, -1 when there is none."""
    size, history, end = i[p + 2], i[p + 3], i[s]
    values = r
    links, table = values + 2 * history, values + 3 * history
    other = i[table + bucket] - 1
    while other >= 0 and end - other <= history - size:
        if i[values + history + other % history] == i[s + 1] and same_window(
            i, values, history, end, other, size
        ):
            return int(other)
        other = i[links + other % history] - 1
    return -1


@kernel
def roll(x: float, f: Slots, i: Slots, p: int, s: int, r: int) -> None:
    """Take a value into the rolling hash and into the count of changes, and its window into the table.

    A window is entered only once no later one that is compared with it can overlap it.
    """
    size, history, end = i[p + 2], i[p + 3], i[s]
    values = r
    hashes, links, table = values + history, values + 2 * history, values + 3 * history
    f[values + end % history] = x
    bits = i[values + end % history]
    code = i[s + 1] * HASH_BASE + mixed(bits)
    changes = i[s + 2]
    if end > 0 and bits != i[values + (end - 1) % history]:
        changes += 1
    if end >= size:
        leaving = i[values + (end - size) % history]
        code -= mixed(leaving) * i[p + 5]
        if leaving != i[values + (end - size + 1) % history]:
            changes -= 1
    i[s + 1] = code
    i[s + 2] = changes
    i[hashes + end % history] = code
    ready = end - size
    if ready >= size - 1:
        bucket = (i[hashes + ready % history] >> 20) & (i[p + 6] - 1)
        i[links + ready % history] = i[table + bucket]
        i[table + bucket] = ready + 1


@kernel
def identical(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Tell how many of the last valid values repeat an earlier stretch, bit by bit.

    Parameters: suspect, fail (p, p+1: numbers of values), window (p+2), values kept (p+3), least changes
    within a window (p+4), HASH_BASE ** window (p+5), buckets (p+6). State: values seen (s), hash (s+1) and
    changes (s+2) of the newest window, distance (s+3) and length (s+4) of the stretch that is being repeated;
    ring: values, hashes and links of the values kept, and the table of buckets.
    """
    if kind != VALID:
        return NOT_EVALUATED
    size, history, end = i[p + 2], i[p + 3], i[s]
    values = r
    roll(x, f, i, p, s, r)
    verdict = NOT_EVALUATED if end < size - 1 else PASS
    distance, length = i[s + 3], 0
    if end >= size - 1 and i[s + 2] >= i[p + 4]:
        goes_on = distance > 0 and i[values + end % history] == i[values + (end - distance) % history]
        if goes_on:
            length = i[s + 4] + 1
        else:
            other = earlier_end(i, p, s, r, (i[s + 1] >> 20) & (i[p + 6] - 1))
            distance = end - other
            length = size if other >= 0 else 0
    i[s + 3] = distance if length > 0 else 0
    i[s + 4] = length
    i[s] = end + 1
    if length >= i[p + 1]:
        return FAIL
    return SUSPECT if length >= i[p] else verdict


@kernel
def expected_at(phase: int, f: Slots, i: Slots, p: int) -> float:
    """Return the expected value at a time of the table, between two points on the line that joins them."""
    times, values = p + SCHEDULE_FIXED, p + SCHEDULE_FIXED + i[p + 5]
    k = i[p + 5] - 1
    while k > 0 and i[times + k] > phase:
        k -= 1
    if k == i[p + 5] - 1:
        return float(f[values + k])
    share = (phase - i[times + k]) / (i[times + k + 1] - i[times + k])
    return float(f[values + k] + (f[values + k + 1] - f[values + k]) * share)


@kernel
def expected_band(begin: int, end: int, f: Slots, i: Slots, p: int) -> tuple[float, float]:
    """Return the least and the greatest expected value between two times, both included."""
    times, values = p + SCHEDULE_FIXED, p + SCHEDULE_FIXED + i[p + 5]
    first, last = expected_at(begin, f, i, p), expected_at(end, f, i, p)
    low, high = min(first, last), max(first, last)
    for k in range(i[p + 5]):
        if begin <= i[times + k] <= end:
            low, high = min(low, f[values + k]), max(high, f[values + k])
    return low, high


@kernel
def schedule(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Compare a value with all that was expected within the last lag.

    Parameters: tolerance suspect, fail (p, p+1), lag (p+2), start in UTC (p+3), period (p+4, 0: none), number
    of points (p+5), their times and values. Before the first point nothing is expected; a period begins at 0.
    """
    since, period = t_utc - i[p + 3], i[p + 4]
    first = i[p + SCHEDULE_FIXED]
    if kind != VALID or since < first:
        return NOT_EVALUATED
    phase = since % period if period > 0 else since
    low, high = expected_band(max(phase - i[p + 2], first), phase, f, i, p)
    if period > 0 and phase < i[p + 2] and since >= period:
        before_low, before_high = expected_band(phase - i[p + 2] + period, period, f, i, p)
        low, high = min(low, before_low), max(high, before_high)
    return two_limits(max(low - x, x - high), f[p], f[p + 1])
