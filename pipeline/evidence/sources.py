"""Where evidence is made from: a collector's archive, or a gateway's journal; both beside their writer."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from pipeline.archive import Checker
from pipeline.evidence.select import NoEvidenceError
from pipeline.journal.disk import RealDisk
from pipeline.journal.hashes import KeptHashes
from pipeline.journal.merkle import TILE_LEAVES, TILE_LEVELS, HashGoneError, node_hash
from pipeline.journal.readonly import JournalReader
from pipeline.journal.segments import list_segments
from pipeline.journal.shelf import load_index
from pipeline.journal.start import read_meta_public
from pipeline.records.envelope import LEDGER_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pipeline.records import Record

PAGE = 1000
TILES_KEPT = 4096
"""Tiles whose leaf hashes are kept in memory: 8 kB each."""


class ArchiveSource:
    """One journal in an archive.

    Args:
        folder: the archive's.
        journal: id of the journal; needed where the archive has several.

    Raises:
        NoEvidenceError: it is not clear which journal is meant.
        sqlite3.Error, OSError: there is no archive with an index here.
    """

    def __init__(self, folder: Path, journal: bytes | None = None) -> None:
        self._checker = Checker(folder)
        journals = self._checker.journals()
        if journal is None and len(journals) == 1:
            journal = journals[0]
        if journal not in journals:
            known = ", ".join(one.hex() for one in journals) or "none"
            self.close()
            raise NoEvidenceError(f"say which journal with --journal; in {folder} there are: {known}")
        self.journal: bytes = journal
        self._tiles: OrderedDict[int, list[list[bytes]]] = OrderedDict()
        self._roots: dict[tuple[int, int], bytes] = {}

    def record(self, seq: int) -> Record | None:
        """Return one record; None when it is not here. Raises NoEvidenceError for a fork."""
        rows = [row for row in self._checker.index.page(self.journal, seq, 2) if row.seq == seq]
        if len(rows) > 1:
            raise NoEvidenceError(f"seq {seq} has two contents, a fork: there is no evidence of either")
        return self._checker.read(rows[0]) if rows else None

    def after(self, seq: int, kinds: Collection[str]) -> Iterator[Record]:
        """Go through the records of some kinds behind `seq`, in order."""
        index, ledger = self._checker.index, frozenset(kinds) <= LEDGER_KINDS
        seq += 1
        while rows := (
            index.ledger(self.journal, seq, kinds, PAGE) if ledger else index.page(self.journal, seq, PAGE)
        ):  # fmt: skip
            for row in rows:
                if row.kind is None or row.kind in kinds:
                    record = self._checker.read(row)
                    if record is not None and record.kind in kinds:
                        yield record
            seq = rows[-1].seq + 1

    def node(self, level: int, index: int) -> bytes:
        """Return a node of the tree. Raises HashGoneError when a record below it is not in this archive."""
        if level <= TILE_LEVELS:
            number = index >> TILE_LEVELS - level
            if level == TILE_LEVELS and (level, number) in self._roots:
                return self._roots[level, number]
            hashes = self._tile(number)[level]
            at = index - (number << TILE_LEVELS - level)
            if at >= len(hashes):
                missing = number * TILE_LEAVES + len(self._tile(number)[0])
                raise HashGoneError(f"seq {missing} is not in this archive")
            self._roots.update({(level, number): hashes[at]} if level == TILE_LEVELS else {})
            return hashes[at]
        if (level, index) not in self._roots:
            left, right = self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1)
            self._roots[level, index] = node_hash(left, right)
        return self._roots[level, index]

    def _tile(self, number: int) -> list[list[bytes]]:
        """Levels of the tree over one tile, as far as its leaves are here without a hole."""
        if number not in self._tiles:
            first = number * TILE_LEAVES
            leaves: list[bytes] = []
            for seq, digest in self._checker.index.hashes(self.journal, first, first + TILE_LEAVES):
                if seq < first + len(leaves):
                    raise HashGoneError(f"seq {seq} has two contents, a fork")
                if seq > first + len(leaves):
                    break
                leaves.append(digest)
            levels = [leaves]
            while len(levels) <= TILE_LEVELS:
                below = levels[-1]
                levels.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
            self._tiles[number] = levels
            if len(self._tiles) > TILES_KEPT:
                self._tiles.popitem(last=False)
        return self._tiles[number]

    def close(self) -> None:
        """Let go of the archive."""
        self._checker.close()


class JournalSource:
    """The journal of a gateway, as it lies on disk now.

    Args:
        directory: the journal's folder.

    Raises:
        NoEvidenceError: its description is damaged.
        OSError: it cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        disk = RealDisk()
        meta = read_meta_public(disk, directory)
        if meta is None:
            raise NoEvidenceError(f"the description of the journal in {directory} is damaged or not its own")
        self.journal = meta[0].id
        self._reader = JournalReader(directory, disk=disk)
        segments = list_segments(disk, directory)
        opened, size = None, 0
        if segments:
            last = segments.pop()
            index = load_index(disk, last)
            size = index.entries[-1].seq + 1 if index.entries else last.first_seq
            opened = (last.first_seq, index)
        self.node = KeptHashes(disk, directory, segments, opened, size)
        self.record = self._reader.record
        self.after = self._reader.after

    def close(self) -> None:
        """Let go; nothing is held open."""
