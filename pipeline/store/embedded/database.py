"""The SQLite file: tables, the writer's connection, and readers' connections.

SQLite in WAL mode (https://sqlite.org/wal.html): readers of any process see the last commit while a writer
writes. `synchronous=FULL` makes every commit an fsync of the WAL, so a commit that has returned is durable.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.store.door import StoreMisconfigured, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1
"""Of the tables; kept as the file's user_version."""

BUSY_TIMEOUT_S = 5.0
RETRY_S = 5.0
WAL_PAGES_MAX = 4096
"""Pages (4 kB) in the WAL before a commit moves them into the file."""

_TABLES = """
CREATE TABLE origins (
    id INTEGER PRIMARY KEY, lab TEXT NOT NULL, gateway TEXT NOT NULL, UNIQUE (lab, gateway)
);
-- span_ns, rows_max: the longest frame so far, so that a search by its first row misses none that reaches in
CREATE TABLE instruments (
    origin INTEGER NOT NULL, instrument TEXT NOT NULL, journal BLOB NOT NULL,
    span_ns INTEGER NOT NULL, rows_max INTEGER NOT NULL,
    PRIMARY KEY (origin, instrument, journal)
) WITHOUT ROWID;
-- channels: JSON [[name, kind], ...]
CREATE TABLE layouts (id INTEGER PRIMARY KEY, channels TEXT NOT NULL UNIQUE);
-- one row per data record; matrices are little-endian [channel of that kind, row]; NULL: what is normal
CREATE TABLE frames (
    journal BLOB NOT NULL, seq INTEGER NOT NULL, origin INTEGER NOT NULL, instrument TEXT NOT NULL,
    era TEXT NOT NULL, source TEXT NOT NULL, t_min INTEGER NOT NULL, t_max INTEGER NOT NULL,
    n_first INTEGER NOT NULL, rows INTEGER NOT NULL, layout INTEGER NOT NULL,
    service TEXT NOT NULL,  -- service state
    t BLOB NOT NULL,        -- int64 stored times
    f8 BLOB, i8 BLOB, u8 BLOB,
    text BLOB,              -- msgpack, one list for each text channel
    missing BLOB,           -- zlib of uint8 [channel, row]: 1 where there is no value
    flag BLOB,              -- zlib of uint8 [channel, row]
    reason BLOB,            -- zlib of int64 [channel, row]
    corrected BLOB,         -- msgpack {channel: float64 bytes}
    UNIQUE (journal, seq)
);
CREATE INDEX frames_by_time ON frames (origin, instrument, t_min);
CREATE INDEX frames_by_ordinal ON frames (origin, instrument, journal, n_first);
-- what `flags` records said: one row per reading and rule
CREATE TABLE verdicts (
    origin INTEGER NOT NULL, instrument TEXT NOT NULL, t_store INTEGER NOT NULL, journal TEXT NOT NULL,
    n INTEGER NOT NULL, channel TEXT NOT NULL, rule TEXT NOT NULL, flag INTEGER NOT NULL,
    PRIMARY KEY (origin, instrument, t_store, journal, n, channel, rule)
) WITHOUT ROWID;
CREATE TABLE ledger (
    journal BLOB NOT NULL, seq INTEGER NOT NULL, origin INTEGER NOT NULL, kind TEXT NOT NULL,
    key TEXT NOT NULL, era TEXT NOT NULL, source TEXT NOT NULL, t_utc INTEGER NOT NULL,
    t_store INTEGER NOT NULL, body TEXT NOT NULL,
    UNIQUE (journal, seq)
);
CREATE INDEX ledger_by_time ON ledger (origin, kind, t_store);
CREATE INDEX ledger_by_key ON ledger (origin, kind, key, t_store);
CREATE INDEX ledger_by_seq ON ledger (origin, kind, seq);
"""


def unavailable(path: Path, error: Exception) -> StoreUnavailable:
    """Make the error that says what a person can do about an error of SQLite or the disk."""
    text = str(error)
    hint = "check the disk and the rights of the folder"
    if "locked" in text or "busy" in text:
        hint = "another program is writing to it: only one collector may use an embedded store"
    elif "full" in text:
        hint = "free space on the disk"
    elif "malformed" in text or "not a database" in text:
        hint = "the file is damaged: set it aside and write the records again from the archive"
    return StoreUnavailable(f"embedded store {path}: {text}", retry_after_s=RETRY_S, hint=hint)


def moved(path: Path) -> StoreUnavailable:
    """Make the error that says that the file is not where its WAL is."""
    return StoreUnavailable(
        f"embedded store {path} was moved away or replaced, its -wal file was not",
        retry_after_s=RETRY_S,
        hint=f"put the file back beside {path.name}-wal, or set that one aside with it and start again",
    )


def _wal_without_file(path: Path) -> bool:
    # SQLite would delete it as soon as it makes the file anew.
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0 and not (path.exists() and path.stat().st_size > 0)


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the file for writing, making it when it is missing. For use in one thread at a time.

    Raises:
        StoreUnavailable: it cannot be opened.
        StoreMisconfigured: a newer program made it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _wal_without_file(path):
            raise moved(path)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        raise unavailable(path, error) from error
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES_MAX}")
        _make_tables(path, connection)
    except sqlite3.Error as error:
        connection.close()
        raise unavailable(path, error) from error
    except StoreMisconfigured:
        connection.close()
        raise
    return connection


def _make_tables(path: Path, connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    check_version(path, version)
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")


def check_version(path: Path, version: int) -> None:
    """Refuse a file whose tables this program does not know. Raises StoreMisconfigured."""
    if version > VERSION:
        raise StoreMisconfigured(
            f"embedded store {path} is of version {version}, this program knows {VERSION}",
            retry_after_s=RETRY_S,
            hint="update this program",
        )


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Give a connection that sees one state of the file; None when there is no file yet.

    Works for a user who may not write, while a writer is there and after it has closed: then the WAL's
    files are gone and cannot be made again by that user, and nobody changes the file (`immutable`).

    Raises:
        StoreUnavailable: it cannot be read.
        StoreMisconfigured: a newer program made it.
    """
    try:
        connection = _open_reader(path)
    except (OSError, sqlite3.Error) as error:
        raise unavailable(path, error) from error
    if connection is None:
        yield None
        return
    with closing(connection):
        try:
            yield connection
        except sqlite3.Error as error:
            raise unavailable(path, error) from error


def _open_reader(path: Path) -> sqlite3.Connection | None:
    if not path.exists():
        return None
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        return _begin(path, address)
    except sqlite3.OperationalError:
        # A writer that has just started has its WAL by now: only a file without one is unchanging.
        if path.with_name(path.name + "-wal").exists():
            return _begin(path, address)
        return _begin(path, address + "&immutable=1")


def _begin(path: Path, address: str) -> sqlite3.Connection | None:
    connection = sqlite3.connect(
        address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("BEGIN")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        check_version(path, version)
    except (sqlite3.Error, StoreMisconfigured):
        connection.close()
        raise
    if version == 0:  # the writer is about to make the tables
        connection.close()
        return None
    return connection
