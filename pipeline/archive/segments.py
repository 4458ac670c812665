"""Segment files of the archive: the journal's framing, with the archive's own ordinal in the place of seq.

    payload of a frame   length of what follows (2 bytes, big-endian), msgpack [lab, gateway], the record's
    bytes

A file is named by its first ordinal and says by its header which collector wrote it. Those of other
collectors lie in folders of their own, `from-` and that collector's number. Of a segment whose time is over a
`.purged` file stays: the hashes and kinds of its records. Everything here blocks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from pipeline.journal.disk import write_whole
from pipeline.journal.framing import (
    FILE_HEADER_BYTES,
    FRAME_HEADER_BYTES,
    Damage,
    Entry,
    file_header,
    frame,
    parse,
    read_file_header,
    scan,
)
from pipeline.store.door import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.journal.disk import Disk

_LENGTH = struct.Struct(">H")
SUFFIX = ".segment"
PURGED_SUFFIX = ".purged"
FOREIGN = "from-"


class Place(NamedTuple):
    """Where a frame lies."""

    segment: str
    """Name of the file: its first ordinal, in the folder of another collector with that before it."""
    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class Content:
    """One archived record."""

    origin: Origin
    data: bytes
    """The record's bytes, as received."""


def pack(origin: Origin, data: bytes) -> bytes:
    """Make a frame's payload."""
    packed: bytes = msgpack.packb([origin.lab, origin.gateway])
    return b"".join((_LENGTH.pack(len(packed)), packed, data))


def unpack(payload: bytes | memoryview) -> Content:
    """Read a frame's payload, whose checksum fits. Raises ValueError when it is of another format."""
    (length,) = _LENGTH.unpack_from(payload)
    start = _LENGTH.size + length
    lab, gateway = msgpack.unpackb(payload[_LENGTH.size : start])
    return Content(Origin(lab, gateway), bytes(payload[start:]))


def _end_of_promised(entries: list[Entry], damages: list[Damage], synced_to: int, size: int) -> int:
    """Tell where the torn tail begins: at damage up to the end, or that nothing says to have been synced."""
    synced = max((entry.durable_seq for entry in entries), default=-1)
    end = max((entry.end for entry in entries), default=0)
    torn = [
        one.offset for one in damages
        if one.offset >= end or (one.seq > synced and one.offset >= synced_to)
    ]  # fmt: skip
    return max(FILE_HEADER_BYTES, min(torn, default=size))


def names_in(disk: Disk, folder: Path, suffix: str) -> list[str]:
    """List the files of a folder with a suffix, without it, in order."""
    return [name.removesuffix(suffix) for name in disk.names(folder) if name.endswith(suffix)]


