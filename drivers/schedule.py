"""When to poll: drift-free deadlines, missed ticks, phases and back-off. Pure but for the injected random.

Policy for missed ticks, *skip and resync*: a deadline is served as long as the next one has not come; older
ones are skipped and counted; the grid never moves::

    deadlines   0----1----2----3----4----5
    polls       [=0=] [=======1=======][4][5
                               missed: 2, 3
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

NS_PER_S = 1_000_000_000
PHASE_SPREAD_NS = NS_PER_S
"""First deadlines spread over one period, but over no more than this: the first reading shall not wait."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0


@dataclass(frozen=True, slots=True)
class Tick:
    """The deadline to serve now, and how many before it have passed unserved."""

    deadline_ns: int
    missed: int


def due(deadline_ns: int, period_ns: int, now_ns: int) -> Tick:
    """Return the newest deadline of the grid that is not after `now_ns`; `deadline_ns` itself when ahead."""
    missed = max(0, (now_ns - deadline_ns) // period_ns)
    return Tick(deadline_ns + missed * period_ns, missed)


def phase(instrument: str) -> float:
    """Return a stable number in [0, 1) for an instrument id: the same in every run and on every machine."""
    digest = hashlib.blake2b(instrument.encode(), digest_size=8).digest()
    # 53 bits, so that the float is exact and stays below 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def first_deadline(instrument: str, period_ns: int, now_ns: int) -> int:
    """Return the first deadline, so that instruments with one period do not all poll at once."""
    return now_ns + int(phase(instrument) * min(period_ns, PHASE_SPREAD_NS))


class Backoff:
    """How long to leave something alone that fails again and again: doubling, jittered, capped.

    The wait after the k-th failure in a row is drawn from [1/2, 1) of min(`max_s`, `first_s` * 2**(k - 1)).

    Args:
        rng: source of the jitter; seeded in tests.
        first_s: upper bound of the first wait.
        max_s: upper bound of every wait.
    """

    def __init__(
        self, rng: random.Random, *, first_s: float = BACKOFF_FIRST_S, max_s: float = BACKOFF_MAX_S
    ) -> None:
        self._rng = rng
        self._first_s = first_s
        self._max_s = max_s
        self._failures = 0
        self._until_ns = 0

    def failed(self, now_ns: int) -> None:
        """Note a failure at `now_ns`."""
        # The exponent is bounded: 2.0**k overflows after a few days of failures.
        bound_s = min(self._max_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        self._until_ns = now_ns + int(bound_s * (0.5 + self._rng.random() / 2) * NS_PER_S)

    def succeeded(self) -> None:
        """Forget all failures."""
        self._failures = 0
        self._until_ns = 0

    def waiting(self, now_ns: int) -> bool:
        """Tell whether it must still be left alone at `now_ns`."""
        return now_ns < self._until_ns
