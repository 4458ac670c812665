"""Copy the segments of another collector's archive into a folder of their own, durably and unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.archive.segments import FOREIGN, PURGED_SUFFIX, SUFFIX, names_in
from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.framing import FILE_HEADER_BYTES, read_file_header

if TYPE_CHECKING:
    from pathlib import Path


class Copied(NamedTuple):
    """What was copied, and what could not be."""

    segments: list[str]
    """Names here of segments that are new or have grown."""
    refused: list[str]
    """Files of the other archive that are no segments, or contradict a copy that is here; with the reason."""


def copy_segments(disk: Disk, other: Path, folder: Path, *, with_open: bool) -> Copied:
    """Copy every segment of `other`, those too that it has from others.

    Args:
        disk: the file system of both.
        other: the other archive's folder.
        folder: ours.
        with_open: also the last one, which may still grow: where its collector does not run.

    Raises:
        OSError: a folder cannot be read or written.
    """
    copied = Copied([], [])
    own = names_in(disk, other, SUFFIX)
    folders = [other, *sorted(path for path in other.glob(f"{FOREIGN}*") if path.is_dir())]
    for source in folders:
        for suffix in (SUFFIX, PURGED_SUFFIX):
            for name in names_in(disk, source, suffix):
                still_grows = source == other and suffix == SUFFIX and name == own[-1]
                if with_open or not still_grows:
                    _copy(disk, source, name, suffix, folder, copied)
    return copied


def _copy(disk: Disk, source: Path, name: str, suffix: str, folder: Path, copied: Copied) -> None:
    path = source / f"{name}{suffix}"
    data = disk.read(path)
    if suffix == SUFFIX:
        header = read_file_header(data[:FILE_HEADER_BYTES])
        if header is None:
            copied.refused.append(f"{path}: no segment of an archive")
            return
        place = f"{FOREIGN}{header[0].hex()}"
    else:  # what stayed of a segment: beside those that its collector wrote
        place = source.name if source.name.startswith(FOREIGN) else _place_of(disk, source)
    target = folder / place / f"{name}{suffix}"
    if disk.size(target) >= 0:
        here = disk.read(target)
        if data.startswith(here) and len(data) > len(here):
            pass  # it has grown since
        elif here.startswith(data):
            return
        else:
            copied.refused.append(f"{path}: contradicts the copy {target}")
            return
    disk.make_directory(target.parent)
    write_whole(disk, target, data)
    disk.sync_directory(folder)
    copied.segments.append(f"{place}/{name}")


def _place_of(disk: Disk, source: Path) -> str:
    for name in names_in(disk, source, SUFFIX):
        header = read_file_header(disk.read(source / f"{name}{SUFFIX}", 0, FILE_HEADER_BYTES))
        if header is not None:
            return f"{FOREIGN}{header[0].hex()}"
    return f"{FOREIGN}unknown"
