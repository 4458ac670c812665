"""Where each record lies: SQLite beside the segments, made again from them whenever it is missing or damaged.

Its own durability does not matter (`synchronous=NORMAL`): what the segments hold beyond it is added when the
archive opens. Everything here blocks; one thread at a time.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from pipeline.archive.segments import Place

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE record (
    journal BLOB NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL,
    segment INTEGER NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
    PRIMARY KEY (journal, seq, hash)
) WITHOUT ROWID;
CREATE TABLE segment_v1 (first INTEGER PRIMARY KEY, through INTEGER NOT NULL);
PRAGMA user_version = {_VERSION};
"""
_ROW = tuple[bytes, int, bytes, int, int, int]


class Index:
    """(journal, seq) to leaf hashes and places; more than one hash is a fork."""

    def __init__(self, path: Path) -> None:
        """Open the index; one that cannot be used is replaced by an empty one."""
        self._path = path
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError:
            self._remove()
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(_SCHEMA)
            # Fails for a damaged file and for a later version, whose tables have other names.
            connection.execute("SELECT count(*) FROM segment_v1").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def through(self) -> dict[int, int]:
        """Segment to the offset up to which it is indexed."""
        return dict(self._connection.execute("SELECT first, through FROM segment_v1"))

    def forget(self, segment: int) -> None:
        """Drop what is known of a segment that is shorter than it was."""
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.execute("DELETE FROM record WHERE segment = ?", (segment,))
            self._connection.execute("DELETE FROM segment_v1 WHERE first = ?", (segment,))

    def add(self, rows: Iterable[tuple[bytes, int, bytes, Place]], segment: int, through: int) -> None:
        """Add records; one that is there stays as it is."""
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?)",
                [(journal, seq, digest, *place) for journal, seq, digest, place in rows],
            )
            self._connection.execute("INSERT OR REPLACE INTO segment_v1 VALUES (?, ?)", (segment, through))

    def find(self, journal: bytes, seq: int) -> dict[bytes, Place]:
        """Leaf hash to place of every version of one record."""
        rows = self._connection.execute(
            "SELECT hash, segment, offset, end FROM record WHERE journal = ? AND seq = ?"
            " ORDER BY segment, offset", (journal, seq),
        )  # fmt: skip
        return {digest: Place(*place) for digest, *place in rows}

    def page(self, journal: bytes, from_seq: int, limit: int) -> list[tuple[int, Place]]:
        """Seq and place of the versions from a seq on, by seq."""
        rows = self._connection.execute(
            "SELECT seq, segment, offset, end FROM record WHERE journal = ? AND seq >= ?"
            " ORDER BY seq, segment, offset LIMIT ?", (journal, from_seq, limit),
        )  # fmt: skip
        return [(seq, Place(*place)) for seq, *place in rows]

    def within(self, segment: int) -> list[_ROW]:
        """All rows of one segment, by offset."""
        return self._connection.execute(
            "SELECT journal, seq, hash, segment, offset, end FROM record WHERE segment = ? ORDER BY offset",
            (segment,),
        ).fetchall()

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
