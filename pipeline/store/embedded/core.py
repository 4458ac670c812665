"""The blocking half of the embedded store."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from pipeline.store import schema
from pipeline.store.door import LatestRow, Origin
from pipeline.store.embedded import frames
from pipeline.store.embedded.database import moved, open_writer, reading, unavailable
from pipeline.store.embedded.writing import insert, origin_id
from pipeline.store.folding import Newest, Tally, Verdict, Verdicts, fold_rows, make_series
from pipeline.store.prepare import prepare, report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.records import Record
    from pipeline.store.door import Counts, DeadLetter, LedgerRow, Row, Series, WriteReport
    from pipeline.store.embedded.settings import EmbeddedStoreSettings
    from pipeline.store.prepare import Prepared

_INT64_MAX = 2**63 - 1
_FRAMES = (
    f"SELECT {frames.COLUMNS} FROM frames JOIN layouts ON layouts.id = layout "  # noqa: S608 - our own column names
    "WHERE origin = ? AND instrument = ?"
)


class Encoded(NamedTuple):
    """A batch, decoded and checked."""

    origin: Origin
    records: Sequence[Record]
    ready: Prepared
    dead: list[DeadLetter]


class EmbeddedCore:
    """Writes in one transaction a call; each query opens a reader of its own. Thread-safe but for `send`."""

    kind = "embedded"

    def __init__(self, settings: EmbeddedStoreSettings) -> None:
        self._path: Path = settings.path
        self._writer: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def close(self) -> None:
        """Move the WAL into the file and close it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def cut_off(self) -> None:
        """See `Core.cut_off`: there is nobody to wait for."""

    def warm(self) -> None:
        """See `Core.warm`: there is nothing to load."""

    def encode(self, origin: Origin, records: Sequence[Record]) -> Encoded:
        """See `Core.encode`."""
        return Encoded(origin, records, *prepare(origin, records))

    def send(self, encoded: Encoded) -> WriteReport:
        """See `Core.send`."""
        writer = self._open()
        try:
            writer.execute("BEGIN IMMEDIATE")
            insert(writer, encoded.origin, encoded.ready)
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise unavailable(self._path, error) from error
        return report(encoded.records, encoded.dead)

    def _open(self) -> sqlite3.Connection:
        if self._writer is not None and _file_id(self._path) != self._file:
            # It would swallow records that count as stored; and the WAL, left behind, belongs to it.
            raise moved(self._path)
        if self._writer is None:
            self._writer = open_writer(self._path)
            self._file = _file_id(self._path)
        return self._writer

    def sites(self) -> list[Origin]:
        """See `Store.sites`."""
        with reading(self._path) as connection:
            found = [] if connection is None else connection.execute(
                "SELECT lab, gateway FROM origins WHERE EXISTS (SELECT 1 FROM instruments WHERE origin = id) "
                "OR EXISTS (SELECT 1 FROM ledger WHERE origin = id)"
            ).fetchall()  # fmt: skip
        return sorted(Origin(*values) for values in found)

    def instruments(self, origin: Origin) -> list[str]:
        """See `Store.instruments`."""
        with reading(self._path) as connection:
            return [] if connection is None else _instruments(connection, origin_id(connection, origin))

    def latest(self, origin: Origin) -> dict[str, LatestRow]:
        """See `Store.latest`."""
        with reading(self._path) as connection:
            if connection is None:
                return {}
            place = origin_id(connection, origin)
            config = _ledger(connection, place, "config", None, "ORDER BY t_store DESC LIMIT 1", ())
            rows = [_newest_row(connection, place, name) for name in _instruments(connection, place)]
        return {
            row.instrument: LatestRow(
                **{name: getattr(row, name) for name in row.__slots__},
                units=schema.units_of(config[0].body if config else None, row.instrument),
            )
            for row in rows
            if row is not None
        }

    def window(
        self, origin: Origin, instrument: str, channel: str, t_from_ns: int, t_to_ns: int, points_max: int
    ) -> Series:
        """See `Store.window`."""
        parts, verdicts = [], {}
        with reading(self._path) as connection:
            if connection is not None:
                place = origin_id(connection, origin)
                verdicts = _verdicts(connection, place, instrument, t_from_ns, t_to_ns)
                for frame in _frames_in(connection, place, instrument, t_from_ns, t_to_ns):
                    part = frames.part_of(frame, channel, t_from_ns, t_to_ns)
                    if part is not None:
                        parts.append(part)
        return make_series(parts, channel, verdicts, points_max)

    def rows(self, origin: Origin, instrument: str, *, n_from: int, n_to: int, era: str | None) -> list[Row]:
        """See `Store.rows`."""
        with reading(self._path) as connection:
            if connection is None:
                return []
            place = origin_id(connection, origin)
            found = [
                row
                for row in _rows(connection, place, instrument, n_from, n_to)
                if era is None or row.era == era
            ]
        return sorted(found, key=lambda row: (row.n, row.t_utc_ns, row.seq))

    def counts(self, origin: Origin, t_from_ns: int, t_to_ns: int) -> dict[str, Counts]:
        """See `Store.counts`."""
        result: dict[str, Counts] = {}
        with reading(self._path) as connection:
            if connection is not None:
                place = origin_id(connection, origin)
                for instrument in _instruments(connection, place):
                    tally = _tally(connection, place, instrument, t_from_ns, t_to_ns)
                    if tally.rows:
                        result[instrument] = tally.counts()
        return result

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
        direction = "DESC" if newest_first else "ASC"
        order = ["t_store", "seq", "era"] if seq_from is None else ["seq", "era"]
        tail = f"ORDER BY {', '.join(f'{column} {direction}' for column in order)} LIMIT ?"
        if seq_from is not None:
            tail = f"AND seq >= ? {tail}"
        values = (limit,) if seq_from is None else (seq_from, limit)
        with reading(self._path) as connection:
            if connection is None:
                return []
            return _ledger(connection, origin_id(connection, origin), kind, key, tail, values)

    def ledger_count(self, origin: Origin, kind: str, *, key: str | None) -> int:
        """See `Store.ledger_count`."""
        with reading(self._path) as connection:
            if connection is None:
                return 0
            statement = "SELECT count(*) FROM ledger WHERE origin = ? AND kind = ? AND key = coalesce(?, key)"
            values = (origin_id(connection, origin), kind, key)
            return int(connection.execute(statement, values).fetchone()[0])

    def health(self) -> str:
        """Read the file once. Raises StoreUnavailable."""
        with reading(self._path) as connection:
            if connection is None:
                return f"SQLite {sqlite3.sqlite_version}, nothing written yet"
            connection.execute("SELECT count(*) FROM origins").fetchone()
        return f"SQLite {sqlite3.sqlite_version}, {self._path.stat().st_size} bytes"


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _bounded(number: int) -> int:
    return min(max(number, -_INT64_MAX), _INT64_MAX)


