"""Line protocol: records to lines, columnar and bit-exact. Pure.

Source of the escaping rules: InfluxDB documentation, *Line protocol reference*. Floats are printed by orjson:
the shortest digits that read back as the same bits. `kernel` puts the lines of rows together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from pipeline.store import schema
from pipeline.store.influx.profiles import FLAGS
from pipeline.store.influx.text import Lines, Run, join
from pipeline.store.plans import join_words, plan_of, present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from pipeline.records import FlagSet, Record
    from pipeline.records.stack import Stack
    from pipeline.store.door import Origin
    from pipeline.store.influx.profiles import Profiles
    from pipeline.store.influx.text import Memory
    from pipeline.store.plans import Plan
    from pipeline.store.prepare import Prepared
    from pipeline.store.schema import LedgerPoint

_TAG_ESCAPES = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
HEADS_KEPT = 4096
"""Beginnings of lines that are remembered."""
_NUMBER_MAX = 21
"""Bytes of an integer field's value at most: sign and digits of 64 bits, and its letter."""
_PART_MAX = 5
"""Bytes beside name and number of a sparse field, or of a uint64 written as text: `.s=""`."""


def escape_tag(value: str) -> str:
    """Escape a tag value; `schema.check_tag` has refused what cannot be escaped."""
    return value.translate(_TAG_ESCAPES)


