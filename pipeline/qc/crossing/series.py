"""Readings of one channel that others are compared with, in the order of event time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.qc.memory import ABSENT_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.records.block import Block

NEVER_NS = -(2**62)
_COLUMNS = {"t_ns": "<i8", "value": "<f8", "expected": "<f8", "stretch": "<i8"}


class Series:
    """Rows of a channel that came on time and in order; a row without a value still tells that time passed.

    Which rows count depends on the channel's own stream alone, never on when other streams were seen: a row
    counts if its answer was complete within `late_ns` of its stamp, and its stamp is later than that of every
    row before it that counted. `capacity` rows are kept; the oldest go first.

    Attributes:
        t_ns: int64[k], gateway time, strictly increasing.
        value: float64[k], NaN where there is none.
        expected: float64[k], what follows the values at a limited rate; NaN as `value`.
        stretch: int64[k], number of the unbroken stretch that a row belongs to.
        dropped_ns: time of the latest row that had to go, `NEVER_NS` when none had to.
    """

    def __init__(
        self, late_ns: int, capacity: int, per_ns: float = math.inf, gap_ns: int = ABSENT_NS
    ) -> None:
        """Begin empty. `per_ns`: rate of `expected`, unit a ns; an interval above `gap_ns` ends a stretch."""
        self._late_ns, self._capacity = late_ns, capacity
        self._per_ns, self._gap_ns = per_ns, gap_ns
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self.t_ns: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.value: NDArray[np.float64] = np.zeros(0)
        self.expected: NDArray[np.float64] = np.zeros(0)
        self.stretch: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.dropped_ns = NEVER_NS
        self._tail = (NEVER_NS, math.nan, math.nan, 0)
        """Time, value, expected value and stretch of the latest row with a value."""

    def take(self, block: Block, channel: str) -> int:
        """Append the rows of a block that count; return how many."""
        position = block.layout.index.get(channel)
        t_ns = block.t_run_ns
        on_time = block.t_response_ns - t_ns <= self._late_ns
        latest_ns = self.t_ns[-1] if len(self.t_ns) else self.dropped_ns
        before_ns = np.maximum.accumulate(np.concatenate(([latest_ns], np.where(on_time, t_ns, NEVER_NS))))
        counts = on_time & (t_ns > before_ns[:-1])
        value = np.full(len(t_ns), np.nan)
        if position is not None:
            valid = (block.status[position] == 0) & np.isfinite(block.numeric()[position])
            value[valid] = block.numeric()[position][valid]
        self._append(t_ns[counts], value[counts])
        surplus = len(self.t_ns) - self._capacity
        if surplus > 0:
            self.dropped_ns = int(self.t_ns[surplus - 1])
            for name in _COLUMNS:
                setattr(self, name, getattr(self, name)[surplus:].copy())
        return int(np.count_nonzero(counts))

    def _append(self, t_ns: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        expected, stretch = value.copy(), np.full(len(value), self._tail[3], dtype=np.int64)
        there = np.flatnonzero(~np.isnan(value))
        if self._gap_ns == ABSENT_NS:
            there = there[:0]  # nothing follows these values
        for k in there:
            expected[k], stretch[k] = self._followed(int(t_ns[k]), float(value[k]))
            self._tail = int(t_ns[k]), float(value[k]), float(expected[k]), int(stretch[k])
        self.t_ns = np.concatenate((self.t_ns, t_ns))
        self.value = np.concatenate((self.value, value))
        self.expected = np.concatenate((self.expected, expected))
        self.stretch = np.concatenate((self.stretch, stretch))

    def _followed(self, t_ns: int, value: float) -> tuple[float, int]:
        """Return what is expected at a new reading, and its stretch."""
        before_ns, target, expected, stretch = self._tail
        if t_ns - before_ns > self._gap_ns:
            return value, stretch + 1
        if math.isinf(self._per_ns):
            return value, stretch
        step = self._per_ns * (t_ns - before_ns)
        return expected + min(max(target - expected, -step), step), stretch

    def closing(
        self, t_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Find the first row at or after each time: its place, whether it has come, and whether it is known.

        It is not known where rows that may have been it are gone.
        """
        place = np.searchsorted(self.t_ns, t_ns, side="left")
        return place, place < len(self.t_ns), t_ns > self.dropped_ns

    def memory_bytes(self) -> int:
        """Return the most memory that the rows may take, in bytes."""
        return self._capacity * 8 * len(_COLUMNS)

    def save(self) -> list[Any]:
        """State for a snapshot."""
        return [[getattr(self, name).tobytes() for name in _COLUMNS], self.dropped_ns, list(self._tail)]

    def load(self, saved: list[Any]) -> None:
        """Take up what `save` gave."""
        columns, self.dropped_ns, tail = saved
        for (name, kind), data in zip(_COLUMNS.items(), columns, strict=True):
            setattr(self, name, np.frombuffer(data, dtype=kind))
        self._tail = (tail[0], tail[1], tail[2], tail[3])
