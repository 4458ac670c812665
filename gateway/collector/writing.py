"""Records into the store, whatever they hold: the one over which it fails is found and set aside."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from gateway.collector.batch import CONTENT_ERRORS
from pipeline.records.ranges import RangeSet
from pipeline.store.door import DeadLetter, StoreUnavailable, WriteReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records import Record
    from pipeline.store.door import Origin, Store

LOG = logging.getLogger(__name__)
RETRY_S = 0.5


async def write_all_that_can_be(store: Store, origin: Origin, records: Sequence[Record]) -> WriteReport:
    """Write records; when the store fails over what one of them holds, halve until that one is alone.

    Raises:
        StoreUnavailable: the store takes nothing now; nothing is known to be stored.
    """
    try:
        return await store.write(origin, records)
    except StoreUnavailable:
        raise
    except CONTENT_ERRORS as error:
        LOG.exception("the store failed over %d records of %s/%s", len(records), *origin)
        if len(records) == 1:
            (record,) = records
            reason = f"{type(error).__name__}: {error}"
            return WriteReport({}, [DeadLetter(record.journal, record.seq, record.data.hex(), reason)])
    except Exception as error:
        LOG.exception("the store failed")
        raise StoreUnavailable(f"{type(error).__name__}: {error}", retry_after_s=RETRY_S) from error
    middle = len(records) // 2
    halves = [
        await write_all_that_can_be(store, origin, half) for half in (records[:middle], records[middle:])
    ]
    stored: dict[bytes, RangeSet] = defaultdict(RangeSet)
    for half in halves:
        for journal, seqs in half.stored.items():
            stored[journal].update(seqs)
    return WriteReport(dict(stored), [letter for half in halves for letter in half.dead])