def _instruments(connection: sqlite3.Connection, place: int) -> list[str]:
    found = connection.execute("SELECT DISTINCT instrument FROM instruments WHERE origin = ?", (place,))
    return sorted(values[0] for values in found)


def _frames_in(
    connection: sqlite3.Connection, place: int, instrument: str, t_from_ns: int, t_to_ns: int
) -> Iterator[frames.StoredFrame]:
    span_ns = connection.execute(
        "SELECT coalesce(max(span_ns), 0) FROM instruments WHERE origin = ? AND instrument = ?",
        (place, instrument),
    ).fetchone()[0]
    found = connection.execute(
        f"{_FRAMES} AND t_min >= ? AND t_min < ? AND t_max >= ? ORDER BY t_min",
        (place, instrument, _bounded(t_from_ns - span_ns), _bounded(t_to_ns), _bounded(t_from_ns)),
    )
    return (frames.load(values) for values in found)


def _verdicts(
    connection: sqlite3.Connection, place: int, instrument: str, t_from_ns: int, t_to_ns: int
) -> Verdicts:
    verdicts: Verdicts = {}
    for journal, n, *said in connection.execute(
        "SELECT journal, n, channel, rule, flag FROM verdicts "
        "WHERE origin = ? AND instrument = ? AND t_store >= ? AND t_store < ?",
        (place, instrument, _bounded(t_from_ns), _bounded(t_to_ns)),
    ):
        verdicts.setdefault((journal, n), []).append(Verdict(*said))
    return verdicts


