"""The one way into the journal: every appended record passes the elements at once, in order.

Elements judge as records are appended, on the loop's thread, so a command always sees the state that its own
records made. What they derive is appended with `by`, before any other record; after a crash only what is
missing is appended again.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from pipeline.elements import VERSION as ELEMENTS_VERSION
from pipeline.elements import Draft
from pipeline.journal import JournalFullError
from pipeline.records.envelope import By
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from numpy.typing import NDArray

    from pipeline.elements import Elements
    from pipeline.journal import Journal
    from pipeline.records import Record
    from pipeline.records.envelope import Body, Source

LOG = logging.getLogger(__name__)
CONSUMER = "elements"
READ_BYTES_MAX = 4 * 1024 * 1024


class Recorder:
    """Appends records and feeds them to the elements.

    Args:
        journal: an open journal.
        elements: the fold over its records.
        sources: source of each instrument's records; everything else is `own_source`.
        own_source: source of the gateway's own records.
    """

    def __init__(
        self, journal: Journal, elements: Elements, sources: Mapping[str, Source], own_source: Source
    ) -> None:
        self.journal = journal
        self.elements = elements
        self._sources = sources
        self._own_source = own_source
        self._epoch = journal.epoch
        self._owed: deque[tuple[By, Draft]] = deque()
        """Derived and not appended yet; what one record leads to, unless the journal is full."""

    def append(
        self, kind: str, body: Body, *, instrument: str | None = None, by: By | None = None
    ) -> Record:  # fmt: skip
        """Append one record, then whatever the elements derive from it. Returns the first.

        Raises:
            JournalFullError: too much waits for the disk; the record was not taken.
        """
        self._settle()
        first = self._append_one(kind, body, instrument, by)
        self._owed.extend(self._derive(first))
        try:
            self._settle()
            if self.journal.epoch != self._epoch:
                step = event_body("clock-step", step_s=self.journal.clock_step_ns / 1e9)
                record = self._append_one("event", step, None, None)
                self._epoch = self.journal.epoch
                self._owed.extend(self._derive(record))
                self._settle()
        except JournalFullError as error:
            LOG.warning("%d derived records wait for room: %s", len(self._owed), error)
        return first

    @property
    def settled(self) -> bool:
        """Whether all that the elements derived is in the journal."""
        return not self._owed

    def _settle(self) -> None:
        """Append what is derived, in the order in which it was: as a start after a crash would."""
        while self._owed:
            by, draft = self._owed[0]
            record = self._append_one(draft.kind, draft.body, draft.body.get("instrument"), by)
            self._owed.popleft()
            self._owed.extend(self._derive(record))

    def _append_one(self, kind: str, body: Body, instrument: str | None, by: By | None) -> Record:
        source = self._sources.get(instrument, self._own_source) if instrument else self._own_source
        if kind == "entry":
            # Whatever line the instrument has, this came through a person; in rehearsal it is pretended.
            source = "manual" if self._own_source == "live" else self._own_source
        return self.journal.append(kind, body, by=by, source=source)

    def _derive(self, record: Record) -> list[tuple[By, Draft]]:
        try:
            drafts = self.elements.consume(record)
        except Exception as error:
            # A mistake in judging must stop neither acquisition nor a start, which would meet it again.
            LOG.exception("the elements failed at record %d", record.seq)
            derived = record.by is not None and record.by.consumer == CONSUMER
            told = event_body(
                "record-not-understood", of_kind=record.kind, of_seq=record.seq,
                error=f"{type(error).__name__}: {error}",
            )  # fmt: skip
            drafts = [] if derived else [Draft("event", told)]
        return [
            (By(CONSUMER, ELEMENTS_VERSION, record.seq, index), draft) for index, draft in enumerate(drafts)
        ]

    async def room(self) -> None:
        """Wait until the journal can take more."""
        await self.journal.room()

    def stored_offsets(self, instrument: str, t_utc_ns: NDArray[Any]) -> NDArray[Any] | None:
        """Offsets that make the stored times of an instrument strictly increase."""
        return self.journal.stored_offsets(instrument, t_utc_ns)

    async def replay(
        self, from_seq: int, also: Callable[[Record], None], charting: Callable[[], Awaitable[object]]
    ) -> None:
        """Bring the elements (and `also`, called with every record) forward over the journal's records.

        Before the first chart is met, `charting` is waited for: what judges observations must be there then.

        Derived records follow their cause before anything else is appended, so that a crash can have kept
        only those of the last cause from the disk: they are appended now. What another version of the
        elements derived, or left out, in the past stays as it is.
        """
        missing: dict[tuple[int, int], tuple[By, Draft]] = {}
        seq, last = from_seq, self.journal.head_seq - 1
        while seq <= last:
            records = await self.journal.read(seq, bytes_max=READ_BYTES_MAX)
            if not records:
                break
            if any(record.kind == "chart" for record in records):
                await charting()
            for record in records:
                if record.by is not None and record.by.consumer == CONSUMER:
                    missing.pop((record.by.through_seq, record.by.index), None)
                else:
                    missing.clear()
                for by, draft in self._derive(record):
                    missing[by.through_seq, by.index] = by, draft
                also(record)
            seq = records[-1].seq + 1
        self._owed.extend(missing.values())
        self._settle()
