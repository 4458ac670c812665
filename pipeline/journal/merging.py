"""Many small ledger files become one: a start lists files, and there would be a hundred more every day.

The merged file and its index lie in `ledger/merged`. Its rename is the moment at which it counts; the small
files go afterwards, the oldest first, and a start removes those that a crash has left.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.journal.framing import FILE_HEADER_BYTES, Entry, file_header, parse
from pipeline.journal.merkle import HASH_BYTES
from pipeline.journal.segments import (
    LEDGER_DIRECTORY,
    MERGED_DIRECTORY,
    Index,
    Segment,
    list_segments,
    read_index,
    write_index,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.journal.disk import Disk

FILES_MIN = 256
"""So many small files are merged at a time."""
BYTES_MAX = 64 * 2**20


def files_to_merge(ledger: Sequence[Segment], oldest_first: int, files_min: int = FILES_MIN) -> list[Segment]:
    """Choose small ledger files, side by side, of retired segments; [] when there are too few."""
    chosen: list[Segment] = []
    size = 0
    for one in ledger:
        if one.path.parent.name == MERGED_DIRECTORY:
            continue
        if one.first_seq >= oldest_first or len(chosen) == files_min or size + one.size > BYTES_MAX:
            break
        chosen.append(one)
        size += one.size
    full = len(chosen) == files_min or (chosen and size + chosen[-1].size > BYTES_MAX)
    return chosen if full and len(chosen) > 1 else []


def merge_ledger(disk: Disk, directory: Path, journal: bytes, files: Sequence[Segment]) -> Segment | None:
    """Put ledger files together, byte for byte, and remove them; None when one of them cannot be read whole.

    Raises:
        OSError: it is not done, or the small files are not all gone; they do no harm.
    """
    folder = directory / LEDGER_DIRECTORY / MERGED_DIRECTORY
    merged, pieces, after = Index(), list[bytes](), None
    offset = FILE_HEADER_BYTES
    for one in files:
        found = read_index(disk, one)
        if found is None:
            return None
        index, after = found
        merged.stops += index.stops
        merged.t_utc_first_ns = merged.t_utc_first_ns or index.t_utc_first_ns
        data = memoryview(disk.read(one.path))
        for position, entry in enumerate(index.entries):
            if parse(data, entry.offset) != entry:
                return None  # damaged bytes stay where they are, for the reader to report
            end = offset + entry.end - entry.offset
            leaf = bytes(index.leaves[position * HASH_BYTES : (position + 1) * HASH_BYTES])
            merged.add(Entry(entry.seq, entry.durable_seq, offset, end), index.kinds[position], leaf)
            pieces.append(bytes(data[entry.offset : entry.end]))
            offset = end
    if after is None:
        return None
    disk.make_directory(folder)
    target = Segment(folder / files[0].path.name, files[0].first_seq, offset)
    write_index(disk, target, merged, after.pack())
    temporary = target.path.with_name(target.path.name + ".new")
    disk.create(temporary)
    disk.write_pieces_at(temporary, 0, [file_header(journal, target.first_seq), *pieces])
    disk.sync(temporary)
    disk.close(temporary)
    disk.replace(temporary, target.path)
    disk.sync_directory(folder)
    remove_merged(disk, files)
    return target


def remove_merged(disk: Disk, files: Sequence[Segment]) -> None:
    """Remove small files whose records lie in a merged one, the oldest first. Raises OSError."""
    for one in files:
        disk.remove(one.path)
        disk.remove(one.index_path)
    if files:
        disk.sync_directory(files[0].path.parent)


def list_ledger(disk: Disk, directory: Path) -> tuple[list[Segment], list[Segment]]:
    """List the ledger files that count, by first seq, and small ones that a merged one has replaced."""
    small: list[Segment] = []
    merged: list[Segment] = []
    with suppress(FileNotFoundError):
        small = list_segments(disk, directory / LEDGER_DIRECTORY)
        merged = list_segments(disk, directory / LEDGER_DIRECTORY / MERGED_DIRECTORY)
    replaced: list[Segment] = []
    if merged and any(one.first_seq >= merged[-1].first_seq for one in small):
        # Merging goes forward, one at a time: only the last one can have been cut short.
        found = read_index(disk, merged[-1])
        if found is not None:
            end = found[1].next_seq
            replaced = [one for one in small if merged[-1].first_seq <= one.first_seq < end]
    counting = [one for one in small if one not in replaced]
    return sorted([*merged, *counting], key=lambda one: one.first_seq), replaced
