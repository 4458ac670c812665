"""One MQTT 5 connection: the only code that touches aiomqtt's inner paho client.

Why it does (measured on aiomqtt 2.5.1; tests/contract/test_mqtt_link.py pins it): aiomqtt ignores the
reason code of a PUBACK, so a publish that the broker's access list denies returns normally; it acknowledges
a message before anybody has processed it; it keeps neither the broker's receive maximum nor its maximum
packet size; its incoming queue has no limit; after a connection that failed half way it leaves socket and
task behind.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from pipeline.mqtt.errors import LinkLostError, PublishRefusedError, PublishTooLargeError
from pipeline.mqtt.held import Delivery, Held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self

    from pipeline.mqtt.settings import MqttSettings

NO_MATCHING_SUBSCRIBERS = 0x10
SESSION_TAKEN_OVER = 0x8E
TIMEOUT_S = 10.0
SLOW_BYTES_PER_S = 4096
"""A line as slow as this is not taken for a lost one."""
_HEADER_BYTES = 16
"""Fixed header, topic length, packet identifier and empty properties of a PUBLISH, rounded up."""


@dataclass(slots=True)
class _UnderWay:
    """A message that was sent and is not acknowledged."""

    number: int
    """In the order of sending."""
    since_s: float
    """When it was sent, or a message before it was acknowledged: the loop's clock."""
    reason: asyncio.Future[int]


