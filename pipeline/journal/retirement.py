"""Letting go of bulk that is stored elsewhere and old enough, or that has been explained and given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.journal.disk import Disk, read_damaged
from pipeline.journal.framing import parse
from pipeline.journal.hashes import leaves_worth_keeping, write_leaves
from pipeline.journal.sealing import copy_ledger, ledger_file_of
from pipeline.journal.segments import Index, Segment, read_index
from pipeline.records.envelope import BULK_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from pipeline.journal.framing import Entry
    from pipeline.records.ranges import RangeSet

DAY_NS = 86_400 * 10**9


def retire_segment(
    disk: Disk, journal: bytes, segment: Segment, done: RangeSet, shed: RangeSet,
    older_than_utc_ns: int | None, *, promised: Callable[[], AbstractSet[int]],
) -> Segment | None:  # fmt: skip
    """Let a segment go if every record in it is receipted, or bulk that was given up, and it is old enough.

    Its ledger file, and the leaf hashes that stay, are on the disk before the segment goes; a crash between
    leaves both, and the segment counts.

    Args:
        disk: the file system.
        journal: the journal's id.
        segment: a sealed segment.
        done: seqs that are receipted.
        shed: seqs whose bulk was given up.
        older_than_utc_ns: its last record must be older; None when there is no room to wait.
        promised: tiles whose leaf hashes stay, asked for when it is decided.

    Returns:
        The ledger file, or None when the segment stays.
    """
    found = read_index(disk, segment)
    if found is None:
        return None  # it is not finished yet
    index, after = found
    young = older_than_utc_ns is not None and after.t_utc_ns > older_than_utc_ns
    if young or not _may_go(index, done, shed):
        return None
    ledger = ledger_file_of(disk, segment)
    if not _reads_back(disk, ledger):  # it becomes the only one
        ledger = copy_ledger(disk, journal, segment, index, after.pack())
    for first, leaves in leaves_worth_keeping(index, segment.first_seq, after.next_seq, shed, promised()):
        write_leaves(disk, segment.path.parent, first, leaves)
    disk.remove(segment.path)
    disk.remove(segment.index_path)
    disk.sync_directory(segment.path.parent)
    return ledger


def _may_go(index: Index, done: RangeSet, shed: RangeSet) -> bool:
    """Ledger records wait for no receipt of their own: they stay in the ledger file."""
    return all(
        kind not in BULK_KINDS or entry.seq in done or entry.seq in shed
        for entry, kind in zip(index.entries, index.kinds, strict=True)
    )


def found_again(disk: Disk, segment: Segment, holes: RangeSet) -> list[int]:
    """List the bulk among `holes` that does read back: a medium may fail for a moment only.

    Raises:
        OSError: the segment is not there, or may not be read.
    """
    found = read_index(disk, segment)
    if found is None:
        return []
    return [
        entry.seq
        for entry, kind in zip(found[0].entries, found[0].kinds, strict=True)
        if kind in BULK_KINDS and entry.seq in holes and _is_there(disk, segment, entry)
    ]


def _is_there(disk: Disk, segment: Segment, entry: Entry) -> bool:
    read = parse(memoryview(read_damaged(disk, segment.path, entry.offset, entry.end - entry.offset)), 0)
    return read is not None and read.seq == entry.seq


def _reads_back(disk: Disk, ledger: Segment) -> bool:
    """Whether a ledger file is whole, every record of it."""
    found = read_index(disk, ledger)
    if found is None:
        return False
    data = memoryview(read_damaged(disk, ledger.path))
    return all(parse(data, entry.offset) == entry for entry in found[0].entries)
