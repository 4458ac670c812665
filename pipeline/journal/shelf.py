"""Reading records back: from memory near the head, else from the segment files, checked again."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from pipeline.journal.disk import Disk, read_damaged
from pipeline.journal.framing import Entry, parse, payload, scan
from pipeline.journal.hashes import KeptHashes
from pipeline.journal.merkle import HASH_BYTES, leaf_hash
from pipeline.journal.recovery import OpenSegment, Recovery, set_aside
from pipeline.journal.segments import Index, Segment, read_index
from pipeline.journal.writer import Written
from pipeline.records import Record
from pipeline.records.envelope import MalformedRecord, decode

_INDICES_KEPT = 4


class Piece(NamedTuple):
    """What one read of one file gave."""

    records: list[Record]
    unreadable: list[tuple[Entry, bytes]]


class Tail:
    """The latest records, in memory. Limit: bytes; full policy: the oldest durable ones go."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._records: dict[int, Record] = {}
        self._oldest = 0
        """Seq of the oldest one: their seqs are contiguous."""
        self._bytes = 0

    def add(self, record: Record) -> None:
        """Keep a record; call `trim` when some have become durable."""
        if not self._records:
            self._oldest = record.seq
        self._records[record.seq] = record
        self._bytes += len(record.data)

    def trim(self, durable_seq: int) -> None:
        """Let the oldest durable records go until the limit is kept."""
        while self._bytes > self._bytes_max and self._oldest <= durable_seq:
            # Not by the dict's own order: it would step over every place that was emptied before.
            self._bytes -= len(self._records.pop(self._oldest).data)
            self._oldest += 1

    def get(self, seq: int) -> Record | None:
        """Return one record, if it is here."""
        return self._records.get(seq)

    def run(self, seq: int, through: int, bytes_max: int) -> list[Record]:
        """Return the records from `seq` on, as far as they are here and fit; at least one if it is here."""
        found: list[Record] = []
        size = 0
        while seq <= through and (record := self._records.get(seq)) is not None:
            size += len(record.data)
            if found and size > bytes_max:
                break
            found.append(record)
            seq += 1
        return found


