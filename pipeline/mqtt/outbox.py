"""What is published and not yet receipted: pure bookkeeping on gateway time, no I/O.

Two lanes share the window: *live* takes what becomes durable now, *backlog* everything older. A quarter of
the window belongs to the live lane, so that a backlog cannot fill it. And the backlog takes only as much of
its share as comes back receipted within half a second: what is on its way is ahead of every live frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.records import Record

Lane = Literal["live", "backlog"]
LIVE_SHARE = 4
"""One part in this many of the window is kept for live frames."""
ROOM_SHARE = 8
"""A lane takes more once one part in this many of it is free: crumbs would make crumbs of messages."""
BACKLOG_FIRST_BYTES = 512 * 1024
BACKLOG_LAG_NS = 500_000_000
"""The backlog slows down when its receipts take longer than this, and speeds up when they do not.

A live frame waits for what is being stored and for what waits beside it: about twice this time.
"""
GROWTH_SHARE = 4
"""Quick receipts make room for one part in this many of what they are for: a large step would overshoot."""
SILENCE_FIRST_NS = 1_000_000_000
SILENCE_MAX_NS = 30_000_000_000


@dataclass(slots=True, eq=False)
class Message:
    """Records of one topic, published together until each is receipted."""

    topic: str
    seqs: RangeSet
    payload: bytes
    lane: Lane
    sent_ns: int | None = None
    wait_ns: int = 0
    """Time from the last publication to the next; doubles."""

    @property
    def span(self) -> tuple[int, int]:
        """First and last seq."""
        ranges = list(self.seqs)
        return ranges[0][0], ranges[-1][1]


class Span(NamedTuple):
    """Seqs of one topic that the broker refused, to be read again from the journal; others lie between."""

    topic: str
    first: int
    last: int


@dataclass(slots=True)
class _Refusal:
    """A topic, or single messages of it, that the broker does not take."""

    span: Span
    until_ns: int

    def join(self, first: int, last: int) -> None:
        self.span = self.span._replace(first=min(self.span.first, first), last=max(self.span.last, last))


def topic_key(record: Record) -> str:
    """Name what decides on a record's topic: its kind, and its instrument where it belongs to one."""
    return f"{record.kind}/{record.body.get('instrument') or ''}"


def group(
    records: Iterable[Record], topic_of: Mapping[str, str], lane: Lane, bytes_max: int
) -> list[Message]:
    """Put records together by topic, in order, up to `bytes_max` (one larger record stands alone).

    `topic_of` maps a `topic_key` to a topic.
    """
    messages: list[Message] = []
    parts: dict[str, tuple[list[bytes], RangeSet, int]] = {}

    def close(topic: str) -> None:
        data, seqs, _ = parts.pop(topic)
        messages.append(Message(topic, seqs, b"".join(data), lane))

    for record in records:
        topic = topic_of[topic_key(record)]
        if topic in parts and parts[topic][2] + len(record.data) > bytes_max:
            close(topic)
        data, seqs, size = parts.get(topic, ([], RangeSet(), 0))
        data.append(record.data)
        seqs.add(record.seq)
        parts[topic] = (data, seqs, size + len(record.data))
    for topic in list(parts):
        close(topic)
    return messages


