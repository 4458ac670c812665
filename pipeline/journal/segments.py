"""Segment files and their indices."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from pipeline.journal import fold as folding
from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.entries import Entries
from pipeline.journal.fold import Fold
from pipeline.journal.framing import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.journal.framing import Entry
    from pipeline.journal.merkle import Node
    from pipeline.records import Record
    from pipeline.records.ranges import Range

LEDGER_DIRECTORY = "ledger"
MERGED_DIRECTORY = "merged"
QUARANTINE_DIRECTORY = "quarantine"
_NAME = re.compile(r"(\d{20})\.seg")
_INDEX_MAGIC = b"YAOSUIDX"


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed segment file, or a ledger file made from one."""

    path: Path
    first_seq: int
    size: int
    """Bytes of the file."""

    @property
    def index_path(self) -> Path:
        """Where the index lies."""
        return self.path.with_suffix(".idx")


@dataclass(slots=True)
class Index:
    """Where each record of a segment lies, its kind and leaf hash, and what is worth knowing of all."""

    entries: Entries = field(default_factory=Entries)
    kinds: list[str] = field(default_factory=list)
    leaves: bytearray = field(default_factory=bytearray)
    """32 bytes a record."""
    t_utc_first_ns: int = 0
    flagged: int = 0
    """`data` records with a flag other than pass."""
    stops: list[int] = field(default_factory=list)
    """Tree sizes that were signed at clean stops."""

    def add(self, entry: Entry, kind: str, leaf: bytes) -> None:
        """Add the next record by what is known without its body."""
        self.entries.append(entry)
        self.kinds.append(kind)
        self.leaves += leaf

    def extend(self, entries: Entries, kinds: list[str], leaves: bytes) -> None:
        """Add the next records, many at a time."""
        self.entries.extend(entries)
        self.kinds += kinds
        self.leaves += leaves

    def add_record(self, entry: Entry, record: Record, leaf: bytes) -> None:
        """Add the next record."""
        self.add(entry, record.kind, leaf)
        if len(self.entries) == 1:
            self.t_utc_first_ns = record.t_utc_ns
        if record.kind == "data":
            self.flagged += record.body.get("flag") is not None
        elif record.kind == "checkpoint" and record.body.get("stop"):
            self.stops.append(record.body["size"])

    def absent(self, first: int, last: int) -> list[Range]:
        """List the seqs from first to last that are not in it."""
        absent: list[Range] = []
        for seq in self.entries.seqs():
            if first <= seq <= last:
                if seq > first:
                    absent.append((first, seq - 1))
                first = seq + 1
        return [*absent, (first, last)] if first <= last else absent


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment that takes no more records, with all that is to be written about it."""

    segment: Segment
    index: Index
    after: dict[str, Any]
    """`Fold.pack` after its last record."""
    tiles: Sequence[Node]
    """Nodes of the Merkle tree that it completed."""


def segment_name(first_seq: int) -> str:
    """Name the segment that begins with a seq."""
    return f"{first_seq:020}.seg"


def list_segments(disk: Disk, directory: Path) -> list[Segment]:
    """List the segment files of a directory by first seq."""
    found = []
    for name in disk.names(directory):
        match = _NAME.fullmatch(name)
        if match:
            found.append(Segment(directory / name, int(match[1]), disk.size(directory / name)))
    return found


def write_index(disk: Disk, segment: Segment, index: Index, after: dict[str, Any]) -> None:
    """Write the index of a sealed segment; `after` is `Fold.pack` after its last record."""
    names = sorted(set(index.kinds))
    codes = {name: code for code, name in enumerate(names)}
    content = {
        "bytes": segment.size,
        **index.entries.columns(),
        "kinds": names,
        "codes": np.array([codes[kind] for kind in index.kinds], dtype="<u2").tobytes(),
        "leaves": bytes(index.leaves),
        "t_utc_first_ns": index.t_utc_first_ns,
        "flagged": index.flagged,
        "stops": index.stops,
        "after": after,
    }
    write_whole(disk, segment.index_path, seal(_INDEX_MAGIC, msgpack.packb(content)))


def read_index(disk: Disk, segment: Segment, *, cut: bool = False) -> tuple[Index, Fold] | None:
    """Read a segment's index; None when there is none, it is damaged, or the segment has another size.

    With `cut` the segment may be shorter than it was: then its last records are listed, and are not there.
    """
    content = _read_content(disk, segment, cut=cut)
    if content is None:
        return None
    entries = Entries.of_columns(content)
    names = content["kinds"]
    kinds = [names[code] for code in np.frombuffer(content["codes"], dtype="<u2").tolist()]
    index = Index(
        entries, kinds, bytearray(content["leaves"]), content["t_utc_first_ns"], content["flagged"],
        content["stops"],
    )  # fmt: skip
    return index, folding.unpack(content["after"])


def is_flagged(disk: Disk, segment: Segment) -> bool | None:
    """Whether a segment has rows with a flag other than pass; None without a usable index."""
    content = _read_content(disk, segment)
    return None if content is None else content["flagged"] > 0


def read_fold(disk: Disk, segment: Segment) -> Fold | None:
    """Read only what the journal knew after a segment, though that were cut."""
    content = _read_content(disk, segment, cut=True)
    return None if content is None else folding.unpack(content["after"])


def _read_content(disk: Disk, segment: Segment, *, cut: bool = False) -> dict[str, Any] | None:
    try:
        if disk.size(segment.index_path) < 0:
            return None
        data = unseal(_INDEX_MAGIC, disk.read(segment.index_path))
    except OSError:
        return None
    if data is None:
        return None
    content: dict[str, Any] = msgpack.unpackb(data)
    fits = content["bytes"] == segment.size or (cut and content["bytes"] > segment.size)
    # An index of an older program has no leaf hashes: it is made anew, as when there is none.
    return content if fits and "leaves" in content else None
