"""InfluxQL answers to rows, parts and counts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from pipeline.store import schema
from pipeline.store.door import Origin, Row
from pipeline.store.folding import Part, Tally, Verdict, Verdicts, by_channel, fold_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pipeline.store.door import Counts, Value
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


def show_values(key: str, *conditions: str, source: str = "") -> str:
    """Write a SHOW TAG VALUES; `source` is a measurement in quotes or a regular expression."""
    begin = f"SHOW TAG VALUES FROM {source}" if source else "SHOW TAG VALUES"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f'{begin} WITH KEY = "{key}"{where}'


def tag_values(tables: Iterable[Table]) -> list[str]:
    """Return the values that `show_values` asked for, each once, sorted."""
    return sorted({values[1] for table in tables for values in table.values})


def value_fields(channel: str) -> str:
    """Name what `make_parts` takes of a channel."""
    names = [schema.field_name(channel, kind) for kind in ("f8", "i8", "text")]
    return ", ".join(f'"{name}"' for name in ["n", *names, *(f"{channel}.{part}" for part in "qrc")])


BY_SERIES = 'GROUP BY "source", "era"'

VERDICT_FIELDS = '"n", "f", "channel", "rule"'
"""Of what `make_verdicts` takes."""

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


def make_verdicts(tables: Iterable[Table]) -> Verdicts:
    """Make verdicts of `VERDICT_FIELDS`, grouped by source and era."""
    verdicts: Verdicts = {}
    for table in tables:
        journal = schema.journal_of(table.tags["era"])
        for _, n, flag, channel, rule in table.values:
            verdicts.setdefault((journal, int(n)), []).append(Verdict(channel, rule, int(flag)))
    return verdicts


def make_rows(instrument: str, tables: Iterable[Table], later: Verdicts | None = None) -> list[Row]:
    """Make rows with final flags of `SELECT *`, grouped by source and era; sorted by ordinal, then time.

    Verdicts are those of the tables and the `later` ones. What several tables have of one row is one row.
    """
    rows: dict[tuple[str, str, int], Row] = {}
    verdicts: Verdicts = {} if later is None else later
    for table in tables:
        columns = _Columns.of(table.columns)
        journal = schema.journal_of(table.tags["era"])
        for stored in table.values:
            said = _verdicts_of(stored, columns)
            if said:
                verdicts.setdefault((journal, int(stored[columns.own["n"]])), []).extend(said)
            # Verdicts that came before their row, or from another epoch, are points without a seq.
            if "seq" in columns.own and stored[columns.own["seq"]] is not None:
                row = _row(instrument, table, stored, columns)
                whole = rows.setdefault((row.era, row.source, row.t_utc_ns), row)
                if whole is not row:
                    _join(whole, row)
    fold_rows(rows.values(), verdicts)
    return sorted(rows.values(), key=lambda row: (row.n, row.t_utc_ns, row.seq))


def _join(whole: Row, part: Row) -> None:
    whole.values.update(part.values)
    whole.flags.update(part.flags)
    whole.reasons.update(part.reasons)
    whole.corrected.update(part.corrected)


def _column(values: Sequence[Any], dtype: type, default: int) -> NDArray[Any]:
    return np.array([default if value is None else value for value in values], dtype=dtype)


def make_parts(tables: Iterable[Table]) -> tuple[list[Part], Verdicts]:
    """Make a channel's rows, and the verdicts beside them, of a selection grouped by source and era."""
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
    """Points of one era and source."""

    t_ns: NDArray[np.int64]
    n: NDArray[np.int64]
    is_row: NDArray[np.bool_]
    readings: int


_RowsOfSeries: TypeAlias = "dict[tuple[str, str], tuple[NDArray[np.int64], NDArray[np.int64]]]"
"""(Era, source) to times and ordinals."""


class Counter:
    """Counts one instrument from two selections: all ordinals, and the sparse fields."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._points: dict[tuple[str, str], list[_SeriesRows]] = {}

    def add_ordinals(self, table: Table) -> None:
        """Take points of `SELECT n, seq, channels`; what several tables have of one time is one row."""
        cells = dict(zip(table.columns, zip(*table.values, strict=True), strict=True))
        is_row = np.array([seq is not None for seq in cells["seq"]])
        times, n = np.array(cells["time"], dtype=np.int64), np.array(cells["n"], dtype=np.int64)
        readings = sum(count or 0 for count in cells["channels"])
        points = self._points.setdefault((table.tags["era"], table.tags["source"]), [])
        points.append(_SeriesRows(times, n, is_row, readings))

    @property
    def has_rows(self) -> bool:
        """Whether there is a row so far."""
        return any(some.is_row.any() for points in self._points.values() for some in points)

    def counts(self, sparse: Sequence[Table], later: Verdicts | None = None) -> Counts:
        """Count, with all points of the fields q, r and f, and the `later` verdicts."""
        verdicts: Verdicts = {} if later is None else later
        for table in sparse:
            columns = _Columns.of(table.columns)
            cells = list(zip(*table.values, strict=True))
            for index, field in columns.fields:
                said = [value for value in cells[index] if value is not None]
                if field.part == "q":
                    self._tally.add_flags(np.array(said, dtype=np.uint8))
                elif field.part == "r":
                    self._tally.add_reasons(np.array(said, dtype=np.int64))
            if columns.verdicts:
                self._gather(table, columns, verdicts)
        rows = {key: _rows_among(points) for key, points in self._points.items()}
        for key, (_, n) in rows.items():
            self._tally.add_rows(key[0], n, sum(some.readings for some in self._points[key]))
        if verdicts:
            self._judge(sparse, verdicts, rows)
        return self._tally.counts()

    def _gather(self, table: Table, columns: _Columns, verdicts: Verdicts) -> None:
        ordinals = {
            t_ns: n
            for points in self._points.get((table.tags["era"], table.tags["source"]), ())
            for t_ns, n in zip(points.t_ns.tolist(), points.n.tolist(), strict=True)
        }
        journal = schema.journal_of(table.tags["era"])
        for stored in table.values:
            said = _verdicts_of(stored, columns)
            if said:
                n = ordinals[int(stored[columns.own["time"]])]
                verdicts.setdefault((journal, n), []).extend(said)

    def _judge(self, sparse: Sequence[Table], verdicts: Verdicts, rows: _RowsOfSeries) -> None:
        own: dict[tuple[str, str, int, str], int] = {}
        for table in sparse:
            columns = _Columns.of(table.columns)
            flags = [(index, field.channel) for index, field in columns.fields if field.part == "q"]
            for stored in table.values:
                for index, channel in flags:
                    if stored[index] is not None:
                        own[table.tags["era"], table.tags["source"], stored[columns.own["time"]], channel] = (
                            stored[index]
                        )
        for (era, source), (times, ordinals) in rows.items():
            for t_ns, n in zip(times.tolist(), ordinals.tolist(), strict=True):
                for channel, said in by_channel(verdicts.get((schema.journal_of(era), n), ())).items():
                    self._tally.add_verdicts(own.get((era, source, t_ns, channel), 1), said)


def _rows_among(points: Sequence[_SeriesRows]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return times and ordinals of the rows, each time once."""
    is_row = np.concatenate([some.is_row for some in points])
    times, first = np.unique(np.concatenate([some.t_ns for some in points])[is_row], return_index=True)
    return times, np.concatenate([some.n for some in points])[is_row][first]