def quote(text: str) -> str:
    """Write a string field's value."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class RowTags(NamedTuple):
    """What tells the rows of a frame from others, beside origin and time."""

    era: str
    source: str
    instrument: str
    service: str


class Columns(NamedTuple):
    """k records of one layout and n rows each, as their lines need them."""

    plan: Plan
    records: Sequence[Record]
    heads: Sequence[RowTags]
    """What lines begin with; see `head_of_rows`."""
    frames: NDArray[np.int64]
    """int64[k, 3]: which head, seq, first ordinal."""
    t_store_ns: NDArray[np.int64]
    """int64[k, n]"""
    f8: NDArray[np.float64]
    """float64[k, n, channels]: as they are printed."""
    i8: NDArray[np.int64]
    u8: NDArray[np.uint64]
    """[k, channels, n]"""
    texts: Sequence[str]
    """Quoted, row by row."""
    corrected: Sequence[str]
    """Channels of which a row has a corrected value."""
    corrected_f8: NDArray[np.float64]
    """float64[k, n, channels]; NaN where there is none."""
    there: NDArray[np.bool_] | None
    flag: NDArray[np.uint8] | None
    reason: NDArray[np.int64] | None
    """[k, c, n]; None: as in `stack.Stack`."""
    measurement: str = schema.READING


class _Table(NamedTuple):
    """What the kernel takes of a stack; see `kernel.SIGNATURE`."""

    heads: NDArray[np.uint8]
    head_ends: NDArray[np.int64]
    frames: NDArray[np.int64]
    t_store_ns: NDArray[np.int64]
    words: NDArray[np.uint8]
    word_ends: NDArray[np.int64]
    positions: NDArray[np.int64]
    counts: NDArray[np.int64]
    floats: NDArray[np.uint8]
    i8: NDArray[np.int64]
    u8: NDArray[np.uint64]
    texts: NDArray[np.uint8]
    text_ends: NDArray[np.int64]
    corrected: NDArray[np.int64]
    corrected_floats: NDArray[np.uint8]
    there: NDArray[np.uint8]
    flag: NDArray[np.uint8]
    reason: NDArray[np.int64]

    @property
    def size_max(self) -> int:
        """Bytes of all lines at most."""
        values = self.floats, self.texts, self.corrected_floats
        names, name_count = int(self.word_ends[-1]), len(self.positions)
        marked = (len(self.there) or len(self.flag)) + len(self.reason) + len(self.corrected)
        a_row = (
            int(np.diff(self.head_ends).max(initial=0)) + 5 * _NUMBER_MAX
            # Every name once for its value, and once for each part that may stand beside it.
            + (1 + 3 * bool(marked)) * (names + name_count * (_NUMBER_MAX + _PART_MAX))
        )  # fmt: skip
        return self.t_store_ns.size * a_row + sum(column.nbytes for column in values)


def encode_lines(
    origin: Origin, ready: Prepared, memory: Memory, gathered: Sequence[Columns] = (),
    profiles: Profiles | None = None,
) -> Lines:  # fmt: skip
    """Write records as lines: one a row, one a judged row, one a ledger record.

    With `profiles`, for InfluxDB 3: one for each table that a row is in, one a judged reading. The lines lie
    in a piece of `memory`, which the caller gives back.
    """
    tables, runs, count = list[_Table](), list[Run](), 0
    stacked = [_columns(*each) for each in ready.frames if each.stack.rows]
    whole = [*gathered, *stacked]
    for columns in whole if profiles is None else profiles.split(whole):
        tables.append(_table(origin, columns))
        runs.append(Run(count, columns.t_store_ns.shape[1], columns.records))
        count += columns.t_store_ns.size
    rest: list[str] = []
    for record, some in _other_lines(origin, ready, _flags_lines if profiles is None else _verdict_lines):
        if some:
            runs.append(Run(count + len(rest), len(some), [record]))
            rest += some
    text, text_ends = join(rest)
    data = memory.take(sum(table.size_max for table in tables) + len(text))
    ends = np.empty(count + len(rest), dtype=np.int64)
    at = _write_rows(tables, data, ends)
    data[at : at + len(text)], ends[count:] = text, at + text_ends
    return Lines(data, ends, runs)


def _write_rows(tables: Sequence[_Table], data: NDArray[np.uint8], ends: NDArray[np.int64]) -> int:
    """Write the lines of all rows and where each ends; return the place behind the last."""
    if not tables:
        return 0
    write, line, at = load_writer(), 0, 0
    for table in tables:
        at = write(data, at, ends[line:], *table)
        line += table.t_store_ns.size
    return at


def load_writer() -> Callable[..., int]:
    """Load the kernel, or have it compiled where it is not in the cache; once a process."""
    # Only here: who reads a store needs no compiler, which takes a second and 110 MB.
    from pipeline.store.influx.kernel import writer  # noqa: PLC0415

    return writer()


def _head(measurement: str, origin: Origin, era: str, source: str, instrument: str) -> str:
    # Sorted by key, as InfluxDB keeps them.
    tags = {
        "era": era, "gateway": origin.gateway, "instrument": instrument, "lab": origin.lab, "source": source,
    }  # fmt: skip
    return measurement + "".join(f",{key}={escape_tag(value)}" for key, value in tags.items() if value) + " "


def _columns(records: Sequence[Record], stack: Stack) -> Columns:
    heads, numbers = _heads(records, stack)
    corrected, values = _corrected(stack)
    return Columns(
        plan=plan_of(stack.layout), records=records, heads=heads,
        frames=np.array([numbers, [record.seq for record in records], stack.n_first], dtype=np.int64).T,
        t_store_ns=stack.t_store_ns, f8=stack.f8.transpose(0, 2, 1), i8=stack.i8, u8=stack.u8,
        texts=_texts(stack), corrected=corrected, corrected_f8=values, there=present(stack),
        flag=stack.flag, reason=stack.reason,
    )  # fmt: skip


def _table(origin: Origin, columns: Columns) -> _Table:
    plan, there = columns.plan, columns.there
    channels = len(plan.positions)
    heads = [head_of_rows(origin, columns.measurement, tags, channels) for tags in columns.heads]
    nothing: tuple[int, ...] = (0, len(plan.positions), columns.t_store_ns.shape[1])
    return _Table(
        *join_words(heads), np.ascontiguousarray(columns.frames),
        np.ascontiguousarray(columns.t_store_ns), plan.words, plan.word_ends, plan.positions, plan.counts,
        _print(columns.f8), columns.i8, columns.u8, *join_words(columns.texts),
        np.array([plan.layout.index[name] for name in columns.corrected], dtype=np.int64),
        _print(columns.corrected_f8),
        np.empty(nothing, dtype=np.uint8) if there is None else there.view(np.uint8),
        np.empty(nothing, dtype=np.uint8) if columns.flag is None else columns.flag,
        np.empty(nothing, dtype=np.int64) if columns.reason is None else columns.reason,
    )  # fmt: skip


@lru_cache(maxsize=HEADS_KEPT)
def head_of_rows(origin: Origin, measurement: str, tags: RowTags, channels: int) -> str:
    """Return what a row's line begins with, up to its seq."""
    state = "" if tags.service == schema.SERVICE_DEFAULT else f"service={quote(tags.service)},"
    head = _head(measurement, origin, tags.era, tags.source, tags.instrument)
    return f"{head}{state}channels={channels}i,seq="


