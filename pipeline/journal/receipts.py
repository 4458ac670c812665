"""Which records a collector has stored: kept as ranges beside the journal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path

import msgpack

from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.framing import seal, unseal
from pipeline.records.ranges import Range, RangeSet

LOG = logging.getLogger(__name__)
RECEIPTS_NAME = "receipts.state"
PERSIST_DELAY_S = 0.5
_RETRY_S = 2.0
_MAGIC = b"YAOSURCP"


def read_receipts(disk: Disk, path: Path) -> RangeSet:
    """Read the persisted ranges; none when the file is missing or damaged: records are then sent again."""
    with suppress(OSError, ValueError, TypeError):
        content = unseal(_MAGIC, disk.read(path)) if disk.size(path) >= 0 else None
        if content is not None:
            return RangeSet((first, last) for first, last in msgpack.unpackb(content))
    return RangeSet()


def write_receipts(disk: Disk, path: Path, ranges: list[Range]) -> None:
    """Replace the persisted ranges."""
    write_whole(disk, path, seal(_MAGIC, msgpack.packb([list(pair) for pair in ranges])))


class Receipts:
    """The set of receipted records. A receipt counts, in `done`, once it is on the disk.

    Memory grows with the number of holes between receipts. Thread-safe: no.
    """

    def __init__(self, disk: Disk, path: Path, executor: Executor, durable_seq: Callable[[], int]) -> None:
        """Go on with `done` empty; the journal fills it from the file."""
        self.done = RangeSet()
        """What is receipted, persistently."""
        self._disk = disk
        self._path = path
        self._executor = executor
        self._durable_seq = durable_seq
        self._waiting = RangeSet()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def acknowledge(self, ranges: Iterable[Range]) -> None:
        """Take ranges of seqs that are stored elsewhere; what is not durable here is ignored."""
        durable_seq = self._durable_seq()
        for first, last in ranges:
            if 0 <= first <= min(last, durable_seq):
                self._waiting.add(first, min(last, durable_seq))
        if len(self._waiting) and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._persist(), name="journal receipts")

    async def _persist(self) -> None:
        delay_s = PERSIST_DELAY_S
        while len(self._waiting):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), delay_s)
            taken, self._waiting = self._waiting, RangeSet()
            whole = RangeSet([*self.done, *taken])
            try:
                await asyncio.get_running_loop().run_in_executor(
                    self._executor, write_receipts, self._disk, self._path, list(whole)
                )
            except OSError as error:
                LOG.warning("receipts were not written, trying again: %s", error)
                self._waiting.update(taken)
                delay_s = _RETRY_S
                if self._closing.is_set():
                    return  # unwritten receipts only mean that records are sent again
            else:
                self.done.update(taken)
                delay_s = PERSIST_DELAY_S

    async def settled(self) -> None:
        """Wait until what was taken is on the disk."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Write what is waiting."""
        self._closing.set()
        await self.settled()
