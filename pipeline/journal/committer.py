"""Group commit: many appends, one sync, never on the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

from pipeline.journal.errors import CommitFailedError, JournalFullError
from pipeline.journal.settings import JournalSettings
from pipeline.journal.space import FULL_ERRORS, Space
from pipeline.journal.writer import Writer, Written
from pipeline.records import Clock, Record

LOG = logging.getLogger(__name__)
BATCH_BYTES_MAX = 16 * 2**20
_RETRY_FIRST_S = 0.2
_RETRY_MAX_S = 5.0
_DURATIONS_KEPT = 512
LEDGER_SHARE = 8
"""The ledger may wait in memory for one part in this many beyond the limit of bulk."""


@dataclass(slots=True)
class Trouble:
    """Why and since when records cannot be written."""

    since_utc_ns: int
    since_run_ns: int
    error: str
    attempts: int


class Committer:
    """Takes records in order and makes them durable, in batches.

    A commit starts at most `commit_delay_ms` after the oldest record that is waiting, or when the commit
    before it ends. Queue: `uncommitted_bytes_max`, for the ledger an eighth more; full policy: refuse
    (JournalFullError). A failed commit is
    tried again with the same records, for ever, after 0.2 s doubling to 5 s. Thread-safe: no.
    """

    def __init__(
        self, writer: Writer, space: Space, executor: Executor, settings: JournalSettings, clock: Clock, *,
        durable_seq: int,
        committed: Callable[[Written], None], report: Callable[..., None],
    ) -> None:  # fmt: skip
        self.durable_seq = durable_seq
        self.uncommitted_bytes = 0
        self.trouble: Trouble | None = None
        self.durations_s: deque[float] = deque(maxlen=_DURATIONS_KEPT)
        self._writer = writer
        self._space = space
        self._executor = executor
        self._settings = settings
        self._clock = clock
        self._committed = committed
        self._report = report
        self._waiting: deque[tuple[float, Record]] = deque()
        self._arrived = asyncio.Event()
        self._closing = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._turn: asyncio.Future[CommitFailedError | None] = self._loop.create_future()
        self._task = self._loop.create_task(self._run(), name="journal commits")
        self._task.add_done_callback(self._ended)

    def check_room(self, size: int, *, bulk: bool) -> None:
        """Raise JournalFullError when `size` more bytes cannot wait in memory, or bulk finds the disk full.

        An eighth more is left to the ledger, which must be able to say that bulk found no room; and so is the
        reserve on a full disk.
        """
        if bulk and self._space.reserve == "used":
            raise JournalFullError(
                "the disk is full",
                hint="free space on it; rows that cannot be recorded meanwhile are counted as a gap",
            )
        limit = self._settings.uncommitted_bytes_max
        if self.uncommitted_bytes + size > (limit if bulk else limit + limit // LEDGER_SHARE):
            raise JournalFullError(
                f"{self.uncommitted_bytes} bytes of records wait for the disk",
                hint="check the disk; what cannot be recorded meanwhile is counted as a gap",
            )

    def add(self, record: Record) -> None:
        """Take the next record."""
        self._waiting.append((self._loop.time(), record))
        self.uncommitted_bytes += len(record.data)
        self._arrived.set()

    async def _run(self) -> None:
        while self._waiting or not self._closing.is_set():
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            oldest_s, _ = self._waiting[0]
            await self._pause(oldest_s + self._settings.commit_delay_ms / 1000 - self._loop.time())
            if not await self._commit(self._next_batch()):
                return

    def _next_batch(self) -> list[Record]:
        batch: list[Record] = []
        size, size_max = 0, min(BATCH_BYTES_MAX, self._settings.file_bytes)
        for _, record in self._waiting:
            size += len(record.data)
            if batch and (size > size_max or len(batch) >= self._settings.segment_records):
                break
            batch.append(record)
        return batch

    async def _commit(self, batch: list[Record]) -> bool:
        """Write a batch, however often it takes; false when closing on a disk that does not work."""
        delay_s = _RETRY_FIRST_S
        while True:
            began_s = self._loop.time()
            try:
                written = await self._loop.run_in_executor(self._executor, self._writer.commit, batch)
            except OSError as error:
                self._failed(error)
                if error.errno in FULL_ERRORS and await self._use_reserve():
                    continue
            else:
                self._succeeded(batch, written, self._loop.time() - began_s)
                return True
            if self._closing.is_set():
                return False
            await self._pause(delay_s)
            delay_s = min(2 * delay_s, _RETRY_MAX_S)

    async def _use_reserve(self) -> bool:
        """Free the reserve, so that what led to it can be recorded; false when it is gone already."""
        if self._space.reserve == "used":
            return False
        held = await self._loop.run_in_executor(self._executor, self._space.use_reserve)
        self._report("disk-full", path=self._writer.directory.name)
        return held

    async def _pause(self, delay_s: float) -> None:
        """Sleep, unless closing is asked for."""
        if delay_s > 0 and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), delay_s)

    def _failed(self, error: OSError) -> None:
        text = error.strerror or str(error)
        if self.trouble is None:
            self.trouble = Trouble(self._clock.utc_ns(), self._clock.run_ns(), text, 0)
            LOG.error("the journal cannot be written: %s", error)
            self._report("storage-trouble", since=self.trouble.since_utc_ns, error=text)
        self.trouble.error = text
        self.trouble.attempts += 1
        self._turn_over(CommitFailedError(error, since_utc_ns=self.trouble.since_utc_ns))

    def _succeeded(self, batch: list[Record], written: Written, duration_s: float) -> None:
        for _ in batch:
            self._waiting.popleft()
        self.uncommitted_bytes -= written.record_bytes
        self.durable_seq = written.durable_seq
        self.durations_s.append(duration_s)
        if duration_s * 1000 > self._settings.slow_commit_ms:
            self._report("slow-sync", seconds=round(duration_s, 3))
        if self.trouble is not None:
            seconds = (self._clock.run_ns() - self.trouble.since_run_ns) / 1e9
            self.trouble = None
            self._report("storage-recovered", seconds=round(seconds, 1))
        self._committed(written)
        self._turn_over(None)

    def _turn_over(self, outcome: CommitFailedError | None) -> None:
        turn, self._turn = self._turn, self._loop.create_future()
        turn.set_result(outcome)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Wake whoever waits when the task ends; an error in it is ours, and shows at the next wait."""
        if not task.cancelled() and task.exception() is not None:
            LOG.critical("the commit task ended", exc_info=task.exception())
        self._turn_over(None)

    async def next_turn(self) -> CommitFailedError | None:
        """Wait for the end of a commit, good or failed. Returns how it failed."""
        if self._task.done():
            await self._task
            raise RuntimeError("the journal is closed")
        return await asyncio.shield(self._turn)

    async def wait_durable(self, seq: int) -> None:
        """Wait until `seq` is durable. Raises CommitFailedError when a commit fails before it is."""
        while self.durable_seq < seq:
            failure = await self.next_turn()
            if failure is not None and self.durable_seq < seq:
                raise failure

    async def room(self) -> None:
        """Wait until at most half of the memory for waiting records is used."""
        while self.uncommitted_bytes * 2 > self._settings.uncommitted_bytes_max:
            await self.next_turn()

    async def close(self) -> bool:
        """Commit what is waiting, trying once if the disk does not work. Returns whether all is durable."""
        self._closing.set()
        self._arrived.set()
        await self._task
        return not self._waiting
