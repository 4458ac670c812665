"""Records of two journals that cite each other: each is written once what it cites is durable.

No row waits for it: what is owed is looked at every few tens of milliseconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from pipeline.journal import JournalFullError
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Generator

    from gateway.edge.recorder import Recorder
    from pipeline.journal import Journal
    from pipeline.records import Record

    Owed = Generator[tuple[Journal, int], None, None]
    """Says for which record of which journal it waits; goes on once that is durable."""

LOOK_S = 0.025
"""Between two looks at a stop."""


class Citations:
    """What is owed, by instrument and in order.

    Bounded by the journal: each entry follows a record of production that is not durable yet.
    """

    def __init__(self) -> None:
        self._owed: dict[str, deque[tuple[Owed, Journal, int]]] = {}

    def add(self, instrument: str, owed: Owed) -> None:
        """Take on what is owed, and write as much of it as can be written."""
        waiting = self._owed.setdefault(instrument, deque())
        waiting.append((owed, *next(owed)))
        self._write(instrument)

    def look(self) -> None:
        """Write what can be written now."""
        for instrument in list(self._owed):
            self._write(instrument)

    def _write(self, instrument: str) -> None:
        waiting = self._owed[instrument]
        while waiting:
            owed, journal, seq = waiting[0]
            if journal.durable_seq < seq:
                return
            try:
                following = next(owed)
            except StopIteration:
                waiting.popleft()
                continue
            if following == (journal, seq):
                return  # there is no room for it yet
            waiting[0] = (owed, *following)
        del self._owed[instrument]

    async def settle(self) -> None:
        """Write everything, waiting for the disk; may be cancelled, and then the next start begins anew."""
        while self._owed:
            _, journal, seq = next(iter(self._owed.values()))[0]
            await journal.wait_beyond(seq - 1)
            self.look()
            await asyncio.sleep(LOOK_S)


def cited(
    recorder: Recorder, code: str, instrument: str, of: tuple[Journal, int], **args: Any
) -> Generator[tuple[Journal, int], None, Record]:
    """Wait for record `of` of a journal, then for room; append the event that cites it, and return it."""
    journal, seq = of
    yield journal, seq
    while True:
        try:
            record = recorder.append(
                "event",
                event_body(code, instrument=instrument, of_journal=journal.id.hex(), of_seq=seq, **args),
            )
        except JournalFullError:
            yield journal, seq
        else:
            return record
