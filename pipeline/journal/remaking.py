"""The index of a sealed segment, made anew when it is lost or damaged, or lists more than is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.journal.disk import Disk, read_damaged
from pipeline.journal.fold import Fold
from pipeline.journal.framing import scan
from pipeline.journal.hashes import write_tiles
from pipeline.journal.merkle import UNKNOWN_LEAF, Tree
from pipeline.journal.recovery import index_of, set_aside
from pipeline.journal.sealing import copy_ledger, ledger_file_of
from pipeline.journal.segments import Segment, read_index, write_index

if TYPE_CHECKING:
    from pipeline.journal.merkle import Node
    from pipeline.journal.segments import Index


def remake_index(disk: Disk, journal: bytes, segment: Segment, before: Fold | None, end: int) -> Segment:
    """Write a segment's index anew, from the old one if that is whole, else from the records.

    A ledger file and tree hashes that were written when all was whole stay as they are.

    Args:
        disk: the file system.
        journal: the journal's id.
        segment: a sealed segment, with the size that its file has now.
        before: what the journal knew before its first record; None when nobody can say.
        end: the seq with which the next file begins.

    Returns:
        Its ledger file.

    Raises:
        OSError: it is not done; calling again does it again.
    """
    known = read_index(disk, segment, cut=True)
    index, after, tiles = _read_anew(disk, segment, before, end) if known is None else (*known, [])
    ledger = ledger_file_of(disk, segment)
    if read_index(disk, ledger) is None:
        ledger = copy_ledger(disk, journal, segment, index, after.pack())
    write_tiles(disk, segment.path.parent, tiles)
    write_index(disk, segment, index, after.pack())
    return ledger


def _read_anew(
    disk: Disk, segment: Segment, before: Fold | None, end: int
) -> tuple[Index, Fold, list[Node]]:  # fmt: skip
    data = read_damaged(disk, segment.path)
    entries, damages = scan(data, segment.first_seq)
    entries = [entry for entry in entries if entry.seq < end]
    for damage in damages:
        if damage.seq < end:
            set_aside(disk, segment.path, damage.offset, data[damage.offset : damage.end])
    first = segment.first_seq
    known = before is not None and before.next_seq == first
    fold = before.copy() if before is not None and before.next_seq <= first else _nothing_known(first)
    fold.tree.tiles = []
    index = index_of(data, entries, fold)
    fold.skip_to(end)
    # With a record missing the hashes above it would be wrong, where right ones may lie.
    tiles = fold.tree.tiles if known and len(entries) == end - first else []
    return index, fold, tiles


def _nothing_known(first_seq: int) -> Fold:
    return Fold(tree=Tree(first_seq, [UNKNOWN_LEAF] * first_seq.bit_count()))
