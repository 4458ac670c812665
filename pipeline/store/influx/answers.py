"""InfluxQL answers to rows, parts and counts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.store import schema
from pipeline.store.door import Origin, Row
from pipeline.store.folding import Part, Tally, Verdict, Verdicts, by_channel, fold_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pipeline.store.door import Value
    from pipeline.store.influx.http import Table


def text_literal(text: str) -> str:
    """Write an InfluxQL string."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def condition(origin: Origin, **tags: str | None) -> str:
    """Write the condition on tags; tags that are None do not matter."""
    wanted = {"lab": origin.lab, "gateway": origin.gateway, **tags}
    return " AND ".join(
        f'"{key}" = {text_literal(value)}' for key, value in wanted.items() if value is not None
    )


def select(fields: str, measurement: str, *conditions: str, tail: str = "") -> str:
    """Write a SELECT; strings inside it come from `text_literal` or from our own tables of names."""
    return f'SELECT {fields} FROM "{measurement}" WHERE {" AND ".join(conditions)} {tail}'.rstrip()  # noqa: S608


TIME_MAX_NS = 2**63 - 2
"""The last time that InfluxDB keeps (and, negated, the first)."""


def span(t_from_ns: int, t_to_ns: int) -> str:
    """Write the condition on stored time, first included, last excluded."""
    first = min(max(t_from_ns, -TIME_MAX_NS), TIME_MAX_NS)
    last = min(max(t_to_ns, -TIME_MAX_NS), TIME_MAX_NS)
    return f"time >= {first} AND time < {last}"


class _Columns(NamedTuple):
    """Where a table's columns are."""

    verdicts: list[tuple[int, schema.Field]]
    fields: list[tuple[int, schema.Field]]
    own: dict[str, int]

    @classmethod
    def of(cls, columns: Sequence[str]) -> _Columns:
        verdicts: list[tuple[int, schema.Field]] = []
        fields: list[tuple[int, schema.Field]] = []
        own: dict[str, int] = {}
        for index, name in enumerate(columns):
            field = schema.parse_field(name)
            if field is None:
                own[name] = index
            else:
                (verdicts if field.part == "f" else fields).append((index, field))
        return cls(verdicts, fields, own)


def _verdicts_of(values: Sequence[Any], columns: _Columns) -> list[Verdict]:
    return [
        Verdict(field.channel, field.rule, int(values[index]))
        for index, field in columns.verdicts
        if values[index] is not None
    ]


def _value(part: str, stored: Any) -> Value:
    if part == "s":
        return schema.read_text(stored)
    return int(stored) if part == "i" else float(stored)


def _row(instrument: str, table: Table, stored: Sequence[Any], columns: _Columns) -> Row:
    values: dict[str, Value] = {}
    flags: dict[str, int] = {}
    reasons: dict[str, int] = {}
    corrected: dict[str, float] = {}
    for index, field in columns.fields:
        value = stored[index]
        if value is None:
            continue
        if field.part == "q":
            flags[field.channel] = int(value)
            values.setdefault(field.channel, None)
        elif field.part == "r":
            reasons[field.channel] = int(value)
        elif field.part == "c":
            corrected[field.channel] = float(value)
        else:
            values[field.channel] = _value(field.part, value)
    own = columns.own
    service = stored[own["service"]] if "service" in own else None
    return Row(
        instrument=instrument,
        era=table.tags["era"],
        source=table.tags["source"],
        seq=int(stored[own["seq"]]),
        n=int(stored[own["n"]]),
        t_utc_ns=int(stored[own["time"]]),
        service=schema.SERVICE_DEFAULT if service is None else service,
        values=values,
        flags={channel: flags.get(channel, 1) for channel in values},
        reasons={channel: reasons.get(channel, 0) for channel in values},
        corrected=corrected,
    )


def make_rows(instrument: str, tables: Iterable[Table]) -> list[Row]:
    """Make rows with final flags of `SELECT *`, grouped by source and era; sorted by ordinal, then time."""
    rows: list[Row] = []
    verdicts: Verdicts = {}
    for table in tables:
        columns = _Columns.of(table.columns)
        journal = schema.journal_of(table.tags["era"])
        for stored in table.values:
            said = _verdicts_of(stored, columns)
            if said:
                verdicts.setdefault((journal, int(stored[columns.own["n"]])), []).extend(said)
            # Verdicts that came before their row, or from another epoch, are points without a seq.
            if "seq" in columns.own and stored[columns.own["seq"]] is not None:
                rows.append(_row(instrument, table, stored, columns))
    fold_rows(rows, verdicts)
    return sorted(rows, key=lambda row: (row.n, row.t_utc_ns, row.seq))


def _column(values: Sequence[Any], dtype: type, default: int) -> NDArray[Any]:
    return np.array([default if value is None else value for value in values], dtype=dtype)


