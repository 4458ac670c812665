"""Inserts of the embedded store. Blocking."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgpack
import orjson

from pipeline.records import Flag, FlagSet, Frame
from pipeline.store import schema
from pipeline.store.plans import present
from pipeline.store.schema import LedgerPoint

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pipeline.records import Record
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


def insert(connection: sqlite3.Connection, origin: Origin, ready: Iterable[Prepared]) -> None:
    """Insert prepared records within the transaction that is open; what is there already stays."""
    connection.execute("INSERT OR IGNORE INTO origins (lab, gateway) VALUES (?, ?)", origin)
    place = origin_id(connection, origin)
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _STATEMENTS}
    layouts: dict[int, int] = {}  # by identity: the records of this call keep theirs alive
    for record, content in ready:
        if isinstance(content, Frame) and len(content.block):
            layout = content.block.layout
            if id(layout) not in layouts:
                layouts[id(layout)] = _layout_id(connection, content)
            _add_frame(rows, place, record, content, layouts[id(layout)])
        elif isinstance(content, FlagSet) and len(content.n):
            _add_verdicts(rows, place, record, content)
        elif isinstance(content, LedgerPoint):
            rows["ledger"].append((
                record.journal, record.seq, place, record.kind, content.key, record.era, record.source,
                record.t_utc_ns, content.t_store_ns, content.body,
            ))  # fmt: skip
    for table, statement in _STATEMENTS.items():
        connection.executemany(statement, rows[table])


def origin_id(connection: sqlite3.Connection, origin: Origin) -> int:
    """Return the number of an origin; -1 when nothing of it is stored."""
    found = connection.execute("SELECT id FROM origins WHERE lab = ? AND gateway = ?", origin).fetchone()
    return -1 if found is None else int(found[0])


def _layout_id(connection: sqlite3.Connection, frame: Frame) -> int:
    channels = orjson.dumps(
        [[channel.name, channel.kind] for channel in frame.block.layout.channels]
    ).decode()
    connection.execute("INSERT OR IGNORE INTO layouts (channels) VALUES (?)", (channels,))
    found = connection.execute("SELECT id FROM layouts WHERE channels = ?", (channels,)).fetchone()
    return int(found[0])


def _add_frame(
    rows: dict[str, list[tuple[Any, ...]]], place: int, record: Record, frame: Frame, layout: int
) -> None:
    block, count, t_ns = frame.block, len(frame.block), frame.t_store_ns
    first, last = int(t_ns.min()), int(t_ns.max())
    there = present(frame)
    corrected = {name: values.tobytes() for name, (_, values) in frame.corrected.items()}
    rows["instruments"].append((place, block.instrument, record.journal, last - first, count))
    rows["frames"].append((
        record.journal, record.seq, place, block.instrument, record.era, record.source, first, last,
        frame.n_first, count, layout, frame.service, t_ns.tobytes(),
        block.f8.tobytes() or None, block.i8.tobytes() or None, block.u8.tobytes() or None,
        msgpack.packb(block.text) if block.text else None,
        None if there.all() else _packed(~there),
        None if (frame.flag == Flag.PASS).all() else _packed(frame.flag),
        _packed(frame.reason) if frame.reason.any() else None,
        msgpack.packb(corrected) if corrected else None,
    ))  # fmt: skip


def _packed(matrix: NDArray[Any]) -> bytes:
    # Nearly all of it is the same byte.
    return zlib.compress(matrix.tobytes(), level=1)


def _add_verdicts(rows: dict[str, list[tuple[Any, ...]]], place: int, record: Record, flags: FlagSet) -> None:
    journal = schema.journal_of(record.era)
    rows["instruments"].append((place, flags.instrument, record.journal, 0, 0))
    columns = (flags.t_store_ns.tolist(), flags.n.tolist(), flags.channel, flags.flag.tolist())
    rows["verdicts"].extend(
        (place, flags.instrument, t_ns, journal, n, channel, flags.rule, flag)
        for t_ns, n, channel, flag in zip(*columns, strict=True)
    )
