"""Moments at which a server is killed: seen from outside, on the wire, as it has no kill points of ours.

The proxy in front of the server knows how far a message was passed on and whether its answer was. It kills
before the next byte goes either way, so that what a moment's name says of the wire is exact; what the server
had done by then is its own secret, which is the point.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services import Server

_PUBLISH, _PUBACK = 3, 4
_HEAD = re.compile(rb"(?i)content-length: *(\d+)")


class Moment(NamedTuple):
    """A message on the wire and how far it gets."""

    message: str
    to_server: bool
    passed: Literal["none", "part", "all"]
    """How much of it is passed on before the kill."""
    calls_max: int
    """It is the n-th such message that is met; n is at most this."""

    def __str__(self) -> str:
        """Name the moment."""
        return f"with {self.passed} of a {self.message} passed on"


BROKER_MOMENTS = [
    Moment("record's PUBLISH to the broker", True, "none", 8),
    Moment("record's PUBLISH to the broker", True, "part", 8),
    Moment("record's PUBLISH to the broker", True, "all", 8),
    Moment("PUBACK to the publisher", False, "none", 8),
    Moment("PUBACK to the publisher", False, "all", 8),
    Moment("record's PUBLISH to a collector", False, "none", 8),
    Moment("record's PUBLISH to a collector", False, "all", 8),
    Moment("PUBACK of a collector", True, "none", 8),
    Moment("PUBACK of a collector", True, "all", 8),
    Moment("receipt's PUBLISH to the broker", True, "all", 3),
    Moment("receipt's PUBLISH to the gateway", False, "none", 3),
]
STORE_MOMENTS = [
    Moment("write request", True, "part", 2),
    Moment("write request", True, "all", 2),
    Moment("answer to a write", False, "none", 2),
    Moment("answer to a write", False, "all", 2),
]


class Packet(NamedTuple):
    """A whole message, by where it lies in the piece that has just come; it may have begun before it."""

    name: str
    start: int
    end: int


class Aim:
    """Which moment of a server is waited for; at most one."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.moment: Moment | None = None
        self.struck: Counter[str] = Counter()
        self._left = 0
        self._met: Moment | None = None

    def at(self, moment: Moment | None, number: int = 1) -> None:
        """Wait for the `number`-th such message; None: for nothing."""
        self.moment, self._left = moment, number

    def meets(self, packet: Packet, *, to_server: bool) -> int | None:
        """Say after how many bytes of the piece the moment has come; None when it has not."""
        moment = self.moment
        if moment is None or (packet.name, to_server) != (moment.message, moment.to_server):
            return None
        if moment.passed == "none" and packet.start < 0:
            return None  # its beginning has been passed on
        self._left -= 1
        if self._left > 0:
            return None
        self._met = moment
        part = (max(0, packet.start) + packet.end) // 2
        return {"none": packet.start, "part": part, "all": packet.end}[moment.passed]

    def strike(self) -> None:
        """Kill the server, unless the moment that was met was given up meanwhile."""
        if self._met is not None and self._met is self.moment:
            self.server.kill()
            self.struck[f"{self.server.name} {self.moment}"] += 1
        self.moment = self._met = None


class _Watch(ABC):
    """What the two kinds of eyes share."""

    def __init__(self, aim: Aim) -> None:
        self._aim = aim
        self._begun = {True: b"", False: b""}

    def look(self, data: bytes, *, to_server: bool) -> int | None:
        """See `Eye.look`."""
        held = self._begun[to_server]
        whole = held + data
        done = 0
        met: int | None = None
        for name, end in self._messages(whole, to_server=to_server):
            if met is None:
                packet = Packet(name, done - len(held), end - len(held))
                met = self._aim.meets(packet, to_server=to_server)
            done = end
        self._begun[to_server] = whole[done:]
        return met

    def strike(self) -> None:
        """See `Eye.strike`."""
        self._aim.strike()

    @abstractmethod
    def _messages(self, data: bytes, *, to_server: bool) -> Iterator[tuple[str, int]]:
        """Name the whole messages at the beginning of `data`, each with where it ends."""


class MqttWatch(_Watch):
    """Sees the packets of one MQTT 5 connection (OASIS MQTT 5.0, section 2.1: type, length, rest)."""

    def _messages(self, data: bytes, *, to_server: bool) -> Iterator[tuple[str, int]]:
        position = 0
        while (found := _mqtt_packet(data, position)) is not None:
            body, end = found
            yield _mqtt_name(data[position] >> 4, data[body:end], to_server=to_server), end
            position = end


def _mqtt_packet(data: bytes, position: int) -> tuple[int, int] | None:
    """Where the body of the packet begins and ends; None when it is not whole yet."""
    length, shift, at = 0, 0, position + 1
    while at < len(data):
        length |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return (at, at + length) if at + length <= len(data) else None
    return None


def _mqtt_name(kind: int, body: bytes, *, to_server: bool) -> str:
    if kind == _PUBACK:
        return "PUBACK of a collector" if to_server else "PUBACK to the publisher"
    if kind != _PUBLISH:
        return "other"
    topic = body[2 : 2 + int.from_bytes(body[:2], "big")]
    if b"/rec/" in topic:
        return f"record's PUBLISH to {'the broker' if to_server else 'a collector'}"
    if topic.endswith(b"/receipt"):
        return f"receipt's PUBLISH to {'the broker' if to_server else 'the gateway'}"
    return "other"


class HttpWatch(_Watch):
    """Sees requests and answers of one HTTP/1.1 connection without pipelining."""

    def __init__(self, aim: Aim) -> None:
        super().__init__(aim)
        self._last = "other"

    def _messages(self, data: bytes, *, to_server: bool) -> Iterator[tuple[str, int]]:
        position = 0
        while (head := data.find(b"\r\n\r\n", position)) >= 0:
            length = _HEAD.search(data, position, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if end > len(data):
                return
            if to_server:
                self._last = "write" if data.startswith(b"POST /write", position) else "other"
                yield ("write request" if self._last == "write" else "other"), end
            else:
                yield ("answer to a write" if self._last == "write" else "other"), end
            position = end
