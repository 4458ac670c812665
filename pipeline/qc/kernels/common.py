"""What the kernels share: flags as plain integers, comparison with limits, decisions on earlier rows.

Every kernel has the signature

    kernel(x, kind, t_run, t_utc, t_in, n, f, i, p, s, r, out) -> Flag

x: float64 value; kind: VALID, INFINITE, TEXT or MISSING; t_run, t_utc: int64 ns of the reading, t_in: gateway
time at which its answer was complete; n: int64 ordinal of the row. f and i are a float64 and an int64 view of
one memory; the rule's parameters begin at slot p, its state at slot s, its rings at slot r.
State and rings begin as all zeros, which means "nothing seen yet". All are pointers: an index beyond what is
there is not noticed. out: int64 scratch for verdicts on earlier rows, written by `decide` only.

The functions hold no lock, allocate nothing and use no fast-math, so that the same readings give the same
bits however the stream is cut.
"""

from pipeline.compiled.jit import Slots, kernel
from pipeline.qc.memory import DECISION_FIELDS, OUT_CHANNEL, OUT_COUNT, OUT_DECISIONS
from pipeline.records.flags import Flag

PASS = int(Flag.PASS)
NOT_EVALUATED = int(Flag.NOT_EVALUATED)
SUSPECT = int(Flag.SUSPECT)
FAIL = int(Flag.FAIL)
MISSED = int(Flag.MISSING)


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
        return FAIL
    if magnitude > suspect:
        return SUSPECT
    return PASS
