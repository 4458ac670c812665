"""Publish durable records until a collector's receipt says that they are stored."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.mqtt.errors import LinkLostError, PublishRefusedError, PublishTooLargeError
from pipeline.mqtt.filling import Filler
from pipeline.mqtt.link import Link
from pipeline.mqtt.outbox import Message, Outbox
from pipeline.mqtt.receipt import open_receipt
from pipeline.mqtt.reconnect import LinkHealth, keep_connected
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

    from pipeline.mqtt.filling import Source
    from pipeline.mqtt.questions import Questions
    from pipeline.mqtt.settings import MqttSettings
    from pipeline.mqtt.topics import Topics
    from pipeline.records import Clock
    from pipeline.records.ranges import Range

LOG = logging.getLogger(__name__)
PUMP_PERIOD_S = 0.5
"""Longest time between two looks at what is due, when nothing else wakes the pump."""
RETAINED_PERIOD_S = 1.0
REFUSED_RETRY_NS = 60 * 10**9
"""Time until a retained topic that the broker refuses is offered again."""
REFUSING_NS = 60 * 10**9
"""A refused receipt is a present trouble for so long, and is logged once in this time: a collector that is
not trusted sends one every few seconds."""
GOODBYE_S = 1.0
"""Time for telling that the gateway goes offline; after it the last will says so."""


@dataclass(slots=True)
class PublisherHealth:
    """What the status page says of publishing."""

    link: LinkHealth = field(default_factory=LinkHealth)
    published: int = 0
    """Messages acknowledged by the broker."""
    receipts: int = 0
    receipts_refused: int = 0
    """Since the start."""
    receipt_error: str = ""
    """Why the last refused one was."""
    refusing_since_utc_ns: int = 0
    """When the latest run of refusals began, at most a minute between two; 0 before the first."""
    namesake: str = ""
    """Another gateway that uses this one's name, as far as its receipts tell."""
    no_collector: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    """Topic to the broker's refusal; its records wait in the journal and are offered again."""
    window_messages: int = 0
    window_bytes: int = 0


class _Topics(dict[str, str]):
    def __init__(self, topics: Topics) -> None:
        super().__init__()
        self._topics = topics

    def __missing__(self, key: str) -> str:
        kind, _, instrument = key.partition("/")
        self[key] = self._topics.record(kind, instrument or None)
        return self[key]


