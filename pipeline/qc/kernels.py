"""One kernel for each rule: a free function that judges one reading and carries the rule's state.

Every kernel has the signature

    kernel(x, kind, t_run, t_utc, n, f, i, p, s, out) -> Flag

x: float64 value; kind: VALID, INFINITE, TEXT or MISSING; t_run, t_utc: int64 ns; n: int64 ordinal of the
row. f and i are a float64 and an int64 view of one memory; the rule's parameters begin at slot p, its
state at slot s. State begins as all zeros, which means "nothing seen yet".
out: int64 scratch for verdicts on earlier rows, written by `decide` only.

The functions hold no lock, allocate nothing and use no fast-math, so that the same readings give the same
bits however the stream is cut.
"""
# ruff: noqa: ARG001, PLR0917 - the kernels share one signature; a kernel has no keywords

import numpy as np

from pipeline.qc.jit import Slots, kernel
from pipeline.qc.memory import (
    ABSENT_NS,
    DECISION_FIELDS,
    INFINITE,
    MISSING,
    OUT_CHANNEL,
    OUT_COUNT,
    OUT_DECISIONS,
    VALID,
)
from pipeline.records.flags import Flag

_PASS = int(Flag.PASS)
_NOT_EVALUATED = int(Flag.NOT_EVALUATED)
_SUSPECT = int(Flag.SUSPECT)
_FAIL = int(Flag.FAIL)
_MISSING = int(Flag.MISSING)


@kernel
def decide(out: Slots, bit: int, n: int, flag: int) -> None:
    """Note a verdict other than pass on the earlier row `n` of the channel at hand."""
    at = OUT_DECISIONS + DECISION_FIELDS * out[OUT_COUNT]
    out[at] = bit
    out[at + 1] = out[OUT_CHANNEL]
    out[at + 2] = n
    out[at + 3] = flag
    out[OUT_COUNT] += 1


@kernel
def two_limits(magnitude: float, suspect: float, fail: float) -> int:
    """Compare a magnitude with two limits, strictly; a limit that is NaN is absent."""
    if magnitude > fail:
        return _FAIL
    if magnitude > suspect:
        return _SUSPECT
    return _PASS


@kernel
def missing(
    x: float, kind: int, t_run: int, t_utc: int, n: int, f: Slots, i: Slots, p: int, s: int, out: Slots
) -> int:  # fmt: skip
    """Say 9 where there is no value. The driver has looked at NaN and status already."""
    return _MISSING if kind == MISSING else _PASS


@kernel
def gross_range(
    x: float, kind: int, t_run: int, t_utc: int, n: int, f: Slots, i: Slots, p: int, s: int, out: Slots
) -> int:  # fmt: skip
    """Compare with suspect low, suspect high, fail low, fail high (p..p+3, NaN: absent). Infinity fails."""
    if kind == INFINITE:
        return _FAIL
    if kind != VALID:
        return _NOT_EVALUATED
    if x < f[p + 2] or x > f[p + 3]:
        return _FAIL
    if x < f[p] or x > f[p + 1]:
        return _SUSPECT
    return _PASS


@kernel
def rate(
    x: float, kind: int, t_run: int, t_utc: int, n: int, f: Slots, i: Slots, p: int, s: int, out: Slots
) -> int:  # fmt: skip
    """Compare |x - previous| / dt with suspect, fail (p, p+1, per second) unless dt > max gap (p+2, ns).

    State: seen (s), t_run of the previous valid reading (s+1), its value (s+2).
    """
    if kind != VALID:
        return _NOT_EVALUATED
    verdict = _NOT_EVALUATED
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
    x: float, kind: int, t_run: int, t_utc: int, n: int, f: Slots, i: Slots, p: int, s: int, out: Slots
) -> int:  # fmt: skip
    """Judge the reading before this one against both its neighbours.

    Parameters: suspect, fail (p, p+1), max gap ns (p+2), differential (p+3), bit (p+4).
    State: ordinal + 1 of the pending reading (s, 0: none), number of readings held (s+1), t_run of the
    latest (s+2), its value (s+3), the value before (s+4). A reading without a left neighbour is known at once
    to be not evaluated; one with a left neighbour is pending until the next valid reading, or until any row
    shows that this neighbour is too far away.
    """
    held = i[s + 1]
    verdict = _PASS
    if held != 0 and t_run - i[s + 2] > i[p + 2]:
        verdict = _NOT_EVALUATED
        held = 0
    elif kind == VALID and i[s] != 0:
        verdict = two_limits(spike_height(f[s + 4], f[s + 3], x, i[p + 3] != 0), f[p], f[p + 1])
    if verdict != _PASS and i[s] != 0:
        decide(out, i[p + 4], i[s] - 1, verdict)
    if kind != VALID:
        i[s + 1] = held
        i[s] = i[s] if held != 0 else 0
        return _NOT_EVALUATED
    f[s + 4] = f[s + 3]
    f[s + 3] = x
    i[s + 2] = t_run
    i[s + 1] = 1 if held == 0 else 2
    i[s] = n + 1 if held != 0 else 0
    return _PASS if held != 0 else _NOT_EVALUATED


@kernel
def ring_index(head: int, offset: int, capacity: int) -> int:
    """Return the place of the entry `offset` behind the head of a ring."""
    place = head + offset
    return place - capacity if place >= capacity else place


