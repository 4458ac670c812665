"""Reading records from a journal's folder beside the process that has it open: no lock, nothing changed.

What is read is on disk; the last records may not have been synced yet. A segment that is retired while it is
looked at is found again among the ledger files, without its bulk records.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.journal.disk import Disk, RealDisk
from pipeline.journal.framing import Entry, parse, payload
from pipeline.journal.merging import list_ledger
from pipeline.journal.segments import Index, Segment, list_segments
from pipeline.journal.shelf import load_index
from pipeline.records.envelope import MalformedRecord, Record, decode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


class JournalReader:
    """The records of a journal as they lay on disk when this was made.

    Holds the index of one segment at a time. Not safe for use from several threads.

    Args:
        directory: the journal's folder.
        disk: the file system; the operating system's when None.

    Raises:
        OSError: the folder cannot be read.
    """

    def __init__(self, directory: Path, *, disk: Disk | None = None) -> None:
        """List the segments; records are read when they are asked for."""
        self._disk: Disk = RealDisk() if disk is None else disk
        self._directory = directory
        mains = list_segments(self._disk, directory)
        firsts = {segment.first_seq for segment in mains}
        retired = [one for one in list_ledger(self._disk, directory)[0] if one.first_seq not in firsts]
        self._files = sorted([*mains, *retired], key=lambda segment: segment.first_seq)
        self._held: tuple[int, Segment, Index] | None = None

    def record(self, seq: int) -> Record | None:
        """Return one record; None when it is not there, not any more, or damaged."""
        return next((one for one in self._forward(seq, None) if one.seq == seq), None)

    def after(self, seq: int, kinds: Collection[str] | None) -> Iterator[Record]:
        """Go through the records of some kinds (None: of all) behind `seq`, the oldest first."""
        return self._forward(seq + 1, kinds, to_the_end=True)

    def before(self, seq: int, kinds: Collection[str]) -> Iterator[Record]:
        """Go through the records of some kinds in front of `seq`, the latest first."""
        for position in reversed(range(self._file_of(seq - 1) + 1)):
            segment, wanted = self._wanted(position, kinds)
            for entry in reversed(wanted):
                if entry.seq < seq and (record := self._read(position, segment, entry)) is not None:
                    yield record

    def _forward(
        self, seq: int, kinds: Collection[str] | None, *, to_the_end: bool = False
    ) -> Iterator[Record]:
        first = max(0, self._file_of(seq))
        for position in range(first, len(self._files) if to_the_end else first + 1):
            if position >= len(self._files):
                return
            segment, wanted = self._wanted(position, kinds)
            start = bisect_right(wanted, seq - 1, key=lambda entry: entry.seq)
            for entry in wanted[start:] if to_the_end else wanted[start : start + 1]:
                if (record := self._read(position, segment, entry)) is not None:
                    yield record

    def _file_of(self, seq: int) -> int:
        """Position of the file whose range holds a seq; -1 when it lies in front of all."""
        return bisect_right(self._files, seq, key=lambda segment: segment.first_seq) - 1

    def _wanted(self, position: int, kinds: Collection[str] | None) -> tuple[Segment, list[Entry]]:
        """List where the records of some kinds lie; what the next file holds again is left to it."""
        segment, index = self._index(position)
        first = self._files[position].first_seq
        end = self._files[position + 1].first_seq if position + 1 < len(self._files) else None
        found = [
            entry
            for entry, kind in zip(index.entries, index.kinds, strict=True)
            if (kinds is None or kind in kinds) and first <= entry.seq and (end is None or entry.seq < end)
        ]
        return segment, found

    def _index(self, position: int) -> tuple[Segment, Index]:
        if self._held is not None and self._held[0] == position:
            return self._held[1:]
        segment, index = self._files[position], None
        with suppress(FileNotFoundError):
            index = load_index(self._disk, segment)
        if index is None:
            # It was retired or merged meanwhile: the ledger has what of it was worth keeping.
            earlier = [
                one
                for one in list_ledger(self._disk, self._directory)[0]
                if one.first_seq <= segment.first_seq
            ]
            segment, index = (earlier or [segment])[-1], Index()
            with suppress(FileNotFoundError):
                index = load_index(self._disk, segment)
        self._held = position, segment, index
        return segment, index

    def _read(self, position: int, segment: Segment, entry: Entry) -> Record | None:
        try:
            data = self._disk.read(segment.path, entry.offset, entry.end - entry.offset)
        except FileNotFoundError:
            self._held = None
            segment, index = self._index(position)
            moved = next((one for one in index.entries if one.seq == entry.seq), None)
            if moved is None:
                return None
            entry = moved
            data = self._disk.read(segment.path, entry.offset, entry.end - entry.offset)
        here = Entry(entry.seq, entry.durable_seq, 0, entry.end - entry.offset)
        if parse(memoryview(data), 0) != here:
            return None
        try:
            return decode(payload(data, here))
        except MalformedRecord:
            return None
