"""Batches of deliveries into archive and store, then receipts, then acknowledgements, in this order."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from gateway.collector.batch import gather
from gateway.collector.health import CollectorHealth
from gateway.collector.keeping import Keeper
from pipeline.mqtt import Link, PublishRefusedError, Topics, seal_receipt
from pipeline.mqtt.topics import ALL_RECORDS, ALL_RETAINED

if TYPE_CHECKING:
    from random import Random

    from gateway.collector.dead_letters import DeadLetters
    from gateway.collector.keeping import ArchivedBatch, Stored
    from gateway.collector.settings import CollectorSettings
    from pipeline.archive import Archive
    from pipeline.mqtt import Delivery
    from pipeline.records import Clock
    from pipeline.records.signing import SigningKey
    from pipeline.store.door import Store

LOG = logging.getLogger(__name__)
QUEUE_MAX = 10_000
"""Messages between the connection and the batches; the connection's own limit in bytes comes first."""
BATCHES_MAX = 3
"""Batches that are archived and not yet receipted: one that the store answers, one that is encoded meanwhile,
one that is archived."""
RANGES_MAX = 500
"""Ranges in one receipt."""


class Collector:
    """One collector on the shared subscription.

    What is delivered is acknowledged only after archive and store have it; a batch that cannot be stored is
    kept and tried again. Queue: QUEUE_MAX deliveries, senders wait; the broker stops at the receive maximum.
    At most BATCHES_MAX batches are under way; the next one waits in the queue.
    """

    def __init__(
        self, settings: CollectorSettings, *, store: Store, archive: Archive, dead_letters: DeadLetters,
        key: SigningKey, clock: Clock, random: Random,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._key = key
        self.health = CollectorHealth()
        self._keeper = Keeper(
            store=store, archive=archive, dead_letters=dead_letters, health=self.health, clock=clock,
            random=random,
        )  # fmt: skip

    async def work(self, link: Link) -> None:
        """Collect over one connection until it is lost."""
        queue: asyncio.Queue[Delivery] = asyncio.Queue(QUEUE_MAX)
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._receive(link, queue))
            parts.create_task(self._keep_batches(link, queue, parts))
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

    async def _keep_batches(
        self, link: Link, queue: asyncio.Queue[Delivery], finishing: asyncio.TaskGroup
    ) -> None:  # fmt: skip
        """Archive batches one after the other; the store has several of them, each in a task of its own."""
        room = asyncio.Semaphore(BATCHES_MAX)
        while True:
            await room.acquire()
            batch = await gather(queue, self._settings)
            archived = await self._keeper.archive(batch)
            finishing.create_task(self._finish(link, batch, archived, room))
            self.health.waiting, self.health.dropped = queue.qsize(), link.held.dropped

    async def _finish(
        self, link: Link, batch: list[Delivery], archived: ArchivedBatch, room: asyncio.Semaphore
    ) -> None:  # fmt: skip
        await self._send_receipts(link, await self._keeper.store(archived))
        for delivery in batch:
            delivery.done()
        room.release()

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
