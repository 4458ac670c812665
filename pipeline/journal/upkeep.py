"""What is done beside the commits: segments finished, room kept, bulk let go, everything read again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.journal.errors import JournalFullError
from pipeline.journal.fold import SHED_EVENT, Fold
from pipeline.journal.merging import FILES_MIN, files_to_merge, merge_ledger
from pipeline.journal.promised import PROMISED_NAME, PromisedSizes
from pipeline.journal.remaking import remake_index
from pipeline.journal.retirement import DAY_NS, found_again, retire_segment
from pipeline.journal.scrub import Findings, Scrub
from pipeline.journal.sealing import finish_segment, ledger_file_of
from pipeline.journal.segments import Sealed, Segment, read_fold, read_index
from pipeline.journal.shedding import ShedPlan, choose_segment, plan_shedding
from pipeline.records.events import event_body
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from concurrent.futures import Executor
    from pathlib import Path

    from pipeline.journal.disk import Disk
    from pipeline.journal.framing import Entry
    from pipeline.journal.settings import JournalSettings
    from pipeline.journal.shelf import Shelf
    from pipeline.journal.space import Space
    from pipeline.records import Clock, Record
    from pipeline.records.envelope import Body
    from pipeline.records.ranges import Range

LOG = logging.getLogger(__name__)
_SEGMENTS_LOOKED_AT = 4096
_SHED_AT_ONCE = 8
"""Segments given up in one go; the next comes a few seconds later."""
_ANNOUNCED_PERCENT = (80, 90)
RETIRE_NS = 60 * 10**9
"""How often it is looked for what is old enough to go: an index is read for it."""


class Append(Protocol):
    """Appends a record, as the gateway's recorder does."""

    def __call__(self, kind: str, body: Body, *, instrument: str | None = None) -> Record:
        """Raises JournalFullError: it was not taken."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What of an open journal the upkeep works on."""

    disk: Disk
    directory: Path
    journal: bytes
    settings: JournalSettings
    clock: Clock
    shelf: Shelf
    space: Space
    executor: Executor
    receipted: Callable[[], RangeSet]
    holes: RangeSet
    report: Callable[..., None]
    wait_through: Callable[[int], Awaitable[None]]
    """Wait until a seq is durable, through any trouble of the disk."""
    damaged: Callable[[Segment, Entry], None]