def _rows(
    connection: sqlite3.Connection,
    place: int,
    instrument: str,
    n_from: int,
    n_to: int,
    journal_wanted: bytes | None = None,
) -> list[Row]:
    rows: list[Row] = []
    for journal, rows_max in connection.execute(
        "SELECT journal, rows_max FROM instruments WHERE origin = ? AND instrument = ?", (place, instrument)
    ).fetchall():
        if journal_wanted not in {None, journal}:
            continue
        found = connection.execute(
            f"{_FRAMES} AND journal = ? AND n_first > ? AND n_first < ?",
            (place, instrument, journal, _bounded(n_from - rows_max), _bounded(n_to)),
        )
        for values in found:
            frame = frames.load(values)
            first, last = max(n_from - frame.n_first, 0), min(n_to - frame.n_first, frame.rows)
            rows.extend(frames.rows_of(instrument, frame, first, last))
    if rows:
        times = [row.t_utc_ns for row in rows]
        fold_rows(rows, _verdicts(connection, place, instrument, min(times), max(times) + 1))
    return rows


def _newest_row(connection: sqlite3.Connection, place: int, instrument: str) -> Row | None:
    newest, journals = Newest(), {}
    for (journal,) in connection.execute(
        "SELECT journal FROM instruments WHERE origin = ? AND instrument = ? AND rows_max > 0",
        (place, instrument),
    ).fetchall():
        found = connection.execute(
            "SELECT era, n_first, rows, t_max FROM frames "
            "WHERE origin = ? AND instrument = ? AND journal = ? ORDER BY n_first DESC LIMIT 1",
            (place, instrument, journal),
        ).fetchone()
        if found is not None:
            era, n_first, count, t_max = found
            newest.offer(era, n_first + count - 1, t_max)
            journals[schema.journal_of(era)] = journal
    if not journals:
        return None
    best = newest.best
    journal = journals[schema.journal_of(best.era)]
    rows = _rows(connection, place, instrument, best.n, best.n + 1, journal)
    return next(row for row in rows if row.era == best.era)


def _tally(
    connection: sqlite3.Connection, place: int, instrument: str, t_from_ns: int, t_to_ns: int
) -> Tally:
    tally = Tally()
    verdicts = _verdicts(connection, place, instrument, t_from_ns, t_to_ns)
    for frame in _frames_in(connection, place, instrument, t_from_ns, t_to_ns):
        frames.tally_frame(tally, frame, verdicts, t_from_ns, t_to_ns)
    return tally


def _ledger(
    connection: sqlite3.Connection, place: int, kind: str, key: str | None, tail: str, values: tuple[int, ...]
) -> list[LedgerRow]:
    statement = "SELECT key, journal, era, seq, t_utc, source, body FROM ledger WHERE origin = ? AND kind = ?"
    if key is not None:
        statement += " AND key = ?"
    found = connection.execute(
        f"{statement} {tail}", (place, kind, *(() if key is None else (key,)), *values)
    )
    return [
        schema.ledger_row(
            kind=kind, key=key, journal=journal, era=era, seq=seq, t_utc_ns=t_utc_ns, source=source, body=body
        )
        for key, journal, era, seq, t_utc_ns, source, body in found
    ]
