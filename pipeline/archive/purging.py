"""Letting go of segments whose time is over: the bytes go, hashes and kinds of their records stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from pipeline.archive.index import Row
from pipeline.archive.segments import PURGED_SUFFIX, Place
from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.framing import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAGIC = b"YAOSUPRG"


def write_purged(disk: Disk, folder: Path, segment: str, rows: Sequence[Row]) -> None:
    """Keep what stays of a segment, durably, before its bytes go."""
    packed = msgpack.packb([[row.journal, row.seq, row.digest, row.kind] for row in rows])
    write_whole(disk, folder / f"{segment}{PURGED_SUFFIX}", seal(_MAGIC, packed))


def read_purged(disk: Disk, folder: Path, segment: str) -> list[Row] | None:
    """Read what stayed of a segment; None when the file is damaged. Raises OSError."""
    packed = unseal(_MAGIC, disk.read(folder / f"{segment}{PURGED_SUFFIX}"))
    if packed is None:
        return None
    gone = Place(segment, 0, 0)
    return [Row(journal, seq, digest, gone, kind) for journal, seq, digest, kind in msgpack.unpackb(packed)]
