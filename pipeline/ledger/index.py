"""The index: takes records in, in seq order, and finds tasks by what they were and by what took part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.ledger.drawing import Drawing, find_answer
from pipeline.ledger.rows import EQUAL, TaskFilter, TaskRow
from pipeline.ledger.schema import open_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.elements.state import Answer
    from pipeline.records.envelope import Record

LIMIT_MAX = 200_000
"""Rows of one answer; a year of a busy laboratory fits."""
_ROW = ", ".join(f"task.{name}" for name in TaskRow._fields)


class LedgerIndex:
    """Index of one journal's ledger records in one SQLite file.

    Everything in it follows from the records: a file that is missing, damaged or of another version is made
    again. Thread-safe: no; every method is called from one thread at a time. Memory: one batch of records.

    Args:
        path: the file.
        journal: 16 bytes, id of the journal that it is of.

    Raises:
        OSError, sqlite3.Error: the place cannot be written.
    """

    def __init__(self, path: Path, journal: bytes) -> None:
        self._connection, self.through_seq = open_file(path, journal)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def take(self, records: Iterable[Record], through_seq: int) -> None:
        """Take records of ledger kinds in, all at once; those that were taken before are passed over.

        Args:
            records: in seq order.
            through_seq: every ledger record up to it is among them or was taken before.

        Raises:
            sqlite3.Error: nothing was taken in.
        """
        drawing = Drawing(self._connection)
        with self._connection:
            for record in records:
                if record.seq > self.through_seq:
                    drawing.take(record)
            drawing.write()
            self._connection.execute("UPDATE about SET through_seq = ?", (through_seq,))
        self.through_seq = max(self.through_seq, through_seq)

    def tasks(self, wanted: TaskFilter) -> list[TaskRow]:
        """List the tasks that a filter wants, newest first."""
        where, values = _conditions(wanted)
        values.append(min(wanted.limit, LIMIT_MAX))
        return self._rows(f"{where} ORDER BY task.started_utc_ns DESC, task.start_seq DESC LIMIT ?", values)

    def task(self, task: str) -> TaskRow | None:
        """Find one task."""
        found = self._rows("WHERE task.task = ?", [task])
        return found[0] if found else None

    def affected(
        self, role: str, target: str, from_run_ns: int, to_run_ns: int, *, after_seq: int = -1,
        limit: int = LIMIT_MAX,
    ) -> list[TaskRow]:  # fmt: skip
        """List the tasks in which something had a part within a span of gateway time, oldest start first.

        A page goes on behind the last key of the one before: all pages together read the index once.

        Args:
            role: a role of bindings, or `instrument`.
            target: person, `instrument.channel`, material, environment or instrument, by id.
            from_run_ns: the span's begin, ns of gateway time.
            to_run_ns: its end, not included.
            after_seq: the page after this start: only tasks whose start is a later record.
            limit: at most so many.
        """
        # Ids rise with the seqs of the starts: tasks are drawn in seq order.
        return self._rows(
            "JOIN (SELECT DISTINCT part.id AS found FROM part INDEXED BY part_by_target "
            "JOIN task AS whole ON whole.id = part.id "
            "WHERE part.role = ? AND part.target = ? AND part.from_run_ns < ? "
            "AND part.id > coalesce("
            "(SELECT id FROM task WHERE start_seq <= ? ORDER BY start_seq DESC LIMIT 1), 0) "
            "AND coalesce(part.to_run_ns, whole.ended_run_ns, ?) > ? ORDER BY part.id LIMIT ?) "
            "ON task.id = found ORDER BY task.id",
            [role, target, to_run_ns, after_seq, to_run_ns, from_run_ns, min(limit, LIMIT_MAX)],
        )

    def mentions(self, task: str, through_seq: int | None = None) -> list[int]:
        """List the seqs of the records that speak of a task, up to one; none for an unknown task."""
        rows = self._connection.execute(
            "SELECT seq FROM mention JOIN task USING (id) WHERE task.task = ? AND seq <= ? ORDER BY seq",
            (task, 2**63 - 1 if through_seq is None else through_seq),
        )
        return [int(seq) for (seq,) in rows]

    def answer(self, person: str, key: str) -> Answer | None:
        """Find what the command of a person and idempotency key did, however long ago; None for a new key."""
        return find_answer(self._connection, person, key)

    def counts(self) -> dict[str, int]:
        """Count the tasks by what they are over all."""
        rows = self._connection.execute("SELECT overall, count(*) FROM task GROUP BY overall")
        return {str(overall): int(count) for overall, count in rows}

    def _rows(self, tail: str, values: list[Any]) -> list[TaskRow]:
        found = self._connection.execute(f"SELECT {_ROW} FROM task {tail}", values)  # noqa: S608 - own texts
        return list(map(TaskRow._make, found))


def _conditions(wanted: TaskFilter) -> tuple[str, list[Any]]:
    """Write a filter as a WHERE clause with its values."""
    clauses, values = ["1"], list[Any]()
    for name in EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            clauses.append(f"task.{name} = ?")
            values.append(value)
    for role in ("instrument", "operator"):
        target = getattr(wanted, role)
        if target is not None:
            clauses.append("task.id IN (SELECT id FROM part WHERE role = ? AND target = ?)")
            values += [role, target]
    if wanted.external_id is not None:
        clauses.append("task.id IN (SELECT id FROM link WHERE external_id = ? AND (? IS NULL OR system = ?))")
        values += [wanted.external_id, wanted.system, wanted.system]
    if wanted.from_utc_ns is not None:
        clauses.append("task.started_utc_ns >= ?")
        values.append(wanted.from_utc_ns)
    if wanted.to_utc_ns is not None:
        clauses.append("task.started_utc_ns < ?")
        values.append(wanted.to_utc_ns)
    if wanted.before is not None:
        clauses.append(
            "(task.started_utc_ns, task.start_seq) < "
            "(SELECT started_utc_ns, start_seq FROM task WHERE task = ?)"
        )
        values.append(wanted.before)
    return f"WHERE {' AND '.join(clauses)}", values
