"""One shared look at store and door: however many pages are open, each is asked once a period at most.

Nothing runs while nobody looks. A caller takes the newest view when it is ready for one, so there is no
queue: whoever is slow skips views and always gets the latest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dashboard.rare import RareReadings
from dashboard.site import SiteInfo, site_of
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dashboard.door import Door
    from pipeline.store.door import Counts, LatestRow, LedgerRow, Origin, Store

LOG = logging.getLogger(__name__)
SECOND_NS = 1_000_000_000
PERIOD_S = 0.45
"""Age up to which a view is handed out again: pages that ask every 0.5 s share it."""
COUNTS_PERIOD_S = 5.0
COUNTS_SPAN_S = 600
"""Span of completeness and of the share that passed: the last ten minutes."""
LEDGER_LIMITS = {
    "event": 100, "gap": 500, "checkpoint": 1, "config": 20, "task": 500, "verdict": 2000, "review": 500,
}  # fmt: skip
"""Newest records of each kind that a view holds: bounds its size and its cost."""


@dataclass(frozen=True, slots=True)
class View:
    """What store and door said. A part that cannot be read keeps its last content; `store_error` says so."""

    at_utc_ns: int = 0
    read_utc_ns: int = 0
    """When the store last answered; 0 never."""
    latest: Mapping[str, LatestRow] = field(default_factory=dict)
    """Newest row of each instrument, completed by older readings of its rare channels."""
    earlier: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Instrument to channel to UTC (ns) of a reading that is older than the row that it completes."""
    ledger: Mapping[str, list[LedgerRow]] = field(default_factory=dict)
    """Kind to its newest records, newest first."""
    counts: Mapping[str, Counts] = field(default_factory=dict)
    counts_from_utc_ns: int = 0
    counts_to_utc_ns: int = 0
    status: Mapping[str, Any] | None = None
    """Status of the daemon; None without a door, or when it did not answer."""
    store_error: str = ""
    door_error: str = ""
    site: SiteInfo = field(default_factory=SiteInfo)

    @property
    def seq(self) -> int:
        """Highest seq seen, -1 for none: the id of a live event."""
        rows = [row.seq for row in self.latest.values()]
        return max([*rows, *(row.seq for kind in self.ledger.values() for row in kind[:1])], default=-1)

    @property
    def ledger_seq(self) -> int:
        """Highest seq of a ledger record seen, -1 for none."""
        return max((rows[0].seq for rows in self.ledger.values() if rows), default=-1)

    @property
    def rehearsal(self) -> bool:
        """Whether any of it is simulated or replayed."""
        sources = {row.source for row in self.latest.values()}
        status_purpose = (self.status or {}).get("purpose")
        return "rehearsal" in {self.site.purpose, status_purpose} or bool(sources & {"simulated", "replayed"})


class Watcher:
    """Reads store and door for all pages of one origin.

    Args:
        store: where records are read.
        door: the daemon's door, None where there is none.
        origin: whose records are shown.
        utc_now_ns: UTC now, ns.
    """

    def __init__(
        self, store: Store, door: Door | None, origin: Origin, utc_now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.store = store
        self.door = door
        self.origin = origin
        self.utc_now_ns = utc_now_ns
        self._view = View()
        self._rare = RareReadings()
        self._read_at_s = float("-inf")
        self._counted_at_s = float("-inf")
        self._lock = asyncio.Lock()

    async def view(self) -> View:
        """Return a view that is at most `PERIOD_S` old; several callers share one reading."""
        async with self._lock:
            if time.monotonic() - self._read_at_s >= PERIOD_S:
                self._view = await self._read(self._view)
                self._read_at_s = time.monotonic()
        return self._view

    async def _read(self, last: View) -> View:
        view = replace(last, at_utc_ns=self.utc_now_ns())
        try:
            view = replace(await self._read_store(view), store_error="", read_utc_ns=view.at_utc_ns)
        except StoreError as error:
            view = replace(view, store_error=str(error))
        return await self._read_door(view)

    async def _read_store(self, view: View) -> View:
        latest = await self.store.latest(self.origin)
        ledger = {
            kind: await self.store.ledger(self.origin, kind, limit=limit)
            for kind, limit in LEDGER_LIMITS.items()
        }
        site = site_of(ledger["config"])
        latest, earlier = await self._rare.complete(self.store, self.origin, latest, site)
        view = replace(view, latest=latest, earlier=earlier, ledger=ledger, site=site)
        if time.monotonic() - self._counted_at_s < COUNTS_PERIOD_S:
            return view
        until_ns = view.at_utc_ns
        since_ns = until_ns - COUNTS_SPAN_S * SECOND_NS
        counts = await self.store.counts(self.origin, since_ns, until_ns)
        self._counted_at_s = time.monotonic()
        return replace(view, counts=counts, counts_from_utc_ns=since_ns, counts_to_utc_ns=until_ns)

    async def _read_door(self, view: View) -> View:
        if self.door is None:
            return view
        try:
            return replace(view, status=await self.door.get("status"), door_error="")
        except ConnectionError as error:
            return replace(view, status=None, door_error=str(error))