@dataclass(slots=True)
class Outbox:
    """Messages in the window.

    Queue: `window_bytes` of payload, a quarter for the live lane; full policy: `room` is 0 and the caller
    leaves the records in the journal. One message may reach over the limit. What the broker refuses leaves
    the window, so that it cannot stop other topics: only its span is remembered, one for each topic.

    Args:
        window_bytes: limit of payload bytes published and not receipted, both lanes together.
        first_ns, max_ns: time to the first republication, and the longest between two.
    """

    window_bytes: int
    first_ns: int
    max_ns: int
    _messages: dict[Message, None] = field(default_factory=dict)
    _bytes: dict[Lane, int] = field(default_factory=lambda: {"live": 0, "backlog": 0})
    _backlog_limit: int = BACKLOG_FIRST_BYTES
    _slowed_ns: int = 0
    _quiet_until_ns: int = 0
    _silence_ns: int = SILENCE_FIRST_NS
    _heard_ns: int | None = None
    _published_ns: int | None = None
    _refusals: dict[tuple[str, bool], _Refusal] = field(default_factory=dict)
    _waits_ns: dict[str, int] = field(default_factory=dict)

    def room(self, lane: Lane, now_ns: int) -> int:
        """Bytes that the lane may add now; 0 while nobody subscribes."""
        if now_ns < self._quiet_until_ns:
            return 0
        live_share = self.window_bytes // LIVE_SHARE
        limit = live_share if lane == "live" else min(self.window_bytes - live_share, self._backlog_limit)
        free = limit - self._bytes[lane]
        return free if free * ROOM_SHARE >= limit else 0

    def add(self, message: Message) -> None:
        """Put a message into the window, due at once; one of a refused topic is set aside instead."""
        if self.set_aside(Span(message.topic, *message.span)):
            return
        self._messages[message] = None
        self._bytes[message.lane] += len(message.payload)

    def due(self, now_ns: int) -> list[Message]:
        """Messages to publish now, oldest first; each is then waited for twice as long as before.

        When the window is full, nothing new can be published to find out that a collector is back, and not
        every broker tells that nobody listens: then the oldest message is due at least every `first_ns`.
        """
        if now_ns < self._quiet_until_ns:
            return []
        due = [m for m in self._messages if m.sent_ns is None or now_ns - m.sent_ns >= m.wait_ns]
        full = not self.room("live", now_ns)
        if (
            not due
            and full
            and self._published_ns is not None
            and now_ns - self._published_ns >= self.first_ns
        ):
            due = [next(iter(self._messages))]
        for message in due:
            message.sent_ns = self._published_ns = now_ns
            message.wait_ns = min(max(self.first_ns, 2 * message.wait_ns), self.max_ns)
        return due

    def receipted(self, stored: RangeSet, now_ns: int) -> None:
        """Drop the messages whose records are all in `stored`. After a silence the waiting is cut short."""
        done = [m for m in self._messages if all(stored.covers(*pair) for pair in m.seqs)]
        self._adapt([m for m in done if m.lane == "backlog" and m.sent_ns is not None], now_ns)
        for message in done:
            self._remove(message)
        self._silence_ns, self._quiet_until_ns = SILENCE_FIRST_NS, 0
        if self._heard_ns is not None and now_ns - self._heard_ns > self.first_ns:
            for message in self._messages:
                message.wait_ns = min(message.wait_ns, self.first_ns)
        self._heard_ns = now_ns

    def _adapt(self, done: list[Message], now_ns: int) -> None:
        """Let the backlog have more under way while receipts are quick, a quarter less when they are slow."""
        lags_ns = [now_ns - message.sent_ns for message in done if message.sent_ns is not None]
        if lags_ns and max(lags_ns) <= BACKLOG_LAG_NS:
            grown = self._backlog_limit + sum(len(message.payload) for message in done) // GROWTH_SHARE
            self._backlog_limit = min(grown, self.window_bytes)
        elif lags_ns and now_ns - self._slowed_ns >= BACKLOG_LAG_NS:
            self._slowed_ns = now_ns
            self._backlog_limit = max(self.window_bytes // 64, self._backlog_limit * 3 // 4)

    def nobody_listens(self, message: Message, now_ns: int) -> None:
        """The broker had no subscriber for a message: there is no collector; wait, longer each time."""
        message.sent_ns, message.wait_ns = None, 0
        if now_ns >= self._quiet_until_ns:
            self._quiet_until_ns = now_ns + self._silence_ns
            self._silence_ns = min(2 * self._silence_ns, SILENCE_MAX_NS)

    def taken(self, message: Message) -> None:
        """The broker has acknowledged a message: its topic is not refused."""
        self._waits_ns.pop(message.topic, None)

    def refused(self, message: Message, now_ns: int, *, alone: bool = False) -> None:
        """The broker refuses a message's topic (`alone`: only it): set aside, longer each time."""
        if message not in self._messages:
            return
        self._remove(message)
        key = (message.topic, alone)
        if key not in self._refusals:
            wait_ns = min(max(self.first_ns, 2 * self._waits_ns.get(message.topic, 0)), self.max_ns)
            self._waits_ns[message.topic] = wait_ns
            self._refusals[key] = _Refusal(Span(message.topic, *message.span), now_ns + wait_ns)
        self._refusals[key].join(*message.span)
        if not alone:
            for other in [m for m in self._messages if m.topic == message.topic]:
                self._remove(other)
                self._refusals[key].join(*other.span)

    def set_aside(self, span: Span) -> bool:
        """Let a span wait with its topic, when that is refused; tell whether it is."""
        refusal = self._refusals.get((span.topic, False))
        if refusal is not None:
            refusal.join(span.first, span.last)
        return refusal is not None

    def retry(self, now_ns: int) -> list[Span]:
        """Take the spans whose waiting is over; the caller reads them again from the journal."""
        over = [key for key, refusal in self._refusals.items() if now_ns >= refusal.until_ns]
        return [self._refusals.pop(key).span for key in over]

    def seqs(self) -> RangeSet:
        """Seqs of all records in the window."""
        return RangeSet(pair for message in self._messages for pair in message.seqs)

    def contents(self) -> tuple[int, int]:
        """Messages and payload bytes in the window."""
        return len(self._messages), sum(self._bytes.values())

    @property
    def silent(self) -> bool:
        """Whether nobody has listened since the last receipt."""
        return self._quiet_until_ns > 0

    def _remove(self, message: Message) -> None:
        del self._messages[message]
        self._bytes[message.lane] -= len(message.payload)
