"""Rows and verdicts read back: from the one measurement `reading` of InfluxDB 1 and 2. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pipeline.store import schema
from pipeline.store.folding import Newest
from pipeline.store.influx.answers import (
    BY_SERIES,
    Counter,
    condition,
    make_parts,
    make_rows,
    select,
    show_values,
    tag_values,
    value_fields,
)

if TYPE_CHECKING:
    from pipeline.store.door import Counts, Origin, Row
    from pipeline.store.folding import Part, Verdicts
    from pipeline.store.influx.http import InfluxHttp, Table

STATEMENTS_MAX = 50
"""In one request for the newest rows."""


class Readings(Protocol):
    """What of the store door is about rows; `span` and `ordinals` are conditions of InfluxQL."""

    ever: tuple[str, ...]
    """The condition on time of a SHOW TAG VALUES that is to look at all times."""

    def instruments(self, origin: Origin) -> list[str]:
        """See `Store.instruments`."""
        ...

    def newest(self, origin: Origin) -> list[Row]:
        """Return the newest row of each instrument; see `Store.latest`."""
        ...

    def series(self, origin: Origin, instrument: str, channel: str, span: str) -> tuple[list[Part], Verdicts]:
        """Return the rows of a channel and the verdicts about them."""
        ...

    def rows(self, origin: Origin, instrument: str, ordinals: str) -> list[Row]:
        """Return rows with their final flags, sorted by ordinal, then time."""
        ...

    def counts(self, origin: Origin, span: str) -> dict[str, Counts]:
        """See `Store.counts`."""
        ...


class OneTable:
    """`Readings` of InfluxDB 1 and 2."""

    ever: tuple[str, ...] = ()

    def __init__(self, http: InfluxHttp) -> None:
        self._http = http

    def instruments(self, origin: Origin) -> list[str]:
        """See `Readings.instruments`."""
        return tag_values(
            self._http.query(show_values("instrument", condition(origin), source=f'"{schema.READING}"'))
        )

    def newest(self, origin: Origin) -> list[Row]:
        """See `Readings.newest`."""
        newest: dict[str, Newest] = {}
        statement = select(
            'last("seq"), "n"',
            schema.READING,
            condition(origin),
            tail='GROUP BY "instrument", "source", "era"',
        )
        for table in self._http.query(statement):
            for t_ns, _, n in table.values:
                newest.setdefault(table.tags["instrument"], Newest()).offer(table.tags["era"], n, t_ns)
        return self._rows_at(origin, newest)

    def _rows_at(self, origin: Origin, newest: dict[str, Newest]) -> list[Row]:
        names = sorted(newest)
        rows: list[Row] = []
        for start in range(0, len(names), STATEMENTS_MAX):
            some = names[start : start + STATEMENTS_MAX]
            tables: dict[int, list[Table]] = {}
            statements = "; ".join(
                select(
                    "*",
                    schema.READING,
                    condition(origin, instrument=name),
                    f"time = {newest[name].best.t_ns}",
                    tail=BY_SERIES,
                )
                for name in some
            )
            for table in self._http.query(statements):
                tables.setdefault(table.statement, []).append(table)
            for index, name in enumerate(some):
                found = make_rows(name, tables.get(index, ()))
                best = newest[name].best
                rows.extend([row for row in found if (row.era, row.n) == (best.era, best.n)][:1])
        return rows

    def series(self, origin: Origin, instrument: str, channel: str, span: str) -> tuple[list[Part], Verdicts]:
        """See `Readings.series`."""
        return make_parts(
            self._http.query(
                select(
                    rf"{value_fields(channel)}, /^{channel}\.f\./",
                    schema.READING,
                    condition(origin, instrument=instrument),
                    span,
                    tail=BY_SERIES,
                )
            )
        )

    def rows(self, origin: Origin, instrument: str, ordinals: str) -> list[Row]:
        """See `Readings.rows`."""
        where = condition(origin, instrument=instrument)
        return make_rows(
            instrument, self._http.query(select("*", schema.READING, where, ordinals, tail=BY_SERIES))
        )

    def counts(self, origin: Origin, span: str) -> dict[str, Counts]:
        """See `Readings.counts`."""
        result: dict[str, Counts] = {}
        for instrument in self.instruments(origin):
            where = (condition(origin, instrument=instrument), span)
            counter = Counter()
            for table in self._http.query(
                select('"n", "seq", "channels"', schema.READING, *where, tail=BY_SERIES)
            ):
                counter.add_ordinals(table)
            if counter.has_rows:
                sparse = select(r"/\.[qr]$|\.f\./", schema.READING, *where, tail=BY_SERIES)
                result[instrument] = counter.counts(list(self._http.query(sparse)))
        return result