def make_parts(tables: Iterable[Table]) -> tuple[list[Part], Verdicts]:
    """Make a channel's rows and verdicts of a selection grouped by source and era."""
    parts: list[Part] = []
    verdicts: Verdicts = {}
    for table in tables:
        columns = _Columns.of(table.columns)
        journal = schema.journal_of(table.tags["era"])
        by_part = {field.part: index for index, field in columns.fields}
        if columns.verdicts:
            for stored in table.values:
                said = _verdicts_of(stored, columns)
                if said:
                    verdicts.setdefault((journal, int(stored[columns.own["n"]])), []).extend(said)
        readings = [index for part, index in by_part.items() if part in {"v", "i", "s", "q"}]
        rows = [row for row in table.values if any(row[index] is not None for index in readings)]
        if not rows:
            continue
        cells = list(zip(*rows, strict=True))
        parts.append(
            Part(
                journal=journal,
                t_ns=np.array(cells[columns.own["time"]], dtype=np.int64),
                n=np.array(cells[columns.own["n"]], dtype=np.int64),
                value=_numbers(cells, by_part),
                flag=_column(cells[by_part["q"]], np.uint8, 1),
                reason=_column(cells[by_part["r"]], np.int64, 0),
                corrected=np.array(cells[by_part["c"]], dtype=np.float64),  # None becomes NaN
            )
        )
    return parts, verdicts


def _numbers(cells: Sequence[Sequence[Any]], by_part: dict[Any, int]) -> NDArray[np.float64]:
    value = np.array(cells[by_part["v"]], dtype=np.float64)  # None becomes NaN
    integers = np.array(cells[by_part["i"]], dtype=np.float64)
    value = np.where(np.isnan(value), integers, value)
    for row, text in enumerate(cells[by_part["s"]]):
        if text is not None:
            value[row] = schema.as_number(schema.read_text(text))
    return value


class _SeriesRows(NamedTuple):
    t_ns: NDArray[np.int64]
    n: NDArray[np.int64]
    is_row: NDArray[np.bool_]


class Counter:
    """Counts one instrument from two selections: all ordinals, and the sparse fields."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._rows: dict[tuple[str, str], list[_SeriesRows]] = {}

    def add_ordinals(self, table: Table) -> None:
        """Take rows of `SELECT n, seq, channels`."""
        cells = dict(zip(table.columns, zip(*table.values, strict=True), strict=True))
        is_row = np.array([seq is not None for seq in cells["seq"]])
        n = np.array(cells["n"], dtype=np.int64)
        self.tally.add_rows(table.tags["era"], n[is_row], sum(count or 0 for count in cells["channels"]))
        key = (table.tags["era"], table.tags["source"])
        self._rows.setdefault(key, []).append(_SeriesRows(np.array(cells["time"], dtype=np.int64), n, is_row))

    def add_sparse(self, tables: Sequence[Table]) -> None:
        """Take all rows of the fields q, r and f."""
        verdicts: Verdicts = {}
        for table in tables:
            columns = _Columns.of(table.columns)
            cells = list(zip(*table.values, strict=True))
            for index, field in columns.fields:
                said = [value for value in cells[index] if value is not None]
                if field.part == "q":
                    self.tally.add_flags(np.array(said, dtype=np.uint8))
                elif field.part == "r":
                    self.tally.add_reasons(np.array(said, dtype=np.int64))
            if columns.verdicts:
                self._gather(table, columns, verdicts)
        if verdicts:
            self._judge(tables, verdicts)

    def _gather(self, table: Table, columns: _Columns, verdicts: Verdicts) -> None:
        ordinals = {
            t_ns: n
            for part in self._parts(table)
            for t_ns, n in zip(part.t_ns.tolist(), part.n.tolist(), strict=True)
        }
        journal = schema.journal_of(table.tags["era"])
        for stored in table.values:
            said = _verdicts_of(stored, columns)
            if said:
                n = ordinals[int(stored[columns.own["time"]])]
                verdicts.setdefault((journal, n), []).extend(said)

    def _parts(self, table: Table) -> list[_SeriesRows]:
        return self._rows.get((table.tags["era"], table.tags["source"]), [])

    def _judge(self, tables: Sequence[Table], verdicts: Verdicts) -> None:
        own: dict[tuple[str, str, int, str], int] = {}
        for table in tables:
            columns = _Columns.of(table.columns)
            flags = [(index, field.channel) for index, field in columns.fields if field.part == "q"]
            for stored in table.values:
                for index, channel in flags:
                    if stored[index] is not None:
                        own[table.tags["era"], table.tags["source"], stored[columns.own["time"]], channel] = (
                            stored[index]
                        )
        for (era, source), parts in self._rows.items():
            for part in parts:
                for t_ns, n in zip(
                    part.t_ns[part.is_row].tolist(), part.n[part.is_row].tolist(), strict=True
                ):
                    for channel, said in by_channel(verdicts.get((schema.journal_of(era), n), ())).items():
                        self.tally.add_verdicts(own.get((era, source, t_ns, channel), 1), said)
