"""The demo's broker: what our link needs of it, and where it differs from Mosquitto."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.broker import IN_FLIGHT_MAX, BrokerStartError, EmbeddedBroker
from pipeline.mqtt import Delivery, Link, LinkLostError, MqttSettings

TIMEOUT_S = 10.0


@pytest.fixture
async def broker() -> AsyncIterator[EmbeddedBroker]:
    async with EmbeddedBroker() as started:
        yield started


@pytest.fixture
def mqtt(broker: EmbeddedBroker) -> MqttSettings:
    return MqttSettings(port=broker.port)


async def take(link: Link, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(TIMEOUT_S):
        async for delivery in link.deliveries():
            delivery.done()
            taken.append(delivery)
            if len(taken) == count:
                break
    return taken


async def test_it_listens_on_loopback_only_and_stops(broker: EmbeddedBroker) -> None:
    assert broker.running
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex((str(address), broker.port)) != 0
    port = broker.port
    await broker.__aexit__(None, None, None)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_every_shared_message_arrives_once(mqtt: MqttSettings) -> None:
    seen: list[int] = []

    async def read(link: Link, done: asyncio.Event) -> None:
        async for delivery in link.deliveries():
            seen.append(delivery.payload[0])
            delivery.done()
            if len(seen) == 40:
                done.set()

    async with Link(mqtt, "a") as a, Link(mqtt, "b") as b, Link(mqtt, "writer") as writer:
        done = asyncio.Event()
        for link in (a, b):
            await link.subscribe("$share/group/x/#")
        readers = [asyncio.create_task(read(link, done)) for link in (a, b)]
        for number in range(40):
            await writer.publish("x/y", bytes([number]))
        async with asyncio.timeout(TIMEOUT_S):
            await done.wait()
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    assert sorted(seen) == list(range(40))


async def test_retained_and_last_will(mqtt: MqttSettings) -> None:
    async with Link(mqtt, "watcher") as watcher:
        await watcher.subscribe("x/status")
        async with Link(mqtt, "gone", ("x/status", b"offline")) as link:
            await link.publish("x/status", b"online", retain=True)
            link._paho._sock_close()  # as a cut cable: no DISCONNECT is sent
        assert [d.payload for d in await take(watcher, 2)] == [b"online", b"offline"]
    async with Link(mqtt, "late") as late:
        await late.subscribe("x/status")
        assert (await take(late, 1))[0].payload == b"offline"


@pytest.mark.parametrize("size", [200_000, 3_000_000])
async def test_a_large_payload_passes(mqtt: MqttSettings, size: int) -> None:
    async with Link(mqtt, "one") as link:
        await link.subscribe("x/#")
        await link.publish("x/y", bytes(size))
        assert len((await take(link, 1))[0].payload) == size


async def test_it_never_says_that_nobody_subscribes(mqtt: MqttSettings) -> None:
    async with Link(mqtt, "one") as link:
        assert await link.publish("x/y", b"1") is True


async def test_it_has_its_own_limit_in_place_of_the_receive_maximum(broker: EmbeddedBroker) -> None:
    settings = MqttSettings(port=broker.port, in_flight_max=3)
    async with Link(settings, "reader") as reader, Link(settings, "writer") as writer:
        await reader.subscribe("x/#")
        for number in range(2 * IN_FLIGHT_MAX):
            await writer.publish("x/y", bytes([number]))
        held: list[Delivery] = []

        async def hold() -> None:
            async for delivery in reader.deliveries():
                held.append(delivery)  # noqa: PERF401 - it never ends, and what came so far counts

        holding = asyncio.create_task(hold())
        await asyncio.wait({holding}, timeout=0.5)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        assert 3 < len(held) <= IN_FLIGHT_MAX


async def test_its_end_is_a_lost_link(broker: EmbeddedBroker, mqtt: MqttSettings) -> None:
    async with Link(mqtt, "one") as link:
        waiting = asyncio.create_task(take(link, 1))
        await asyncio.sleep(0)
        await broker.__aexit__(None, None, None)
        async with asyncio.timeout(2):
            with pytest.raises(LinkLostError):
                await waiting


async def test_a_port_in_use_is_named(broker: EmbeddedBroker) -> None:
    with pytest.raises(BrokerStartError, match=str(broker.port)):
        await EmbeddedBroker(broker.port).__aenter__()
