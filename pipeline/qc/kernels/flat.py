"""Rules on values that do not change: flat line, repeated value, stability."""
# ruff: noqa: ARG001, PLR0913, PLR0917 - the kernels share one signature; a kernel has no keywords

from pipeline.compiled.jit import Slots, kernel
from pipeline.qc.kernels.common import FAIL, NOT_EVALUATED, PASS, SUSPECT
from pipeline.qc.memory import ABSENT_NS, STATE_HOLDS, VALID


@kernel
def ring_index(head: int, offset: int, capacity: int) -> int:
    """Return the place of the entry `offset` behind the head of a ring."""
    place = head + offset
    return place - capacity if place >= capacity else place


@kernel
def push(x: float, sign: float, f: Slots, i: Slots, deque: int, ring: int, capacity: int) -> bool:
    """Append to a monotonic deque; tell whether there was room.

    deque: slot of its head, deque + 1: of its count. The ring holds `capacity` pairs: a value, and the t_run
    of the reading that followed it. sign +1: the front is the maximum; -1: the minimum.
    """
    head, count = i[deque], i[deque + 1]
    while count > 0 and sign * f[ring + 2 * ring_index(head, count - 1, capacity)] <= sign * x:
        count -= 1
    if count == capacity:
        return False
    at = ring + 2 * ring_index(head, count, capacity)
    f[at] = x
    i[at + 1] = ABSENT_NS
    i[deque + 1] = count + 1
    return True


@kernel
def note_successor(t_run: int, i: Slots, deque: int, ring: int, capacity: int, expired_ns: int) -> None:
    """Give the newest entry the time of its successor; drop entries that the longest window has left behind.

    An entry may go once its successor is itself at or before the window's far end: the window then begins at
    the successor or later and still spans the whole duration.
    """
    head, count = i[deque], i[deque + 1]
    i[ring + 2 * ring_index(head, count - 1, capacity) + 1] = t_run
    while i[ring + 2 * head + 1] <= expired_ns:
        head = ring_index(head, 1, capacity)
        count -= 1
    i[deque] = head
    i[deque + 1] = count


@kernel
def shorten_run(tolerance: float, f: Slots, i: Slots, s: int, highs: int, lows: int, capacity: int) -> None:
    """Let the flat run begin later until its maximum and minimum are within the tolerance."""
    while f[highs + 2 * i[s + 4]] - f[lows + 2 * i[s + 6]] > tolerance:
        # Drop the older of the two; of two whose successors have one time, either leaves the same run.
        high_next, low_next = i[highs + 2 * i[s + 4] + 1], i[lows + 2 * i[s + 6] + 1]
        deque = s + 4 if high_next < low_next else s + 6
        i[s + 3] = min(high_next, low_next)
        i[deque] = ring_index(i[deque], 1, capacity)
        i[deque + 1] -= 1


@kernel
def start_run(x: float, f: Slots, i: Slots, s: int, highs: int, lows: int) -> None:
    """Begin a flat run with this reading alone."""
    i[s + 4] = i[s + 6] = 0
    i[s + 5] = i[s + 7] = 1
    f[highs] = f[lows] = x
    i[highs + 1] = i[lows + 1] = ABSENT_NS


@kernel
def run_verdict(seen: int, run: int, i: Slots, p: int) -> int:
    """Compare a run with suspect, fail (p+1, p+2), unless less than the shortest (p+3) has been seen."""
    if seen < i[p + 3]:
        return NOT_EVALUATED
    if run >= i[p + 2]:
        return FAIL
    return SUSPECT if run >= i[p + 1] else PASS


@kernel
def flat_line(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Tell for how long all readings up to this one have stayed within the tolerance.

    The longest flat run that ends here begins at or after the one that ended at the reading before, so one
    pair of monotonic deques (maximum, minimum) finds it in amortised O(1), and serves both durations.
    Parameters: tolerance (p), suspect, fail, shortest, longest duration ns (p+1..p+4), max gap ns (p+5),
    capacity of a ring (p+6). State: seen (s), t_run of the previous valid reading (s+1), of the first reading
    of the segment (s+2), of the first reading of the flat run (s+3), heads and counts (s+4..s+7); two rings.
    A full ring starts the segment anew: the rule then says 2 until it has seen the duration again.
    """
    if kind != VALID:
        return NOT_EVALUATED
    capacity = i[p + 6]
    highs, lows = r, r + 2 * capacity
    previous = i[s + 1]
    restart = i[s] == 0 or t_run < previous or t_run - previous > i[p + 5]
    # A step beyond the tolerance ends every earlier run: the usual case of a signal that moves.
    alone = not restart and abs(x - f[highs + 2 * ring_index(i[s + 4], i[s + 5] - 1, capacity)]) > f[p]
    if alone:
        i[s + 3] = t_run
        start_run(x, f, i, s, highs, lows)
    elif not restart:
        expired_ns = t_run - i[p + 4]
        note_successor(t_run, i, s + 4, highs, capacity, expired_ns)
        note_successor(t_run, i, s + 6, lows, capacity, expired_ns)
        room = push(x, 1.0, f, i, s + 4, highs, capacity)
        restart = not (room and push(x, -1.0, f, i, s + 6, lows, capacity))
    if restart:
        i[s] = 1
        i[s + 2] = i[s + 3] = t_run
        start_run(x, f, i, s, highs, lows)
    i[s + 1] = t_run
    if not alone:
        shorten_run(f[p], f, i, s, highs, lows, capacity)
    return run_verdict(t_run - i[s + 2], t_run - i[s + 3], i, p)


@kernel
def stability(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Tell whether the state *stable* holds; parameters and state as of `flat_line`, one duration."""
    verdict = flat_line(x, kind, t_run, t_utc, t_in, n, f, i, p, s, r, out)
    return STATE_HOLDS if verdict == SUSPECT else verdict


@kernel
def repeated(
    x: float, kind: int, t_run: int, t_utc: int, t_in: int, n: int,
    f: Slots, i: Slots, p: int, s: int, r: int, out: Slots,
) -> int:  # fmt: skip
    """Count how many valid readings in a row, up to this one, lie within the tolerance of one another.

    Parameters: tolerance (p), suspect, fail, shortest, longest count less one (p+1..p+4), max gap ns (p+5),
    capacity of a ring (p+6; 0 for the tolerance 0, where a count and the last value do). State: as of
    `flat_line` with the place of a reading in its segment (s+8) for its time, the last value (s+9), two
    rings.
    """
    if kind != VALID:
        return NOT_EVALUATED
    capacity = i[p + 6]
    highs, lows = r, r + 2 * capacity
    previous = i[s + 1]
    restart = i[s] == 0 or t_run < previous or t_run - previous > i[p + 5]
    place = 0 if restart else i[s + 8] + 1
    i[s] = 1
    i[s + 1] = t_run
    i[s + 8] = place
    if restart:
        i[s + 3] = 0
        i[s + 4] = i[s + 5] = i[s + 6] = i[s + 7] = 0
    if capacity == 0:
        if not restart and x != f[s + 9]:
            i[s + 3] = place
    else:
        if not restart:
            expired = place - i[p + 4]
            note_successor(place, i, s + 4, highs, capacity, expired)
            note_successor(place, i, s + 6, lows, capacity, expired)
        push(x, 1.0, f, i, s + 4, highs, capacity)
        push(x, -1.0, f, i, s + 6, lows, capacity)
        shorten_run(f[p], f, i, s, highs, lows, capacity)
    f[s + 9] = x
    return run_verdict(place, place - i[s + 3], i, p)
