"""A publisher on a line so slow that a message is due again before it is across."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from pipeline.mqtt import MqttSettings, Publisher, Topics
from tests.crash.models import ManualClock
from tests.support.journal_fake import JournalInMemory
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOPICS = Topics("lab", "one")
ACROSS_S = 40.0


class SlowLink:
    """Takes ACROSS_S for each record, and never takes a word of farewell where it is told so."""

    def __init__(self, *, farewell: bool = True) -> None:
        self.farewell = farewell
        self.abandoned = False
        self.begun: Counter[bytes] = Counter()
        self.under_way: Counter[bytes] = Counter()
        self.most = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is left open."""

    def abandon(self) -> None:
        self.abandoned = True

    async def subscribe(self, *_: str) -> None:
        """Nothing is ever heard."""

    async def deliveries(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        if retain:
            if b"offline" in payload and not self.farewell:
                await asyncio.Event().wait()
            return True
        self.begun[payload] += 1
        self.under_way[payload] += 1
        self.most = max(self.most, *self.under_way.values())
        try:
            await asyncio.sleep(ACROSS_S)
        finally:
            self.under_way[payload] -= 1
        return True


class LoopClock(ManualClock):
    """Gateway time of the loop."""

    def run_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e9)


def publisher_over(link: SlowLink, journal: JournalInMemory) -> Publisher:
    return Publisher(
        settings=MqttSettings(), topics=TOPICS, source=journal, clock=LoopClock(), random=random.Random(1),
        trusted=dict, status=dict, retained=dict, link=cast("Any", lambda *_: link),
    )  # fmt: skip


@pytest.mark.virtual_time
async def test_what_is_still_on_its_way_is_not_sent_a_second_time_beside_it() -> None:
    journal, link = JournalInMemory(), SlowLink()
    for number in range(5):
        journal.append("event", {"number": number})
    running = asyncio.create_task(publisher_over(link, journal).run())
    await asyncio.sleep(10 * ACROSS_S)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert link.most == 1
    assert max(link.begun.values()) > 1, "without a receipt it is sent again, once it is across"


@pytest.mark.virtual_time
@pytest.mark.parametrize("farewell", [True, False])
async def test_a_farewell_that_does_not_get_through_is_left_to_the_last_will(*, farewell: bool) -> None:
    link = SlowLink(farewell=farewell)
    publisher = publisher_over(link, JournalInMemory())
    running = asyncio.create_task(publisher.run())
    await until(lambda: publisher.health.link.connected)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert link.abandoned != farewell
