"""Figures of a journal for status pages."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipeline.journal.committer import Committer, Trouble
    from pipeline.journal.scrub import Scrub
    from pipeline.journal.settings import JournalSettings
    from pipeline.journal.shelf import Shelf
    from pipeline.journal.space import Reserve, Space
    from pipeline.records import Record
    from pipeline.records.ranges import Range


@dataclass(frozen=True, slots=True)
class JournalStats:
    """A journal at one moment."""

    bytes: int
    """Of segment and ledger files, the room that is kept ready included."""
    segments: int
    """Files, the open one included, ledger files not."""
    oldest_seq: int
    """First seq whose bulk is still here; equals head_seq in an empty journal."""
    durable_seq: int
    head_seq: int
    """The next seq to be given."""
    receipted_through: int
    """Every record up to this seq is receipted; -1 when the first is not."""
    backlog_records: int
    """Durable records without a receipt."""
    backlog_bytes: int
    """Their size, estimated from the mean size of a record on disk."""
    backlog_since_utc_ns: int | None
    """Stamp of the oldest of them; None when there is none or it has not been looked up yet."""
    uncommitted_records: int
    uncommitted_bytes: int
    """Waiting in memory for the disk."""
    commit_p50_ms: float | None
    commit_p99_ms: float | None
    """Over the last 512 commits; None before the first."""
    epoch: int
    boot: int
    holes: int
    """Records whose bytes are lost."""
    over_limit: bool
    """Whether `size_max_bytes` is exceeded."""
    reserve: Reserve
    """Whether room is kept so that a full disk can be recorded; "used" while the disk is full."""
    room_bytes: int
    """What has to be free on a disk that was full before rows are taken again."""
    verified_utc_ns: int | None
    """When all sealed segments had last been read again; None when not since the start."""
    damaged: int
    """Records that this start's background verification found unreadable or changed."""
    trouble: Trouble | None
    """Why and since when records cannot be written; None when they can."""


class Stamps:
    """The stamp of the oldest record without a receipt; looked up behind when it is not in memory."""

    def __init__(
        self, recent: Callable[[int], Record | None], read: Callable[[int], Awaitable[list[Record]]]
    ) -> None:  # fmt: skip
        self._recent = recent
        self._read = read
        self._known: tuple[int, int | None] = (-1, None)
        self._lookup: asyncio.Task[None] | None = None

    def of(self, seq: int) -> int | None:
        """Return a record's UTC stamp; None while it is looked up."""
        if self._known[0] != seq:
            record = self._recent(seq)
            if record is not None:
                self._known = (seq, record.t_utc_ns)
            elif self._lookup is None or self._lookup.done():
                loop = asyncio.get_running_loop()
                self._lookup = loop.create_task(self._look_up(seq), name="journal backlog")
        return self._known[1] if self._known[0] == seq else None

    async def _look_up(self, seq: int) -> None:
        records = await self._read(seq)
        self._known = (seq, records[0].t_utc_ns if records else None)

    async def close(self) -> None:
        """Stop looking."""
        if self._lookup is not None:
            self._lookup.cancel()
            with suppress(asyncio.CancelledError):
                await self._lookup


def percentile_ms(durations_s: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of durations, in ms; None for none."""
    if not durations_s:
        return None
    ordered = sorted(durations_s)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Facts(NamedTuple):
    """What the journal itself knows."""

    head_seq: int
    since_utc_ns: int | None
    epoch: int
    boot: int
    holes: int


def gather(  # noqa: PLR0917 - the journal's own parts, called once
    shelf: Shelf, committer: Committer, settings: JournalSettings, space: Space, scrub: Scrub,
    missing: Sequence[Range], facts: Facts,
) -> JournalStats:  # fmt: skip
    """Put the figures together; `missing` are the durable seqs without a receipt."""
    durable_seq, size = committer.durable_seq, shelf.size() + space.bytes
    oldest_seq = shelf.oldest_seq(facts.head_seq)
    backlog = sum(last - first + 1 for first, last in missing)
    return JournalStats(
        bytes=size,
        segments=len(shelf.segments) + (shelf.open is not None),
        oldest_seq=oldest_seq,
        durable_seq=durable_seq,
        head_seq=facts.head_seq,
        receipted_through=missing[0][0] - 1 if missing else durable_seq,
        backlog_records=backlog,
        backlog_bytes=min(size, backlog * size // max(1, durable_seq + 1 - oldest_seq)),
        backlog_since_utc_ns=facts.since_utc_ns,
        uncommitted_records=facts.head_seq - 1 - durable_seq,
        uncommitted_bytes=committer.uncommitted_bytes,
        commit_p50_ms=percentile_ms(committer.durations_s, 0.5),
        commit_p99_ms=percentile_ms(committer.durations_s, 0.99),
        epoch=facts.epoch,
        boot=facts.boot,
        holes=facts.holes,
        over_limit=size > settings.size_max_bytes,
        reserve=space.reserve,
        room_bytes=space.room_bytes,
        verified_utc_ns=scrub.verified_utc_ns,
        damaged=scrub.damaged,
        trouble=committer.trouble,
    )