class Upkeep:
    """Works in the background thread, one thing at a time. Every method is called on the event loop."""

    def __init__(
        self, parts: Parts, unfinished: Iterable[Sealed], shed: RangeSet, declared: Iterable[tuple[str, int]]
    ) -> None:  # fmt: skip
        self.shed = shed
        """Seqs whose bulk was given up for room."""
        findings = Findings(parts.damaged, self._found_missing, self._explained, self._mend)
        self.scrub = Scrub(parts.disk, parts.shelf, parts.executor, parts.clock, findings)
        self.promised = PromisedSizes(parts.disk, parts.directory / PROMISED_NAME, parts.executor)
        """What witnesses may have signed last."""
        self._parts = parts
        self._unfinished = list(unfinished)
        self._declared = set(declared)
        self._announced = 0
        self._retire_ns = 0
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def _run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._parts.executor, call, *arguments)

    def sealed(self, segments: Iterable[Sealed]) -> None:
        """Take segments to finish; a new one is prepared too."""
        self._unfinished.extend(segments)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self.finish(), name="journal upkeep")

    async def finish(self) -> None:
        """Have room ready and finish what was sealed, as far as the disk allows."""
        async with self._lock:
            try:
                await self._prepare()
                while self._unfinished:
                    one = self._unfinished[0]
                    ledger = await self._run(finish_segment, self._parts.disk, self._parts.journal, one)
                    self._parts.shelf.copied(ledger)
                    self._unfinished.pop(0)
            except OSError as error:
                LOG.warning("the journal's files are finished later: %s", error)

    async def _prepare(self) -> None:
        space = self._parts.space
        full, short = space.reserve == "used", space.short
        try:
            await self._run(space.prepare)
        except OSError as error:
            if not space.short:
                LOG.warning("no room is kept ready in the journal: %s", error)
        if space.short and not short:
            LOG.warning("the disk has no room for the journal's next segment: what is receipted goes early")
        if full and space.reserve == "held":
            self._parts.report("disk-room")

    async def maintain(self, append: Append) -> None:
        """Do what is due; called every few seconds.

        `append` takes the gaps and the event that explain what is given up: nothing goes before they are
        durable.
        """
        now_ns = self._parts.clock.run_ns()
        if self._retire_ns <= now_ns:
            self._retire_ns = now_ns + RETIRE_NS
            await self.retire()
            await self.merge()
        else:
            await self.finish()
        self._announce()
        if self._pressed():
            await self.retire(at_once=True)
        for _ in range(_SHED_AT_ONCE):
            if not self._over() or not await self._shed_next(append):
                break

    def _over(self) -> bool:
        return self._parts.shelf.size() + self._parts.space.bytes > self._parts.settings.size_max_bytes

    def _pressed(self) -> bool:
        """Whether room is wanted at once: below the limit too, where the disk has not so much."""
        return self._over() or self._parts.space.short

    def _announce(self) -> None:
        limit = self._parts.settings.size_max_bytes
        percent = 100 * (self._parts.shelf.size() + self._parts.space.bytes) // limit
        reached = max((step for step in _ANNOUNCED_PERCENT if percent >= step), default=0)
        if reached > self._announced:
            self._parts.report("journal-filling", percent=reached, limit=limit)
        if reached != self._announced and (reached > self._announced or percent < self._announced - 5):
            self._announced = reached

    async def retire(self, *, at_once: bool = False, segments_max: int = 64) -> int:
        """Let go of the bulk of segments that are receipted and, unless `at_once`, older than `keep_days`.

        At once, only as many go as bring the journal below its limit and give a full disk room again. Returns
        how many went.
        """
        await self.finish()
        parts = self._parts
        limit_ns = None if at_once else parts.clock.utc_ns() - int(parts.settings.keep_days * DAY_NS)
        done, retired = RangeSet(parts.receipted()), 0
        for segment in self._receipted(done, segments_max):
            if at_once and not self._pressed():
                break
            if await self._retire_one(segment, done, limit_ns):
                retired += 1
                if at_once:
                    await self._prepare()
            elif not at_once:
                break  # the later ones are younger
        return retired

    async def merge(self, files_min: int = FILES_MIN) -> bool:
        """Merge small ledger files, when there are so many; whether it did."""
        parts = self._parts
        oldest = parts.shelf.oldest_seq(0)
        files = files_to_merge(parts.shelf.ledger, oldest, files_min)
        if not files:
            return False
        async with self._lock:
            try:
                one = await self._run(merge_ledger, parts.disk, parts.directory, parts.journal, files)
            except OSError as error:
                LOG.warning("ledger files were not merged, trying again later: %s", error)
                return False
        if one is not None:
            parts.shelf.merged(files, one)
        return one is not None

    def _found_missing(self, missing: list[Range]) -> None:
        self._parts.holes.update(missing)
        records = sum(last - first + 1 for first, last in missing)
        self._parts.report(
            "records-missing", records=records, first_seq=missing[0][0], last_seq=missing[-1][1]
        )

    def _explained(self, segment: Segment) -> RangeSet:
        """What need not be in a file: of a retired one what was stored elsewhere, or given up."""
        parts = self._parts
        if segment in parts.shelf.ledger:
            return RangeSet([*parts.holes, *parts.receipted(), *self.shed])
        return RangeSet(parts.holes)

    async def _mend(self, segment: Segment) -> bool:
        """Make the index of a sealed segment anew, if it has none that fits; false where that cannot be."""
        parts = self._parts
        async with self._lock:
            if segment not in parts.shelf.segments or any(
                one.segment.path == segment.path for one in self._unfinished
            ):
                return False
            if await self._run(read_index, parts.disk, segment) is not None:
                return True
            if parts.shelf.open is None and segment == parts.shelf.segments[-1]:
                return False  # nothing says yet where it ends
            end = parts.shelf.last_seq(segment) + 1
            before = parts.shelf.before(segment)
            try:
                size = await self._run(parts.disk.size, segment.path)
                if size < 0:
                    gone = parts.holes.missing(segment.first_seq, end - 1)
                    if gone:
                        self._found_missing(gone)
                    return False
                segment = parts.shelf.cut(segment, size)
                known = Fold() if before is None else await self._run(read_fold, parts.disk, before)
                had = (await self._run(ledger_file_of, parts.disk, segment)).size
                ledger = await self._run(remake_index, parts.disk, parts.journal, segment, known, end)
            except OSError as error:
                LOG.warning("the index of %s is made anew later: %s", segment.path.name, error)
                return False
        parts.shelf.copied(ledger, max(0, had))
        LOG.warning("the index of %s was made anew", segment.path.name)
        return True

    async def _retire_one(self, segment: Segment, done: RangeSet, limit_ns: int | None) -> bool:
        parts = self._parts
        if not await self._mend(segment):
            return False
        segment = parts.shelf.next_finished(segment.first_seq) or segment
        async with self._lock:
            try:
                if await self._heals(segment, done):
                    return False
                given_up = RangeSet([*self.shed, *parts.holes])
                call = partial(retire_segment, promised=self.promised.tiles)
                ledger = await self._run(call, parts.disk, parts.journal, segment, done, given_up, limit_ns)
            except OSError as error:
                LOG.warning("%s was not retired, trying again later: %s", segment.path.name, error)
                return False
        if ledger is None:
            return False
        parts.shelf.retired(segment, ledger)
        return True

    async def _heals(self, segment: Segment, done: RangeSet) -> bool:
        """Read what could not be read once more before it goes; whether some is there: it is to be stored."""
        holes = self._parts.holes
        settled = RangeSet([*done, *self.shed])
        lost = RangeSet(one for pair in holes for one in settled.missing(*pair))
        again = await self._run(found_again, self._parts.disk, segment, lost) if len(lost) else []
        for seq in again:
            holes.remove(seq)
        if again:
            LOG.warning("%d records of %s can be read again", len(again), segment.path.name)
        return bool(again)

    def _receipted(self, done: RangeSet, segments_max: int) -> list[Segment]:
        settled = RangeSet([*done, *self.shed, *self._parts.holes])
        shelf, found = self._parts.shelf, list[Segment]()
        for segment in shelf.segments[:_SEGMENTS_LOOKED_AT]:
            if settled.covers(segment.first_seq, shelf.last_seq(segment)):
                found.append(segment)
                if len(found) == segments_max:
                    break
        return found

    async def _shed_next(self, append: Append) -> bool:
        """Give up the bulk of one segment; false when there is none, or not now."""
        parts, done = self._parts, RangeSet(self._parts.receipted())
        segments = [one for one in parts.shelf.segments if not parts.shelf.in_use(one)]
        chosen = await self._run(choose_segment, parts.disk, segments)
        if chosen is None:
            return False
        plan = await self._run(plan_shedding, parts.disk, chosen, done, RangeSet(self.shed))
        try:
            if plan is None or not await self._explain(plan, append):
                return False
        except JournalFullError as error:
            LOG.warning("%s cannot be given up now: %s", chosen.path.name, error)
            return False
        return await self._retire_one(chosen, done, None)

    async def _explain(self, plan: ShedPlan, append: Append) -> bool:
        """Record the gaps and what is given up, and wait until that is durable."""
        ranges = list(plan.seqs)
        if not ranges:
            return True
        for gap in plan.gap_list:
            # After a crash in between, those that are recorded are not recorded again.
            if (gap.instrument, gap.from_run_ns) not in self._declared:
                append("gap", asdict(gap), instrument=gap.instrument)
                self._declared.add((gap.instrument, gap.from_run_ns))
        told = event_body(
            SHED_EVENT, rows=plan.rows, records=len(plan.seqs), first_seq=ranges[0][0],
            last_seq=ranges[-1][1], ranges=[list(pair) for pair in ranges],
        )  # fmt: skip
        event = append("event", told)
        self._declared.clear()
        await self._parts.wait_through(event.seq)
        self.shed.update(ranges)
        return True

    async def verify_some(self, seconds: float) -> None:
        """Read sealed segments again, as many bytes as `verify_bytes_per_s` allows in that time."""
        if bytes_max := round(seconds * self._parts.settings.verify_bytes_per_s):
            await self.scrub.step(bytes_max)

    async def close(self) -> None:
        """Finish what is sealed; what cannot be is done by the next start."""
        if self._task is not None:
            await self._task


def unsettled(done: RangeSet, others: Sequence[RangeSet], durable_seq: int) -> list[tuple[int, int]]:
    """List the durable seqs that nobody has stored and nobody has explained."""
    if durable_seq < 0:
        return []
    settled = done
    if any(len(other) for other in others):
        settled = RangeSet([*done, *(pair for other in others for pair in other)])
    return settled.missing(0, durable_seq)
