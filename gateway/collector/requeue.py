"""Dead letters offered to the store again, from the archive."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.collector.writing import write_all_that_can_be
from pipeline.archive import ArchiveError
from pipeline.records.envelope import decode
from pipeline.store.door import Origin, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.collector.dead_letters import DeadLetters
    from pipeline.archive import Archive
    from pipeline.records import Record
    from pipeline.store.door import Store

Identity = tuple[bytes, int]
"""Journal and seq of a record."""
RECORDS_MAX = 500
"""Offered to the store at a time."""


@dataclass(slots=True)
class Requeued:
    """What became of letters that were offered to the store again."""

    stored: list[str] = field(default_factory=list)
    """Now in the store, each once, and no longer letters."""
    refused: dict[str, str] = field(default_factory=dict)
    """Still letters: why."""
    stopped: str = ""
    """Why the store was offered no more of them; those that are in neither are letters as before."""


async def requeue(
    letters: DeadLetters, chosen: Mapping[str, Mapping[str, Any]], archive: Archive, store: Store
) -> Requeued:
    """Write the archived records of letters into the store again; those that it takes are letters no longer.

    A record of which many lines are letters is offered once. Writing is idempotent and a letter goes last: a
    crash in between stores nothing twice and loses nothing.

    Raises:
        OSError: the file of letters cannot be used.
    """
    done = Requeued()
    of_record = _by_record(chosen, done)
    identities = list(of_record)
    try:
        for start in range(0, len(identities), RECORDS_MAX):
            offered = identities[start : start + RECORDS_MAX]
            reasons = await _offer(offered, archive, store)
            for identity in offered:
                reason = reasons.get(identity, "")
                if not reason:
                    done.stored += of_record[identity]
                else:
                    done.refused.update(dict.fromkeys(of_record[identity], reason))
    except StoreUnavailable as error:
        done.stopped = str(error)
    finally:
        if done.stored:
            await asyncio.to_thread(letters.take_out, frozenset(done.stored))
    return done


def _by_record(chosen: Mapping[str, Mapping[str, Any]], done: Requeued) -> dict[Identity, list[str]]:
    """Return the letters of each record; those that are of none are refused."""
    of_record: dict[Identity, list[str]] = defaultdict(list)
    for identifier, letter in chosen.items():
        try:
            of_record[bytes.fromhex(letter["journal"]), int(letter["seq"])].append(identifier)
        except (KeyError, ValueError, TypeError):
            done.refused[identifier] = (
                "it is no record, only bytes that somebody sent: there is nothing to store"
            )
    return of_record


async def _offer(identities: Sequence[Identity], archive: Archive, store: Store) -> dict[Identity, str]:
    """Offer records to the store; return why it does not have those that it still refuses.

    Raises:
        StoreUnavailable: it takes nothing now.
    """
    reasons: dict[Identity, str] = {}
    found: dict[Origin, list[Record]] = defaultdict(list)
    for identity in identities:
        try:
            versions = await archive.read(*identity)
        except ArchiveError as error:
            reasons[identity] = str(error)
            continue
        if len(versions) == 1:
            found[Origin(*versions[0].origin)].append(decode(versions[0].data))
        elif versions:
            reasons[identity] = "it is forked: see yaosu archive verify"
        else:
            reasons[identity] = "its record is not in the archive"
    for origin, records in found.items():
        report = await write_all_that_can_be(store, origin, records)
        for dead in report.dead:
            reasons.setdefault((dead.journal, dead.seq), dead.reason)
    return reasons