class Shelf:
    """The segment files and the readers of them.

    Lists change only on the event loop; files are read in `executor`. Thread-safe: no.
    """

    def __init__(
        self, disk: Disk, executor: Executor, recovery: Recovery, file_bytes: int,
        unreadable: Callable[[Segment, Entry], None],
    ) -> None:  # fmt: skip
        self._file_bytes = file_bytes
        self.segments = recovery.segments
        """Sealed, by first seq."""
        self.ledger = recovery.ledger
        """Of retired segments, by first seq."""
        self._ledger_bytes = recovery.ledger_bytes
        self._read_first = -1
        self.open: OpenSegment | None = recovery.open and OpenSegment(
            recovery.open.path,
            recovery.open.first_seq,
            recovery.open.size,
            _part(recovery.open.index, recovery.open.first_seq),
        )
        self._disk = disk
        self._executor = executor
        self._unreadable = unreadable
        self._indices: OrderedDict[Segment, Index] = OrderedDict()

    def take(self, written: Written) -> None:
        """Note what a commit wrote."""
        self.segments.extend(sealed.segment for sealed in written.sealed)
        if self.open is None or self.open.path != written.path:
            self.open = OpenSegment(written.path, written.first_seq, 0, Index())
        self.open.index.extend(written.entries, written.kinds, written.leaves)
        self.open.size = written.entries[-1].end

    async def read(self, seq: int, bytes_max: int) -> list[Record]:
        """Return durable records from `seq` on, from the first file that has any."""
        loop = asyncio.get_running_loop()
        self._read_first = seq
        while True:
            plan = self._next_file(seq)
            if plan is None:
                return []
            segment, index, following = plan
            try:
                piece, last = await loop.run_in_executor(
                    self._executor, self._read_file, segment, index, seq, bytes_max
                )
            except FileNotFoundError:
                if not self.has(segment) and following is not None:
                    continue  # it was retired while we looked: the ledger has taken its place
                if following is None or not await self._folder_is_there():
                    raise
                # Somebody took it away: whoever reads goes on behind it, as behind bytes that are damaged.
                gone = [(Entry(one, -1, 0, 0), b"") for one in range(seq, following)]
                piece, last = Piece([], gone), None
            for entry, _ in piece.unreadable:
                self._unreadable(segment, entry)
            if piece.records:
                return piece.records
            if last is not None:
                seq = last + 1
            elif following is not None:
                seq = following
            else:
                return []

    async def _folder_is_there(self) -> bool:
        """Whether the file that takes records now is there: else more than one file is away, maybe a disk."""
        if self.open is None:
            return False
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._disk.size, self.open.path) >= 0

    def copied(self, ledger: Segment, before: int = 0) -> None:
        """Note a ledger file beside its segment, in place of one of `before` bytes."""
        self._ledger_bytes += ledger.size - before

    def cut(self, segment: Segment, size: int) -> Segment:
        """Note the size that a sealed segment's file has; returns the segment with it."""
        position = self.segments.index(segment)
        self.segments[position] = found = Segment(segment.path, segment.first_seq, size)
        return found

    def has(self, segment: Segment) -> bool:
        """Whether a file is still the one that holds its records."""
        return segment in self.segments or segment in self.ledger

    def next_finished(self, seq: int) -> Segment | None:
        """Return the first ledger file or sealed segment that begins at a seq or behind it."""
        found = [
            files[position]
            for files in (self.ledger, self.segments)
            if (position := bisect_left(files, seq, key=lambda one: one.first_seq)) < len(files)
        ]
        return min(found, key=lambda one: one.first_seq, default=None)

    def before(self, segment: Segment) -> Segment | None:
        """Return the file in front of one; None in front of the first."""
        found = [
            files[position - 1]
            for files in (self.ledger, self.segments)
            if (position := bisect_left(files, segment.first_seq, key=lambda one: one.first_seq))
        ]
        return max(found, key=lambda one: one.first_seq, default=None)

    def in_use(self, segment: Segment) -> bool:
        """Whether somebody who reads forward is in this segment, or has just left it."""
        ends = self.last_seq(segment)
        position = bisect_right(self.segments, segment.first_seq, key=lambda one: one.first_seq)
        following = self.segments[position : position + 1]
        return segment.first_seq <= self._read_first <= (self.last_seq(following[0]) if following else ends)

    def retired(self, segment: Segment, ledger: Segment) -> None:
        """Note that a ledger file has taken a segment's place."""
        self.segments.remove(segment)
        insort(self.ledger, ledger, key=lambda one: one.first_seq)

    def merged(self, files: list[Segment], one: Segment) -> None:
        """Note that a ledger file has taken the place of several."""
        self.ledger[:] = [other for other in self.ledger if other not in files]
        insort(self.ledger, one, key=lambda other: other.first_seq)
        self._ledger_bytes += one.size - sum(other.size for other in files)

    def last_seq(self, segment: Segment) -> int:
        """Last seq that a sealed segment can have: the one before the next file begins."""
        position = bisect_right(self.segments, segment.first_seq, key=lambda one: one.first_seq)
        later = [one.first_seq for one in self.segments[position : position + 1]]
        position = bisect_right(self.ledger, segment.first_seq, key=lambda one: one.first_seq)
        later.extend(one.first_seq for one in self.ledger[position : position + 1])
        if self.open is not None:
            later.append(self.open.first_seq)
        return min(later) - 1 if later else segment.first_seq

    def hashes(self, directory: Path, size: int) -> KeptHashes:
        """Return the tree's hashes as they are kept now, for use in another thread."""
        opened = None if self.open is None else (self.open.first_seq, _part(self.open.index, 0))
        return KeptHashes(self._disk, directory, list(self.segments), opened, size)

    def oldest_seq(self, head_seq: int) -> int:
        """First seq whose bulk is here; `head_seq` when there is none."""
        if self.segments:
            return self.segments[0].first_seq
        return self.open.first_seq if self.open is not None else head_seq

    def size(self) -> int:
        """Bytes of all segment and ledger files, what is allocated of the open one included."""
        opened = max(self.open.size, self._file_bytes) if self.open is not None else 0
        return opened + sum(one.size for one in self.segments) + self._ledger_bytes

    def _next_file(self, seq: int) -> tuple[Segment, Index | None, int | None] | None:
        """Choose the first file that may have records from `seq` on, and say where the next begins."""
        candidates: list[Segment] = []
        for files in (self.ledger, self.segments):
            position = bisect_right(files, seq, key=lambda segment: segment.first_seq)
            candidates.extend(files[max(0, position - 1) : position + 1])
        opened = self.open
        if opened is not None:
            candidates.append(Segment(opened.path, opened.first_seq, opened.size))
        candidates.sort(key=lambda segment: segment.first_seq)
        for position, segment in enumerate(candidates):
            # A file ends before the next one begins; the last of all ends where it ends.
            following = candidates[position + 1].first_seq if position + 1 < len(candidates) else None
            if following is None or following > seq:
                index = None
                if opened is not None and segment.path == opened.path:
                    index = _part(opened.index, seq)
                return segment, index, following
        return None

    def _read_file(
        self, segment: Segment, index: Index | None, seq: int, bytes_max: int
    ) -> tuple[Piece, int | None]:  # fmt: skip
        """Read from one file, in the executor; with the last seq, or None when the file has no more."""
        if index is None:
            index = self._index(segment)
        start = bisect_left(index.entries, seq, key=lambda entry: entry.seq)
        wanted: list[Entry] = []
        size, last = 0, None
        for position in range(start, len(index.entries)):
            entry = index.entries[position]
            size += entry.end - entry.offset
            if wanted and size > bytes_max:
                last = wanted[-1].seq
                break
            wanted.append(entry)
        return self._fetch(segment, wanted), last

    def _fetch(self, segment: Segment, wanted: list[Entry]) -> Piece:
        piece = Piece([], [])
        for run in _runs(wanted):
            base = run[0].offset
            data = memoryview(read_damaged(self._disk, segment.path, base, run[-1].end - base))
            for entry in run:
                moved = Entry(entry.seq, entry.durable_seq, entry.offset - base, entry.end - base)
                try:
                    if parse(data, moved.offset) != moved:
                        raise MalformedRecord("the frame does not read back")  # noqa: TRY301 - one handler for both
                    piece.records.append(decode(payload(data, moved)))
                except MalformedRecord:
                    bad = bytes(data[moved.offset : moved.end])
                    if bad:  # else the file ends before it
                        set_aside(self._disk, segment.path, entry.offset, bad)
                    piece.unreadable.append((entry, bad))
        return piece

    def _index(self, segment: Segment) -> Index:
        index = self._indices.get(segment)
        if index is None:
            index = load_index(self._disk, segment)
            self._indices[segment] = index
            while len(self._indices) > _INDICES_KEPT:
                self._indices.popitem(last=False)
        self._indices.move_to_end(segment)
        return index


def load_index(disk: Disk, segment: Segment) -> Index:
    """Return a sealed segment's index, made anew from the segment itself when the file is not usable."""
    found = read_index(disk, segment)
    if found is not None:
        return found[0]
    if disk.size(segment.path) < 0:
        raise FileNotFoundError(segment.path)
    data = read_damaged(disk, segment.path)
    index = Index()
    for entry in scan(data, segment.first_seq)[0]:
        content = payload(data, entry)
        try:
            index.add_record(entry, decode(content), leaf_hash(content))
        except MalformedRecord:
            index.add(entry, "", leaf_hash(content))
    return index


def _part(index: Index, seq: int) -> Index:
    """Copy an index that still grows, from a seq on, for use in another thread."""
    start = bisect_left(index.entries, seq, key=lambda entry: entry.seq)
    leaves = index.leaves[start * HASH_BYTES :]
    return Index(index.entries[start:], index.kinds[start:], leaves)


def _runs(entries: list[Entry]) -> list[list[Entry]]:
    """Group entries that lie end to end in the file, so that each group is one read."""
    runs: list[list[Entry]] = []
    for entry in entries:
        if runs and runs[-1][-1].end == entry.offset:
            runs[-1].append(entry)
        else:
            runs.append([entry])
    return runs
