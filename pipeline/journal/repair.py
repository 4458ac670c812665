"""Repair of a journal that is not open. Nothing is destroyed: what is replaced goes to the quarantine folder.

A start repairs by itself what a power cut can leave, and reads only the segments whose index is missing.
This goes over every byte, and makes anew what can be made from the rest: indices, ledger files, tree hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.journal import snapshots
from pipeline.journal.disk import Disk, RealDisk, read_damaged
from pipeline.journal.fold import Fold
from pipeline.journal.framing import Damage, Entry, scan
from pipeline.journal.hashes import tiles_missing, write_tiles
from pipeline.journal.merkle import HASH_BYTES, Tree
from pipeline.journal.opening import LOCK_NAME
from pipeline.journal.receipts import RECEIPTS_NAME, read_receipts
from pipeline.journal.recovery import Recovery, recover, set_aside
from pipeline.journal.remaking import remake_index
from pipeline.journal.sealing import copy_ledger, ledger_file_of
from pipeline.journal.segments import QUARANTINE_DIRECTORY, Segment, read_fold, read_index
from pipeline.journal.start import read_meta_public

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(slots=True)
class Repair:
    """What was found and done."""

    segments: int = 0
    records: int = 0
    done: list[str] = field(default_factory=list)
    """What was changed, a sentence each; empty when nothing was."""
    lost: list[str] = field(default_factory=list)
    """What cannot be read any more: its bytes lie in the quarantine folder; an archive may have it."""


def repair(directory: Path, *, disk: Disk | None = None) -> Repair:
    """Go over every sealed segment, make anew what can be made, and say what was done.

    Raises:
        JournalBusyError: a daemon has the journal open.
        OSError: the directory cannot be read or written.
    """
    disk = RealDisk() if disk is None else disk
    report = Repair()
    meta = read_meta_public(disk, directory)
    if meta is None:
        report.lost.append("journal.meta, in both copies: the next start of the daemon writes it anew")
        return report
    disk.lock(directory / LOCK_NAME)
    try:
        floor = max([last for _, last in read_receipts(disk, directory / RECEIPTS_NAME)], default=-1)
        found = recover(disk, directory, meta[0].id, max(floor, snapshots.seq_max(disk, directory)))
        _tell_recovery(found, report)
        journal = meta[0].id
        fold = Fold()
        files = _in_order(found)
        firsts = [segment.first_seq for segment, _ in files]
        opened = found.fold.next_seq if found.open is None else found.open.first_seq
        for (segment, retired), end in zip(files, [*firsts[1:], opened], strict=False):
            if retired:
                known = read_fold(disk, segment)
                fold = fold if known is None else known
            else:
                fold = _repair_segment(disk, journal, segment, fold, end, report)
        _repair_tiles(disk, directory, found, report)
        if found.open is not None:
            disk.close(found.open.path)
    finally:
        disk.unlock(directory / LOCK_NAME)
    return report


def _in_order(found: Recovery) -> list[tuple[Segment, bool]]:
    both = [*((one, False) for one in found.segments), *((one, True) for one in found.ledger)]
    return sorted(both, key=lambda pair: pair[0].first_seq)


def _tell_recovery(found: Recovery, report: Repair) -> None:
    if found.torn_bytes:
        report.done.append(
            f"cut {found.torn_bytes} bytes of a write that was never completed; nothing promised"
        )
    report.lost += [
        f"{one.segment}: {one.length} bytes at {one.offset}, seq {one.seq}" for one in found.quarantined
    ]


def _repair_segment(
    disk: Disk, journal: bytes, segment: Segment, before: Fold, end: int, report: Repair
) -> Fold:  # fmt: skip
    """Check a segment, its index and its ledger file; returns what the journal knows after it."""
    name = segment.path.name
    data = read_damaged(disk, segment.path)
    entries, damages = scan(data, segment.first_seq)
    report.segments += 1
    report.records += len(entries)
    for damage in damages:
        if set_aside(disk, segment.path, damage.offset, data[damage.offset : damage.end]):
            report.done.append(
                f"{name}: copied {damage.end - damage.offset} damaged bytes to the quarantine folder"
            )
        report.lost.append(f"{name}: {damage.end - damage.offset} bytes at {damage.offset}, seq {damage.seq}")
    known = read_index(disk, segment, cut=True)
    if known is not None and _agrees(known[0].entries, entries, damages, len(data)):
        behind = [entry.seq for entry in known[0].entries if entry.end > len(data)]
        if behind:
            report.lost.append(f"{name}: cut to {len(data)} bytes, without seq {behind[0]} to {behind[-1]}")
        elif read_index(disk, ledger_file_of(disk, segment)) is None:
            copy_ledger(disk, journal, segment, known[0], known[1].pack())
            report.done.append(f"{name}: copied its ledger records anew")
        if read_index(disk, segment) is not None:
            return known[1]
    else:
        _move_aside(disk, segment.index_path, report)
    remake_index(disk, journal, segment, before, end)
    report.done.append(f"{name}: wrote its index, ledger file and hashes anew from {len(entries)} records")
    return read_fold(disk, segment) or before


def _agrees(known: Iterable[Entry], read: list[Entry], damages: list[Damage], size: int) -> bool:
    """Whether an index lists what was read, and else only what is damaged or cut off: it knows its hash."""
    listed = set(known)
    extra = listed - set(read)
    return not set(read) - listed and all(
        entry.end > size or any(damage.offset < entry.end and damage.end > entry.offset for damage in damages)
        for entry in extra
    )


def _move_aside(disk: Disk, path: Path, report: Repair) -> None:
    if disk.size(path) >= 0:
        target = path.parent / QUARANTINE_DIRECTORY / path.name
        number = 1
        while disk.size(target) >= 0:
            number += 1
            target = target.with_name(f"{path.name}.{number}")
        disk.replace(path, target)
        report.done.append(f"{path.name}: moved to the quarantine folder, it does not fit its segment")


def _repair_tiles(disk: Disk, directory: Path, found: Recovery, report: Repair) -> None:
    """Write the roots over whole tiles anew from the leaf hashes that are there."""
    if not tiles_missing(disk, directory, found.fold.tree.size):
        return
    tree = Tree()
    for segment, retired in _in_order(found):
        known = read_index(disk, segment)
        if known is None:
            continue
        index, after = known
        if retired or tree.size != segment.first_seq or len(index.entries) != after.next_seq - tree.size:
            tree = after.tree.copy()
            continue
        tree.tiles = []
        for at in range(0, len(index.leaves), HASH_BYTES):
            tree.append_hash(bytes(index.leaves[at : at + HASH_BYTES]))
        write_tiles(disk, directory, tree.tiles)
    if not tiles_missing(disk, directory, min(tree.size, found.fold.tree.size)):
        report.done.append("wrote the tree's hashes over 256 records each anew")
    else:
        report.lost.append("some of the tree's hashes over 256 records each: their records are retired")