def _heads(records: Sequence[Record], stack: Stack) -> tuple[list[RowTags], list[int]]:
    """Return the heads of rows, and of each record which one it is."""
    places: dict[tuple[Any, ...], int] = {}
    heads, numbers = list[RowTags](), list[int]()
    for record, instrument, service in zip(records, stack.instrument, stack.service, strict=True):
        key = (record.journal, record.epoch, record.source, instrument, service)
        number = places.get(key)
        if number is None:
            number = places[key] = len(heads)
            heads.append(RowTags(record.era, record.source, instrument, service))
        numbers.append(number)
    return heads, numbers


def _print(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Print an array's numbers, the last axis fastest."""
    flat = np.ascontiguousarray(values).ravel()
    return np.frombuffer(orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY), dtype=np.uint8)


def _texts(stack: Stack) -> list[str]:
    """Return the quoted texts of all rows, row by row; "" where there is none."""
    if not stack.layout.counts["text"]:
        return []
    return [
        "" if text is None else quote(text)
        for frame in stack.text
        for row in zip(*frame, strict=True)
        for text in row
    ]


def _corrected(stack: Stack) -> tuple[list[str], NDArray[np.float64]]:
    """Return the channels of which a row has a corrected value, and these: float64[k, n, channels]."""
    names = sorted({name for frame in stack.corrected for name in frame})
    values = np.full((len(stack), stack.rows, len(names)), np.nan)
    for number, frame in enumerate(stack.corrected):
        for slot, name in enumerate(names):
            if name in frame:
                values[number, :, slot] = frame[name]
    return names, values


def _other_lines(
    origin: Origin, ready: Prepared, flags_lines: Callable[[Origin, Record, FlagSet], list[str]]
) -> Iterator[tuple[Record, list[str]]]:
    for record, flags in ready.flags:
        yield record, flags_lines(origin, record, flags)
    for record, point in ready.ledger:
        yield record, [_ledger_line(origin, record, point)]


def _flags_lines(origin: Origin, record: Record, flags: FlagSet) -> list[str]:
    head = _head(schema.READING, origin, record.era, record.source, flags.instrument)
    rows: dict[tuple[int, int], list[str]] = {}
    columns = (flags.t_store_ns.tolist(), flags.n.tolist(), flags.channel, flags.flag.tolist())
    for t_ns, n, channel, flag in zip(*columns, strict=True):
        rows.setdefault((t_ns, n), []).append(f"{channel}.f.{flags.rule}={flag}i")
    # No seq: it is the data record's, and marks the point as a row.
    return [f"{head}{','.join(fields)},n={n}i {t_ns}" for (t_ns, n), fields in rows.items()]


def _verdict_lines(origin: Origin, record: Record, flags: FlagSet) -> list[str]:
    """Write verdicts for InfluxDB 3: a record of them does not say in which tables the rows are."""
    head = _head(FLAGS, origin, record.era, record.source, flags.instrument)[:-1]
    columns = (flags.t_store_ns.tolist(), flags.n.tolist(), flags.channel, flags.flag.tolist())
    return [
        f"{head},channel={channel},rule={flags.rule} n={n}i,f={flag}i {t_ns}"
        for t_ns, n, channel, flag in zip(*columns, strict=True)
    ]


def _ledger_line(origin: Origin, record: Record, point: LedgerPoint) -> str:
    tagged = record.kind in schema.TAG_KEYED
    head = _head(record.kind, origin, record.era, record.source, point.key if tagged else "")
    key = "" if tagged else f",key={quote(point.key)}"
    return (
        f'{head}seq={record.seq}i,t_utc_ns={record.t_utc_ns}i,journal="{record.journal.hex()}"{key}'
        f",body={quote(point.body)} {point.t_store_ns}"
    )
