"""Records into archive and store, however long it takes; what neither takes becomes a dead letter."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.collector.batch import CONTENT_ERRORS, open_batch
from gateway.collector.writing import write_all_that_can_be
from pipeline.archive import ArchiveError
from pipeline.records.ranges import RangeSet
from pipeline.records.stack import answered_utc_ns
from pipeline.store.door import Origin, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from numpy.typing import NDArray

    from gateway.collector.dead_letters import DeadLetters
    from gateway.collector.health import CollectorHealth
    from pipeline.archive import Appended, Archive
    from pipeline.mqtt import Delivery
    from pipeline.records import Clock, Record
    from pipeline.records.envelope import Body
    from pipeline.store.door import DeadLetter, Store, WriteReport

LOG = logging.getLogger(__name__)
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0

Stored = dict[tuple[Origin, bytes], RangeSet]
"""(Origin, journal id) to the seqs that a receipt may name."""


class ArchivedBatch:
    """A batch that is on the archive's medium and not yet in the store."""

    def __init__(self, items: Sequence[tuple[Origin, Record]], appended: Appended) -> None:
        forked = set(appended.forks)
        self.by_origin: dict[Origin, list[Record]] = defaultdict(list)
        """What the store is to have: all but records of which the archive has other bytes."""
        for position, (origin, record) in enumerate(items):
            if position not in forked:
                self.by_origin[origin].append(record)
        self.fresh = [items[position][1] for position in appended.new]
        self.known = len(appended.known)
        """Records that came again."""
        stamps = [record.t_utc_ns for records in self.by_origin.values() for record in records]
        self.oldest_utc_ns = min(stamps, default=None)
        """Stamp of the oldest record that the store is to have."""


