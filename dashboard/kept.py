"""Alarms, batches, charts, look-backs and risk as the stored records tell them: where no gateway answers.

A centre keeps the gateway's decisions as records; `pipeline.ledger.recorded` takes them at their word. They
are read once, in order, a page of each kind at a time, and from then on only what is new.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pipeline.elements.quality_views import ITEMS, LISTS, quality_view
from pipeline.ledger.recorded import KINDS, Recorded
from pipeline.records.clock import ClockState
from pipeline.records.envelope import Record
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.records.envelope import Source
    from pipeline.store.door import LedgerRow, Origin, Store

NAMES = frozenset({*LISTS, *ITEMS})
PAGE = 1000
"""Records of one kind that are read at a time."""
READ_S = 2.0
"""A page waits so long for a long record to be read; it says how far that has come, the next goes on."""
TOGETHER = 200
"""Records that are taken in without letting anything else run."""
AGE_NS = 2_000_000_000
"""Age up to which what was read is shown again."""
LATE = PAGE
"""Seqs before the newest one that are looked at again: a record that comes late into the store is noticed."""
COSIGNATURES = 200
"""Newest cosignatures among which each witness's last one is looked for."""
_UNSYNCHRONISED = ClockState(synchronised=False, error_ns=-1)


async def cosigned(store: Store, origin: Origin, sealed: int) -> dict[str, Any]:
    """Tell by the stored cosignatures which witnesses have seen how much, in the words of a daemon's status.

    Args:
        store: where the records are.
        origin: whose.
        sealed: size of the newest stored checkpoint: what a witness can have seen.
    """
    try:
        rows = await store.ledger(origin, "cosignature", limit=COSIGNATURES)
    except StoreError:
        return {}
    seen: dict[str, Any] = {}
    for body in (row.body for row in rows):
        one = {"operator": str(body["operator"]), "size": int(body["size"]), "t_s": int(body["t_s"])}
        if body["witness"] not in seen or one["size"] > seen[body["witness"]]["size"]:
            seen[str(body["witness"])] = one
    return {"witnesses": seen, "journal": {"durable_seq": sealed - 1}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is shown of a view: its content, or the key of the message that says why there is none."""

    content: Any = None
    problem: str = ""
    """Key of a message; empty when there is content."""
    kept_through: int | None = None
    """Told from the stored records, through this seq; None: told by the daemon."""


class Kept:
    """The records of one gateway's newest journal, as views.

    Several callers share one reading. Memory: that of `Recorded`, and the last `LATE` seqs.

    Args:
        store: where the records are.
        origin: whose.
        utc_now_ns: UTC now, ns.
    """

    def __init__(self, store: Store, origin: Origin, utc_now_ns: Callable[[], int]) -> None:
        self._store = store
        self._origin = origin
        self._utc_now_ns = utc_now_ns
        self._told = Recorded()
        self._journal = b""
        self._seen: set[int] = set()
        self._read_utc_ns = 0
        self._lock = asyncio.Lock()
        self.whole = False
        """Whether all that was stored when a view was last asked for has been taken in."""

    @property
    def through_seq(self) -> int:
        """Highest seq that was taken in, -1 for none."""
        return self._told.through_seq

    async def view(self, name: str, argument: str | None) -> Any:
        """Answer a view as the daemon would.

        Raises:
            KeyError: there is none.
            StoreError: the store cannot be read.
        """
        async with self._lock:
            now_ns = self._utc_now_ns()
            if abs(now_ns - self._read_utc_ns) > AGE_NS:
                self.whole = await self._read()
                self._read_utc_ns = now_ns if self.whole else 0
        return quality_view(self._told, self, name, argument)

    def utc_ns(self) -> int:
        """UTC now, ns."""
        return self._utc_now_ns()

    def run_ns(self) -> int:
        """Gateway time now, as far as it can be known here, ns."""
        return self._utc_now_ns() + self._told.run_off_ns

    def state(self) -> ClockState:
        """Say that nothing vouches for the gateway's clock here."""
        return _UNSYNCHRONISED

    async def _read(self) -> bool:
        """Take in what is new, for at most about `READ_S`; tell whether that was all."""
        journal, reached_utc_ns = await self._newest_journal()
        if journal != self._journal or await self._is_late():
            self._told, self._journal, self._seen = Recorded(), journal, set()
        clock = asyncio.get_running_loop().time
        until_s = clock() + READ_S
        while more := await self._read_page():
            if clock() >= until_s:
                break
        if not more:
            self._told.until(reached_utc_ns)
        return not more

    async def _newest_journal(self) -> tuple[bytes, int]:
        """Find the journal that the newest records are of, and the UTC that one of them has reached."""
        for kind in ("checkpoint", "event", "task"):
            if rows := await self._store.ledger(self._origin, kind, limit=1):
                return rows[0].journal, rows[0].t_utc_ns
        return self._journal, 0

    async def _is_late(self) -> bool:
        """Tell whether a record has come that should have been taken before others that were."""
        first, last = max(0, self.through_seq - LATE), self.through_seq
        self._seen = {seq for seq in self._seen if seq >= first}
        rows = [row for kind in KINDS for row in await self._rows(kind, first)]
        return any(row.seq <= last and row.seq not in self._seen for row in rows)

    async def _rows(self, kind: str, seq_from: int) -> list[LedgerRow]:
        rows = await self._store.ledger(self._origin, kind, limit=PAGE, newest_first=False, seq_from=seq_from)
        return [row for row in rows if row.journal == self._journal]

    async def _read_page(self) -> bool:
        """Take the next records in; tell whether there may be more."""
        rows: list[LedgerRow] = []
        horizon, more = None, False
        for kind in KINDS:
            page = await self._store.ledger(
                self._origin, kind, limit=PAGE, newest_first=False, seq_from=self.through_seq + 1
            )
            if len(page) == PAGE:
                more, horizon = True, min(page[-1].seq, page[-1].seq if horizon is None else horizon)
            rows += [row for row in page if row.journal == self._journal]
        for number, row in enumerate(sorted(rows, key=lambda row: row.seq)):
            if number % TOGETHER == 0:
                await asyncio.sleep(0)  # other pages are answered in between
            if horizon is None or row.seq <= horizon:
                self._told.take(_record(row))
                self._seen.add(row.seq)
        if more and horizon is not None:
            self._told.through_seq = max(self._told.through_seq, horizon)
        return more


def _record(row: LedgerRow) -> Record:
    """Make a record of what stores keep of it; its gateway time is not kept, and no view asks for it."""
    return Record(
        kind=row.kind, source=cast("Source", row.source), journal=row.journal, epoch=0, boot=0, seq=row.seq,
        t_utc_ns=row.t_utc_ns, t_run_ns=row.t_utc_ns, clock=_UNSYNCHRONISED, by=None, body=row.body,
        data=b"",
    )  # fmt: skip
