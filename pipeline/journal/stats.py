"""Figures of a journal for status pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.journal.committer import Committer, Trouble
    from pipeline.journal.settings import JournalSettings
    from pipeline.journal.shelf import Shelf
    from pipeline.records.ranges import Range


@dataclass(frozen=True, slots=True)
class JournalStats:
    """A journal at one moment."""

    bytes: int
    """Of segment and ledger files."""
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
    trouble: Trouble | None
    """Why and since when records cannot be written; None when they can."""


def percentile_ms(durations_s: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of durations, in ms; None for none."""
    if not durations_s:
        return None
    ordered = sorted(durations_s)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def gather(
    shelf: Shelf, committer: Committer, settings: JournalSettings, *, missing: Sequence[Range], head_seq: int,
    since_utc_ns: int | None, epoch: int, boot: int, holes: int,
) -> JournalStats:  # fmt: skip
    """Put the figures together; `missing` are the durable seqs without a receipt."""
    durable_seq, size = committer.durable_seq, shelf.size()
    oldest_seq = shelf.oldest_seq(head_seq)
    backlog = sum(last - first + 1 for first, last in missing)
    return JournalStats(
        bytes=size,
        segments=len(shelf.segments) + (shelf.open is not None),
        oldest_seq=oldest_seq,
        durable_seq=durable_seq,
        head_seq=head_seq,
        receipted_through=missing[0][0] - 1 if missing else durable_seq,
        backlog_records=backlog,
        backlog_bytes=min(size, backlog * size // max(1, durable_seq + 1 - oldest_seq)),
        backlog_since_utc_ns=since_utc_ns,
        uncommitted_records=head_seq - 1 - durable_seq,
        uncommitted_bytes=committer.uncommitted_bytes,
        commit_p50_ms=percentile_ms(committer.durations_s, 0.5),
        commit_p99_ms=percentile_ms(committer.durations_s, 0.99),
        epoch=epoch,
        boot=boot,
        holes=holes,
        over_limit=size > settings.size_max_bytes,
        trouble=committer.trouble,
    )
