"""Where each record lies: SQLite beside the segments, made again from them whenever it is missing or damaged.

Its own durability does not matter (`synchronous=NORMAL`): what the segments hold beyond it is added when the
archive opens. Everything here blocks; one thread at a time. Readers in other processes open it `read_only`.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from pipeline.archive.segments import Place
from pipeline.records.envelope import BULK_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

INDEX_NAME = "index.sqlite"
_VERSION = 2
_SCHEMA = f"""
CREATE TABLE record (
    journal BLOB NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, segment INTEGER NOT NULL,
    offset INTEGER NOT NULL, end INTEGER NOT NULL,  -- end 0: the bytes were let go, the hash stays
    kind TEXT,                                      -- NULL: bulk
    PRIMARY KEY (journal, seq, hash)
) WITHOUT ROWID;
CREATE INDEX ledger ON record (journal, kind, seq) WHERE kind IS NOT NULL;
CREATE INDEX placed ON record (segment);
CREATE TABLE segment_v2 (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, through INTEGER NOT NULL, t_max_ns INTEGER NOT NULL
);
PRAGMA user_version = {_VERSION};
"""


class Row(NamedTuple):
    """What the index says of one version of a record."""

    journal: bytes
    seq: int
    digest: bytes
    """Leaf hash."""
    place: Place
    kind: str | None
    """None for bulk."""


def ledger_kind(kind: str) -> str | None:
    """Return what the index keeps of a kind: None for bulk."""
    return None if kind in BULK_KINDS else kind


class Index:
    """(journal, seq) to leaf hashes and places; more than one hash is a fork."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the index; one that cannot be used is replaced by an empty one, unless it is only read.

        Raises:
            sqlite3.Error: `read_only`, and it is not there or damaged.
        """
        self._path = path
        self._read_only = read_only
        self._ids: dict[str, int] = {}
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError:
            if read_only:
                raise
            self._remove()
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        # A reader needs the right to make the -shm file, as the user of the collector has it.
        uri = f"file:{quote(str(self._path))}?mode={'rw' if self._read_only else 'rwc'}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        try:
            if not self._read_only:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0 and not self._read_only:
                connection.executescript(_SCHEMA)
            # Fails for a damaged file and for another version, whose tables have other names.
            connection.execute("SELECT count(*) FROM segment_v2").fetchone()
            if self._read_only:
                connection.execute("PRAGMA query_only=ON")
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def through(self) -> dict[str, int]:
        """Segment to the offset up to which it is indexed."""
        return dict(self._connection.execute("SELECT name, through FROM segment_v2"))

    def youngest(self) -> dict[str, int]:
        """Segment to the latest UTC stamp of its records, ns."""
        return dict(self._connection.execute("SELECT name, t_max_ns FROM segment_v2"))

    def made_again(self) -> Index:
        """Close this one and return an empty one in its place."""
        self.close()
        self._remove()
        return Index(self._path)

    def _id(self, segment: str) -> int:
        if segment not in self._ids:
            self._connection.execute(
                "INSERT OR IGNORE INTO segment_v2 (name, through, t_max_ns) VALUES (?, 0, 0)", (segment,)
            )
            found = self._connection.execute("SELECT id FROM segment_v2 WHERE name = ?", (segment,))
            self._ids[segment] = int(found.fetchone()[0])
        return self._ids[segment]

    def add(self, rows: Iterable[Row], segment: str, through: int, t_max_ns: int) -> None:
        """Add records of one segment; one that is there stays as it is."""
        with self._connection:
            self._connection.execute("BEGIN")
            number = self._id(segment)
            self._connection.executemany(
                "INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (journal, seq, digest, number, place.offset, place.end, kind)
                    for journal, seq, digest, place, kind in rows
                ],
            )
            self._connection.execute(
                "UPDATE segment_v2 SET through = ?, t_max_ns = max(t_max_ns, ?) WHERE id = ?",
                (through, t_max_ns, number),
            )

    def let_go(self, segment: str) -> None:
        """Note that a segment's bytes are gone; its hashes stay."""
        with self._connection:
            self._connection.execute("BEGIN")
            number = self._id(segment)
            self._connection.execute("UPDATE record SET offset = 0, end = 0 WHERE segment = ?", (number,))
            self._connection.execute("UPDATE segment_v2 SET through = 0 WHERE id = ?", (number,))

    def find(self, journal: bytes, seq: int) -> dict[bytes, Place]:
        """Leaf hash to place of every version of one record."""
        return {
            row.digest: row.place for row in self._rows("r.journal = ? AND r.seq = ?", (journal, seq), 100)
        }

    def page(self, journal: bytes, from_seq: int, limit: int) -> list[Row]:
        """The versions from a seq on, by seq."""
        return list(self._rows("r.journal = ? AND r.seq >= ?", (journal, from_seq), limit))

    def ledger(self, journal: bytes, from_seq: int, kinds: Collection[str], limit: int) -> list[Row]:
        """The versions of some ledger kinds from a seq on, by seq."""
        marks = ", ".join("?" * len(kinds))
        where = f"r.journal = ? AND r.kind IS NOT NULL AND r.kind IN ({marks}) AND r.seq >= ?"
        return list(self._rows(where, (journal, *sorted(kinds), from_seq), limit))

    def _rows(self, where: str, values: tuple[object, ...], limit: int) -> Iterator[Row]:
        rows = self._connection.execute(
            "SELECT r.journal, r.seq, r.hash, s.name, r.offset, r.end, r.kind FROM record r"  # noqa: S608 - no input
            f" JOIN segment_v2 s ON s.id = r.segment WHERE {where}"
            " ORDER BY r.seq, r.segment, r.offset LIMIT ?",
            (*values, limit),
        )
        for journal, seq, digest, segment, offset, end, kind in rows:
            yield Row(journal, seq, digest, Place(segment, offset, end), kind)

    def hashes(self, journal: bytes, first: int, end: int) -> list[tuple[int, bytes]]:
        """Seq and leaf hash of the versions from `first` up to, not including, `end`."""
        return self._connection.execute(
            "SELECT seq, hash FROM record WHERE journal = ? AND seq >= ? AND seq < ? ORDER BY seq",
            (journal, first, end),
        ).fetchall()

    def within(self, segment: str) -> list[Row]:
        """All rows of one segment, by seq."""
        found = self._connection.execute("SELECT id FROM segment_v2 WHERE name = ?", (segment,)).fetchone()
        return [] if found is None else list(self._rows("r.segment = ?", (found[0],), -1))

    def spans(self, segment: str) -> list[tuple[bytes, int, int]]:
        """Journal id, first and last seq of each journal that has records in a segment."""
        return self._connection.execute(
            "SELECT r.journal, min(r.seq), max(r.seq) FROM record r JOIN segment_v2 s ON s.id = r.segment"
            " WHERE s.name = ? GROUP BY r.journal", (segment,),
        ).fetchall()  # fmt: skip

    def journals(self) -> dict[bytes, int]:
        """Journal id to the number of records, versions counted."""
        return dict(self._connection.execute("SELECT journal, count(*) FROM record GROUP BY journal"))

    def forks(self, limit: int) -> list[tuple[bytes, int]]:
        """Identities that have several versions."""
        return self._connection.execute(
            "SELECT journal, seq FROM record GROUP BY journal, seq HAVING count(*) > 1 LIMIT ?", (limit,)
        ).fetchall()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
