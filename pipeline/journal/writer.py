"""The journal's hand on the disk: writes and syncs batches of records. Runs in one thread of its own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.journal.entries import Entries
from pipeline.journal.framing import FILE_HEADER_BYTES, Entry, belongs, file_header, frame_header
from pipeline.journal.merkle import Tree
from pipeline.journal.recovery import OpenSegment
from pipeline.journal.segments import Index, Sealed, Segment, segment_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.journal.disk import Disk
    from pipeline.journal.fold import Fold
    from pipeline.journal.settings import JournalSettings
    from pipeline.journal.space import Space
    from pipeline.records import Record


@dataclass(slots=True)
class Written:
    """What one commit put on the disk."""

    durable_seq: int
    tree: Tree
    """The Merkle tree over all durable records."""
    path: Path
    """The segment file that took the records."""
    first_seq: int
    entries: Entries
    kinds: list[str]
    leaves: bytes
    """32 bytes a record."""
    record_bytes: int
    sealed: list[Sealed] = field(default_factory=list)
    """Segments that were sealed on the way: still to be finished."""


class Writer:
    """Appends batches to the open segment and begins new ones.

    After a failed write or sync nobody knows what of the file is on the disk, and a second sync may claim
    success for pages that were dropped. So the segment is left at what was synced before, and the batch is
    written again, whole, to a new one.

    Thread-safe: no; one call at a time.
    """

    def __init__(  # noqa: PLR0917 - the journal's own parts
        self, disk: Disk, directory: Path, journal: bytes, settings: JournalSettings, fold: Fold,
        opened: OpenSegment | None, space: Space | None = None,
    ) -> None:  # fmt: skip
        """Go on in the segment that recovery left open, if any."""
        self._disk = disk
        self.directory = directory
        self._journal = journal
        self._settings = settings
        self._fold = fold
        self._open = opened
        self._space = space
        self._suspect = False
        self._sealed: list[Sealed] = []
        if fold.tree.tiles is None:
            fold.tree.tiles = []

    def commit(self, batch: Sequence[Record]) -> Written:
        """Write and sync a batch. Returns when it is durable.

        Raises:
            OSError: it is not; calling again with the same batch tries again.
        """
        durable_seq = self._fold.next_seq - 1
        assert batch[0].seq == durable_seq + 1  # noqa: S101 - our bug, never the world's
        pieces = [
            piece
            for record in batch
            for piece in (frame_header(record.seq, durable_seq, record.data), record.data)
        ]
        size = sum(map(len, pieces))
        self._make_room(size)
        target = self._open or OpenSegment(
            self.directory / segment_name(batch[0].seq), batch[0].seq, FILE_HEADER_BYTES, Index()
        )
        entries = _lay_out(batch, pieces, durable_seq, target.size)
        try:
            self._write(target, pieces)
        except OSError:
            self._suspect = self._open is not None
            if self._open is None:
                with suppress(OSError):
                    self._disk.remove(target.path)
            raise
        self._open = target
        target.size += size
        leaves = [self._fold.take(record) for record in batch]
        for entry, record, leaf in zip(entries, batch, leaves, strict=True):
            target.index.add_record(entry, record, leaf)
        sealed, self._sealed = self._sealed, []
        through = self._fold.next_seq - 1
        return Written(
            through, self._fold.tree.copy(), target.path, target.first_seq,
            # Side by side already: the event loop has but to append them to its own.
            Entries(entries), [record.kind for record in batch], b"".join(leaves),
            sum(len(record.data) for record in batch), sealed,
        )  # fmt: skip

    def _make_room(self, size: int) -> None:
        """Seal the open segment when it is suspect, or when `size` more bytes or any record are too much."""
        opened = self._open
        if opened is None:
            return
        full = opened.size + size > self._settings.file_bytes
        if not (self._suspect or full or len(opened.index.entries) >= self._settings.segment_records):
            return
        with suppress(OSError):  # a failed write is told by the next one; here it only lets go of the file
            self._disk.close(opened.path)
        segment = Segment(opened.path, opened.first_seq, opened.size)
        tiles, self._fold.tree.tiles = self._fold.tree.tiles or [], []
        self._sealed.append(Sealed(segment, opened.index, self._fold.pack(), tiles))
        self._open, self._suspect = None, False

    def _write(self, target: OpenSegment, pieces: list[bytes]) -> None:
        fresh = target.size == FILE_HEADER_BYTES
        if fresh:
            if self._space is None or not self._space.claim(target.path):
                self._disk.create(target.path)
            pieces, offset = [file_header(self._journal, target.first_seq), *pieces], 0
        else:
            offset = target.size
        self._disk.write_pieces_at(target.path, offset, pieces)
        self._disk.sync(target.path)
        if fresh:
            self._disk.sync_directory(self.directory)

    def close(self) -> None:
        """Close the open file, cut to what is in it; it stays the open segment of the next start."""
        if self._space is not None:
            self._space.close()
        opened = self._open
        if opened is None:
            return
        with suppress(OSError):  # zeros at its end are no harm
            if self._disk.size(opened.path) > opened.size:
                self._disk.truncate(opened.path, opened.size)
                self._disk.sync(opened.path)
        self._disk.close(opened.path)


def _lay_out(batch: Sequence[Record], pieces: list[bytes], durable_seq: int, offset: int) -> list[Entry]:
    """Return where each frame will lie, after checking that it reads back as what it should be."""
    entries = []
    for record, header, data in zip(batch, pieces[::2], pieces[1::2], strict=True):
        assert belongs(header, data), "a frame does not read back"  # noqa: S101 - pair assertion, see design
        end = offset + len(header) + len(data)
        entries.append(Entry(record.seq, durable_seq, offset, end))
        offset = end
    return entries
