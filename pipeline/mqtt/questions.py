"""Questions that others put to the gateway over MQTT, answered one after the other beside its own work."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pipeline.mqtt.errors import PublishRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.mqtt.held import Delivery
    from pipeline.mqtt.link import Link

LOG = logging.getLogger(__name__)
WAITING_MAX = 8
PAYLOAD_BYTES_MAX = 65536


class Questions:
    """Answers messages of one topic.

    Queue: WAITING_MAX; full policy: a question is dropped, who asked asks again. Answers go only to topics
    below the one at which questions come, so that nobody can make the gateway speak elsewhere.

    Args:
        topic: where questions come.
        answer: payload to answer; None for a message that asks nothing.
    """

    def __init__(self, topic: str, answer: Callable[[bytes], Awaitable[bytes | None]]) -> None:
        self.topic = topic
        self._answer = answer
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue(WAITING_MAX)
        self.dropped = 0

    async def subscribe(self, link: Link) -> None:
        """Begin to listen; a broker that denies it is told of, and stops nothing else."""
        try:
            await link.subscribe(self.topic)
        except PublishRefusedError as error:
            LOG.warning("no witness can ask: %s", error)

    def offer(self, delivery: Delivery) -> None:
        """Take a message in, if there is room."""
        if len(delivery.payload) > PAYLOAD_BYTES_MAX or self._waiting.full():
            self.dropped += 1
        else:
            self._waiting.put_nowait(delivery)

    async def run(self, link: Link) -> None:
        """Answer for as long as the connection holds."""
        while True:
            asked = await self._waiting.get()
            answer = await self._answer(asked.payload)
            if answer is None or not (asked.response_topic or "").startswith(f"{self.topic}/"):
                continue
            try:
                await link.publish(asked.response_topic or "", answer, correlation=asked.correlation)
            except PublishRefusedError as error:
                LOG.warning("%s", error)
