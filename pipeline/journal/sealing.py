"""The end of a segment: cut to its length, its ledger copied, its tree hashes kept, its index written.

Done behind the commits. The index comes last: where it is, all the rest is on the disk too; where it is not,
the next start reads the segment and does all of it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.journal.disk import Disk, read_damaged
from pipeline.journal.framing import FILE_HEADER_BYTES, Entry, file_header, parse
from pipeline.journal.hashes import write_tiles
from pipeline.journal.merkle import HASH_BYTES
from pipeline.journal.segments import LEDGER_DIRECTORY, Index, Sealed, Segment, write_index
from pipeline.records.envelope import BULK_KINDS

if TYPE_CHECKING:
    from typing import Any


def finish_segment(disk: Disk, journal: bytes, sealed: Sealed) -> Segment:
    """Write all that belongs to a sealed segment; durable on return. Returns its ledger file.

    Raises:
        OSError: not all of it is there; calling again does it again.
    """
    segment = sealed.segment
    if disk.size(segment.path) > segment.size:
        disk.truncate(segment.path, segment.size)
        disk.sync(segment.path)
        disk.close(segment.path)
    ledger = copy_ledger(disk, journal, segment, sealed.index, sealed.after)
    write_tiles(disk, segment.path.parent, sealed.tiles)
    write_index(disk, segment, sealed.index, sealed.after)
    return ledger


def ledger_file_of(disk: Disk, segment: Segment) -> Segment:
    """Return where a segment's ledger lies, with its size; -1 when it is not there."""
    path = segment.path.parent / LEDGER_DIRECTORY / segment.path.name
    return Segment(path, segment.first_seq, disk.size(path))


def copy_ledger(
    disk: Disk, journal: bytes, segment: Segment, index: Index, after: dict[str, Any]
) -> Segment:  # fmt: skip
    """Copy a segment's ledger records, byte for byte, into a file of their own, with an index.

    Bytes that are damaged are left out: whoever reads or verifies the segment reports them.
    """
    pieces: list[bytes] = []
    moved = Index(t_utc_first_ns=index.t_utc_first_ns, stops=index.stops)
    offset = FILE_HEADER_BYTES
    for position, entry in enumerate(index.entries):
        if index.kinds[position] in BULK_KINDS:
            continue
        piece = read_damaged(disk, segment.path, entry.offset, entry.end - entry.offset)
        read = parse(memoryview(piece), 0)
        if read is None or read.seq != entry.seq:
            continue
        leaf = index.leaves[position * HASH_BYTES : (position + 1) * HASH_BYTES]
        end = offset + len(piece)
        moved.add(Entry(entry.seq, entry.durable_seq, offset, end), index.kinds[position], bytes(leaf))
        pieces.append(piece)
        offset = end
    path = segment.path.parent / LEDGER_DIRECTORY / segment.path.name
    ledger = Segment(path, segment.first_seq, offset)
    temporary = path.with_name(path.name + ".new")
    disk.create(temporary)
    disk.write_at(temporary, 0, file_header(journal, segment.first_seq) + b"".join(pieces))
    disk.sync(temporary)
    disk.replace(temporary, path)
    write_index(disk, ledger, moved, after)
    return ledger
