"""Readings in Parquet. pyarrow (40 MB) is asked for only here: it is the extra `parquet` of the package."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.qc.files.readings import (
    FileUnusableError,
    Problems,
    Readings,
    Wanted,
    choose_columns,
    parse_numbers,
    shown,
)
from pipeline.qc.files.stamps import TimeForm, detect_format, parse_times

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.qc.files.csv_file import Columns

_SAMPLE_ROWS = 1000


def load_pyarrow(path: Path, part: str) -> Any:
    """Import a part of pyarrow.

    Raises:
        FileUnusableError: it is not installed; says how to install it.
    """
    try:
        return import_module(part)
    except ImportError:
        raise FileUnusableError(
            str(path), "Parquet needs pyarrow, which is not installed",
            hint="install it with: pip install 'yaosu[parquet]', or use CSV",
        ) from None  # fmt: skip


def parquet_header(path: Path) -> tuple[str, ...]:
    """Read the names of the columns. Raises FileUnusableError, OSError."""
    return tuple(_read(path, "read_schema").names)


def read_table(path: Path) -> Any:
    """Read a whole Parquet file as a pyarrow table. Raises FileUnusableError, OSError."""
    return _read(path, "read_table", partitioning=None)


def _read(path: Path, function: str, **options: Any) -> Any:
    parquet, arrow = load_pyarrow(path, "pyarrow.parquet"), load_pyarrow(path, "pyarrow")
    try:
        return getattr(parquet, function)(path, **options)
    except arrow.ArrowInvalid as error:
        raise FileUnusableError(
            str(path), f"this is not a Parquet file: {error}", hint="check the path, or use CSV"
        ) from None


def read_parquet(path: Path, wanted: Wanted) -> Readings:
    """Read a Parquet file; null is missing.

    Raises:
        FileUnusableError: the file as a whole cannot be used.
        OSError: it cannot be read.
    """
    table = read_table(path)
    names = tuple(table.column_names)
    if not names or not table.num_rows:
        raise FileUnusableError(str(path), "there are no rows", hint="is it the right file?")
    time, columns = choose_columns(str(path), names, wanted)
    types = load_pyarrow(path, "pyarrow.types")
    if columns is None:
        kinds = enumerate(table.schema.types)
        columns = tuple(k for k, kind in kinds if k != time and _is_number(types, kind))
    problems = Problems()
    t_ns, timed, form = _times(path, table.column(time), names[time], wanted, problems)
    values = np.empty((len(columns), table.num_rows))
    for channel, position in enumerate(columns):
        values[channel] = _values(path, table.column(position), names[position], problems)
    channels = tuple(names[position] for position in columns)
    return Readings(path, names[time], form, channels, t_ns, timed, values, problems)


def _is_number(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _times(
    path: Path, column: Any, name: str, wanted: Wanted, problems: Problems
) -> tuple[NDArray[np.int64], NDArray[np.bool_], TimeForm]:
    """Read the time column: a time-stamp type as it is, anything else as a CSV file would write it."""
    arrow, types = load_pyarrow(path, "pyarrow"), load_pyarrow(path, "pyarrow.types")
    if types.is_timestamp(column.type) or types.is_date(column.type):
        zone = getattr(column.type, "tz", None)
        exact = column.cast(arrow.timestamp("ns", zone)).cast(arrow.int64())
        timed = np.asarray(exact.is_valid())
        t_ns = np.asarray(exact.fill_null(0)) - (0 if zone else wanted.offset_s * 10**9) * timed
        return t_ns, timed, TimeForm("ns", wanted.offset_s)
    cells = ["" if cell is None else str(cell) for cell in column.to_pylist()]
    found = wanted.time_format or detect_format(cells[:_SAMPLE_ROWS])
    if found is None:
        raise FileUnusableError(
            str(path), f"column '{name}' does not hold time stamps: {shown(cells[0])}",
            hint="name the column of the time stamps: --time COLUMN",
        )  # fmt: skip
    form = TimeForm(found, wanted.offset_s)
    t_ns, timed = parse_times(cells, form)
    for row in np.flatnonzero(~timed):
        problems.add(
            f"{path}: row {row + 1}",
            f"{shown(cells[row])} is no time stamp: the row's readings count as missing",
        )
    return t_ns, timed, form


def _values(path: Path, column: Any, name: str, problems: Problems) -> NDArray[np.float64]:
    arrow, types = load_pyarrow(path, "pyarrow"), load_pyarrow(path, "pyarrow.types")
    if _is_number(types, column.type) or types.is_boolean(column.type):
        # A 64-bit integer may lose its last digits, as in the engine: flags are made from float64.
        values: NDArray[np.float64] = column.cast(arrow.float64(), safe=False).to_numpy()
        return values
    cells = ["" if cell is None else str(cell) for cell in column.to_pylist()]
    values, bad = parse_numbers(cells)
    for row in bad:
        problems.add(
            f"{path}: row {row + 1}",
            f"{shown(cells[row])} in column '{name}' is not a number: it counts as missing",
        )
    return values


def write_table(
    out_path: Path, readings: Readings, columns: list[Columns], *, as_parquet: bool
) -> None:  # fmt: skip
    """Write readings with their flags and reasons as Parquet or as CSV.

    A Parquet source keeps all its columns; of any other the time (UTC) and the channels are written.
    """
    arrow = load_pyarrow(out_path, "pyarrow")
    if readings.path.suffix.lower() == ".parquet":
        table = read_table(readings.path)
    else:
        stamps = arrow.array(readings.t_ns, mask=~readings.timed).cast(arrow.timestamp("ns", "UTC"))
        names = [readings.time, *readings.channels]
        table = arrow.table([stamps, *(arrow.array(row) for row in readings.values)], names=names)
    for one in columns:
        masks, texts = one.reason
        table = table.append_column(f"{one.channel}.flag", arrow.array(one.flag))
        reasons = arrow.array([texts[mask] for mask in masks.tolist()], arrow.string())
        table = table.append_column(f"{one.channel}.reason", reasons)
    if as_parquet:
        load_pyarrow(out_path, "pyarrow.parquet").write_table(table, out_path)
    else:
        load_pyarrow(out_path, "pyarrow.csv").write_csv(table, out_path)
