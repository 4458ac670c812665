"""The daemon's index over the ledger: follows what is durable, and answers about tasks of any age."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.elements.views import reasons_of_older, show_task
from pipeline.ledger import LIMIT_MAX, LedgerIndex, TaskFilter, rebuild_task
from pipeline.records.envelope import LEDGER_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.elements import Elements
    from pipeline.elements.state import Answer, TaskState
    from pipeline.journal import Journal
    from pipeline.ledger import TaskRow
    from pipeline.records import Record

LOG = logging.getLogger(__name__)
T = TypeVar("T")
FOLLOW_S = 0.5
"""Pause between two looks at what has become durable: tasks of today are answered from memory anyway."""
READ_BYTES_MAX = 1024 * 1024
REFRESH_RECORDS_MAX = 5_000
"""A question waits for the index to take in so many records, not more."""


TOGETHER_RECORDS_MAX = 64
TOGETHER_BYTES_MAX = 256 * 1024
"""Records that lie so close together are read together, so many bytes of them."""
HOLDS_MAX = 1000
"""Held tasks of the index in one list; there are more only during a look-back over years."""


class IndexBehindError(Exception):
    """The index is being made again and cannot say yet; it can in a while."""


class Ledger:
    """Finds tasks in memory and in the index, and tells them as they were known at any seq.

    The index is brought forward behind the journal in a thread of its own; until it has caught up after an
    upgrade or a lost file, older tasks are not found yet (`through_seq` says how far it is). One call at a
    time; callers wait in order.

    Args:
        path: the index's file, made where there is none.
        journal: an open journal.
        elements: the fold over its records.
    """

    def __init__(self, path: Path, journal: Journal, elements: Elements) -> None:
        self._path = path
        self._journal = journal
        self._elements = elements
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-index")
        self._index: LedgerIndex | None = None
        self._opening = asyncio.Lock()
        self._taking = asyncio.Lock()

    @property
    def through_seq(self) -> int:
        """Last seq that the index covers; -1 before the first."""
        return -1 if self._index is None else self._index.through_seq

    async def run(self) -> None:
        """Follow the journal until cancelled."""
        while True:
            await self.catch_up()
            await asyncio.sleep(FOLLOW_S)
            await self._journal.wait_beyond(self.through_seq)

    async def catch_up(self) -> None:
        """Take in everything that is durable now.

        Raises:
            OSError, sqlite3.Error: the index cannot be written.
        """
        index = await self._opened()
        async with self._taking:
            through = self._journal.durable_seq
            while index.through_seq < through:
                records = await self._journal.read(index.through_seq + 1, bytes_max=READ_BYTES_MAX)
                # What lies between the last record that there is and the end was bulk, and is retired.
                last = records[-1].seq if records else through
                ledger = [record for record in records if record.kind in LEDGER_KINDS]
                await self._call(partial(index.take, ledger, last))

    async def catch_up_to_now(self) -> None:
        """Wait until all that was appended so far is durable, and take it in."""
        await self._journal.wait_beyond(self._journal.head_seq - 2)
        await self.catch_up()

    async def _refresh(self) -> None:
        """Bring the index up to now before it is asked; not while it is made again, which takes long."""
        await self._opened()
        if self._journal.durable_seq - self.through_seq <= REFRESH_RECORDS_MAX:
            await self.catch_up()

    async def close(self) -> None:
        """Let go of the file."""
        if self._index is not None:
            await self._call(self._index.close)
        self._thread.shutdown(wait=True)

    async def tasks(self, wanted: TaskFilter) -> list[dict[str, Any]]:
        """List tasks in brief, newest first; what memory knows of them counts more than the index."""
        await self._refresh()
        index = await self._opened()
        rows: list[TaskRow] = await self._call(lambda: index.tasks(wanted))
        fresh = [] if wanted.before or wanted.external_id else self._elements.started_after(index.through_seq)
        listed = fresh + [self._elements.brief(row.task) or row.brief() for row in rows]
        return [brief for brief in listed if wanted.matches(brief)][: wanted.limit]

    async def task(self, task: str, known_at: int | None = None) -> dict[str, Any] | None:
        """Show one task in full, as known now or at a seq; None for one that was not known then."""
        if known_at is None:
            return self._elements.task(task) or await self._told(task, None)
        return await self._told(task, known_at)

    async def _told(self, task: str, known_at: int | None) -> dict[str, Any] | None:
        known = await self.rebuilt(task, known_at)
        return None if known is None else show_task(known)

    async def rebuilt(self, task: str, known_at: int | None = None) -> TaskState | None:
        """Build a task's state from its records up to a seq; None when there is no such task."""
        await self._refresh()
        index = await self._opened()
        seqs = await self._call(lambda: index.mentions(task, known_at))
        return rebuild_task(await self.records(seqs))

    async def records(self, seqs: Sequence[int]) -> list[Record]:
        """Read records by their seqs, ascending; those that are lost are left out.

        A record that lies close behind the one before mostly comes along with it.
        """
        found: list[Record] = []
        near: dict[int, Record] = {}
        for seq, following in zip_longest(seqs, seqs[1:]):
            if seq not in near:
                close = following is not None and following - seq <= TOGETHER_RECORDS_MAX
                read = await self._journal.read(seq, bytes_max=TOGETHER_BYTES_MAX if close else 1)
                near = {record.seq: record for record in read}
            if seq in near:
                found.append(near[seq])
        return found

    async def affected(
        self, role: str, target: str, from_run_ns: int, to_run_ns: int, *, after_seq: int = -1,
        limit: int = LIMIT_MAX,
    ) -> list[TaskRow]:  # fmt: skip
        """List the tasks in which something had a part within a span of gateway time, oldest start first."""
        await self._refresh()
        index = await self._opened()
        return await self._call(
            lambda: index.affected(role, target, from_run_ns, to_run_ns, after_seq=after_seq, limit=limit)
        )

    async def holds(self) -> list[dict[str, Any]]:
        """List what waits for a disposition: what memory has, then HOLDS_MAX older with look-backs."""
        listed = self._elements.holds()
        here = {hold["task"] for hold in listed}
        for overall in ("held", "released-under-look-back"):
            found = await self.tasks(TaskFilter(overall=overall, limit=HOLDS_MAX + len(here)))
            listed += [
                {**brief, "reasons": reasons_of_older(self._elements.fold, brief["task"])}
                for brief in found
                if brief["task"] not in here
            ]
        return listed[: len(here) + HOLDS_MAX]

    async def answer(self, person: str, key: str, through_seq: int) -> Answer | None:
        """Find what a command did that memory has let go of.

        Args:
            person: who gave it.
            key: its idempotency key.
            through_seq: what is later is remembered elsewhere.

        Raises:
            IndexBehindError: the index does not reach so far yet.
        """
        await self._refresh()
        index = await self._opened()
        found: Answer | None = await self._call(lambda: index.answer(person, key))
        if found is None and index.through_seq < through_seq:
            raise IndexBehindError
        return found

    async def _opened(self) -> LedgerIndex:
        async with self._opening:
            if self._index is None:
                self._index = await self._call(lambda: LedgerIndex(self._path, self._journal.id))
                if self._index.through_seq >= self._journal.head_seq:
                    # It knows more than the journal: a restored journal, or records that a power cut took.
                    LOG.warning("%s is ahead of the journal and is made again", self._path)
                    await self._call(self._index.close)
                    await self._call(lambda: self._path.unlink(missing_ok=True))
                    self._index = await self._call(lambda: LedgerIndex(self._path, self._journal.id))
            return self._index

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
