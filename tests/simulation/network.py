"""A broker and its network in memory. A fake stands here: the real client and broker have tests of their own
(tests/contract/test_mqtt_link.py, tests/chaos), and cannot run in virtual time.

What it does to messages is what MQTT 5 and TCP allow: it delays them, doubles them (QoS 1), loses what it had
taken when it falls or a member of a shared subscription leaves, forgets retained messages, hangs, resets.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from pipeline.mqtt import Delivery, LinkLostError
from pipeline.mqtt.held import Held
from tests.simulation.machines import NODE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from random import Random

    from pipeline.mqtt import MqttSettings
    from tests.simulation.machines import Node

TIMEOUT_S = 10.0
KEEP_ALIVE_S = 45.0
QUEUED_MAX = 10_000


@dataclass
class Session:
    """The broker's end of a connection."""

    link: VirtualLink
    filters: list[str] = field(default_factory=list)
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    unacknowledged: int = 0


class Network:
    """Broker, cables, and the faults of both."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.up = True
        self.cut: set[str] = set()
        """Names of machines whose packets are held back until the cut is mended."""
        self.double_share = 0.0
        self.slow_share = 0.0
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, bytes] = {}
        self.routed = 0
        self._held_back: dict[str, list[Callable[[], None]]] = {}
        self._turn = 0

    def _latency_s(self) -> float:
        slow = self.random.random() < self.slow_share
        return self.random.uniform(0.2, 3.0) if slow else self.random.uniform(0.0002, 0.02)

    def carry(self, machine: str, arrive: Callable[[], None]) -> None:
        """Bring a packet to or from a machine."""
        asyncio.get_running_loop().call_later(self._latency_s(), self._arrive, machine, arrive)

    def _arrive(self, machine: str, arrive: Callable[[], None]) -> None:
        if machine in self.cut:
            self._held_back.setdefault(machine, []).append(arrive)
        else:
            arrive()

    def mend(self, machine: str) -> None:
        """End a cut; what TCP has kept arrives."""
        self.cut.discard(machine)
        for arrive in self._held_back.pop(machine, ()):
            arrive()

    def fall(self) -> None:
        """The broker dies with all that it holds in memory."""
        self.up = False
        self.retained.clear()
        for session in list(self.sessions.values()):
            self.drop(session.link, "the broker is gone")

    def drop(self, link: VirtualLink, why: str) -> None:
        """Break a connection; what was queued for it is lost, the will is said."""
        session = self.sessions.get(link.identifier)
        if session is not None and session.link is link:
            del self.sessions[link.identifier]
            if link.will is not None and self.up:
                self.route(*link.will, retain=True)
        link.lose(why)

    def connect(self, link: VirtualLink) -> None:
        """Take a client in; an older one of the same name is driven out (MQTT 5, 3.1.4-3)."""
        older = self.sessions.get(link.identifier)
        if older is not None:
            self.drop(older.link, "session taken over")
        self.sessions[link.identifier] = Session(link)

    def subscribe(self, link: VirtualLink, filters: tuple[str, ...]) -> None:
        session = self.sessions.get(link.identifier)
        if session is None or session.link is not link:
            return
        session.filters.extend(filters)
        for topic, payload in self.retained.items():
            if any(_matches(each, topic) for each in filters if not each.startswith("$share/")):
                self._queue(session, topic, payload)

    def route(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand a message to who wants it; False when nobody does."""
        self.routed += 1
        if retain:
            self.retained[topic] = payload
        plain = [s for s in self.sessions.values() if any(_matches(f, topic) for f in s.filters)]
        shared = [
            s for s in self.sessions.values()
            if any(f.startswith("$share/") and _matches(f.split("/", 2)[2], topic) for f in s.filters)
        ]  # fmt: skip
        if shared:
            self._turn += 1
            plain.append(shared[self._turn % len(shared)])
        for session in plain:
            for _ in range(2 if self.random.random() < self.double_share else 1):
                self._queue(session, topic, payload)
        return bool(plain)

    def _queue(self, session: Session, topic: str, payload: bytes) -> None:
        if len(session.waiting) < QUEUED_MAX:
            session.waiting.append((topic, payload))
            self.flush(session)

    def flush(self, session: Session) -> None:
        """Send as far as the receiver has room."""
        while session.waiting and session.unacknowledged < session.link.in_flight_max:
            topic, payload = session.waiting.popleft()
            session.unacknowledged += 1
            self.carry(session.link.node.name, partial(session.link.take, topic, payload))

    def acknowledged(self, link: VirtualLink) -> None:
        session = self.sessions.get(link.identifier)
        if session is not None and session.link is link:
            session.unacknowledged -= 1
            self.flush(session)


