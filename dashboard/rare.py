"""Channels that are read more rarely than their instrument: their newest reading, under its own time.

The newest row of such an instrument holds only what was asked for last. What a page shows of the other
channels is older and says so; it is looked up once, and again only as rows come that were not seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboard.site import InstrumentInfo, SiteInfo
    from pipeline.store.door import LatestRow, Origin, Row, Store

ROWS_MAX = 7200
"""Rows that are looked through at most: twice the longest interval of a channel, in polls."""

Earlier = dict[str, dict[str, int]]
"""Instrument to channel to UTC of its reading (ns), for channels that the newest row does not have."""


class RareReadings:
    """Remembers the newest reading of each rare channel of one origin."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, int]] = {}
        """Instrument to era and ordinal of the last row that was looked at."""
        self._known: dict[tuple[str, str], Row] = {}

    async def complete(
        self, store: Store, origin: Origin, latest: Mapping[str, LatestRow], site: SiteInfo
    ) -> tuple[dict[str, LatestRow], Earlier]:
        """Add to the newest rows the readings that they do not have; tell when these were taken."""
        rows, earlier = dict(latest), Earlier()
        for name, row in latest.items():
            rare = _rare(site.instrument(name))
            if rare:
                await self._look(store, origin, row, rare)
                rows[name], earlier[name] = self._joined(row, rare)
        return rows, earlier

    async def _look(self, store: Store, origin: Origin, row: LatestRow, rare: Mapping[str, int]) -> None:
        era, seen = self._seen.get(row.instrument, ("", -1))
        if era != row.era:
            # Another journal or epoch: what was read in it is what counts.
            seen = row.n - min(ROWS_MAX, 2 * max(rare.values())) - 1
        if seen + 1 < row.n:
            for one in await store.rows(origin, row.instrument, n_from=seen + 1, n_to=row.n, era=row.era):
                self._note(one, rare)
        self._note(row, rare)
        self._seen[row.instrument] = row.era, row.n

    def _note(self, row: Row, rare: Mapping[str, int]) -> None:
        for channel in rare:
            if channel in row.flags:
                self._known[row.instrument, channel] = row

    def _joined(self, row: LatestRow, rare: Mapping[str, int]) -> tuple[LatestRow, dict[str, int]]:
        values, flags, reasons = dict(row.values), dict(row.flags), dict(row.reasons)
        earlier: dict[str, int] = {}
        for channel in rare:
            known = self._known.get((row.instrument, channel))
            if channel in row.flags or known is None:
                continue
            values[channel], flags[channel] = known.values.get(channel), known.flags[channel]
            reasons[channel] = known.reasons.get(channel, 0)
            earlier[channel] = known.t_utc_ns
        return replace(row, values=values, flags=flags, reasons=reasons), earlier


def _rare(info: InstrumentInfo) -> dict[str, int]:
    """Channels that are not in every row, and in each how-many-th they are."""
    base_s = info.interval_s or 1.0
    return {
        name: max(1, round(channel.interval_s / base_s))
        for name, channel in info.channels.items()
        if channel.interval_s is not None
    }
