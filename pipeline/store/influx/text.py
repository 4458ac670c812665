"""Lines of line protocol end to end in one piece of memory, so that a request's body is a view of it."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pipeline.records import Record

END_MARK = b"\n"


MEMORIES_KEPT = 2
"""Of a batch that is sent and of one that is encoded meanwhile."""
MEMORY_MAX = 64 * 1024 * 1024
"""A larger piece is not kept."""


class Memory:
    """Pieces of memory that batches use one after the other: fresh memory costs as much as what fills it.

    A piece that is not given back, or is one too many, is the garbage collector's. Thread-safe.
    """

    def __init__(self) -> None:
        self._kept: deque[NDArray[np.uint8]] = deque(maxlen=MEMORIES_KEPT)

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return uint8[size or more], not cleared."""
        try:
            kept = self._kept.popleft()
        except IndexError:
            return np.empty(size, dtype=np.uint8)
        return kept if len(kept) >= size else np.empty(size, dtype=np.uint8)

    def give(self, piece: NDArray[np.uint8]) -> None:
        """Take back what `take` gave, which nobody reads any more."""
        if len(piece) <= MEMORY_MAX:
            self._kept.append(piece)


class Run(NamedTuple):
    """Records one after the other that have the same number of lines each."""

    first: int
    """Position of the first line."""
    lines: int
    """Of each record."""
    records: Sequence[Record]


class Lines:
    """Lines, and the record that each of them is of."""

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64], runs: Sequence[Run]) -> None:
        """Take uint8 `data`, int64[lines] `ends` where each line's end mark is, and the runs in order."""
        self.data = data
        self._view = data.data
        self._ends = ends
        self._runs = runs

    def __len__(self) -> int:
        """Count the lines."""
        return len(self._ends)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the lines."""
        return map(self.line, range(len(self)))

    def line(self, position: int) -> str:
        """Return one line."""
        return bytes(self.body(position, position + 1)).decode()

    def owner(self, position: int) -> Record:
        """Return the record that a line is of."""
        run = self._runs[bisect_right(self._runs, position, key=lambda run: run.first) - 1]
        return run.records[(position - run.first) // run.lines]

    def body(self, start: int, stop: int) -> memoryview:
        """Return the lines from `start` up to `stop`, one at least, without the last one's end mark."""
        return self._view[self._begin(start) : int(self._ends[stop - 1])]

    def reach(self, start: int, *, lines_max: int, bytes_max: int) -> int:
        """Return where the longest body from `start` stops that has neither more lines nor more bytes.

        It has one line at least.
        """
        last_end = self._begin(start) + bytes_max
        room = int(np.searchsorted(self._ends[start : start + lines_max], last_end, side="right"))
        return start + max(1, room)

    def _begin(self, position: int) -> int:
        return int(self._ends[position - 1]) + len(END_MARK) if position else 0


def join(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Write lines with their end marks; and where these are."""
    encoded = [text.encode() for text in texts]
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)) + len(END_MARK)
    data = b"".join([piece + END_MARK for piece in encoded])
    return np.frombuffer(data, dtype=np.uint8), np.cumsum(lengths) - len(END_MARK)
