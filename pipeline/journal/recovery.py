"""Opening a directory after any end: what is readable is kept, a torn tail is cut, damage is set aside."""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.journal.disk import Disk, read_damaged, write_whole
from pipeline.journal.fold import Fold
from pipeline.journal.framing import (
    FILE_HEADER_BYTES,
    Damage,
    Entry,
    payload,
    read_file_header,
    scan,
)
from pipeline.journal.merging import list_ledger, remove_merged
from pipeline.journal.sealing import finish_segment
from pipeline.journal.segments import (
    LEDGER_DIRECTORY,
    MERGED_DIRECTORY,
    QUARANTINE_DIRECTORY,
    Index,
    Sealed,
    Segment,
    list_segments,
    read_fold,
    write_index,
)

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Bytes that could not be read, copied to the quarantine folder."""

    segment: str
    offset: int
    length: int
    seq: int
    """The first seq that they may have held."""


@dataclass(slots=True)
class OpenSegment:
    """The segment that takes the next records."""

    path: Path
    first_seq: int
    size: int
    index: Index


@dataclass(slots=True)
class Recovery:
    """What was found."""

    segments: list[Segment] = field(default_factory=list)
    """Sealed, by first seq."""
    ledger: list[Segment] = field(default_factory=list)
    """Ledger files of segments that were retired."""
    ledger_bytes: int = 0
    """Size of all ledger files."""
    open: OpenSegment | None = None
    fold: Fold = field(default_factory=Fold)
    quarantined: list[Quarantined] = field(default_factory=list)
    """What this start found for the first time."""
    unfinished: list[Sealed] = field(default_factory=list)
    """Sealed segments whose index could not be written."""
    torn_bytes: int = 0
    """Length of the tail that was cut: bytes that had never been promised, without zeros allocated ahead."""


def recover(disk: Disk, directory: Path, journal: bytes, durable_floor: int) -> Recovery:
    """Read the directory back.

    Args:
        disk: the file system.
        directory: the journal's directory, locked by the caller.
        journal: the journal's id.
        durable_floor: highest seq that is known from elsewhere (receipts, snapshots) to have been durable; a
            seq is never given twice, so the next one is above it.
    """
    ledger = directory / LEDGER_DIRECTORY
    for folder in (directory, ledger, ledger / MERGED_DIRECTORY, directory / QUARANTINE_DIRECTORY):
        disk.make_directory(folder)
        for name in disk.names(folder):
            if name.endswith(".new"):
                _remove(disk, folder / name)
    found = Recovery()
    mains = list_segments(disk, directory)
    firsts = {segment.first_seq for segment in mains}
    ledgers, replaced = list_ledger(disk, directory)
    with suppress(OSError):  # they are hidden by the merged file, whose records they hold
        remove_merged(disk, replaced)
    found.ledger_bytes = sum(one.size for one in ledgers)
    found.ledger = [one for one in ledgers if one.first_seq not in firsts]
    everything = sorted([*mains, *found.ledger], key=lambda segment: segment.first_seq)
    start = _last_known(disk, directory, everything, journal, found)
    found.fold.tree.tiles = []
    found.segments = [segment for segment in everything[:start] if segment.first_seq in firsts]
    for position in range(start, len(everything)):
        following = everything[position + 1].first_seq if position + 1 < len(everything) else None
        _read_back(disk, journal, everything[position], following, durable_floor, found)
    found.fold.skip_to(durable_floor + 1)
    return found


def _last_known(
    disk: Disk, directory: Path, everything: list[Segment], journal: bytes, found: Recovery
) -> int:  # fmt: skip
    """Take the state from the last segment with an index; return how many segments it covers.

    Segments of another journal among the later ones are set aside and leave the list.
    """
    start = len(everything)
    while start > 0:
        segment = everything[start - 1]
        data = read_damaged(disk, segment.path)
        header = read_file_header(data)
        if header is not None and header[0] != journal:
            found.quarantined.append(Quarantined(segment.path.name, 0, len(data), segment.first_seq))
            found.ledger = [one for one in found.ledger if one is not segment]
            disk.replace(segment.path, directory / QUARANTINE_DIRECTORY / segment.path.name)
            del everything[start - 1]
        else:
            known = read_fold(disk, segment)
            if known is not None:
                found.fold = known
                break
        start -= 1
    return start


def _remove(disk: Disk, path: Path) -> None:
    """Remove a file that nobody needs; one that stays does no harm."""
    with suppress(OSError):
        disk.remove(path)


def _let_go(disk: Disk, segment: Segment, data: bytes, found: Recovery) -> None:
    """Remove a segment file in which no record was found; one that the medium does not give is kept aside."""
    try:
        again = disk.read(segment.path)
    except FileNotFoundError:
        return
    except OSError as error:
        LOG.error("%s cannot be read, moved to the quarantine folder: %s", segment.path.name, error)  # noqa: TRY400
        if not any(one.segment == segment.path.name for one in found.quarantined):
            found.quarantined.append(Quarantined(segment.path.name, 0, segment.size, segment.first_seq))
        disk.replace(segment.path, _quarantine_of(segment.path) / segment.path.name)
    else:
        _check_same(segment, again, data)
        _remove(disk, segment.path)


def _check_same(segment: Segment, again: bytes, data: bytes) -> None:
    """Nothing is removed or cut on the word of a read that failed: the next one may find records there.

    Raises:
        OSError: the medium gives other bytes than a moment ago; a start after this one may have all of them.
    """
    if again[: len(data)] != data:
        raise OSError(
            errno.EIO, "the disk gives other bytes than a moment ago; start again, and look at its health",
            str(segment.path),
        )  # fmt: skip


def _read_back(
    disk: Disk, journal: bytes, segment: Segment, following: int | None, durable_floor: int, found: Recovery
) -> None:  # fmt: skip
    """Scan a segment without an index, and either seal it anew or leave it open as the last one."""
    data = read_damaged(disk, segment.path)
    header = read_file_header(data)
    retired = segment in found.ledger
    entries, damages = _without_allocated(data, *scan(data, segment.first_seq))
    promised = max((entry.durable_seq for entry in entries), default=-1)
    if following is None:
        promised = max(promised, durable_floor)
    else:
        # The next segment was begun only when all before it was synced; the rest was written again.
        promised = max(promised, following - 1)
        entries = [entry for entry in entries if entry.seq < following]
        damages = [damage for damage in damages if damage.seq < following]
    entries, damages, cut = _settle(entries, damages, promised)
    if header is None and entries:
        damages.insert(0, Damage(0, FILE_HEADER_BYTES, segment.first_seq))
    for damage in damages:
        _set_aside(disk, segment, data, damage, found)
    index = index_of(data, entries, found.fold)
    if retired:
        with suppress(OSError):
            write_index(disk, segment, index, found.fold.pack())
    elif following is not None:
        end = max([entry.end for entry in entries] + [damage.end for damage in damages], default=0)
        _seal(disk, journal, segment, index, end, found, data)
    else:
        found.fold.skip_to(promised + 1 if damages else 0)
        end = max([FILE_HEADER_BYTES, *(one.end for one in entries), *(one.end for one in damages)])
        _leave_open(disk, segment, data[: end if cut is None else None], cut, index, found)


def _without_allocated(
    data: bytes, entries: list[Entry], damages: list[Damage]
) -> tuple[list[Entry], list[Damage]]:
    """Tell zeros that were allocated ahead from bytes that are damaged: they end the file."""
    if damages and damages[-1].end == len(data):
        last = damages[-1]
        used = last.offset + len(data[last.offset :].rstrip(b"\0"))
        damages = [*damages[:-1], last._replace(end=used)]
    return entries, damages


def _settle(
    entries: list[Entry], damages: list[Damage], promised: int
) -> tuple[list[Entry], list[Damage], int | None]:  # fmt: skip
    """Tell damage from a torn tail: what belongs into a tail was never promised."""
    for position, damage in enumerate(damages):
        if damage.seq > promised:
            return (
                [entry for entry in entries if entry.offset < damage.offset],
                damages[:position],
                damage.offset,
            )
    return entries, damages, None


def index_of(data: bytes, entries: list[Entry], fold: Fold) -> Index:
    """Make the index of records that were read back, and carry the state forward over them."""
    index = Index()
    for entry in entries:
        record, leaf = fold.take_bytes(entry.seq, payload(data, entry))
        if record is None:
            index.add(entry, "", leaf)
        else:
            index.add_record(entry, record, leaf)
    return index


def _seal(  # noqa: PLR0917 - what was read of one segment
    disk: Disk, journal: bytes, segment: Segment, index: Index, end: int, found: Recovery, data: bytes
) -> None:  # fmt: skip
    """Give a segment its index; records after `end` were never promised here and lie in the next segment."""
    if not index.entries:
        _let_go(disk, segment, data, found)
        return
    segment = Segment(segment.path, segment.first_seq, end)
    tiles, found.fold.tree.tiles = found.fold.tree.tiles or [], []
    sealed = Sealed(segment, index, found.fold.pack(), tiles)
    try:
        finish_segment(disk, journal, sealed)
    except OSError as error:
        LOG.warning("%s is finished later: %s", segment.path.name, error)
        found.unfinished.append(sealed)
    found.segments.append(segment)


def _leave_open(
    disk: Disk, segment: Segment, data: bytes, cut: int | None, index: Index, found: Recovery
) -> None:  # fmt: skip
    _remove(disk, segment.index_path)  # one that does not fit would mislead as soon as the sizes agreed
    end = len(data) if cut is None else cut
    found.torn_bytes = 0 if cut is None else len(data[cut:].rstrip(b"\0"))
    if cut is not None and found.torn_bytes:
        _check_same(segment, read_damaged(disk, segment.path), data)
        _keep_torn(disk, segment, data, cut)
    if not index.entries:
        _let_go(disk, segment, data, found)
        return
    try:
        if cut is not None and found.torn_bytes:
            disk.truncate(segment.path, cut)
            disk.sync(segment.path)
    except OSError as error:
        LOG.warning("cannot cut %s, going on in a new segment: %s", segment.path.name, error)
        disk.close(segment.path)
        found.segments.append(segment)
        return
    found.open = OpenSegment(segment.path, segment.first_seq, end, index)


def _keep_torn(disk: Disk, segment: Segment, data: bytes, cut: int) -> None:
    """Keep the last torn tail that was not only zeros: it says more than its length, should anybody ask."""
    with suppress(OSError):
        tail = data[cut:].rstrip(b"\0")
        write_whole(disk, segment.path.parent / QUARANTINE_DIRECTORY / "last-torn-tail.bin", tail)


def _set_aside(disk: Disk, segment: Segment, data: bytes, damage: Damage, found: Recovery) -> None:
    piece = data[damage.offset : damage.end]
    if set_aside(disk, segment.path, damage.offset, piece):
        found.quarantined.append(
            Quarantined(segment.path.name, damage.offset, len(piece), damage.seq)
        )  # fmt: skip


def _quarantine_of(segment: Path) -> Path:
    folder = segment.parent
    while folder.name in {LEDGER_DIRECTORY, MERGED_DIRECTORY}:
        folder = folder.parent
    return folder / QUARANTINE_DIRECTORY


def set_aside(disk: Disk, segment: Path, offset: int, piece: bytes) -> bool:
    """Copy unreadable bytes to the quarantine folder; false when they lie there already."""
    target = _quarantine_of(segment) / f"{segment.stem}-{offset}-{offset + len(piece)}.bin"
    try:
        if disk.size(target) == len(piece):
            return False
        write_whole(disk, target, piece)
    except OSError as error:
        LOG.warning("cannot copy unreadable bytes to %s: %s", target.name, error)
    return True
