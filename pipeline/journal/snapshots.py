"""Consumers' state beside the journal: two generations of each file, checked when read."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgpack

from pipeline.journal.disk import Disk
from pipeline.journal.framing import SEAL_BYTES, Seal, sealed_length, unseal
from pipeline.records.pieces import Pieces, binary_head

LOG = logging.getLogger(__name__)
SNAPSHOT_DIRECTORY = "snapshots"
_MAGIC = b"YAOSUSNP"
_HEAD_BYTES = len(_MAGIC) + SEAL_BYTES
STEP_BYTES = 2**19
"""Of a large state at least so much is copied between other work, and then written."""
_NAME = re.compile(r"[a-z0-9-]{1,64}")


State: TypeAlias = bytes | Pieces
"""Of a consumer: whole, or to be copied piece by piece while it is written."""


class Snapshot(NamedTuple):
    """A consumer's state after it had taken every record up to `seq`."""

    version: int
    seq: int
    state: State
    """Bytes when it is read."""


def _paths(directory: Path, name: str) -> tuple[Path, Path]:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a snapshot: lower case, digits and hyphens")
    folder = directory / SNAPSHOT_DIRECTORY
    return folder / f"{name}.snap", folder / f"{name}.snap.old"


def read_snapshot(disk: Disk, path: Path) -> Snapshot | None:
    """Read one file; None when it is not there or damaged."""
    with suppress(OSError, ValueError, TypeError):
        content = unseal(_MAGIC, disk.read(path)) if disk.size(path) >= 0 else None
        if content is not None:
            return Snapshot(*msgpack.unpackb(content))
    return None


def _sound(disk: Disk, path: Path) -> bool:
    """Tell whether a file is there and whole, a step at a time: it may be large."""
    with suppress(OSError):
        size = disk.size(path)
        head = disk.read(path, 0, _HEAD_BYTES) if size >= 0 else b""
        if sealed_length(_MAGIC, head) == size - _HEAD_BYTES:
            found = Seal(_MAGIC, size - _HEAD_BYTES)
            for offset in range(_HEAD_BYTES, size, STEP_BYTES):
                found.add(disk.read(path, offset, min(STEP_BYTES, size - offset)))
            return found.head() == head
    return False


class SnapshotFile:
    """A generation that is being written: under a name of its own until `finish`. Every method blocks."""

    def __init__(self, disk: Disk, directory: Path, name: str, snapshot: Snapshot) -> None:
        self._disk = disk
        self._newest, self._older = _paths(directory, name)
        self._path = self._newest.with_name(self._newest.name + ".new")
        state = snapshot.state
        length = state.nbytes if isinstance(state, Pieces) else len(state)
        self._before: bytes = b"".join((
            msgpack.Packer().pack_array_header(len(snapshot)), msgpack.packb(snapshot.version),
            msgpack.packb(snapshot.seq), binary_head(length),
        ))  # fmt: skip
        self._seal = Seal(_MAGIC, len(self._before) + length)
        self._size = _HEAD_BYTES

    def begin(self) -> None:
        """Write what stands before the state; the head of the file stays empty until the end."""
        self._disk.create(self._path)
        self.add([self._before])

    def add(self, pieces: Sequence[bytes]) -> None:
        """Write the next pieces of the state."""
        for piece in pieces:
            self._seal.add(piece)
        self._disk.write_pieces_at(self._path, self._size, pieces)
        self._size += sum(map(len, pieces))

    def finish(self) -> None:
        """Make it durable, and the newest generation: the one before it is kept."""
        self._disk.write_at(self._path, 0, self._seal.head())
        self._disk.sync(self._path)
        self._disk.close(self._path)
        if _sound(self._disk, self._newest):
            self._disk.replace(self._newest, self._older)
        self._disk.replace(self._path, self._newest)
        self._disk.sync_directory(self._newest.parent)

    def drop(self) -> None:
        """Give up: nothing of it is left."""
        with suppress(OSError):
            self._disk.remove(self._path)


def steps(state: State) -> Iterator[list[bytes]]:
    """Take the pieces of a state, as many at a time as make up a step."""
    if isinstance(state, bytes):
        yield [state]
        return
    taken: list[bytes] = []
    for piece in state:
        taken.append(piece)
        if sum(map(len, taken)) >= STEP_BYTES:
            yield taken
            taken = []
    yield taken


def load_snapshot(disk: Disk, directory: Path, name: str, version: int, seq_max: int) -> Snapshot | None:
    """Return the latest generation of a version that covers no more than `seq_max`."""
    found = [read_snapshot(disk, path) for path in _paths(directory, name)]
    fit = [s for s in found if s is not None and s.version == version and s.seq <= seq_max]
    return max(fit, key=lambda snapshot: snapshot.seq, default=None)


def seq_max(disk: Disk, directory: Path) -> int:
    """Highest seq that any snapshot covers, -1 for none: it had been durable."""
    folder = directory / SNAPSHOT_DIRECTORY
    disk.make_directory(folder)
    found = [read_snapshot(disk, folder / name) for name in disk.names(folder) if ".new" not in name]
    return max((snapshot.seq for snapshot in found if snapshot is not None), default=-1)


class SnapshotWriter:
    """Writes snapshots behind the loop's back; each counts only once the records that it covers are durable.

    A large state is copied a step at a time on the loop, and each step is written before the next one.
    Queue: one waiting snapshot a name; full policy: the newer replaces the older. Thread-safe: no.
    """

    def __init__(
        self, disk: Disk, directory: Path, executor: Executor, wait_durable: Callable[[int], Awaitable[None]]
    ) -> None:  # fmt: skip
        self._disk = disk
        self._directory = directory
        self._executor = executor
        self._wait_durable = wait_durable
        self._waiting: dict[str, Snapshot] = {}
        self._task: asyncio.Task[None] | None = None

    def save(self, name: str, snapshot: Snapshot) -> None:
        """Take a snapshot to write."""
        _paths(self._directory, name)
        self._waiting[name] = snapshot
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write_all(), name="journal snapshots")

    async def _write_all(self) -> None:
        while self._waiting:
            name = next(iter(self._waiting))
            snapshot = self._waiting.pop(name)
            try:
                await self._write(name, snapshot)
            except OSError as error:
                # A missing snapshot costs a longer replay, never data; the next one comes within a minute.
                LOG.warning("snapshot %s was not written: %s", name, error)

    async def _write(self, name: str, snapshot: Snapshot) -> None:
        """Write a state while it is copied, and give it its name once what it covers is durable."""
        loop = asyncio.get_running_loop()
        file = SnapshotFile(self._disk, self._directory, name, snapshot)
        try:
            await loop.run_in_executor(self._executor, file.begin)
            for pieces in steps(snapshot.state):
                await loop.run_in_executor(self._executor, file.add, pieces)
            await self._wait_durable(snapshot.seq)
            await loop.run_in_executor(self._executor, file.finish)
        except OSError:
            await loop.run_in_executor(self._executor, file.drop)
            raise

    async def close(self, *, written: bool) -> None:
        """Finish what is waiting, or drop it when the journal cannot be written."""
        if self._task is None:
            return
        if not written:
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
