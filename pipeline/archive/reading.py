"""Reading an archive's folder beside the collector that has it open: no lock, nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.archive.segments import Segments
from pipeline.journal.disk import RealDisk
from pipeline.records.envelope import MalformedRecord, decode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pipeline.records.envelope import Record


def archived_records(folder: Path, journal_prefix: str, kinds: Collection[str]) -> Iterator[Record]:
    """Go through whole records of some kinds, in the order in which they were archived.

    Reads one segment at a time; a damaged place, or a tail that is being written, is left out.

    Args:
        folder: the archive's folder, or a copy of its segments.
        journal_prefix: first hex digits of the journals that are meant; "" for every one.
        kinds: kinds of records.

    Raises:
        OSError: the folder cannot be read.
    """
    segments = Segments(RealDisk(), folder, b"", 0)
    for segment in segments.names():
        contents, _damages = segments.contents(segment)
        for _place, content in contents:
            try:
                record = decode(content.data)
            except MalformedRecord:
                continue
            if record.kind in kinds and record.journal.hex().startswith(journal_prefix):
                yield record
