"""Inserts of the embedded store. Blocking."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgpack
import orjson

from pipeline.records import Flag
from pipeline.store import schema
from pipeline.store.plans import present

if TYPE_CHECKING:
    import sqlite3

    from numpy.typing import NDArray

    from pipeline.records import FlagSet, Layout, Record
    from pipeline.records.stack import Stack
    from pipeline.store.door import Origin
    from pipeline.store.prepare import Prepared

_STATEMENTS = {
    "instruments": "INSERT INTO instruments VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "span_ns = max(span_ns, excluded.span_ns), rows_max = max(rows_max, excluded.rows_max)",
    # The first content of a (journal, seq) stays: a second is a fork, which the archive keeps and reports.
    "frames": "INSERT OR IGNORE INTO frames "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "verdicts": "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "ledger": "INSERT OR IGNORE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
}


def insert(connection: sqlite3.Connection, origin: Origin, ready: Prepared) -> None:
    """Insert prepared records within the transaction that is open; what is there already stays."""
    connection.execute("INSERT OR IGNORE INTO origins (lab, gateway) VALUES (?, ?)", origin)
    place = origin_id(connection, origin)
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _STATEMENTS}
    for records, stack in ready.frames:
        if stack.rows:
            _add_frames(rows, place, records, stack, _layout_id(connection, stack.layout))
    for record, flags in ready.flags:
        if len(flags.n):
            _add_verdicts(rows, place, record, flags)
    rows["ledger"] += [
        (
            record.journal, record.seq, place, record.kind, point.key, record.era, record.source,
            record.t_utc_ns, point.t_store_ns, point.body,
        )
        for record, point in ready.ledger
    ]  # fmt: skip
    for table, statement in _STATEMENTS.items():
        connection.executemany(statement, rows[table])


def origin_id(connection: sqlite3.Connection, origin: Origin) -> int:
    """Return the number of an origin; -1 when nothing of it is stored."""
    found = connection.execute("SELECT id FROM origins WHERE lab = ? AND gateway = ?", origin).fetchone()
    return -1 if found is None else int(found[0])


def _layout_id(connection: sqlite3.Connection, layout: Layout) -> int:
    channels = orjson.dumps([[channel.name, channel.kind] for channel in layout.channels]).decode()
    connection.execute("INSERT OR IGNORE INTO layouts (channels) VALUES (?)", (channels,))
    found = connection.execute("SELECT id FROM layouts WHERE channels = ?", (channels,)).fetchone()
    return int(found[0])


def _add_frames(
    rows: dict[str, list[tuple[Any, ...]]], place: int, records: list[Record], stack: Stack, layout: int
) -> None:
    first, last = stack.t_store_ns.min(axis=1).tolist(), stack.t_store_ns.max(axis=1).tolist()
    there = present(stack)
    missing = _packed_of(None if there is None else ~there, 0, len(stack))
    flag = _packed_of(stack.flag, Flag.PASS, len(stack))
    reason = _packed_of(stack.reason, 0, len(stack))
    eras: dict[tuple[bytes, int], str] = {}
    for number, (record, body) in enumerate(zip(records, stack.bodies, strict=True)):
        era = eras.setdefault((record.journal, record.epoch), record.era)
        instrument, corrected = stack.instrument[number], stack.corrected[number]
        rows["instruments"].append(
            (place, instrument, record.journal, last[number] - first[number], stack.rows)
        )
        rows["frames"].append((
            record.journal, record.seq, place, instrument, era, record.source, first[number], last[number],
            stack.n_first[number], stack.rows, layout, stack.service[number],
            stack.t_store_ns[number].tobytes(),
            # A record keeps its matrices as the store does.
            body["f8"] or None, body["i8"] or None, body["u8"] or None,
            msgpack.packb(stack.text[number]) if stack.text[number] else None,
            missing[number], flag[number], reason[number],
            msgpack.packb({name: values.tobytes() for name, values in corrected.items()})
            if corrected else None,
        ))  # fmt: skip


def _packed_of(matrices: NDArray[Any] | None, normal: int, count: int) -> list[bytes | None]:
    """Compress the matrix of each frame, nearly all of which is the same byte; None for a normal one."""
    if matrices is None:
        return [None] * count
    return [
        zlib.compress(matrix.tobytes(), level=1) if remarkable else None
        for matrix, remarkable in zip(matrices, (matrices != normal).any(axis=(1, 2)).tolist(), strict=True)
    ]


def _add_verdicts(rows: dict[str, list[tuple[Any, ...]]], place: int, record: Record, flags: FlagSet) -> None:
    journal = schema.journal_of(record.era)
    rows["instruments"].append((place, flags.instrument, record.journal, 0, 0))
    columns = (flags.t_store_ns.tolist(), flags.n.tolist(), flags.channel, flags.flag.tolist())
    rows["verdicts"].extend(
        (place, flags.instrument, t_ns, journal, n, channel, flags.rule, flag)
        for t_ns, n, channel, flag in zip(*columns, strict=True)
    )