class Link:
    """An MQTT 5 connection as an async context manager; clean start, session expiry 0.

    In flight outwards: at most `settings.in_flight_max`, or the broker's receive maximum; further calls of
    `publish` wait. Inwards we ask for the same, but Mosquitto 2.0.11 then hands out that many again for every
    acknowledgement, and rumqttd takes no notice; so what is delivered and not done is bounded by `Held`.
    Messages of QoS 0 are dropped: nobody here sends any.
    """

    def __init__(
        self, settings: MqttSettings, identifier: str, will: tuple[str, bytes] | None = None,
        password: str | None = None,
    ) -> None:  # fmt: skip
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = settings.in_flight_max
        self._client = aiomqtt.Client(
            settings.host, settings.port, identifier=identifier, protocol=aiomqtt.ProtocolVersion.V5,
            username=settings.username, password=password, keepalive=settings.keep_alive_s, clean_start=True,
            will=None if will is None else aiomqtt.Will(will[0], will[1], qos=1, retain=True),
            timeout=TIMEOUT_S, properties=properties,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # else 40 ms pass before a receipt
            tls_context=None if settings.tls is None else settings.tls.context(),
        )  # fmt: skip
        self._broker = f"{settings.host}:{settings.port}"
        self._window, self._packet_bytes_max = settings.in_flight_max, 268_435_455
        self._taken_over = False
        self._abandoned = False
        self._under_way: dict[int, _UnderWay] = {}
        """By packet identifier."""
        self._sent = 0
        self._turns = asyncio.Semaphore(self._window)
        self._paho = self._client._client  # noqa: SLF001 - see the module's docstring
        self.held = Held(settings.held_bytes_max, lambda mid: self._paho.ack(mid, 1))
        """What was received and is not done."""
        self._paho.manual_ack_set(True)  # noqa: FBT003 - paho's signature
        self._paho.on_publish = self._on_publish
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_message = self._on_message

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        # The public setter refuses once the socket is open; nothing is in flight yet when CONNACK comes.
        granted = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
        self._paho._max_inflight_messages = granted  # noqa: SLF001
        self._turns = asyncio.Semaphore(granted)
        self._packet_bytes_max = getattr(properties, "MaximumPacketSize", self._packet_bytes_max)
        self._client._on_connect(client, userdata, flags, reason, properties)  # noqa: SLF001

    def _on_disconnect(self, *arguments: Any) -> None:
        accepted = self._client._connected  # noqa: SLF001
        if not accepted.done():  # else aiomqtt waits in vain for a CONNACK
            accepted.set_exception(aiomqtt.MqttError("the broker closed the connection at once"))
        self._taken_over |= getattr(arguments[3], "value", None) == SESSION_TAKEN_OVER
        self._client._on_disconnect(*arguments)  # noqa: SLF001

    def _lost(self, why: str) -> LinkLostError:
        """Make the error of an ended connection, which names the one cause that a person must mend."""
        if self._taken_over:
            why = (
                f"another client has taken over the session of '{self._client.identifier}': two gateways, or "
                "two collectors, of one identity are running; give one of them a name or a key of its own"
            )
        return LinkLostError(why)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if message.qos and self.held.take(message.mid, len(message.payload)):
            self._client._on_message(client, userdata, message)  # noqa: SLF001

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        one = self._under_way.pop(mid, None)
        if one is None:
            return  # nobody waits any more
        now_s = asyncio.get_running_loop().time()
        for other in self._under_way.values():
            # Acknowledgements keep the order of the messages (MQTT-4.6.0-2): one that was passed over is not
            # brought nearer by what comes behind it, and must not be waited for as long as anything comes.
            if other.number > one.number:
                other.since_s = now_s
        if not one.reason.done():
            one.reason.set_result(int(reason.value))

    async def __aenter__(self) -> Self:
        connecting = asyncio.ensure_future(self._client.__aenter__())
        try:
            await asyncio.shield(connecting)
        except aiomqtt.MqttError as error:
            await self._drop()
            raise LinkLostError(f"{self._broker}: {error}") from error
        except asyncio.CancelledError:
            # A thread is inside connect(): what it opens must be closed after it, or stays open.
            await asyncio.wait({connecting}, timeout=self._paho.connect_timeout)
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            await self._drop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if not self._abandoned:
                await self._client.__aexit__(kind, error, traceback)
        except aiomqtt.MqttError as lost:
            raise LinkLostError(str(lost)) from lost
        finally:
            await self._drop()

    def abandon(self) -> None:
        """Have the connection end as if it were lost: the broker then publishes the last will.

        A DISCONNECT would discard it (MQTT 5 section 3.14.4), and the retained status would stay what it was.
        """
        self._abandoned = True

    async def _drop(self) -> None:
        """Close the socket, whatever its state, and end the task beside it."""
        await asyncio.sleep(0)  # what aiomqtt has scheduled for this socket must not meet a closed one
        self._paho._sock_close()  # noqa: SLF001
        task, ended = self._client._misc_task, self._client._disconnected  # noqa: SLF001
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if ended.done() and not ended.cancelled():
            ended.exception()  # else the loop complains that nobody has asked

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> bool:  # fmt: skip
        """Publish at QoS 1 and wait for the acknowledgement. Returns False when nobody subscribes.

        Args:
            topic: where to.
            payload: the message.
            retain: the broker keeps it for those who come later.
            response_topic: where an answer is wanted.
            correlation: what the answer is to carry; of an answer, what its request carried.

        Raises:
            PublishTooLargeError: the broker has announced that it does not take messages of this size.
            PublishRefusedError: the broker acknowledged with a failure (MQTT 5 section 3.4.2.1).
            LinkLostError: the connection ended, or neither this message nor one sent before it was
                acknowledged for longer than it takes on the slowest line; no time counts before its turn.
        """
        size = len(topic.encode()) + len(payload) + _HEADER_BYTES
        size += len((response_topic or "").encode()) + len(correlation or b"")
        if size > self._packet_bytes_max:
            raise PublishTooLargeError(f"{topic}: {size} bytes, the broker takes {self._packet_bytes_max}")
        properties = _request_properties(response_topic, correlation)
        async with self._turns:
            info = self._paho.publish(topic, payload, qos=1, retain=retain, properties=properties)
            if info.rc:
                raise LinkLostError(f"not connected (paho says {info.rc})")
            reason = await self._reason(info.mid, TIMEOUT_S + size / SLOW_BYTES_PER_S)
        if reason >= 0x80:
            raise PublishRefusedError(f"the broker refuses {topic}: reason code 0x{reason:02X}")
        return reason != NO_MATCHING_SUBSCRIBERS

    async def _reason(self, mid: int, timeout_s: float) -> int:
        """Wait for an acknowledgement, for so long after that of any message before; its reason code."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = self._client._disconnected  # noqa: SLF001
        self._sent += 1
        one = self._under_way[mid] = _UnderWay(self._sent, loop.time(), loop.create_future())
        try:
            while (left_s := one.since_s + timeout_s - loop.time()) > 0:
                await asyncio.wait((one.reason, ended), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if one.reason.done():
                    return one.reason.result()
                if ended.done():
                    raise self._lost("the connection ended")
            raise self._lost(f"no acknowledgement within {timeout_s:g} s")
        finally:
            self._under_way.pop(mid, None)

    async def subscribe(self, *filters: str) -> None:
        """Subscribe at QoS 1. Raises PublishRefusedError for a filter that is denied, or LinkLostError."""
        try:
            granted = await self._client.subscribe([(f, SubscribeOptions(qos=1)) for f in filters])
        except aiomqtt.MqttError as error:
            raise LinkLostError(str(error)) from error
        for wanted, reason in zip(filters, granted, strict=True):
            if getattr(reason, "is_failure", False):
                raise PublishRefusedError(f"the broker refuses the subscription to {wanted}: {reason}")

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Messages as they come; at most the receive maximum before `done()` must be called."""
        try:
            async for message in self._client.messages:
                done = partial(self.held.done, message.mid)
                answer = message.properties
                yield Delivery(
                    str(message.topic), bytes(message.payload or b""), done,
                    getattr(answer, "ResponseTopic", None), getattr(answer, "CorrelationData", None),
                )  # fmt: skip
        except aiomqtt.MqttError as error:
            raise self._lost(str(error)) from error


def _request_properties(response_topic: str | None, correlation: bytes | None) -> Properties | None:
    """Properties of a request, or of its answer (MQTT 5 section 4.10)."""
    if response_topic is None and correlation is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if response_topic is not None:
        properties.ResponseTopic = response_topic
    if correlation is not None:
        properties.CorrelationData = correlation
    return properties