class Publisher:
    """The gateway's side of the wire.

    Args:
        source: the journal.
        trusted: pinned collector keys, id to 32 public bytes; asked at each receipt.
        status: JSON-able content of the retained status, without its `state`.
        retained: topic to payload of what is retained besides the status; asked once a second.
        link: makes a connection; called as `Link` is.
    """

    def __init__(
        self, *, settings: MqttSettings, topics: Topics, source: Source, clock: Clock, random: Random,
        trusted: Callable[[], Mapping[str, bytes]], status: Callable[[], dict[str, Any]],
        retained: Callable[[], Mapping[str, bytes]], password: str | None = None,
        link: Callable[..., Link] = Link,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._topics = topics
        self._source = source
        self._clock = clock
        self._random = random
        self._trusted = trusted
        self._status = status
        self._retained = retained
        self._password = password
        self._make_link = link
        self.questions: Questions | None = None
        """What others may ask this gateway; set before `run`."""
        self._topic_of = _Topics(topics)
        self._wake = asyncio.Event()
        self._sending: set[Message] = set()
        """What the broker has not acknowledged yet."""
        self._refused_run_ns = self._told_run_ns = -REFUSING_NS
        self.health = PublisherHealth()
        self._start_over()

    def _start_over(self) -> None:
        """Forget the window: what the last connection had under way has no receipt and is found by that."""
        s = self._settings
        self._outbox = Outbox(s.window_bytes, int(s.republish_first_s * 1e9), int(s.republish_max_s * 1e9))
        self._stored = RangeSet(self._source.receipts.done)

    def _link(self) -> Link:
        will = (self._topics.status, self._status_payload("offline"))
        name = f"yaosu-{self._topics.lab}-{self._topics.gateway}"
        return self._make_link(self._settings, name, will, self._password)

    def _status_payload(self, state: str) -> bytes:
        return orjson.dumps({"state": state, **self._status()})

    async def run(self) -> None:
        """Publish for ever, whatever becomes of the connection."""
        await keep_connected(self._link, self._work, self.health.link, self._clock, self._random)

    async def _work(self, link: Link) -> None:
        self._start_over()
        await link.subscribe(self._topics.receipt)
        if self.questions is not None:
            await self.questions.subscribe(link)
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._take_receipts(link))
                parts.create_task(self._publish_retained(link))
                parts.create_task(self._wake_on_append())
                parts.create_task(self._pump(link))
                if self.questions is not None:
                    parts.create_task(self.questions.run(link))
        except asyncio.CancelledError:
            await self._say_goodbye(link)
            raise

    async def _say_goodbye(self, link: Link) -> None:
        try:
            async with asyncio.timeout(GOODBYE_S):
                await link.publish(self._topics.status, self._status_payload("offline"), retain=True)
        except (LinkLostError, PublishRefusedError, TimeoutError):
            LOG.debug("the last will tells that this gateway goes offline")
            link.abandon()

    async def _take_receipts(self, link: Link) -> None:
        async for delivery in link.deliveries():
            if self.questions is not None and delivery.topic == self.questions.topic:
                self.questions.offer(delivery)
                delivery.done()
                continue
            try:
                receipt = open_receipt(delivery.payload, self._trusted())
            except (
                ValueError,
                OSError,
            ) as error:  # of a receipt (ReceiptError), or of the file of pinned keys
                self._refuse_receipt(str(error))
            else:
                if receipt.journal == self._source.id:
                    self.health.receipts += 1
                    ranges = self._plausible(receipt.ranges)
                    self._source.receipts.acknowledge(ranges)
                    self._stored.update(ranges)
                    self._outbox.receipted(self._stored, self._clock.run_ns())
                    self._wake.set()
                else:
                    self._note_namesake(receipt.journal)
            delivery.done()

    def _note_namesake(self, journal: bytes) -> None:
        """A receipt for another journal came to our topic: somebody else publishes under our name, or has."""
        told = (
            f"receipts for journal {journal.hex()} come to the topic of this gateway: another gateway uses "
            "its name; give one of them another (site.gateway)"
        )
        if told != self.health.namesake:
            LOG.warning("%s", told)
        self.health.namesake = told

    def _refuse_receipt(self, error: str) -> None:
        """Count it, and tell of it once in a minute."""
        now_ns = self._clock.run_ns()
        health = self.health
        if now_ns - self._refused_run_ns >= REFUSING_NS:
            health.refusing_since_utc_ns = self._clock.utc_ns()
        self._refused_run_ns = now_ns
        health.receipts_refused += 1
        health.receipt_error = error
        if now_ns - self._told_run_ns >= REFUSING_NS:
            self._told_run_ns = now_ns
            LOG.warning("receipt refused, %d since the start: %s", health.receipts_refused, error)

    def _plausible(self, ranges: Iterable[Range]) -> list[Range]:
        """Leave out what was never published: nobody can have stored it."""
        last = self._source.durable_seq
        return [(first, min(end, last)) for first, end in ranges if first <= last]

    async def _publish_retained(self, link: Link) -> None:
        said: dict[str, bytes] = {}
        refused_until_ns: dict[str, int] = {}
        while True:
            status = {self._topics.status: self._status_payload("online")}
            for topic, payload in {**status, **self._retained()}.items():
                now_ns = self._clock.run_ns()
                if said.get(topic) == payload or now_ns < refused_until_ns.get(topic, 0):
                    continue
                if await self._retain(link, topic, payload):
                    said[topic] = payload
                else:
                    refused_until_ns[topic] = now_ns + REFUSED_RETRY_NS
            await asyncio.sleep(RETAINED_PERIOD_S)

    async def _retain(self, link: Link, topic: str, payload: bytes) -> bool:
        try:
            await link.publish(topic, payload, retain=True)
        except PublishRefusedError as error:
            self._note_refusal(topic, error)
            return False
        self.health.refused.pop(topic, None)
        return True

    def _note_refusal(self, topic: str, error: PublishRefusedError) -> None:
        if topic not in self.health.refused:
            LOG.warning("%s", error)
        self.health.refused[topic] = str(error)

    async def _wake_on_append(self) -> None:
        while True:
            await self._source.wait_beyond(self._source.durable_seq)
            self._wake.set()

    async def _pump(self, link: Link) -> None:
        """Fill the lanes, publish what is due, several messages under way at once."""
        bytes_max = self._settings.message_bytes_max
        filler = Filler(self._source, self._outbox, self._topic_of, self._stored, bytes_max, self._clock)
        under_way = asyncio.Semaphore(self._settings.in_flight_max)
        self._sending.clear()
        async with asyncio.TaskGroup() as sending:
            while True:
                self._wake.clear()
                if await filler.fill():
                    self._wake.set()
                for message in self._outbox.due(self._clock.run_ns()):
                    if message in self._sending:
                        continue  # on a slow line the first time goes on still: a second would slow it more
                    self._sending.add(message)
                    await under_way.acquire()
                    sending.create_task(self._send(link, message, under_way))
                self._note_health()
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(PUMP_PERIOD_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send(self, link: Link, message: Message, under_way: asyncio.Semaphore) -> None:
        try:
            listened = await link.publish(message.topic, message.payload)
        except PublishRefusedError as error:
            self._note_refusal(message.topic, error)
            alone = isinstance(error, PublishTooLargeError)
            self._outbox.refused(message, self._clock.run_ns(), alone=alone)
        else:
            self._outbox.taken(message)
            self.health.refused.pop(message.topic, None)
            if listened:
                self.health.published += 1
            else:
                self._outbox.nobody_listens(message, self._clock.run_ns())
        finally:
            self._sending.discard(message)
            under_way.release()
            self._wake.set()

    def _note_health(self) -> None:
        self.health.window_messages, self.health.window_bytes = self._outbox.contents()
        self.health.no_collector = self._outbox.silent

    def status(self) -> dict[str, Any]:
        """Health as JSON."""
        refusing = self._clock.run_ns() - self._refused_run_ns < REFUSING_NS
        return asdict(self.health) | {"refusing": refusing}
