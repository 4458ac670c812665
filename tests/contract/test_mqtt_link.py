"""Link against a real broker: what it relies on in aiomqtt, pinned with the version."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import uvloop

from pipeline.mqtt import (
    Delivery,
    Link,
    LinkLostError,
    MqttSettings,
    PublishRefusedError,
    PublishTooLargeError,
)
from tests.support.certificates import write_certificate
from tests.support.services import Mosquitto, MosquittoFactory, Server, free_port, program

ACL = "topic readwrite open/#\ntopic read $SYS/#\n"
TIMEOUT_S = 5.0


def settings_of(server: Mosquitto, **changes: object) -> MqttSettings:
    return MqttSettings.model_validate({"host": server.host, "port": server.port, **changes})


async def take(deliveries: AsyncIterator[Delivery], count: int) -> list[Delivery]:
    async with asyncio.timeout(TIMEOUT_S):
        return [await anext(deliveries) for _ in range(count)]


async def nothing_more(deliveries: AsyncIterator[Delivery]) -> None:
    """Assert that a barrier in time passes without a delivery; only for what a broker must not send."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await anext(deliveries)


def test_the_version_is_the_one_whose_inside_the_adapter_knows() -> None:
    assert version("aiomqtt") == "2.5.1"


async def test_a_denied_publish_raises_and_the_connection_lives_on(
    mosquitto_factory: MosquittoFactory,
) -> None:
    server = mosquitto_factory(acl=ACL)
    async with Link(settings_of(server), "one") as link:
        with pytest.raises(PublishRefusedError, match="0x87"):
            await link.publish("secret/topic", b"x")
        await link.subscribe("open/#")
        assert await link.publish("open/topic", b"x")


async def test_a_publish_without_subscribers_says_so(mosquitto: Mosquitto) -> None:
    async with Link(settings_of(mosquitto), "one") as link:
        assert await link.publish("open/topic", b"x") is False
        await link.subscribe("open/+")
        assert await link.publish("open/topic", b"x") is True


async def test_no_more_than_the_receive_maximum_is_delivered_until_done(mosquitto: Mosquitto) -> None:
    settings = settings_of(mosquitto, in_flight_max=1)  # above 1, see the next test
    async with Link(settings, "reader") as reader, Link(settings_of(mosquitto), "writer") as writer:
        await reader.subscribe("a/#")
        for number in range(4):
            await writer.publish("a/b", bytes([number]))
        for number in range(4):
            delivery = (await take(reader.deliveries(), 1))[0]
            assert delivery.payload[0] == number
            await nothing_more(reader.deliveries())
            delivery.done()


async def test_what_is_held_is_bounded_though_the_broker_keeps_no_window(mosquitto: Mosquitto) -> None:
    settings = settings_of(mosquitto, in_flight_max=3, held_bytes_max=65536)
    async with Link(settings, "reader") as reader, Link(settings_of(mosquitto), "writer") as writer:
        await reader.subscribe("a/#")
        for number in range(30):
            await writer.publish("a/b", bytes([number]) * 15000)
        deliveries = reader.deliveries()
        held = await take(deliveries, 3)
        held[0].done()
        held[1].done()
        held = [held[2], *await take(deliveries, 3)]
        assert len({delivery.payload for delivery in held}) == 4
        await nothing_more(deliveries)
        assert reader.held.dropped > 0
        await writer.publish("a/b", b"again")
        while held[-1].payload != b"again":  # what is acknowledged makes room
            held.pop(0).done()
            held = held or await take(reader.deliveries(), 1)


async def test_what_a_dead_member_held_goes_to_nobody(mosquitto: Mosquitto) -> None:
    # So delivery rests on receipts: what has none is published again, and then reaches a living member.
    settings = settings_of(mosquitto)
    async with Link(settings, "writer") as writer, Link(settings, "second") as second:
        async with Link(settings, "first") as first:
            await first.subscribe("$share/group/a/#")
            for number in range(3):
                await writer.publish("a/b", bytes([number]))
            (await take(first.deliveries(), 3))[0].done()
        while await writer.publish("a/b", b"unheard"):
            pass  # until the broker has noticed that the first has gone
        await second.subscribe("$share/group/a/#")
        await writer.publish("a/b", b"again")
        assert (await take(second.deliveries(), 1))[0].payload == b"again"


