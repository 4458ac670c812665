"""Letting go of bulk that is stored elsewhere and old enough; the ledger's records stay, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.journal.disk import Disk
from pipeline.journal.fold import Fold
from pipeline.journal.framing import FILE_HEADER_BYTES, Entry, file_header, parse
from pipeline.journal.segments import (
    LEDGER_DIRECTORY,
    Index,
    Segment,
    read_index,
    write_index,
)
from pipeline.records.envelope import BULK_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.records.ranges import RangeSet

DAY_NS = 86_400 * 10**9


def retire_segment(
    disk: Disk, journal: bytes, segment: Segment, done: RangeSet, older_than_utc_ns: int
) -> Segment | None:  # fmt: skip
    """Replace a segment by its ledger file if every record is receipted and the last one is old enough.

    The ledger file is whole and durable, with its index, before the segment goes; a crash between leaves
    both, and the segment counts.

    Returns:
        The ledger file, or None when the segment stays.
    """
    found = read_index(disk, segment)
    if found is None:
        return None  # the next start makes the index anew
    index, after = found
    if after.t_utc_ns > older_than_utc_ns or not _all_receipted(index, done):
        return None
    keep = [
        (entry, kind)
        for entry, kind in zip(index.entries, index.kinds, strict=True)
        if kind not in BULK_KINDS
    ]  # fmt: skip
    pieces = [disk.read(segment.path, entry.offset, entry.end - entry.offset) for entry, _ in keep]
    entries = _check([entry for entry, _ in keep], pieces)
    if entries is None:
        return None  # damaged bytes are for the reader to report, not for us to copy
    path = segment.path.parent / LEDGER_DIRECTORY / segment.path.name
    ledger = Segment(path, segment.first_seq, FILE_HEADER_BYTES + sum(map(len, pieces)))
    _write_ledger(disk, journal, ledger, pieces, Index(entries, [kind for _, kind in keep]), after)
    disk.remove(segment.path)
    disk.remove(segment.index_path)
    disk.sync_directory(segment.path.parent)
    return ledger


def _all_receipted(index: Index, done: RangeSet) -> bool:
    return all(entry.seq in done for entry in index.entries)


def _check(entries: Sequence[Entry], pieces: Sequence[bytes]) -> list[Entry] | None:
    moved, offset = [], FILE_HEADER_BYTES
    for entry, piece in zip(entries, pieces, strict=True):
        read = parse(memoryview(piece), 0)
        if read is None or read.seq != entry.seq:
            return None
        moved.append(Entry(entry.seq, entry.durable_seq, offset, offset + len(piece)))
        offset += len(piece)
    return moved


def _write_ledger(
    disk: Disk, journal: bytes, ledger: Segment, pieces: Sequence[bytes], index: Index, after: Fold
) -> None:  # fmt: skip
    temporary: Path = ledger.path.with_name(ledger.path.name + ".new")
    disk.create(temporary)
    disk.write_at(temporary, 0, file_header(journal, ledger.first_seq) + b"".join(pieces))
    disk.sync(temporary)
    disk.replace(temporary, ledger.path)
    write_index(disk, ledger, index, after)
