"""Batches of deliveries into archive and store, then receipts, then acknowledgements, in this order."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.collector.batch import CONTENT_ERRORS, gather, open_batch
from gateway.collector.health import CollectorHealth
from pipeline.archive import ArchiveError
from pipeline.mqtt import Link, PublishRefusedError, Topics, seal_receipt
from pipeline.mqtt.topics import ALL_RECORDS, ALL_RETAINED
from pipeline.records.frame import answered_utc_ns
from pipeline.records.ranges import RangeSet
from pipeline.store.door import DeadLetter, StoreUnavailable, WriteReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from gateway.collector.dead_letters import DeadLetters
    from gateway.collector.settings import CollectorSettings
    from pipeline.archive import Appended, Archive
    from pipeline.mqtt import Delivery
    from pipeline.records import Clock, Record
    from pipeline.records.signing import SigningKey
    from pipeline.store.door import Origin, Store

LOG = logging.getLogger(__name__)
QUEUE_MAX = 10_000
"""Messages between the connection and the batches; the connection's own limit in bytes comes first."""
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0
RANGES_MAX = 500
"""Ranges in one receipt."""

Stored = dict[tuple["Origin", bytes], RangeSet]
"""(Origin, journal id) to the seqs that a receipt may name."""


class Collector:
    """One collector on the shared subscription.

    What is delivered is acknowledged only after archive and store have it; a batch that cannot be stored is
    kept and tried again. Queue: QUEUE_MAX deliveries, senders wait; the broker stops at the receive maximum.
    """

    def __init__(
        self, settings: CollectorSettings, *, store: Store, archive: Archive, dead_letters: DeadLetters,
        key: SigningKey, clock: Clock, random: Random,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._store = store
        self._archive = archive
        self._dead_letters = dead_letters
        self._key = key
        self._clock = clock
        self._random = random
        self.health = CollectorHealth()

    async def work(self, link: Link) -> None:
        """Collect over one connection until it is lost."""
        queue: asyncio.Queue[Delivery] = asyncio.Queue(QUEUE_MAX)
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._receive(link, queue))
            parts.create_task(self._store_batches(link, queue))
            # After the reader has started: retained messages come with the answer to a subscription.
            await link.subscribe(*ALL_RETAINED, ALL_RECORDS)

    async def _receive(self, link: Link, queue: asyncio.Queue[Delivery]) -> None:
        async for delivery in link.deliveries():
            if "/rec/" in delivery.topic:
                await queue.put(delivery)
                self.health.waiting = queue.qsize()
            else:
                self.health.hear(delivery.topic, delivery.payload)
                delivery.done()

    async def _store_batches(self, link: Link, queue: asyncio.Queue[Delivery]) -> None:
        while True:
            batch = await gather(queue, self._settings)
            stored = await self._keep(batch)
            await self._send_receipts(link, stored)
            for delivery in batch:
                delivery.done()
            self.health.waiting, self.health.dropped = queue.qsize(), link.held.dropped

    async def _keep(self, batch: list[Delivery]) -> Stored:
        """Store and archive a batch, however long it takes; return what may be receipted."""
        opened = open_batch(batch)
        if opened.letters:
            self.health.malformed += len(opened.letters)
            LOG.warning(
                "%d parts of payloads are no records: %s", len(opened.letters), opened.letters[0]["reason"]
            )
            await self._bury(opened.letters)
        appended = await self._archive_all(opened.items)
        forked = set(appended.forks)
        if forked:
            self.health.forks += len(forked)
            LOG.error("%d records contradict archived ones of the same journal and seq", len(forked))
        by_origin: dict[Origin, list[Record]] = defaultdict(list)
        for position, (origin, record) in enumerate(opened.items):
            if position not in forked:
                by_origin[origin].append(record)
        stored: Stored = {}
        for origin, records in by_origin.items():
            stored.update(await self._store_all(origin, records))
        self._note_stored([opened.items[position][1] for position in appended.new], len(appended.known))
        return stored

    async def _archive_all(self, items: Sequence[tuple[Origin, Record]]) -> Appended:
        delay_s = RETRY_FIRST_S
        while True:
            try:
                appended = await self._archive.append(items)
            except ArchiveError as error:
                self.health.archive.set(ok=False, utc_ns=self._clock.utc_ns(), error=str(error))
                LOG.warning("%s", error)
            else:
                self.health.archive.set(ok=True, utc_ns=self._clock.utc_ns())
                return appended
            delay_s = await self._pause(delay_s)

    async def _pause(self, delay_s: float) -> float:
        await asyncio.sleep(delay_s * (0.5 + self._random.random() / 2))
        return min(2 * delay_s, RETRY_MAX_S)

    async def _store_all(self, origin: Origin, records: list[Record]) -> Stored:
        delay_s = RETRY_FIRST_S
        while True:
            try:
                report = await self._write(origin, records)
            except StoreUnavailable as error:
                now_ns = self._clock.utc_ns()
                self.health.store.set(ok=False, utc_ns=now_ns, error=str(error), hint=error.hint)
                LOG.warning("the store does not take records: %s", error)
                delay_s = await self._pause(max(delay_s, min(error.retry_after_s, RETRY_MAX_S)))
            else:
                self.health.store.set(ok=True, utc_ns=self._clock.utc_ns())
                return await self._receiptable(origin, report)

    async def _write(self, origin: Origin, records: list[Record]) -> WriteReport:
        """Write records; when the store fails over what one of them holds, find that one and bury it."""
        try:
            return await self._store.write(origin, records)
        except StoreUnavailable:
            raise
        except CONTENT_ERRORS as error:
            LOG.exception("the store failed over %d records of %s/%s", len(records), *origin)
            if len(records) == 1:
                return WriteReport({}, [_dead(records[0], f"{type(error).__name__}: {error}")])
        except Exception as error:
            LOG.exception("the store failed")
            raise StoreUnavailable(f"{type(error).__name__}: {error}", retry_after_s=RETRY_FIRST_S) from error
        middle = len(records) // 2
        halves = [await self._write(origin, half) for half in (records[:middle], records[middle:])]
        stored: dict[bytes, RangeSet] = defaultdict(RangeSet)
        for half in halves:
            for journal, seqs in half.stored.items():
                stored[journal].update(seqs)
        return WriteReport(dict(stored), [letter for half in halves for letter in half.dead])

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
                self.health.dead_letters_full = not kept
                return kept

    def _note_stored(self, fresh: list[Record], known: int) -> None:
        now_ns = self._clock.utc_ns()
        self.health.records += len(fresh)
        self.health.known += known
        if fresh:
            self.health.lag_s = (now_ns - min(record.t_utc_ns for record in fresh)) / 1e9
        for record in fresh:
            if record.kind == "data":
                self._note_rows(record, now_ns)

    def _note_rows(self, record: Record, now_ns: int) -> None:
        try:
            answered_ns, channels = answered_utc_ns(record.body), len(record.body["channels"])
        except CONTENT_ERRORS:
            return  # the store has buried it
        self.health.readings += len(answered_ns) * channels
        self.health.latency.add((now_ns - answered_ns).astype(np.float64) / 1e6)

    async def _send_receipts(self, link: Link, stored: Stored) -> None:
        for (origin, journal), seqs in stored.items():
            ranges = list(seqs)
            for start in range(0, len(ranges), RANGES_MAX):
                receipt = seal_receipt(self._key, journal, ranges[start : start + RANGES_MAX])
                await self._send_receipt(link, Topics(origin.lab, origin.gateway).receipt, receipt)

    async def _send_receipt(self, link: Link, topic: str, receipt: bytes) -> None:
        try:
            await link.publish(topic, receipt)
        except PublishRefusedError as error:
            if str(error) != self.health.receipts_refused:
                LOG.warning("%s", error)  # once for each reason: there are several receipts a second
            self.health.receipts_refused = str(error)
        else:
            self.health.receipts += 1


def _dead(record: Record, reason: str) -> DeadLetter:
    return DeadLetter(record.journal, record.seq, record.data.hex(), reason)


def _letter_of(origin: Origin, dead: DeadLetter) -> dict[str, Any]:
    return {
        "lab": origin.lab, "gateway": origin.gateway, "journal": dead.journal.hex(), "seq": dead.seq,
        "reason": dead.reason, "line": dead.line,
    }  # fmt: skip
