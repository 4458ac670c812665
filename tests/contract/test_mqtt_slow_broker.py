"""A broker that acknowledges slowly and takes few at a time is a slow broker, not a lost one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from pipeline.mqtt import Link, LinkLostError, MqttSettings

CONNACK = 0x20
PUBLISH_QOS1 = 0x32
LAG_S = 0.05


class SlowBroker:
    """Speaks as much of MQTT 5 as it takes to acknowledge, one at a time and late.

    The bytes are those of the standard: CONNACK (3.2) with the property receive maximum (3.2.2.3.3), PUBLISH
    (3.3) and PUBACK (3.4) of the OASIS specification.
    """

    def __init__(self, receive_maximum: int, silent_after: int = 10**6, forgets: int = -1) -> None:
        self._receive_maximum = receive_maximum
        self._forgets = forgets
        """The one that it never acknowledges, in the order in which they came."""
        self._silent_after = silent_after
        self.taken = 0
        self.most_under_way = 0
        self._under_way = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        acknowledging = asyncio.create_task(self._acknowledge(queue, writer))
        try:
            while True:
                first, body = await _packet(reader)
                if first == 0x10:
                    writer.write(bytes([CONNACK, 6, 0, 0, 3, 0x21, 0, self._receive_maximum]))
                elif first == PUBLISH_QOS1:
                    topic_bytes = int.from_bytes(body[:2], "big")
                    self._under_way += 1
                    self.most_under_way = max(self.most_under_way, self._under_way)
                    queue.put_nowait(body[2 + topic_bytes : 4 + topic_bytes])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            acknowledging.cancel()
            writer.close()

    async def _acknowledge(self, queue: asyncio.Queue[bytes], writer: asyncio.StreamWriter) -> None:
        while self.taken < self._silent_after:
            identifier = await queue.get()
            await asyncio.sleep(LAG_S)
            self.taken += 1
            self._under_way -= 1
            if self.taken - 1 != self._forgets:
                writer.write(bytes([0x40, 2]) + identifier)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one control packet: its first byte, and what follows the remaining length (2.1)."""
    first = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return first, await reader.readexactly(length)


async def test_what_waits_for_its_turn_is_not_given_up_while_others_are_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.mqtt.link.TIMEOUT_S", 4 * LAG_S)
    broker = SlowBroker(receive_maximum=1)
    async with broker.serving() as port, Link(MqttSettings(port=port), "one") as link:
        await asyncio.gather(*(link.publish(f"a/{number}", b"x") for number in range(12)))
    assert broker.taken == 12
    assert broker.most_under_way == 1


async def test_messages_under_way_together_are_waited_for_while_any_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.mqtt.link.TIMEOUT_S", 4 * LAG_S)
    broker = SlowBroker(receive_maximum=20)
    async with broker.serving() as port, Link(MqttSettings(port=port), "one") as link:
        await asyncio.gather(*(link.publish(f"a/{number}", b"x") for number in range(12)))
    assert broker.most_under_way > 4


async def test_a_broker_that_falls_silent_is_lost_for_all_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.mqtt.link.TIMEOUT_S", 4 * LAG_S)
    broker = SlowBroker(receive_maximum=2, silent_after=1)
    async with broker.serving() as port, Link(MqttSettings(port=port), "one") as link:
        async with asyncio.timeout(5):
            ends = await asyncio.gather(
                *(link.publish(f"a/{number}", b"x") for number in range(3)), return_exceptions=True
            )
    assert [type(end) for end in ends] == [bool, LinkLostError, LinkLostError]


async def test_a_message_that_the_broker_passes_over_is_not_waited_for_as_long_as_others_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.mqtt.link.TIMEOUT_S", 4 * LAG_S)
    broker = SlowBroker(receive_maximum=20, forgets=1)
    async with broker.serving() as port, Link(MqttSettings(port=port), "one") as link:

        async def go_on() -> None:
            for number in range(1000):
                await link.publish(f"b/{number}", b"x")

        first = asyncio.create_task(link.publish("a/0", b"x"))
        forgotten = asyncio.create_task(link.publish("a/1", b"x"))
        others = asyncio.create_task(go_on())
        try:
            async with asyncio.timeout(20 * LAG_S):
                with pytest.raises(LinkLostError, match="no acknowledgement"):
                    await forgotten
            assert await first
            assert not others.done()
        finally:
            others.cancel()
            await asyncio.gather(others, return_exceptions=True)
