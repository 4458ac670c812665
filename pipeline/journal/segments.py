"""Segment files and their indices."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from pipeline.journal import fold as folding
from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.fold import Fold
from pipeline.journal.framing import Entry, seal, unseal

if TYPE_CHECKING:
    from pathlib import Path

LEDGER_DIRECTORY = "ledger"
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
    """Where each record of a segment lies, what kind it is, and what the journal knew after the last one."""

    entries: list[Entry] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    t_utc_first_ns: int = 0

    def add(self, entry: Entry, kind: str) -> None:
        """Add the next record."""
        self.entries.append(entry)
        self.kinds.append(kind)


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


def _column(values: list[int]) -> bytes:
    return np.array(values, dtype="<i8").tobytes()


def _numbers(data: bytes) -> list[int]:
    numbers: list[int] = np.frombuffer(data, dtype="<i8").tolist()
    return numbers


def write_index(disk: Disk, segment: Segment, index: Index, fold: Fold) -> None:
    """Write the index of a sealed segment."""
    names = sorted(set(index.kinds))
    codes = {name: code for code, name in enumerate(names)}
    content = {
        "bytes": segment.size,
        "seqs": _column([entry.seq for entry in index.entries]),
        "durables": _column([entry.durable_seq for entry in index.entries]),
        "offsets": _column([entry.offset for entry in index.entries]),
        "ends": _column([entry.end for entry in index.entries]),
        "kinds": names,
        "codes": np.array([codes[kind] for kind in index.kinds], dtype="<u2").tobytes(),
        "t_utc_first_ns": index.t_utc_first_ns,
        "after": fold.pack(),
    }
    write_whole(disk, segment.index_path, seal(_INDEX_MAGIC, msgpack.packb(content)))


def read_index(disk: Disk, segment: Segment) -> tuple[Index, Fold] | None:
    """Read a segment's index; None when there is none, it is damaged, or the segment has another size."""
    content = _read_content(disk, segment)
    if content is None:
        return None
    columns = (_numbers(content[name]) for name in ("seqs", "durables", "offsets", "ends"))
    entries = [Entry(*numbers) for numbers in zip(*columns, strict=True)]
    names = content["kinds"]
    kinds = [names[code] for code in np.frombuffer(content["codes"], dtype="<u2").tolist()]
    return Index(entries, kinds, content["t_utc_first_ns"]), folding.unpack(content["after"])


def read_fold(disk: Disk, segment: Segment) -> Fold | None:
    """Read only what the journal knew after a segment."""
    content = _read_content(disk, segment)
    return None if content is None else folding.unpack(content["after"])


def _read_content(disk: Disk, segment: Segment) -> dict[str, Any] | None:
    try:
        if disk.size(segment.index_path) < 0:
            return None
        data = unseal(_INDEX_MAGIC, disk.read(segment.index_path))
    except OSError:
        return None
    if data is None:
        return None
    content: dict[str, Any] = msgpack.unpackb(data)
    return content if content["bytes"] == segment.size else None