class Keeper:
    """Tries again until what it was given is kept. Batches may be on the way to the store beside each other.

    While the store takes nothing, one batch at a time asks it again, as late as the store wants to be asked.
    """

    def __init__(
        self, *, store: Store, archive: Archive, dead_letters: DeadLetters, health: CollectorHealth,
        clock: Clock, random: Random,
    ) -> None:  # fmt: skip
        self._store = store
        self._archive = archive
        self._dead_letters = dead_letters
        self._health = health
        self._clock = clock
        self._random = random
        self._asking = asyncio.Lock()
        """Held by the batch that asks an ill store again."""
        self._retry_after_s = 0.0

    async def archive(self, batch: list[Delivery]) -> ArchivedBatch:
        """Take a batch apart and archive it; call it for one batch at a time, in the order of arrival."""
        opened = open_batch(batch)
        if opened.letters:
            self._health.malformed += len(opened.letters)
            LOG.warning(
                "%d parts of payloads are no records: %s", len(opened.letters), opened.letters[0]["reason"]
            )
            await self._bury(opened.letters)
        appended = await self._archive_all(opened.items)
        if appended.forks:
            self._health.forks += len(appended.forks)
            LOG.error("%d records contradict archived ones of the same journal and seq", len(appended.forks))
        return ArchivedBatch(opened.items, appended)

    async def store(self, archived: ArchivedBatch) -> Stored:
        """Store an archived batch; return what may be receipted."""
        stored: Stored = {}
        with self._health.storing(archived.oldest_utc_ns):
            for origin, records in archived.by_origin.items():
                report = await self._write_at_last(origin, records)
                stored.update(await self._receiptable(origin, report))
        self._note_stored(archived)
        return stored

    async def _archive_all(self, items: Sequence[tuple[Origin, Record]]) -> Appended:
        delay_s = RETRY_FIRST_S
        while True:
            try:
                appended = await self._archive.append(items)
            except ArchiveError as error:
                self._health.archive.set(ok=False, utc_ns=self._clock.utc_ns(), error=str(error))
                LOG.warning("%s", error)
            else:
                self._health.archive.set(ok=True, utc_ns=self._clock.utc_ns())
                return appended
            delay_s = await self._pause(delay_s)

    async def _pause(self, delay_s: float, at_least_s: float = 0.0) -> float:
        """Wait with jitter, but no less than was asked for; return the next delay."""
        share = self._random.random()
        await asyncio.sleep(max(delay_s * (0.5 + share / 2), at_least_s * (1 + share / 4)))
        return min(2 * delay_s, RETRY_MAX_S)

    async def _write_at_last(self, origin: Origin, records: list[Record]) -> WriteReport:
        """Write records as soon as the store takes them."""
        async with self._asking:
            pass  # nobody waits for an ill store now
        report = await self._try(origin, records)
        if report is not None:
            return report
        async with self._asking:
            delay_s = RETRY_FIRST_S
            while True:
                if not self._health.store.ok:
                    delay_s = await self._pause(delay_s, self._retry_after_s)
                report = await self._try(origin, records)
                if report is not None:
                    return report

    async def _try(self, origin: Origin, records: list[Record]) -> WriteReport | None:
        """Write once and note what the store says; None when it takes nothing now."""
        now_ns = self._clock.utc_ns
        try:
            report = await write_all_that_can_be(self._store, origin, records)
        except StoreUnavailable as error:
            self._health.store.set(ok=False, utc_ns=now_ns(), error=str(error), hint=error.hint)
            self._retry_after_s = error.retry_after_s
            LOG.warning("the store does not take records: %s", error)
            return None
        self._health.store.set(ok=True, utc_ns=now_ns())
        return report

    async def _receiptable(self, origin: Origin, report: WriteReport) -> Stored:
        stored: Stored = {(origin, journal): RangeSet(seqs) for journal, seqs in report.stored.items()}
        letters = [_letter_of(origin, dead) for dead in report.dead]
        if letters and await self._bury(letters):
            for dead in report.dead:
                stored.setdefault((origin, dead.journal), RangeSet()).add(dead.seq)
        return stored

    async def _bury(self, letters: list[dict[str, Any]]) -> bool:
        """Make dead letters durable; False when there is no room for them."""
        delay_s = RETRY_FIRST_S
        while True:
            try:
                kept = await self._dead_letters.append(letters)
            except OSError as error:
                LOG.warning("the dead-letter file cannot be written: %s", error)
                delay_s = await self._pause(delay_s)
            else:
                self._health.dead_letters_full = not kept
                return kept

    def _note_stored(self, archived: ArchivedBatch) -> None:
        now_ns = self._clock.utc_ns()
        self._health.records += len(archived.fresh)
        self._health.known += archived.known
        if archived.fresh:
            self._health.lag_s = (now_ns - min(record.t_utc_ns for record in archived.fresh)) / 1e9
        bodies = [record.body for record in archived.fresh if record.kind == "data"]
        answered_ns, readings = _answered(bodies)
        self._health.readings += readings
        self._health.latency.add((now_ns - answered_ns).astype(np.float64) / 1e6)


def _answered(bodies: Sequence[Body]) -> tuple[NDArray[np.int64], int]:
    """When each row of `data` bodies was answered, and how many readings they hold; damaged ones none."""
    try:
        readings = sum(body["rows"] * len(body["channels"]) for body in bodies)
        return answered_utc_ns(bodies), readings
    except CONTENT_ERRORS:  # the store has buried it
        if len(bodies) == 1:
            return np.empty(0, dtype=np.int64), 0
    middle = len(bodies) // 2
    halves = [_answered(half) for half in (bodies[:middle], bodies[middle:])]
    return np.concatenate([half[0] for half in halves]), sum(half[1] for half in halves)


def _letter_of(origin: Origin, dead: DeadLetter) -> dict[str, Any]:
    return {
        "lab": origin.lab, "gateway": origin.gateway, "journal": dead.journal.hex(), "seq": dead.seq,
        "reason": dead.reason, "line": dead.line,
    }  # fmt: skip
