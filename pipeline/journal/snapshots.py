"""Consumers' state beside the journal: two generations of each file, checked when read."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgpack

from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.framing import seal, unseal

LOG = logging.getLogger(__name__)
SNAPSHOT_DIRECTORY = "snapshots"
_MAGIC = b"YAOSUSNP"
_NAME = re.compile(r"[a-z0-9-]{1,64}")


class Snapshot(NamedTuple):
    """A consumer's state after it had taken every record up to `seq`."""

    version: int
    seq: int
    state: bytes


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


def write_snapshot(disk: Disk, directory: Path, name: str, snapshot: Snapshot) -> None:
    """Write a generation and keep the one before it."""
    newest, older = _paths(directory, name)
    if read_snapshot(disk, newest) is not None:
        disk.replace(newest, older)
    write_whole(disk, newest, seal(_MAGIC, msgpack.packb(list(snapshot))))


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
    """Writes snapshots behind the loop's back, each only once the records that it covers are durable.

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
        loop = asyncio.get_running_loop()
        while self._waiting:
            name, snapshot = next(iter(self._waiting.items()))
            await self._wait_durable(snapshot.seq)
            if self._waiting.get(name) is snapshot:
                del self._waiting[name]
            try:
                await loop.run_in_executor(
                    self._executor, write_snapshot, self._disk, self._directory, name, snapshot
                )
            except OSError as error:
                # A missing snapshot costs a longer replay, never data; the next one comes within a minute.
                LOG.warning("snapshot %s was not written: %s", name, error)

    async def close(self, *, written: bool) -> None:
        """Finish what is waiting, or drop it when the journal cannot be written."""
        if self._task is None:
            return
        if not written:
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
