"""The journal's door to the file system, injected so that tests can lose and tear what was not synced."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.journal.errors import JournalBusyError

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK_BYTES = 4096
_NO_DAMAGE = frozenset({
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EISDIR,
})  # fmt: skip
"""Why a read fails although the bytes are there, or never were: nobody may take them for damaged."""
_PIECES_MAX = 1024
"""As many as one call takes (IOV_MAX)."""


class Disk(Protocol):
    """What the journal asks of a file system. Every method blocks and may raise OSError."""

    def make_directory(self, path: Path) -> None:
        """Make a directory and its parents; one that is there is fine."""
        ...

    def names(self, directory: Path) -> list[str]:
        """List the files of a directory, sorted."""
        ...

    def size(self, path: Path) -> int:
        """Size of a file in bytes; -1 when there is none."""
        ...

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        """Read `count` bytes (default: to the end); fewer at the end of the file."""
        ...

    def create(self, path: Path) -> None:
        """Make an empty file in place of whatever is there."""
        ...

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""
        ...

    def write_pieces_at(self, path: Path, offset: int, pieces: Sequence[bytes]) -> None:
        """Write all of `pieces`, one after the other, from `offset` on."""
        ...

    def sync(self, path: Path) -> None:
        """Return when the file's bytes and size are on the medium (fdatasync)."""
        ...

    def close(self, path: Path) -> None:
        """Let go of a file that was written."""
        ...

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to `size` bytes."""
        ...

    def allocate(self, path: Path, size: int) -> None:
        """Make a file `size` bytes long, the new ones zeros, with room on the medium for all of them."""
        ...

    def free_bytes(self, directory: Path) -> int:
        """Return how much more can be written to the file system of a directory."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file over another one."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is fine."""
        ...

    def sync_directory(self, directory: Path) -> None:
        """Return when the names of a directory are on the medium."""
        ...

    def lock(self, path: Path) -> None:
        """Hold a lock file until `unlock`. Raises JournalBusyError when another process holds it."""
        ...

    def unlock(self, path: Path) -> None:
        """Give the lock back."""
        ...


class RealDisk:
    """The operating system's file system.

    A written file stays open until `close`, so that a failed sync is reported to the one who wrote.
    Thread-safe for different files.
    """

    def __init__(self) -> None:
        """Open nothing yet."""
        self._written: dict[Path, int] = {}
        self._locks: dict[Path, int] = {}

    def make_directory(self, path: Path) -> None:
        """Make a directory, closed to others, and its parents; each is durable in the one that holds it."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        path.mkdir(exist_ok=True, mode=0o700)
        self.sync_directory(path.parent)

    def names(self, directory: Path) -> list[str]:
        """List the files of a directory, sorted."""
        return sorted(entry.name for entry in os.scandir(directory) if entry.is_file())

    def size(self, path: Path) -> int:
        """Size of a file in bytes; -1 when there is none."""
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return -1

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        """Read a piece of a file."""
        with path.open("rb", buffering=0) as stream:
            stream.seek(offset)
            wanted = os.fstat(stream.fileno()).st_size - offset if count is None else count
            data = stream.read(max(0, wanted)) or b""
            while len(data) < wanted and (more := stream.read(wanted - len(data))):
                data += more
            return data

    def create(self, path: Path) -> None:
        """Make an empty file; an older one of that name goes, with whatever its cache holds."""
        self.close(path)
        path.unlink(missing_ok=True)
        self._written[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def _descriptor(self, path: Path) -> int:
        if path not in self._written:
            self._written[path] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return self._written[path]

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""
        descriptor, view = self._descriptor(path), memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def write_pieces_at(self, path: Path, offset: int, pieces: Sequence[bytes]) -> None:
        """Call pwritev(2): joining megabytes first would hold the interpreter for milliseconds."""
        descriptor = self._descriptor(path)
        for at in range(0, len(pieces), _PIECES_MAX):
            part = pieces[at : at + _PIECES_MAX]
            size = sum(map(len, part))
            written = os.pwritev(descriptor, part, offset)
            if written < size:  # rare: a signal, or the disk is about to be full
                self.write_at(path, offset + written, b"".join(part)[written:])
            offset += size

    def sync(self, path: Path) -> None:
        """Call fdatasync(2): it covers the size that reading back needs."""
        os.fdatasync(self._descriptor(path))

    def close(self, path: Path) -> None:
        """Close a written file."""
        descriptor = self._written.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file."""
        os.ftruncate(self._descriptor(path), size)

    def allocate(self, path: Path, size: int) -> None:
        """Call posix_fallocate(3): where the file system cannot reserve, the C library writes zeros."""
        os.posix_fallocate(self._descriptor(path), 0, size)

    def free_bytes(self, directory: Path) -> int:
        """Ask statvfs(3) for what an ordinary process may use."""
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file over another one."""
        self.close(source)
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        self.close(path)
        path.unlink(missing_ok=True)

    def sync_directory(self, directory: Path) -> None:
        """Call fsync(2) on a directory."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> None:
        """Take flock(2) on a lock file: it ends with the process, however that ends."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise JournalBusyError(
                f"another process has the journal in {path.parent} open",
                hint="stop it first, or give this one a directory of its own",
            ) from None
        self._locks[path] = descriptor

    def unlock(self, path: Path) -> None:
        """Release flock(2)."""
        descriptor = self._locks.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)


def write_whole(disk: Disk, path: Path, data: bytes) -> None:
    """Replace a file durably: a crash leaves either the old bytes or the new ones."""
    temporary = path.with_name(path.name + ".new")
    disk.create(temporary)
    try:
        disk.write_at(temporary, 0, data)
        disk.sync(temporary)
    finally:
        disk.close(temporary)
    disk.replace(temporary, path)
    disk.sync_directory(path.parent)


def read_damaged(disk: Disk, path: Path, offset: int = 0, count: int | None = None) -> bytes:
    """Read from a file whose medium may fail: what it does not give comes back as zeros, never valid ones.

    Raises:
        OSError: the file is not there, or may not be read by this process: that is no damage.
    """
    try:
        return disk.read(path, offset, count)
    except OSError as error:
        if error.errno in _NO_DAMAGE:
            raise
    end, parts = max(0, disk.size(path)), list[bytes]()
    if count is not None:
        end = min(end, offset + count)
    for at in range(offset, end, _CHUNK_BYTES):
        size = min(_CHUNK_BYTES, end - at)
        try:
            parts.append(disk.read(path, at, size).ljust(size, b"\0"))
        except OSError as error:
            if error.errno in _NO_DAMAGE:
                raise
            parts.append(bytes(size))
    return b"".join(parts)
