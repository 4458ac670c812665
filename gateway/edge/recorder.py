"""The one way into the journal: every appended record passes the elements at once, in order.

Elements judge as records are appended, on the loop's thread, so a command always sees the state that its own
records made. What they derive is appended with `by`; after a crash only what is missing is appended again.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from pipeline.elements import VERSION as ELEMENTS_VERSION
from pipeline.records.envelope import By
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pipeline.elements import Draft, Elements
    from pipeline.journal import Journal
    from pipeline.records import Record
    from pipeline.records.envelope import Body, Source

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

    def append(
        self, kind: str, body: Body, *, instrument: str | None = None, by: By | None = None
    ) -> Record:  # fmt: skip
        """Append one record, then whatever the elements derive from it. Returns the first."""
        first = self._append_one(kind, body, instrument, by)
        waiting = deque([first])
        while waiting:
            record = waiting.popleft()
            waiting.extend(self._derive(record, self.elements.consume(record)))
        if self.journal.epoch != self._epoch:
            self._epoch = self.journal.epoch
            self.append("event", event_body("clock-step", step_s=self.journal.clock_step_ns / 1e9))
        return first

    def _append_one(self, kind: str, body: Body, instrument: str | None, by: By | None) -> Record:
        source = self._sources.get(instrument, self._own_source) if instrument else self._own_source
        return self.journal.append(kind, body, by=by, source=source)

    def _derive(self, record: Record, drafts: list[Draft]) -> list[Record]:
        return [
            self._append_one(draft.kind, draft.body, draft.body.get("instrument"), self._by(record, index))
            for index, draft in enumerate(drafts)
        ]

    @staticmethod
    def _by(record: Record, index: int) -> By:
        return By(CONSUMER, ELEMENTS_VERSION, record.seq, index)

    async def room(self) -> None:
        """Wait until the journal can take more."""
        await self.journal.room()

    def stored_offsets(self, instrument: str, t_utc_ns: NDArray[Any]) -> NDArray[Any] | None:
        """Offsets that make the stored times of an instrument strictly increase."""
        return self.journal.stored_offsets(instrument, t_utc_ns)

    async def replay(self, from_seq: int, also: Any) -> None:
        """Bring the elements (and `also`, called with every record) forward over the journal's records.

        Derived records that a crash kept from the disk are appended at the end.
        """
        present: set[By] = set()
        expected: list[tuple[By, Draft]] = []
        seq, last = from_seq, self.journal.head_seq - 1
        while seq <= last:
            records = await self.journal.read(seq, bytes_max=READ_BYTES_MAX)
            if not records:
                break
            for record in records:
                if record.by is not None and record.by.consumer == CONSUMER:
                    present.add(record.by)
                drafts = self.elements.consume(record)
                expected.extend((self._by(record, index), draft) for index, draft in enumerate(drafts))
                also(record)
            seq = records[-1].seq + 1
        for by, draft in expected:
            if by not in present:
                self.append(draft.kind, draft.body, instrument=draft.body.get("instrument"), by=by)