async def test_messages_of_quality_zero_are_dropped(mosquitto: Mosquitto) -> None:
    async with Link(settings_of(mosquitto), "one") as link:
        await link.subscribe("a/#")
        link._paho.publish("a/b", b"unpromised", qos=0)
        await link.publish("a/b", b"promised")
        assert (await take(link.deliveries(), 1))[0].payload == b"promised"


async def test_a_broker_that_stops_ends_everything_under_way_quickly(mosquitto: Mosquitto) -> None:
    async with Link(settings_of(mosquitto), "one") as link:
        await link.subscribe("a/#")
        waiting = asyncio.create_task(take(link.deliveries(), 1))
        await asyncio.sleep(0)
        mosquitto.kill()
        sending = [asyncio.create_task(link.publish("a/b", bytes(1000))) for _ in range(50)]
        async with asyncio.timeout(2):
            results = await asyncio.gather(waiting, *sending, return_exceptions=True)
        assert {type(result) for result in results} == {LinkLostError}
        with pytest.raises(LinkLostError):
            await link.publish("a/b", b"after")


async def test_a_client_of_the_same_name_takes_over(mosquitto: Mosquitto) -> None:
    settings = settings_of(mosquitto)
    async with Link(settings, "twin") as old:
        waiting = asyncio.create_task(take(old.deliveries(), 1))
        await asyncio.sleep(0)
        async with Link(settings, "twin") as new:
            async with asyncio.timeout(2):
                with pytest.raises(LinkLostError):
                    await waiting
            assert await new.publish("a/b", b"x") is False