@kernel
def push(x: float, sign: float, f: Slots, i: Slots, deque: int, ring: int, capacity: int) -> bool:
    """Append to a monotonic deque; tell whether there was room.

    deque: slot of its head, deque + 1: of its count. The ring holds `capacity` values and after them, for
    each, the t_run of the reading that followed it. sign +1: the front is the maximum; -1: the minimum.
    """
    head, count = i[deque], i[deque + 1]
    while count > 0 and sign * f[ring + ring_index(head, count - 1, capacity)] <= sign * x:
        count -= 1
    if count == capacity:
        return False
    place = ring_index(head, count, capacity)
    f[ring + place] = x
    i[ring + capacity + place] = ABSENT_NS
    i[deque + 1] = count + 1
    return True


@kernel
def note_successor(t_run: int, i: Slots, deque: int, ring: int, capacity: int, expired_ns: int) -> None:
    """Give the newest entry the time of its successor; drop entries that the longest window has left behind.

    An entry may go once its successor is itself at or before the window's far end: the window then begins at
    the successor or later and still spans the whole duration.
    """
    head, count = i[deque], i[deque + 1]
    i[ring + capacity + ring_index(head, count - 1, capacity)] = t_run
    while i[ring + capacity + head] <= expired_ns:
        head = ring_index(head, 1, capacity)
        count -= 1
    i[deque] = head
    i[deque + 1] = count


@kernel
def shorten_run(tolerance: float, f: Slots, i: Slots, s: int, highs: int, lows: int, capacity: int) -> None:
    """Let the flat run begin later until its maximum and minimum are within the tolerance."""
    while f[highs + i[s + 4]] - f[lows + i[s + 6]] > tolerance:
        # Drop the older of the two; of two whose successors have one time, either leaves the same run.
        high_next, low_next = i[highs + capacity + i[s + 4]], i[lows + capacity + i[s + 6]]
        deque = s + 4 if high_next < low_next else s + 6
        i[s + 3] = min(high_next, low_next)
        i[deque] = ring_index(i[deque], 1, capacity)
        i[deque + 1] -= 1


@kernel
def flat_line(
    x: float, kind: int, t_run: int, t_utc: int, n: int, f: Slots, i: Slots, p: int, s: int, out: Slots
) -> int:  # fmt: skip
    """Tell for how long all readings up to this one have stayed within the tolerance.

    The longest flat run that ends here begins at or after the one that ended at the reading before, so one
    pair of monotonic deques (maximum, minimum) finds it in amortised O(1), and serves both durations.
    Parameters: tolerance (p), suspect, fail, shortest, longest duration ns (p+1..p+4), max gap ns (p+5),
    capacity of a ring (p+6). State: seen (s), t_run of the previous valid reading (s+1), of the first reading
    of the segment (s+2), of the first reading of the flat run (s+3), heads and counts (s+4..s+7), two rings.
    A full ring starts the segment anew: the rule then says 2 until it has seen the duration again.
    """
    if kind != VALID:
        return _NOT_EVALUATED
    capacity = i[p + 6]
    highs, lows = s + 8, s + 8 + 2 * capacity
    previous = i[s + 1]
    restart = i[s] == 0 or t_run < previous or t_run - previous > i[p + 5]
    if not restart:
        expired_ns = t_run - i[p + 4]
        note_successor(t_run, i, s + 4, highs, capacity, expired_ns)
        note_successor(t_run, i, s + 6, lows, capacity, expired_ns)
        room = push(x, 1.0, f, i, s + 4, highs, capacity)
        restart = not (room and push(x, -1.0, f, i, s + 6, lows, capacity))
    if restart:
        i[s] = 1
        i[s + 2] = i[s + 3] = t_run
        i[s + 4] = i[s + 5] = i[s + 6] = i[s + 7] = 0
        push(x, 1.0, f, i, s + 4, highs, capacity)
        push(x, -1.0, f, i, s + 6, lows, capacity)
    i[s + 1] = t_run
    shorten_run(f[p], f, i, s, highs, lows, capacity)
    if t_run - i[s + 2] < i[p + 3]:
        return _NOT_EVALUATED
    flat_ns = t_run - i[s + 3]
    if flat_ns >= i[p + 2]:
        return _FAIL
    return _SUSPECT if flat_ns >= i[p + 1] else _PASS


@kernel
def gap(
    x: float, kind: int, t_run: int, t_utc: int, n: int, f: Slots, i: Slots, p: int, s: int, out: Slots
) -> int:  # fmt: skip
    """Compare the time since the previous valid reading with the interval (p, ns). State: seen, t_run."""
    if kind != VALID:
        return _NOT_EVALUATED
    verdict = _NOT_EVALUATED
    if i[s] != 0:
        verdict = _SUSPECT if t_run - i[s + 1] > i[p] else _PASS
    i[s] = 1
    i[s + 1] = t_run
    return verdict


@kernel
def order(
    x: float, kind: int, t_run: int, t_utc: int, n: int, f: Slots, i: Slots, p: int, s: int, out: Slots
) -> int:  # fmt: skip
    """Say suspect for a stamp before that of the previous valid reading. State: seen, t_utc."""
    if kind != VALID:
        return _NOT_EVALUATED
    verdict = _NOT_EVALUATED
    if i[s] != 0:
        verdict = _SUSPECT if t_utc < i[s + 1] else _PASS
    i[s] = 1
    i[s + 1] = t_utc
    return verdict


@kernel
def duplicate(
    x: float, kind: int, t_run: int, t_utc: int, n: int, f: Slots, i: Slots, p: int, s: int, out: Slots
) -> int:  # fmt: skip
    """Say suspect for a stamp equal to that of the previous valid reading. State: seen, t_utc."""
    if kind != VALID:
        return _NOT_EVALUATED
    verdict = _NOT_EVALUATED
    if i[s] != 0:
        verdict = _SUSPECT if t_utc == i[s + 1] else _PASS
    i[s] = 1
    i[s + 1] = t_utc
    return verdict