def _matches(pattern: str, topic: str) -> bool:
    if pattern.startswith("$share/"):
        return False
    wanted, parts = pattern.split("/"), topic.split("/")
    for position, part in enumerate(wanted):
        if part == "#":
            return True
        if position >= len(parts) or part not in {"+", parts[position]}:
            return False
    return len(wanted) == len(parts)


class VirtualLink:
    """Stands where `pipeline.mqtt.Link` does; what is received and not done is bounded by the same `Held`."""

    def __init__(
        self, network: Network, settings: MqttSettings, identifier: str,
        will: tuple[str, bytes] | None = None, password: str | None = None,
    ) -> None:  # fmt: skip
        node = NODE.get()
        assert node is not None, "a connection belongs to a machine"
        self.node: Node = node
        self.network = network
        self.identifier = identifier
        self.will = will
        self.in_flight_max = settings.in_flight_max
        self.held = Held(settings.held_bytes_max, self._acknowledge)
        self._inbox: asyncio.Queue[Delivery] = asyncio.Queue(QUEUED_MAX)
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._packet = 0

    def _acknowledge(self, _identifier: int) -> None:
        self._send(lambda: self.network.acknowledged(self))

    def _send(self, arrive: Callable[[], None]) -> None:
        if self.node.alive and not self._lost.done():
            self.network.carry(self.node.name, arrive)

    async def _exchange(self, ask: Callable[[], Any]) -> Any:
        """Send a packet and wait for its answer, as long as `Link` does."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def respond(value: Any) -> None:
            if not answer.done():
                answer.set_result(value)

        def arrive() -> None:
            if self.network.up and not self._lost.done():
                value = ask()
                self.network.carry(self.node.name, lambda: respond(value))

        self._send(arrive)
        await asyncio.wait({answer, self._lost}, timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            raise LinkLostError(self._lost.result())
        if not answer.done():
            raise LinkLostError("no acknowledgement in time")
        return answer.result()

    async def __aenter__(self) -> Self:
        await self._exchange(lambda: self.network.connect(self))
        asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._look)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.network.drop(self, "closed")

    def _look(self) -> None:
        """Keep-alive: a connection over a cut cable ends some time."""
        if self._lost.done():
            return
        if self.node.name in self.network.cut or not self.node.alive:
            self.network.drop(self, "keep-alive time-out")
        else:
            asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._look)

    def abandon(self) -> None:
        """See `Link.abandon`; here every connection ends with its will."""

    def lose(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_result(why)

    def take(self, topic: str, payload: bytes) -> None:
        """A message arrives."""
        if self._lost.done() or not self.node.alive:
            return
        self._packet += 1
        identifier = self._packet
        if self.held.take(identifier, len(payload)):
            self._inbox.put_nowait(Delivery(topic, payload, partial(self.held.done, identifier)))

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """See `Link.publish`."""
        listened: bool = await self._exchange(partial(self.network.route, topic, payload, retain=retain))
        return listened

    async def subscribe(self, *filters: str) -> None:
        """See `Link.subscribe`."""
        await self._exchange(partial(self.network.subscribe, self, filters))

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """See `Link.deliveries`."""
        while True:
            getting = asyncio.ensure_future(self._inbox.get())
            try:
                either: set[asyncio.Future[Any]] = {getting, self._lost}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    raise LinkLostError(self._lost.result())
                yield getting.result()
            finally:
                getting.cancel()