class Segments:
    """The segment files of one folder; the last one grows.

    Thread-safe: no. A write that failed leaves nothing that counts: the next one begins at the same place.
    """

    def __init__(self, disk: Disk, folder: Path, archive: bytes, segment_bytes: int) -> None:
        self._disk = disk
        self._folder = folder
        self._archive = archive
        self._segment_bytes = segment_bytes
        self._open: str | None = None
        self._end = 0
        self._next = 0

    def own(self) -> list[str]:
        """Names of the segments that this archive wrote itself, in order; the last one may still grow."""
        return names_in(self._disk, self._folder, SUFFIX)

    def names(self) -> list[str]:
        """Names of all segments, those of other collectors after our own."""
        return [*self.own(), *self._foreign(SUFFIX)]

    def purged(self) -> list[str]:
        """Names of the segments of which only hashes are left."""
        own = names_in(self._disk, self._folder, PURGED_SUFFIX)
        return [*own, *self._foreign(PURGED_SUFFIX)]

    def _foreign(self, suffix: str) -> list[str]:
        folders = sorted(path for path in self._folder.glob(f"{FOREIGN}*") if path.is_dir())
        return [f"{one.name}/{name}" for one in folders for name in names_in(self._disk, one, suffix)]

    def path(self, segment: str) -> Path:
        """File of a segment."""
        return self._folder / f"{segment}{SUFFIX}"

    def size(self, segment: str) -> int:
        """Bytes of a segment file; -1 when there is none."""
        return self._disk.size(self.path(segment))

    def missing(self, through: Mapping[str, int]) -> list[str]:
        """Name the segments that are missing, or shorter than they were indexed, though not let go."""
        return sorted(
            name for name, end in through.items()
            if self.size(name) < end and self._disk.size(self._folder / f"{name}{PURGED_SUFFIX}") < 0
        )  # fmt: skip

    def contents(
        self, segment: str, through: int | None = None
    ) -> tuple[list[tuple[Place, Content]], list[Damage]]:  # fmt: skip
        """Read every whole frame of a segment, up to an offset, and the bytes that are none."""
        data = self._disk.read(self.path(segment), 0, through)
        header = read_file_header(data)
        if header is None:
            return [], [Damage(0, len(data), 0)]
        entries, damages = scan(data, header[1])
        if data[:FILE_HEADER_BYTES] != file_header(*header):  # also what nobody reads is as it was written
            damages.append(Damage(0, FILE_HEADER_BYTES, header[1]))
        view = memoryview(data)
        found: list[tuple[Place, Content]] = []
        for entry in entries:
            try:
                content = unpack(view[entry.offset + FRAME_HEADER_BYTES : entry.end])
            except (ValueError, TypeError, struct.error, msgpack.UnpackException):
                damages.append(Damage(entry.offset, entry.end, entry.seq))
            else:
                found.append((Place(segment, entry.offset, entry.end), content))
        return found, damages

    def recover(self, synced_to: int = 0) -> int:
        """Find where to go on, set a torn tail aside in a file of its own, and return its size in bytes.

        Sectors reach the medium in any order, so that whole frames may lie behind a lost one: what is whole
        of the tail is written again.

        Args:
            synced_to: bytes of the last segment that are known to have been synced.
        """
        names = self.own()
        if not names:
            return 0
        last = names[-1]
        first = int(last)
        data = self._disk.read(self.path(last))
        if read_file_header(data) is None:
            # A file that was only begun is begun again. A damaged one stays as it is: no frame of it has an
            # ordinal as large as its number of bytes.
            self._next = first + (len(data) if len(data) > FILE_HEADER_BYTES else 0)
            return 0
        entries, damages = scan(data, first)
        end = _end_of_promised(entries, damages, synced_to, len(data))
        kept = [entry for entry in entries if entry.end <= end]
        self._next = max([entry.seq + 1 for entry in kept], default=first)
        torn = len(data) - end
        if torn:
            write_whole(self._disk, self._folder / f"{last}-{end}.torn", data[end:])
            self._disk.truncate(self.path(last), end)
            self._disk.sync(self.path(last))
        self._open, self._end = last, end
        whole = [unpack(data[e.offset + FRAME_HEADER_BYTES : e.end]) for e in entries if e.offset >= end]
        if whole:
            self.append(whole)
        return torn

    def append(self, contents: list[Content]) -> list[Place]:
        """Write records and return once they are on the medium. Raises OSError: then none counts."""
        if self._open is None or self._end >= self._segment_bytes:
            self._begin()
        assert self._open is not None  # noqa: S101 - _begin has opened one
        places, parts, offset = [], [], self._end
        for number, content in enumerate(contents, start=self._next):
            framed = frame(number, self._next - 1, pack(content.origin, content.data))
            parts.append(framed)
            places.append(Place(self._open, offset, offset + len(framed)))
            offset += len(framed)
        path = self.path(self._open)
        self._disk.write_at(path, self._end, b"".join(parts))
        self._disk.sync(path)
        self._end, self._next = offset, self._next + len(contents)
        return places

    def _begin(self) -> None:
        if self._open is not None:
            self._disk.close(self.path(self._open))
        name = f"{self._next:016d}"
        path = self.path(name)
        self._disk.create(path)
        header = file_header(self._archive, self._next)
        self._disk.write_at(path, 0, header)
        self._disk.sync(path)
        self._disk.sync_directory(self._folder)
        self._open, self._end = name, len(header)

    def read(self, place: Place) -> Content | None:
        """Read one record again; None when its bytes are damaged."""
        data = self._disk.read(self.path(place.segment), place.offset, place.end - place.offset)
        entry = parse(memoryview(data), 0)
        return None if entry is None else unpack(memoryview(data)[FRAME_HEADER_BYTES:])

    def close(self) -> None:
        """Let go of the open file."""
        if self._open is not None:
            self._disk.close(self.path(self._open))
