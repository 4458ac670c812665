"""Build a store anew from the archived bytes: the archive outlives every database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.records.envelope import decode
from pipeline.store.door import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.archive.archive import Archive
    from pipeline.records import Record
    from pipeline.store.door import Origin, Store, WriteReport

PAGE = 1000
TRIES = 5


@dataclass(slots=True)
class Restored:
    """What was written into the store."""

    records: int = 0
    dead: int = 0
    """Records that the store refuses."""
    forked: int = 0
    """Records with several contents: none of them is written."""


async def restore(
    archive: Archive, store: Store, progress: Callable[[Restored], None] = lambda _now: None
) -> Restored:
    """Write every archived record into a store, journal by journal in the order of seqs.

    Writing one again changes nothing: an interrupted restore is simply begun again.

    Raises:
        ArchiveError: the archive cannot be read.
        StoreUnavailable: the store does not take records, after TRIES attempts.
    """
    done = Restored()
    for journal in sorted(await archive.journals()):
        seq = 0
        while page := await archive.records(journal, seq, PAGE):
            decoded = [(one, decode(one.data)) for one in page]
            last = decoded[-1][1].seq
            if len(page) == PAGE and decoded[0][1].seq < last:
                # The versions of the last seq may go on on the next page.
                decoded = [pair for pair in decoded if pair[1].seq < last]
                last -= 1
            counts = {s: len(list(same)) for s, same in groupby(record.seq for _, record in decoded)}
            done.forked += sum(count > 1 for count in counts.values())
            single = [pair for pair in decoded if counts[pair[1].seq] == 1]
            for origin, pairs in groupby(single, key=lambda pair: pair[0].origin):
                report = await _write(store, origin, [record for _, record in pairs])
                done.records += sum(len(seqs) for seqs in report.stored.values())
                done.dead += len({(dead.journal, dead.seq) for dead in report.dead})
            progress(done)
            seq = last + 1
    return done


async def _write(store: Store, origin: Origin, records: list[Record]) -> WriteReport:
    for attempt in range(TRIES - 1):
        try:
            return await store.write(origin, records)
        except StoreUnavailable as error:
            await asyncio.sleep(max(error.retry_after_s, 0.5) * 2**attempt)
    return await store.write(origin, records)
