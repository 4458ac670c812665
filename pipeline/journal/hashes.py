"""The tree's hashes that are kept on disk, so that proofs can be made when the records are gone.

`tree/level-08` holds the root over every 256 leaves, 32 bytes each, in order; `level-16` that over every
65,536 and so on. Leaf hashes lie in the segments' indices. When a segment goes, those of its first and last,
incomplete tile and of the tiles in which a clean stop was signed, or a size that a witness was told (see
`promised`), stay in `tree/leaves-FIRST`; of bulk that was given up without a receipt all of them stay.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.framing import seal, unseal
from pipeline.journal.merkle import (
    HASH_BYTES,
    TILE_LEAVES,
    TILE_LEVELS,
    UNKNOWN_LEAF,
    HashGoneError,
    Node,
    node_hash,
)
from pipeline.journal.segments import Index, Segment, read_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from pipeline.records.ranges import RangeSet

TREE_DIRECTORY = "tree"
_LEAVES_MAGIC = b"YAOSULVS"
_LEAVES_NAME = re.compile(r"leaves-(\d{20})")


def _level_path(directory: Path, level: int) -> Path:
    return directory / TREE_DIRECTORY / f"level-{level:02}"


def write_tiles(disk: Disk, directory: Path, nodes: Iterable[Node]) -> None:
    """Put nodes on tile levels where they belong; durable on return. Writing one again changes nothing."""
    levels: dict[int, list[Node]] = {}
    for node in nodes:
        levels.setdefault(node.level, []).append(node)
    for level, of_level in levels.items():
        path = _level_path(directory, level)
        fresh = disk.size(path) < 0
        if fresh:
            disk.make_directory(path.parent)
            disk.create(path)
        # They are completed in order, so that those of a level lie side by side.
        for run in _runs(of_level):
            disk.write_at(path, run[0].position * HASH_BYTES, b"".join(node.digest for node in run))
        disk.sync(path)
        disk.close(path)
        if fresh:
            disk.sync_directory(path.parent)


def _runs(nodes: Sequence[Node]) -> list[list[Node]]:
    runs: list[list[Node]] = []
    for node in nodes:
        if runs and runs[-1][-1].position + 1 == node.position:
            runs[-1].append(node)
        else:
            runs.append([node])
    return runs


def tiles_missing(disk: Disk, directory: Path, size: int) -> bool:
    """Whether the roots over whole tiles of a tree of `size` leaves are not all there."""
    whole = size // TILE_LEAVES
    return whole > 0 and disk.size(_level_path(directory, TILE_LEVELS)) < whole * HASH_BYTES


def write_leaves(disk: Disk, directory: Path, first: int, leaves: bytes) -> None:
    """Keep the hashes of consecutive leaves from `first` on."""
    folder = directory / TREE_DIRECTORY
    disk.make_directory(folder)
    write_whole(disk, folder / f"leaves-{first:020}", seal(_LEAVES_MAGIC, leaves))


def leaves_worth_keeping(
    index: Index, first: int, end: int, shed: RangeSet, promised: AbstractSet[int]
) -> list[tuple[int, bytes]]:  # fmt: skip
    """Choose the runs of leaf hashes that are needed after a segment with leaves first to end - 1 is gone.

    Proofs between multiples of 256 need none of them; those from or to a clean stop, or a size that a witness
    may have signed (`promised`), need its tile. Where bulk was given up nobody else may have the records: all
    of them stay.
    """
    if any(low < end and high >= first for low, high in shed):
        return [(first, _leaves_of(index, first, end))]
    tiles = {stop // TILE_LEAVES for stop in index.stops if stop % TILE_LEAVES} | promised
    tiles |= {bound // TILE_LEAVES for bound in (first, end) if bound % TILE_LEAVES}
    runs = []
    for tile in sorted(tiles):  # those of other segments give an empty run
        low, high = max(first, tile * TILE_LEAVES), min(end, (tile + 1) * TILE_LEAVES)
        if low < high:
            runs.append((low, _leaves_of(index, low, high)))
    return runs


def _leaves_of(index: Index, first: int, end: int) -> bytes:
    run = _Run.of(index, first, end)
    return b"".join(run.leaf(seq) for seq in range(first, end))


class _Run(NamedTuple):
    """Leaf hashes of the seqs from `first` to `end` - 1; those that are not listed are of lost records."""

    first: int
    end: int
    seqs: Sequence[int]
    hashes: bytes

    @classmethod
    def of(cls, index: Index, first: int, end: int) -> _Run:
        return cls(first, end, index.entries.seqs(), bytes(index.leaves))

    def leaf(self, seq: int) -> bytes:
        position = bisect_left(self.seqs, seq)
        if position == len(self.seqs) or self.seqs[position] != seq:
            return UNKNOWN_LEAF
        return self.hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES]


class KeptHashes:
    """Nodes of a journal's tree, for `merkle.inclusion_proof` and `consistency_proof`. Blocks; one thread.

    Args:
        disk: the file system.
        directory: the journal's.
        segments: sealed ones, by first seq.
        opened: first seq and index of the segment that takes records, whose hashes are not on disk yet.
        size: leaves of the tree.
    """

    def __init__(
        self, disk: Disk, directory: Path, segments: Sequence[Segment], opened: tuple[int, Index] | None,
        size: int,
    ) -> None:  # fmt: skip
        self._disk = disk
        self._directory = directory
        self._segments = segments
        self._size = size
        self._open_first = size if opened is None else opened[0]
        self._run = _Run(0, 0, (), b"") if opened is None else _Run.of(opened[1], opened[0], size)
        self._open_run = self._run
        folder = directory / TREE_DIRECTORY
        names: list[str] = []
        with suppress(FileNotFoundError):
            names = disk.names(folder)
        self._kept = [int(match[1]) for name in names if (match := _LEAVES_NAME.fullmatch(name))]

    def __call__(self, level: int, index: int) -> bytes:
        """Return a node's hash. Raises HashGoneError, OSError."""
        base = level // TILE_LEVELS * TILE_LEVELS
        if base:
            hashes = self._stored(base, index << (level - base), 1 << (level - base))
            if hashes is not None:
                return _merged(hashes)
        if level == 0:
            return self._leaf(index)
        return node_hash(self(level - 1, 2 * index), self(level - 1, 2 * index + 1))

    def _stored(self, level: int, first: int, count: int) -> list[bytes] | None:
        path = _level_path(self._directory, level)
        if self._disk.size(path) < (first + count) * HASH_BYTES:
            return None
        data = self._disk.read(path, first * HASH_BYTES, count * HASH_BYTES)
        hashes = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        return None if UNKNOWN_LEAF in hashes else hashes  # zeros: never written, or lost

    def _leaf(self, seq: int) -> bytes:
        if not self._run.first <= seq < self._run.end:
            self._run = self._run_with(seq)
        return self._run.leaf(seq)

    def _run_with(self, seq: int) -> _Run:
        if self._open_run.first <= seq < self._open_run.end:
            return self._open_run
        position = bisect_right(self._segments, seq, key=lambda one: one.first_seq) - 1
        if position >= 0:
            segment = self._segments[position]
            following = [one.first_seq for one in self._segments[position + 1 : position + 2]]
            found = read_index(self._disk, segment)
            if found is not None and seq < found[1].next_seq:
                end = min(found[1].next_seq, *following, self._open_first)
                return _Run.of(found[0], segment.first_seq, end)
        return self._kept_run(seq)

    def _kept_run(self, seq: int) -> _Run:
        position = bisect_right(self._kept, seq) - 1
        if position >= 0:
            first = self._kept[position]
            path = self._directory / TREE_DIRECTORY / f"leaves-{first:020}"
            hashes = unseal(_LEAVES_MAGIC, self._disk.read(path))
            if hashes is not None and seq < (end := first + len(hashes) // HASH_BYTES):
                return _Run(first, end, range(first, end), hashes)
        raise HashGoneError(
            f"the leaf hash of seq {seq} is not kept here any more: ask for sizes that are multiples of "
            f"{TILE_LEAVES}, or the archive"
        )


def _merged(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]