async def test_nobody_there_is_a_lost_link(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    with pytest.raises(LinkLostError):
        async with Link(settings_of(mosquitto), "one"):
            pytest.fail("there is nobody")


async def test_last_will_and_retained(mosquitto: Mosquitto) -> None:
    settings = settings_of(mosquitto)
    async with Link(settings, "watcher") as watcher:
        await watcher.subscribe("a/status")
        async with Link(settings, "gone", ("a/status", b"offline")) as link:
            await link.publish("a/status", b"online", retain=True)
            link._paho._sock_close()  # as a cut cable: no DISCONNECT is sent
        payloads = [d.payload for d in await take(watcher.deliveries(), 2)]
    assert payloads == [b"online", b"offline"]
    async with Link(settings, "late") as late:
        await late.subscribe("a/status")
        assert (await take(late.deliveries(), 1))[0].payload == b"offline"


async def test_a_connection_that_is_abandoned_ends_with_its_last_will(mosquitto: Mosquitto) -> None:
    settings = settings_of(mosquitto)
    async with Link(settings, "watcher") as watcher:
        await watcher.subscribe("a/status")
        async with Link(settings, "gone", ("a/status", b"offline")) as link:
            await link.publish("a/status", b"online", retain=True)
            link.abandon()
        payloads = [d.payload for d in await take(watcher.deliveries(), 2)]
    assert payloads == [b"online", b"offline"]


async def test_a_denied_subscription_raises(mosquitto_factory: MosquittoFactory) -> None:
    # Mosquitto 2.0 grants subscriptions whatever the list says and filters what it delivers; the code is
    # made up.
    server = mosquitto_factory(acl=ACL)
    async with Link(settings_of(server), "one") as link:
        refused = asyncio.get_running_loop().create_future()
        refused.set_result([type("Reason", (), {"is_failure": True})()])
        link._client.subscribe = lambda *_: refused  # type: ignore[assignment]
        with pytest.raises(PublishRefusedError, match="open/x"):
            await link.subscribe("open/x")


async def test_the_brokers_receive_maximum_and_packet_size_are_kept(mosquitto: Mosquitto) -> None:
    async with Link(settings_of(mosquitto, in_flight_max=500), "one") as link:
        assert link._paho.max_inflight_messages == 20
        await link.subscribe("a/#")
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            for _ in range(200):
                group.create_task(link.publish("a/b", bytes(1000)))
        link._packet_bytes_max = 4096
        with pytest.raises(PublishTooLargeError):
            await link.publish("a/b", bytes(4096))


async def test_a_large_payload_passes(mosquitto: Mosquitto) -> None:
    async with Link(settings_of(mosquitto), "one") as link:
        await link.subscribe("a/#")
        assert await link.publish("a/b", bytes(2_000_000))
        assert len((await take(link.deliveries(), 1))[0].payload) == 2_000_000


async def test_a_cancelled_publish_leaves_the_connection_usable(mosquitto: Mosquitto) -> None:
    async with Link(settings_of(mosquitto), "one") as link:
        publishing = asyncio.create_task(link.publish("a/b", b"x"))
        await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        assert publishing.cancelled()
        assert await link.publish("a/b", b"y") is False
        assert link._under_way == {}


async def test_connecting_can_be_cancelled_at_any_turn(mosquitto: Mosquitto) -> None:
    for turns in range(12):
        link = Link(settings_of(mosquitto), "one")
        connecting = asyncio.create_task(link.__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        if not connecting.cancelled():
            await link.__aexit__(None, None, None)
        assert link._paho.socket() is None


async def test_a_broker_that_never_answers_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = MqttSettings(port=mute.getsockname()[1])
        monkeypatch.setattr("pipeline.mqtt.link.TIMEOUT_S", 0.1)
        link = Link(settings, "one")
        with pytest.raises(LinkLostError):
            await link.__aenter__()
        assert link._paho.socket() is None


def test_the_same_under_uvloop(mosquitto: Mosquitto) -> None:
    async def scenario() -> int:
        async with Link(settings_of(mosquitto), "one") as link:
            await link.subscribe("a/#")
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(link.publish("a/b", bytes(10_000)))
            for delivery in await take(link.deliveries(), 20):
                delivery.done()
            mosquitto.kill()
            with pytest.raises(LinkLostError):
                await link.publish("a/b", b"x")
            return len(asyncio.all_tasks())

    assert uvloop.run(scenario()) <= 2  # this one, and aiomqtt's own, which ends with the connection


class MosquittoTls(Server):
    """A broker that speaks only TLS, with a certificate of its own making."""

    def __init__(self, directory: Path, port: int) -> None:
        write_certificate(directory)
        configuration = directory / "mosquitto.conf"
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false"]
        lines += [f"certfile {directory}/certificate.pem", f"keyfile {directory}/key.pem"]
        if os.geteuid() == 0:
            lines.append("user root")  # else it changes to a user who cannot read the test's directory
        configuration.write_text("\n".join([*lines, ""]), encoding="utf-8")
        super().__init__("mosquitto", [program("mosquitto"), "-c", str(configuration)], directory, port)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[MosquittoTls]:
    server = MosquittoTls(tmp_path, free_port())
    server.start()
    yield server
    server.stop()


async def test_a_broker_that_hangs_up_at_once_is_left_at_once() -> None:
    hung_up = asyncio.Event()

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        hung_up.set()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        link = Link(MqttSettings(port=server.sockets[0].getsockname()[1]), "one")
        async with asyncio.timeout(2):
            with pytest.raises(LinkLostError, match="at once"):
                await link.__aenter__()
        await hung_up.wait()


async def test_a_session_that_was_taken_over_says_what_to_mend() -> None:
    async def take_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(bytes.fromhex("20 03 00 00 00"))  # CONNACK
        await reader.read(1000)
        # DISCONNECT, reason 0x8E (MQTT 5 section 3.14.2.1); Mosquitto 2.0.11 closes without a word instead.
        writer.write(bytes.fromhex("e0 02 8e 00"))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(take_over, "127.0.0.1", 0) as server:
        link = Link(MqttSettings(port=server.sockets[0].getsockname()[1]), "twin")
        with pytest.raises(LinkLostError, match="taken over the session of 'twin'"):
            async with asyncio.timeout(5), link:
                await link.publish("a/b", b"x")


async def test_over_tls_with_a_certificate_that_is_checked(tls_server: MosquittoTls, tmp_path: Path) -> None:
    tls = {"ca_file": str(tmp_path / "certificate.pem")}
    settings = MqttSettings.model_validate({"port": tls_server.port, "tls": tls})
    async with Link(settings, "one") as link:
        await link.subscribe("a/#")
        assert await link.publish("a/b", bytes(500_000))
        assert len((await take(link.deliveries(), 1))[0].payload) == 500_000
    (tmp_path / "other").mkdir()
    write_certificate(tmp_path / "other")
    tls = {"ca_file": str(tmp_path / "other" / "certificate.pem")}
    settings = MqttSettings.model_validate({"port": tls_server.port, "tls": tls})
    with pytest.raises(LinkLostError, match="certificate"):
        async with Link(settings, "two"):
            pytest.fail("this certificate is a stranger's")
