"""Take records from the journal into the outbox: new ones into the live lane, all others as there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pipeline.mqtt.outbox import Lane, Outbox, Span, group, topic_key
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.records import Clock, Record
    from pipeline.records.ranges import Range

READ_BYTES_MAX = 512 * 1024


class Receipts(Protocol):
    """Where receipts are kept."""

    done: RangeSet
    """Seqs whose receipts are persisted."""

    def acknowledge(self, ranges: Iterable[Range]) -> None:
        """Take ranges; they are in `done` once persisted."""
        ...


class Source(Protocol):
    """The journal, as the publisher sees it."""

    id: bytes

    @property
    def receipts(self) -> Receipts:
        """Where receipts are kept."""
        ...

    @property
    def durable_seq(self) -> int:
        """Last seq covered by a completed fdatasync; -1 when there is none."""
        ...

    async def read(self, from_seq: int, *, bytes_max: int) -> list[Record]:
        """Durable records from a seq on, at least one where there is one."""
        ...

    async def wait_beyond(self, seq: int) -> None:
        """Wait until a later record is durable."""
        ...


class Filler:
    """Decides for one connection which records enter the window next.

    Args:
        source: the journal.
        outbox: the window.
        topic_of: `topic_key` of a record to its topic.
        stored: what is receipted; the caller adds to it.
        message_bytes_max: size up to which records are put together.
        clock: gateway time.
    """

    def __init__(
        self, source: Source, outbox: Outbox, topic_of: Mapping[str, str], stored: RangeSet,
        message_bytes_max: int, clock: Clock,
    ) -> None:  # fmt: skip
        self._source = source
        self._outbox = outbox
        self._topic_of = topic_of
        self._stored = stored
        self._message_bytes_max = message_bytes_max
        self._clock = clock
        self._taken = RangeSet(stored)
        """What this connection has dealt with: receipted, in the window, or set aside by the outbox."""
        self._live_next = source.durable_seq + 1
        self._again: list[Span] = []

    async def fill(self) -> bool:
        """Fill both lanes as far as there is room; True when there is more to do at once."""
        durable_seq = self._source.durable_seq
        await self._take("live", self._live_next, durable_seq)
        # What the live lane had no room for is backlog now: the lane is for what is new.
        self._live_next = durable_seq + 1
        self._again.extend(self._outbox.retry(self._clock.run_ns()))
        if self._again:
            await self._take_again(self._again.pop(0))
        for first, last in self._taken.missing(0, durable_seq):
            if not await self._take("backlog", first, last):
                break
        return bool(self._again) and self._room("backlog") > 0

    def _room(self, lane: Lane) -> int:
        return self._outbox.room(lane, self._clock.run_ns())

    async def _take(self, lane: Lane, seq: int, last: int) -> bool:
        """Take the records from `seq` to `last` into a lane; True when all were taken."""
        while seq <= last and (room := self._room(lane)):
            records = await self._source.read(seq, bytes_max=min(room, READ_BYTES_MAX))
            if not records:
                return False
            self._put(lane, [record for record in records if record.seq <= last])
            reached = min(records[-1].seq, last)
            self._taken.add(seq, reached)
            seq = reached + 1
        return seq > last

    async def _take_again(self, span: Span) -> None:
        """Read a piece of a span that the broker refused before, and keep the rest for the next call."""
        if self._outbox.set_aside(span):
            return
        room = self._room("backlog")
        if room:
            records = await self._source.read(span.first, bytes_max=min(room, READ_BYTES_MAX))
            window = self._outbox.seqs()
            self._put("backlog", [
                record for record in records
                if record.seq <= span.last and record.seq not in window and self._topic(record) == span.topic
            ])  # fmt: skip
            if not records:
                return
            span = span._replace(first=records[-1].seq + 1)
        if span.first <= span.last:
            self._again.append(span)

    def _put(self, lane: Lane, records: list[Record]) -> None:
        wanted = [record for record in records if record.seq not in self._stored]
        for message in group(wanted, self._topic_of, lane, self._message_bytes_max):
            self._outbox.add(message)

    def _topic(self, record: Record) -> str:
        return self._topic_of[topic_key(record)]
