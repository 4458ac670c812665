"""Background verification: sealed segments are read again, slowly, before the bytes that rot are needed."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pipeline.journal.framing import Entry, parse, payload
from pipeline.journal.merkle import HASH_BYTES, leaf_hash
from pipeline.journal.recovery import set_aside
from pipeline.journal.segments import Index, Segment, read_index

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pipeline.journal.disk import Disk
    from pipeline.journal.shelf import Shelf
    from pipeline.records import Clock

PASS_NS = 24 * 3600 * 10**9
"""A pass over all segments begins at most this often."""


class _Place(NamedTuple):
    segment: Segment
    contents: Index
    position: int


class Scrub:
    """Goes round over the sealed segments, the oldest first. Every method is called on the event loop."""

    def __init__(
        self, disk: Disk, shelf: Shelf, executor: Executor, clock: Clock,
        damaged: Callable[[Segment, Entry], None],
    ) -> None:  # fmt: skip
        self.verified_utc_ns: int | None = None
        """When a pass over all segments ended."""
        self.damaged = 0
        """Records found unreadable, or other than their leaf hash."""
        self._disk = disk
        self._shelf = shelf
        self._executor = executor
        self._clock = clock
        self._damaged = damaged
        self._place: _Place | None = None
        self._next_first = 0
        self._began_ns: int | None = None

    async def step(self, bytes_max: int) -> None:
        """Verify about so many bytes; nothing between two passes."""
        now_ns = self._clock.run_ns()
        if self._began_ns is None:
            self._began_ns = now_ns
        elif self._next_first < 0:
            if now_ns - self._began_ns < PASS_NS:
                return
            self._began_ns, self._next_first = now_ns, 0
        loop = asyncio.get_running_loop()
        if self._place is None:
            segment = self._next_segment()
            if segment is None:
                self._next_first, self.verified_utc_ns = -1, self._clock.utc_ns()
                return
            self._next_first = segment.first_seq + 1
            found = await loop.run_in_executor(self._executor, read_index, self._disk, segment)
            self._place = None if found is None else _Place(segment, found[0], 0)
        elif self._place.segment not in self._shelf.segments:
            self._place = None  # it was retired meanwhile
        if self._place is None:
            return
        position, bad = await loop.run_in_executor(
            self._executor, verify_piece, self._disk, *self._place, bytes_max
        )
        for entry in bad:
            self.damaged += 1
            self._damaged(self._place.segment, entry)
        done = position == len(self._place.contents.entries)
        self._place = None if done else self._place._replace(position=position)

    def _next_segment(self) -> Segment | None:
        segments = self._shelf.segments
        position = bisect_right(segments, self._next_first - 1, key=lambda one: one.first_seq)
        return segments[position] if position < len(segments) else None


def verify_piece(
    disk: Disk, segment: Segment, index: Index, position: int, bytes_max: int
) -> tuple[int, list[Entry]]:
    """Read records again from a position in a segment on; return where to go on, and those that are damaged.

    Damaged bytes are copied to the quarantine folder. A file that is gone has nothing to verify.
    """
    bad: list[Entry] = []
    size = 0
    while position < len(index.entries) and (size == 0 or size < bytes_max):
        entry = index.entries[position]
        try:
            data = disk.read(segment.path, entry.offset, entry.end - entry.offset)
        except FileNotFoundError:
            return len(index.entries), bad
        except OSError:
            data = b""
        leaf = bytes(index.leaves[position * HASH_BYTES : (position + 1) * HASH_BYTES])
        if not _is_sound(data, entry, leaf):
            set_aside(disk, segment.path, entry.offset, data)
            bad.append(entry)
        size += entry.end - entry.offset
        position += 1
    return position, bad


def _is_sound(data: bytes, entry: Entry, leaf: bytes) -> bool:
    read = parse(memoryview(data), 0)
    if read is None or (read.seq, read.end) != (entry.seq, entry.end - entry.offset):
        return False
    return leaf_hash(payload(data, read)) == leaf
