"""The SQLite file of the index. It may be thrown away at any time: it is made again from the records."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from pipeline.ledger.rows import TaskRow

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 3
"""Of the tables and of what is drawn from a record; another one means: make the index again."""

_TYPES = {"start_seq", "attempt", "final", "started_utc_ns", "started_run_ns", "ended_utc_ns", "ended_run_ns"}
_COLUMNS = ", ".join(f"{name} {'INTEGER' if name in _TYPES else 'TEXT'}" for name in TaskRow._fields)

TABLES = f"""
CREATE TABLE about (journal BLOB NOT NULL, through_seq INTEGER NOT NULL);
CREATE TABLE task (id INTEGER PRIMARY KEY, {_COLUMNS}, UNIQUE (task));
CREATE UNIQUE INDEX task_by_start ON task (start_seq);
CREATE INDEX task_by_time ON task (started_utc_ns);
CREATE INDEX task_by_overall ON task (overall, started_utc_ns);
CREATE INDEX task_by_sample ON task (sample, started_utc_ns);
CREATE INDEX task_by_method ON task (method, started_utc_ns);
CREATE INDEX task_by_batch ON task (batch, started_utc_ns) WHERE batch IS NOT NULL;
-- who and what had a part in a task, from when to when in gateway time; to_run_ns NULL: until the task's end
CREATE TABLE part (
    id INTEGER NOT NULL REFERENCES task (id), role TEXT NOT NULL, target TEXT NOT NULL,
    from_run_ns INTEGER NOT NULL, to_run_ns INTEGER
);
-- with all that a look-back asks of a part: its pages are read off this index, in order of the tasks
CREATE INDEX part_by_target ON part (role, target, id, from_run_ns, to_run_ns);
CREATE INDEX part_by_task ON part (id);
CREATE TABLE link (system TEXT NOT NULL, external_id TEXT NOT NULL, id INTEGER NOT NULL REFERENCES task (id));
CREATE INDEX link_by_external ON link (external_id, system);
-- every record that speaks of a task, so that the task can be told again from them
CREATE TABLE mention (
    id INTEGER NOT NULL REFERENCES task (id), seq INTEGER NOT NULL, PRIMARY KEY (id, seq)
) WITHOUT ROWID;
-- what each command with an idempotency key did, for ever; result as JSON text
CREATE TABLE answer (
    person TEXT NOT NULL, key TEXT NOT NULL, command TEXT NOT NULL, first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, result TEXT NOT NULL, PRIMARY KEY (person, key)
) WITHOUT ROWID;
"""


def open_file(path: Path, journal: bytes) -> tuple[sqlite3.Connection, int]:
    """Open the index of a journal; one that is missing, damaged, of another journal or version is made anew.

    Returns:
        The connection and the last seq that the index has taken in, -1 for a new one.

    Raises:
        OSError, sqlite3.Error: the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        _prepare(connection)
        through = _through(connection, journal)
    except sqlite3.DatabaseError:
        through = None  # damaged, or no index at all
    if through is not None:
        return connection, through
    connection.close()
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False)
    _prepare(connection)
    connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    connection.execute("INSERT INTO about VALUES (?, -1)", (journal,))
    connection.commit()
    return connection, -1


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # What a power cut takes from it is read again from the journal.
    connection.execute("PRAGMA synchronous = NORMAL")


def _through(connection: sqlite3.Connection, journal: bytes) -> int | None:
    """Last seq taken in; None when this is not the index of this journal in this version."""
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        return None
    known = connection.execute("SELECT journal, through_seq FROM about").fetchone()
    return int(known[1]) if known is not None and known[0] == journal else None
