"""How long it took from an instrument's answer to the store's success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEWEST_MAX = 100_000
PERCENTILES = (50, 99)


class Latency:
    """The newest NEWEST_MAX latencies, one for each row; older ones are overwritten."""

    def __init__(self) -> None:
        self._ms = np.empty(NEWEST_MAX)
        self._count = 0

    def add(self, latencies_ms: NDArray[np.float64]) -> None:
        """Take latencies in ms."""
        newest = latencies_ms[-NEWEST_MAX:]
        places = (self._count + np.arange(len(newest))) % NEWEST_MAX
        self._ms[places] = newest
        self._count += len(newest)

    def percentiles_ms(self) -> dict[str, float | None]:
        """Return {"p50": ms, "p99": ms}; None where nothing was measured yet."""
        known = self._ms[: min(self._count, NEWEST_MAX)]
        values = np.percentile(known, PERCENTILES) if len(known) else (None, None)
        return {
            f"p{percentile}": None if value is None else float(value)
            for percentile, value in zip(PERCENTILES, values, strict=True)
        }
