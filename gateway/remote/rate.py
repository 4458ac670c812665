"""A limit on how often something may happen, for each of a bounded number of callers."""

from __future__ import annotations

from collections import OrderedDict

CALLERS_MAX = 1024


class RateLimit:
    """Token bucket for each caller (a long-run rate and a burst above it).

    Time is passed in. Bounded: CALLERS_MAX callers, the one not heard of for longest is forgotten, and with
    it that it had used up its burst.

    Args:
        rate_per_s: how often in the long run.
        burst: how often at once.
    """

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_ns = rate_per_s / 1e9
        self._burst = float(burst)
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allow(self, caller: str, now_ns: int) -> bool:
        """Count one more and tell whether it is within the limit; `now_ns` is of a clock that only rises."""
        left, then_ns = self._left.pop(caller, (self._burst, now_ns))
        left = min(self._burst, left + (now_ns - then_ns) * self._rate_per_ns)
        allowed = left >= 1.0
        self._left[caller] = left - 1.0 if allowed else left, now_ns
        while len(self._left) > CALLERS_MAX:
            self._left.popitem(last=False)
        return allowed
