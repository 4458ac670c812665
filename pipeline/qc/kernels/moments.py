"""A sliding window with mergeable aggregates on two stacks: exact, amortised O(1), and right again after an
overload has left it. Adding and removing in one running sum would keep its rounding for ever.

The window lies at slot w: head of the ring (w), count (w+1), how many of the oldest readings form the front
stack (w+2), aggregate of the back stack (w+3, w+4); its ring at slot r, four slots a reading: t_run,
value, and the aggregate of this reading and all later ones of the front stack. An aggregate is mean and sum
of squared deviations (Welford 1962; merged after Chan, Golub and LeVeque 1983), or minimum and maximum.
"""  # noqa: D205 - the summary needs two lines
# ruff: noqa: PLR0917 - a kernel has no keywords

import math

import numpy as np

from pipeline.compiled.jit import Slots, kernel
from pipeline.qc.kernel_constants import ENTRY_SLOTS
from pipeline.qc.kernels.flat import ring_index


@kernel
def extended(a: float, b: float, count: int, x: float, spread: bool) -> tuple[float, float]:  # noqa: FBT001
    """Add a value to an aggregate, which then stands for `count` of them."""
    if spread:
        return (x, x) if count == 1 else (min(a, x), max(b, x))
    if count == 1:
        return x, 0.0
    delta = x - a
    # The reciprocal waits for nothing before it, a quotient would wait for delta.
    mean = a + delta * (1.0 / count)
    return mean, b + delta * (x - mean)


@kernel
def window_clear(i: Slots, w: int) -> None:
    """Empty the window."""
    i[w] = i[w + 1] = i[w + 2] = 0


@kernel
def window_push(
    x: float, t_run: int, f: Slots, i: Slots, w: int, r: int, capacity: int, spread: bool  # noqa: FBT001
) -> bool:  # fmt: skip
    """Append a reading; tell whether there was room."""
    count = i[w + 1]
    if count == capacity:
        return False
    at = r + ENTRY_SLOTS * ring_index(i[w], count, capacity)
    i[at] = t_run
    f[at + 1] = x
    f[w + 3], f[w + 4] = extended(f[w + 3], f[w + 4], count + 1 - i[w + 2], x, spread)
    i[w + 1] = count + 1
    return True


@kernel
def window_flip(f: Slots, i: Slots, w: int, r: int, capacity: int, spread: bool) -> None:  # noqa: FBT001
    """Make the back stack the front stack: aggregate from the newest reading to the oldest."""
    a = b = 0.0
    count = i[w + 1]
    place = ring_index(i[w], count - 1, capacity)
    for k in range(count):
        at = r + ENTRY_SLOTS * place
        a, b = extended(a, b, k + 1, f[at + 1], spread)
        f[at + 2] = a
        f[at + 3] = b
        place = capacity - 1 if place == 0 else place - 1
    i[w + 2] = count


@kernel
def window_expire(oldest_ns: int, f: Slots, i: Slots, w: int, r: int, capacity: int, spread: bool) -> None:  # noqa: FBT001
    """Drop the readings from before `oldest_ns`."""
    while i[w + 1] > 0 and i[r + ENTRY_SLOTS * i[w]] < oldest_ns:
        if i[w + 2] == 0:
            window_flip(f, i, w, r, capacity, spread)
        i[w] = ring_index(i[w], 1, capacity)
        i[w + 1] -= 1
        i[w + 2] -= 1


@kernel
def merged(
    a: float, b: float, count: int, other_a: float, other_b: float, other_count: int, spread: bool  # noqa: FBT001
) -> tuple[float, float]:  # fmt: skip
    """Merge two aggregates."""
    if count == 0:
        return other_a, other_b
    if other_count == 0:
        return a, b
    if spread:
        return min(a, other_a), max(b, other_b)
    delta = other_a - a
    share = other_count / (count + other_count)
    return a + delta * share, b + other_b + delta * delta * (count * share)


@kernel
def window_variation(f: Slots, i: Slots, w: int, r: int, spread: bool) -> float:  # noqa: FBT001
    """Return standard deviation (ddof 0) or range of the readings held; infinity beyond float64."""
    count, front = i[w + 1], i[w + 2]
    at = r + ENTRY_SLOTS * i[w]
    a, b = merged(f[at + 2], f[at + 3], front, f[w + 3], f[w + 4], count - front, spread)
    variation = b - a if spread else math.sqrt(b / count)
    return np.inf if np.isnan(variation) else variation
