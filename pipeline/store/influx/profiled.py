"""Rows and verdicts read back from the tables of InfluxDB 3 (`profiles`). Blocking.

Within what its InfluxQL answers (its source, `iox_query_influxql` and the server's `http`): one statement a
request; SHOW TAG VALUES looks back one day unless it is told a time.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from pipeline.store import schema
from pipeline.store.folding import Newest, Verdict, Verdicts, fold_rows
from pipeline.store.influx.answers import (
    BY_SERIES,
    TIME_MAX_NS,
    VERDICT_FIELDS,
    Counter,
    condition,
    make_parts,
    make_rows,
    make_verdicts,
    select,
    show_values,
    value_fields,
)
from pipeline.store.influx.profiles import FLAGS, has_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.store.door import Counts, Origin, Row
    from pipeline.store.folding import Part
    from pipeline.store.influx.http import InfluxHttp, Table

_ALL_TABLES = "/^reading_/"


class ProfileTables:
    """`Readings` of InfluxDB 3."""

    ever: tuple[str, ...] = (f"time >= {-TIME_MAX_NS}",)

    def __init__(self, http: InfluxHttp) -> None:
        self._http = http

    def _tables(self, origin: Origin, *conditions: str) -> dict[str, list[str]]:
        """Return the tables of rows, of each the instruments in it, and `FLAGS` with those in that one."""
        found: dict[str, set[str]] = {}
        for table in self._http.query(
            show_values("instrument", condition(origin), *conditions, source=_ALL_TABLES)
        ):
            if has_rows(table.name) or table.name == FLAGS:
                found.setdefault(table.name, set()).update(values[1] for values in table.values)
        return {name: sorted(found[name]) for name in sorted(found)}

    def _tables_of(self, origin: Origin, instrument: str, *conditions: str) -> list[str]:
        """Return the tables that have rows of an instrument."""
        wanted = condition(origin, instrument=instrument)
        return [name for name in self._tables(origin, wanted, *conditions) if has_rows(name)]

    def _select(self, fields: str, tables: list[str], *where: str) -> Iterator[Table]:
        """Ask one table after the other."""
        for name in tables:
            yield from self._http.query(select(fields, name, *where, tail=BY_SERIES))

    def instruments(self, origin: Origin) -> list[str]:
        """See `Readings.instruments`."""
        return sorted(set(chain.from_iterable(self._tables(origin, *self.ever).values())))

    def newest(self, origin: Origin) -> list[Row]:
        """See `Readings.newest`: within an era the last in time is the last of all."""
        found: dict[str, list[Table]] = {}
        tail = 'GROUP BY "instrument", "source", "era" ORDER BY time DESC LIMIT 1'
        for name in filter(has_rows, self._tables(origin, *self.ever)):
            for table in self._http.query(select("*", name, condition(origin), tail=tail)):
                found.setdefault(table.tags["instrument"], []).append(table)
        rows = [_newest_of(make_rows(instrument, found[instrument])) for instrument in sorted(found)]
        if rows:
            verdicts = self._newest_verdicts(origin, f"time >= {min(row.t_utc_ns for row in rows)}")
            for row in rows:
                fold_rows([row], verdicts.get(row.instrument, {}))
        return rows

    def _newest_verdicts(self, origin: Origin, since: str) -> dict[str, Verdicts]:
        """Return of each instrument the verdicts about its last rows: there is no later ordinal."""
        verdicts: dict[str, Verdicts] = {}
        tail = 'GROUP BY "instrument", "channel", "rule", "source", "era"'
        for table in self._http.query(select('max("n"), "f"', FLAGS, condition(origin), since, tail=tail)):
            tags = table.tags
            of_instrument = verdicts.setdefault(tags["instrument"], {})
            for _, n, flag in table.values:
                said = of_instrument.setdefault((schema.journal_of(tags["era"]), int(n)), [])
                said.append(Verdict(tags["channel"], tags["rule"], int(flag)))
        return verdicts

    def series(self, origin: Origin, instrument: str, channel: str, span: str) -> tuple[list[Part], Verdicts]:
        """See `Readings.series`: of the tables that have the channel."""
        where = (condition(origin, instrument=instrument), span)
        tables = [
            name for name in self._tables_of(origin, instrument, span) if self._has_channel(name, channel)
        ]
        parts, _ = make_parts(self._select(value_fields(channel), tables, *where))
        of_channel = condition(origin, instrument=instrument, channel=channel)
        return parts, make_verdicts(self._select(VERDICT_FIELDS, [FLAGS], of_channel, span))

    def _has_channel(self, table: str, channel: str) -> bool:
        fields = [
            schema.parse_field(values[0])
            for answer in self._http.query(f'SHOW FIELD KEYS FROM "{table}"')
            for values in answer.values
        ]
        return any(field is not None and field.channel == channel for field in fields)

    def rows(self, origin: Origin, instrument: str, ordinals: str) -> list[Row]:
        """See `Readings.rows`."""
        where = (condition(origin, instrument=instrument), ordinals)
        tables = self._tables_of(origin, instrument, *self.ever)
        verdicts = make_verdicts(self._select(VERDICT_FIELDS, [FLAGS], *where))
        return make_rows(instrument, self._select("*", tables, *where), verdicts)

    def counts(self, origin: Origin, span: str) -> dict[str, Counts]:
        """See `Readings.counts`."""
        tables_of: dict[str, list[str]] = {}
        for name, instruments in self._tables(origin, span).items():
            for instrument in instruments if has_rows(name) else ():
                tables_of.setdefault(instrument, []).append(name)
        result: dict[str, Counts] = {}
        for instrument, tables in sorted(tables_of.items()):
            where = (condition(origin, instrument=instrument), span)
            counter = Counter()
            for table in self._select('"n", "seq", "channels"', tables, *where):
                counter.add_ordinals(table)
            if counter.has_rows:
                sparse = list(self._select(r"/\.[qr]$/", tables, *where))
                verdicts = make_verdicts(self._select(VERDICT_FIELDS, [FLAGS], *where))
                result[instrument] = counter.counts(sparse, verdicts)
        return result


def _newest_of(rows: list[Row]) -> Row:
    newest = Newest()
    for row in rows:
        newest.offer(row.era, row.n, row.t_utc_ns)
    best = newest.best
    return next(row for row in rows if (row.era, row.n, row.t_utc_ns) == best)
