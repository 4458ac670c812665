"""Background verification: what is on the disk is read again, slowly, before bytes that rot are needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline.journal.disk import read_damaged
from pipeline.journal.framing import Entry, parse, payload
from pipeline.journal.merkle import HASH_BYTES, leaf_hash
from pipeline.journal.recovery import set_aside
from pipeline.journal.segments import Index, Segment, read_index

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pipeline.journal.disk import Disk
    from pipeline.journal.fold import Fold
    from pipeline.journal.shelf import Shelf
    from pipeline.records import Clock
    from pipeline.records.ranges import Range, RangeSet

LOG = logging.getLogger(__name__)
PASS_NS = 24 * 3600 * 10**9
"""A pass over all segments begins at most this often."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Who is told, and asked. All are called on the event loop."""

    damaged: Callable[[Segment, Entry], None]
    """A record cannot be read, or is another than its leaf hash says."""
    missing: Callable[[list[Range]], None]
    """Records are in no file; called with all that a pass has found."""
    explained: Callable[[Segment], RangeSet]
    """Seqs that need not be in a file: holes that are known; of a retired one also bulk that was let go."""
    mend: Callable[[Segment], Awaitable[bool]]
    """Make an index anew; false where that cannot be."""


class _Place(NamedTuple):
    segment: Segment
    contents: Index
    position: int


class Scrub:
    """Goes round over ledger files and sealed segments, the oldest first. Called on the event loop."""

    def __init__(
        self, disk: Disk, shelf: Shelf, executor: Executor, clock: Clock, findings: Findings
    ) -> None:  # fmt: skip
        self.verified_utc_ns: int | None = None
        """When a pass over all segments ended."""
        self.damaged = 0
        """Records found unreadable, or other than their leaf hash."""
        self._disk = disk
        self._shelf = shelf
        self._executor = executor
        self._clock = clock
        self._findings = findings
        self._place: _Place | None = None
        self._next_first = 0
        self._began_ns: int | None = None
        self._missing: list[Range] = []
        self._told = ""
        """Why the file at hand cannot be read, as it was logged."""

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
            segment = self._shelf.next_finished(self._next_first)
            if segment is None:
                self._end()
                return
            self._next_first = segment.first_seq + 1
            self._place = await self._begin(segment)
        elif not self._shelf.has(self._place.segment):
            self._place = None  # it was retired meanwhile
        if self._place is None:
            return
        try:
            position, bad = await loop.run_in_executor(
                self._executor, verify_piece, self._disk, *self._place, bytes_max
            )
        except OSError as error:
            self._cannot_read(error)
            return
        self._told = ""
        for entry in bad:
            self.damaged += 1
            self._findings.damaged(self._place.segment, entry)
        done = position == len(self._place.contents.entries)
        self._place = None if done else self._place._replace(position=position)

    def _cannot_read(self, error: OSError) -> None:
        """A file is gone, or may not be read: then it is tried again, and nothing is known of its records."""
        assert self._place is not None  # noqa: S101 - it was read from
        segment = self._place.segment
        if not isinstance(error, FileNotFoundError):
            if str(error) != self._told:
                LOG.warning("%s is verified later: %s", segment.path.name, error)
            self._told = str(error)
            return
        if self._shelf.has(segment):  # else it was retired meanwhile
            last_seq = max(self._shelf.last_seq(segment), segment.first_seq)
            self._missing += self._findings.explained(segment).missing(segment.first_seq, last_seq)
        self._place = None

    def _end(self) -> None:
        """End a pass: tell once of all that it has missed."""
        self._next_first, self.verified_utc_ns = -1, self._clock.utc_ns()
        if self._missing:
            self._findings.missing(self._missing)
            self._missing = []

    async def _begin(self, segment: Segment) -> _Place | None:
        """Begin with a file: have an index of it, and see whether it lists all that it should."""
        found = await self._read_index(segment)
        if found is None and await self._findings.mend(segment):
            segment = self._shelf.next_finished(segment.first_seq) or segment
            found = await self._read_index(segment)
        if found is None or not self._shelf.has(segment):
            return None
        last_seq = max(self._shelf.last_seq(segment), found[1].next_seq - 1)
        explained = self._findings.explained(segment)
        self._missing += await asyncio.get_running_loop().run_in_executor(
            self._executor, _missing, found[0], segment.first_seq, last_seq, explained
        )
        return _Place(segment, found[0], 0)

    async def _read_index(self, segment: Segment) -> tuple[Index, Fold] | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, read_index, self._disk, segment)


def _missing(index: Index, first: int, last: int, explained: RangeSet) -> list[Range]:
    return [one for absent in index.absent(first, last) for one in explained.missing(*absent)]


def verify_piece(
    disk: Disk, segment: Segment, index: Index, position: int, bytes_max: int
) -> tuple[int, list[Entry]]:
    """Read records again from a position in a segment on; return where to go on, and those that are damaged.

    Damaged bytes are copied to the quarantine folder.

    Raises:
        OSError: the file is not there, or may not be read by this process: that is no damage.
    """
    bad: list[Entry] = []
    size = 0
    while position < len(index.entries) and (size == 0 or size < bytes_max):
        entry = index.entries[position]
        data = read_damaged(disk, segment.path, entry.offset, entry.end - entry.offset)
        leaf = bytes(index.leaves[position * HASH_BYTES : (position + 1) * HASH_BYTES])
        if not _is_sound(data, entry, leaf):
            if data:
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
