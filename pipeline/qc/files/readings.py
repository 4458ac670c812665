"""What a file of readings holds once it was read, and what could not be read of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from config.validation import did_you_mean
from pipeline.qc.files.stamps import TimeForm, TimeFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Progress = Callable[[int, int], None]
    """Called now and then with characters read so far and bytes in all."""

PROBLEMS_KEPT = 1000
"""Problems that are told one by one; further ones are only counted."""
TIME_NAMES = (
    "time", "timestamp", "t_utc", "t_utc_ns", "datetime", "date_time", "date", "utc", "时间", "日期时间",
    "采样时间", "测量时间",
)  # fmt: skip
"""Headings, in small letters, that mark the column of time stamps; without one it is the first column."""
_NO_VALUE = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})
"""Cells, in small letters, that say that there is no value."""
_SHOWN_CHARS_MAX = 40


class FileUnusableError(Exception):
    """A file of readings cannot be used as it is; the message says where, why and what to do."""

    def __init__(self, place: str, message: str, *, hint: str) -> None:
        super().__init__(f"{place}: {message}; {hint}")


class Wanted(NamedTuple):
    """What is to be read of a file."""

    channels: tuple[str, ...] | None
    """Columns to read; every column of numbers when None."""
    time: str | None = None
    """Column of the time stamps; found by its heading when None."""
    time_format: TimeFormat | None = None
    """Detected when None."""
    offset_s: int = 0
    """Offset from UTC of stamps that state none, seconds."""
    encoding: str = "utf-8-sig"
    """Of a text file."""
    decimal: Literal[".", ","] = "."
    """Decimal sign of the numbers in a text file; with a comma, a number that holds a point is none."""


@dataclass(slots=True)
class Problems:
    """Rows and cells that could not be read: the first ones word by word, all of them counted."""

    first: list[str] = field(default_factory=list)
    """At most `PROBLEMS_KEPT`."""
    count: int = 0

    def add(self, place: str, message: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.first) < PROBLEMS_KEPT:
            self.first.append(f"{place}: {message}")


@dataclass(frozen=True, slots=True)
class Readings:
    """Columns of a file of readings, row by row as they stand there."""

    path: Path
    time: str
    """Column of the time stamps."""
    form: TimeForm
    channels: tuple[str, ...]
    t_ns: NDArray[np.int64]
    """int64[n] UTC; 0 where the row has no time."""
    timed: NDArray[np.bool_]
    """bool[n]: the row has a time. One without cannot be judged: its readings count as missing."""
    values: NDArray[np.float64]
    """float64[c, n]; NaN where there is no number."""
    problems: Problems


def choose_columns(place: str, header: Sequence[str], wanted: Wanted) -> tuple[int, tuple[int, ...] | None]:
    """Find the time column and the channels in a header.

    Returns:
        Position of the time stamps, and positions of the channels (None: all that hold numbers).

    Raises:
        FileUnusableError: a column is not there, or is there twice.
    """
    time = wanted.time
    if time is None:
        lower = [name.lower() if name not in (wanted.channels or ()) else "" for name in header]
        time = next((header[lower.index(name)] for name in TIME_NAMES if name in lower), header[0])
    position = _position(place, header, time)
    if wanted.channels is None:
        return position, None
    if time in wanted.channels:
        raise FileUnusableError(
            place, f"column '{time}' holds the time stamps and no readings",
            hint="name the column of the time stamps: --time COLUMN",
        )  # fmt: skip
    return position, tuple(_position(place, header, name) for name in wanted.channels)


def _position(place: str, header: Sequence[str], name: str) -> int:
    found = [position for position, each in enumerate(header) if each == name]
    if not found:
        advice = did_you_mean(name, list(header)) or f"there are: {', '.join(header)}"
        raise FileUnusableError(place, f"there is no column '{name}'", hint=advice)
    if len(found) > 1:
        raise FileUnusableError(place, f"{len(found)} columns are called '{name}'", hint="rename all but one")
    return found[0]


def parse_numbers(cells: Sequence[str]) -> tuple[NDArray[np.float64], list[int]]:
    """Read cells as numbers.

    Returns:
        float64[n], NaN where there is no number, and the positions of the cells that hold something else.
    """
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
        if "_" not in "".join(cells):
            return values, []
    except ValueError:
        pass
    values, bad = np.full(len(cells), np.nan), []
    for position, cell in enumerate(cells):
        number = parse_number(cell)
        if number is None:
            bad.append(position)
        else:
            values[position] = number
    return values, bad


def parse_number(cell: str) -> float | None:
    """Read one cell; NaN for one that says that there is no value, None for one that is no number."""
    text = cell.strip()
    if text.lower() in _NO_VALUE:
        return math.nan
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def shown(cell: str) -> str:
    """Quote a cell for a message; a long one is cut."""
    return f"'{cell}'" if len(cell) <= _SHOWN_CHARS_MAX else f"'{cell[:_SHOWN_CHARS_MAX]}…'"
