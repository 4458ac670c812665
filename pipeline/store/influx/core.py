"""The blocking half of the InfluxDB store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.store import schema
from pipeline.store.door import DeadLetter, LatestRow, LedgerRow, Origin
from pipeline.store.folding import make_series
from pipeline.store.influx.answers import condition, select, show_values, span, tag_values, text_literal
from pipeline.store.influx.batches import write_lines
from pipeline.store.influx.forms import Forms, load_kernels
from pipeline.store.influx.http import InfluxHttp
from pipeline.store.influx.lines import encode_lines, load_writer
from pipeline.store.influx.profiled import ProfileTables
from pipeline.store.influx.profiles import Profiles
from pipeline.store.influx.readings import OneTable
from pipeline.store.influx.text import Memory
from pipeline.store.prepare import prepare, report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.records import Record
    from pipeline.store.door import Counts, Row, Series, WriteReport
    from pipeline.store.influx.batches import Poster
    from pipeline.store.influx.readings import Readings
    from pipeline.store.influx.settings import InfluxStoreSettings
    from pipeline.store.influx.text import Lines


class Encoded(NamedTuple):
    """A batch as lines, ready to be sent any number of times."""

    records: Sequence[Record]
    lines: Lines
    dead: list[DeadLetter]


class InfluxCore:
    """Writes lines and reads InfluxQL; each method is one or a few requests. Thread-safe."""

    kind = "influxdb"

    def __init__(self, settings: InfluxStoreSettings, credentials: Path | None) -> None:
        self._http = InfluxHttp(settings, credentials)
        self._memory = Memory()
        self._forms = Forms()
        self._profiles: Profiles | None = None
        self._readings: Readings = OneTable(self._http)
        if settings.generation == "3":
            self._profiles, self._readings = Profiles(), ProfileTables(self._http)
        self._poster: Poster = self._http
        if settings.generation != "1":
            # Only here: it brings 16 MiB along, which a gateway has no use for.
            from pipeline.store.influx.client2 import ClientWriter  # noqa: PLC0415

            self._poster = ClientWriter(settings, credentials, self._http)

    def close(self) -> None:
        """Close the connections."""
        self._poster.close()
        self._http.close()

    def cut_off(self) -> None:
        """See `Core.cut_off`."""
        self._http.wires.cut()

    def warm(self) -> None:
        """See `Core.warm`: load the encoder's kernels."""
        load_kernels()
        load_writer()

    def encode(self, origin: Origin, records: Sequence[Record]) -> Encoded:
        """See `Core.encode`: records as lines; only what has no form that is known is decoded."""
        gathered, rest = self._forms.gather(origin, records)
        ready, dead = prepare(origin, rest)
        lines = encode_lines(origin, ready, self._memory, gathered, self._profiles)
        return Encoded(records, lines, dead)

    def send(self, encoded: Encoded) -> WriteReport:
        """See `Core.send`."""
        dead = list(encoded.dead)
        for bad in write_lines(self._poster, encoded.lines):
            owner = encoded.lines.owner(bad.position)
            dead.append(DeadLetter(owner.journal, owner.seq, encoded.lines.line(bad.position), bad.reason))
        self.recycle(encoded)
        return report(encoded.records, dead)

    def recycle(self, encoded: Encoded) -> None:
        """Use the memory of a batch again, whose lines nobody reads any more."""
        self._memory.give(encoded.lines.data)

    def _values(self, key: str, *conditions: str) -> list[str]:
        return tag_values(self._http.query(show_values(key, *conditions, *self._readings.ever)))

    def sites(self) -> list[Origin]:
        """See `Store.sites`."""
        return [
            Origin(lab, gateway)
            for lab in self._values("lab")
            for gateway in self._values("gateway", f'"lab" = {text_literal(lab)}')
        ]

    def instruments(self, origin: Origin) -> list[str]:
        """See `Store.instruments`."""
        return self._readings.instruments(origin)

    def latest(self, origin: Origin) -> dict[str, LatestRow]:
        """See `Store.latest`."""
        rows = self._readings.newest(origin)
        config = self.ledger(origin, "config", key=None, limit=1, newest_first=True, seq_from=None)
        return {
            row.instrument: LatestRow(
                **{name: getattr(row, name) for name in row.__slots__},
                units=schema.units_of(config[0].body if config else None, row.instrument),
            )
            for row in rows
        }

    def window(
        self, origin: Origin, instrument: str, channel: str, t_from_ns: int, t_to_ns: int, points_max: int
    ) -> Series:
        """See `Store.window`."""
        if not schema.is_channel(channel):
            return make_series([], channel, {}, points_max)
        parts, verdicts = self._readings.series(origin, instrument, channel, span(t_from_ns, t_to_ns))
        return make_series(parts, channel, verdicts, points_max)

    def rows(self, origin: Origin, instrument: str, *, n_from: int, n_to: int, era: str | None) -> list[Row]:
        """See `Store.rows`."""
        ordinals = f'"n" >= {max(n_from, 0)} AND "n" < {min(n_to, 2**63 - 1)}'
        found = self._readings.rows(origin, instrument, ordinals)
        return [row for row in found if era is None or row.era == era]

    def counts(self, origin: Origin, t_from_ns: int, t_to_ns: int) -> dict[str, Counts]:
        """See `Store.counts`."""
        return self._readings.counts(origin, span(t_from_ns, t_to_ns))

    def _ledger_condition(self, origin: Origin, kind: str, key: str | None) -> str:
        if kind in schema.TAG_KEYED:
            return condition(origin, instrument=key)
        return condition(origin, key=key)

    def ledger(
        self,
        origin: Origin,
        kind: str,
        *,
        key: str | None,
        limit: int,
        newest_first: bool,
        seq_from: int | None,
    ) -> list[LedgerRow]:
        """See `Store.ledger`."""
        where = self._ledger_condition(origin, kind, key)
        order = f"ORDER BY time {'DESC' if newest_first else 'ASC'} LIMIT {limit}"
        if seq_from is not None:
            # InfluxQL orders by time alone: find the seqs of the page first.
            tables = self._http.query(select('"seq"', kind, where, f'"seq" >= {seq_from}'))
            seqs = sorted((seq for table in tables for _, seq in table.values), reverse=newest_first)[:limit]
            if not seqs:
                return []
            where += f' AND "seq" >= {min(seqs)} AND "seq" <= {max(seqs)}'
            order = ""
        fields = '"seq", "t_utc_ns", "journal", "key", "body", "era", "source", "instrument"'
        tables = self._http.query(select(fields, kind, where, tail=order))
        found = [_ledger_entry(kind, values) for table in tables for values in table.values]
        by_seq = seq_from is not None
        found.sort(
            key=lambda entry: (entry[1].seq if by_seq else entry[0], entry[1].seq, entry[1].era),
            reverse=newest_first,
        )
        return [row for _, row in found][:limit]

    def ledger_count(self, origin: Origin, kind: str, *, key: str | None) -> int:
        """See `Store.ledger_count`."""
        where = self._ledger_condition(origin, kind, key)
        tables = self._http.query(select('count("seq")', kind, where))
        return sum(int(values[1]) for table in tables for values in table.values)

    def health(self) -> str:
        """Return the server's version. Raises StoreUnavailable."""
        return f"InfluxDB {self._http.ping()}"


def _ledger_entry(kind: str, values: Sequence[str | int | None]) -> tuple[int, LedgerRow]:
    t_ns, seq, t_utc_ns, journal, key, body, era, source, instrument = values
    row = schema.ledger_row(
        kind=kind, key=str(key or instrument or ""), journal=bytes.fromhex(str(journal)), era=str(era),
        seq=int(seq or 0), t_utc_ns=int(t_utc_ns or 0), source=str(source), body=str(body),
    )  # fmt: skip
    return int(t_ns or 0), row
