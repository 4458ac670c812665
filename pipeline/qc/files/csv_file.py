"""Readings in delimited text: one row a line, so that a stray quote spoils its own line and no other."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.qc.files.readings import (
    FileUnusableError,
    Problems,
    Readings,
    Wanted,
    choose_columns,
    parse_number,
    parse_numbers,
    shown,
)
from pipeline.qc.files.stamps import TimeForm, detect_format, parse_times

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.qc.files.readings import Progress

CHUNK_CHARS = 4 * 2**20
"""Text that is held at a time."""
DELIMITERS = (",", ";", "\t")
_COMMA_AS_POINT = str.maketrans(",.", ".,")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_SAMPLE_ROWS = 1000
"""Rows by which columns of numbers and the form of the time stamps are recognised."""


class Lines(NamedTuple):
    """Some lines of the file."""

    first: int
    """Number of the first line, from 1."""
    lines: list[str]
    quoted: bool
    """A quotation mark stands in one of them."""


class Opened(NamedTuple):
    """The head of a file, and its lines from the second on."""

    header: tuple[str, ...]
    head: str
    """The first line as it stands."""
    delimiter: str
    chunks: Iterator[Lines]


def open_csv(path: Path, stream: io.TextIOWrapper, progress: Progress | None = None) -> Opened:
    """Read the header line.

    Raises:
        FileUnusableError: the file is empty or not in this encoding.
    """
    head = stream.readline().rstrip("\n")
    # The header has to be readable; a broken byte further down spoils its own cell only.
    if "\ufffd" in head or "\0" in head:
        raise FileUnusableError(
            f"{path}:1",
            f"the header is not {stream.encoding.removesuffix('-sig').upper()}",
            hint="state its encoding, such as --encoding gb18030",
        )
    if not head.strip():
        raise FileUnusableError(f"{path}:1", "there is no header line", hint="name the columns in line 1")
    delimiter = max(DELIMITERS, key=head.count)
    header = tuple(cell.strip() for cell in split_line(head, delimiter))
    return Opened(header, head, delimiter, _chunks(path, stream, progress))


def _chunks(path: Path, stream: io.TextIOWrapper, progress: Progress | None) -> Iterator[Lines]:
    number, done, total = 2, 0, path.stat().st_size
    while text := stream.read(CHUNK_CHARS):
        text += stream.readline()
        lines = text.removesuffix("\n").split("\n")
        yield Lines(number, lines, '"' in text)
        number += len(lines)
        done += len(text)
        if progress is not None:
            progress(done, total)


def split_line(line: str, delimiter: str) -> list[str]:
    """Cut a line into its cells; none when it cannot be."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return []


def open_text(path: Path, encoding: str) -> io.TextIOWrapper:
    """Open a text file; a line may end in the way of any system."""
    try:
        return path.open(encoding=encoding, errors="replace")
    except LookupError:
        raise FileUnusableError(
            str(path), f"there is no encoding '{encoding}'", hint="known ones are utf-8, gb18030, utf-16"
        ) from None


def csv_header(path: Path, encoding: str) -> tuple[str, ...]:
    """Read the names of the columns. Raises FileUnusableError, OSError."""
    with open_text(path, encoding) as stream:
        return open_csv(path, stream).header


def read_csv(path: Path, wanted: Wanted, progress: Progress | None = None) -> Readings:
    """Read a file of delimited text.

    A row with another number of cells than the header is missing in all its channels, as nobody can say which
    cell is which; its time counts only if it stands in front. Blank lines are no rows.

    Raises:
        FileUnusableError: the file as a whole cannot be used.
        OSError: it cannot be read.
    """
    with open_text(path, wanted.encoding) as stream:
        opened = open_csv(path, stream, progress)
        return _Reader(path, opened, wanted).read(opened.chunks)


class _Reader:
    """Collects the columns chunk by chunk."""

    def __init__(self, path: Path, opened: Opened, wanted: Wanted) -> None:
        self._path, self._opened, self._wanted = path, opened, wanted
        self._time, self._columns = choose_columns(f"{path}:1", opened.header, wanted)
        self._form: TimeForm | None = None
        self._problems = Problems()
        self._emptied: set[int] = set()

    def read(self, chunks: Iterable[Lines]) -> Readings:
        times, timed, values = [], [], []
        for chunk in chunks:
            numbers, cells = self._cells(chunk)
            if not numbers:
                continue
            if self._form is None:
                self._form = self._detect(cells)
            t_ns, good = self._times(cells, numbers)
            times.append(t_ns)
            timed.append(good)
            values.append(self._values(cells, numbers))
        if self._form is None or self._columns is None:
            raise FileUnusableError(
                str(self._path), "there are no rows below the header", hint="is it the right file?"
            )
        return Readings(
            path=self._path,
            time=self._opened.header[self._time],
            form=self._form,
            channels=tuple(self._opened.header[position] for position in self._columns),
            t_ns=np.concatenate(times),
            timed=np.concatenate(timed),
            values=np.concatenate(values, axis=1),
            problems=self._problems,
        )

    def _cells(self, chunk: Lines) -> tuple[Sequence[int], Sequence[Sequence[str]]]:
        """Cut lines into columns; a row of another width than the header's is emptied and reported."""
        self._emptied = set()
        delimiter, width = self._opened.delimiter, len(self._opened.header)
        numbers: Sequence[int] = range(chunk.first, chunk.first + len(chunk.lines))
        if not chunk.quoted and all(line.count(delimiter) == width - 1 for line in chunk.lines):
            # One list for all rows: a list for each would cost four times as much.
            flat = delimiter.join(chunk.lines).split(delimiter)
            if width > 1 or "" not in flat:
                return numbers, [flat[position::width] for position in range(width)]
        if "" in chunk.lines:
            numbers = [number for number, line in zip(numbers, chunk.lines, strict=True) if line]
        rows = [split_line(line, delimiter) for line in chunk.lines if line]
        for position, row in enumerate(rows):
            if len(row) != width:
                rows[position] = self._emptied_row(row, width, numbers[position])
                self._emptied.add(position)
        return numbers, list(zip(*rows, strict=True))

    def _emptied_row(self, row: list[str], width: int, number: int) -> list[str]:
        """Report a row of another width; nobody can say which of its cells is which, but for the first."""
        self._problems.add(
            f"{self._path}:{number}",
            f"{len(row)} cells where the header has {width}: its readings count as missing",
        )
        kept = [""] * width
        if self._time == 0 and len(row) > 1:
            kept[0] = row[0]
        return kept

    def _detect(self, cells: Sequence[Sequence[str]]) -> TimeForm:
        """Recognise the time stamps, and the columns of numbers if none were named, by the first rows."""
        if self._columns is None:
            samples = [(k, column[:_SAMPLE_ROWS]) for k, column in enumerate(cells) if k != self._time]
            numeric = [k for k, sample in samples if _is_numeric(self._with_points(sample))]
            names = tuple(self._opened.header[k] for k in numeric)
            _, self._columns = choose_columns(
                f"{self._path}:1", self._opened.header, self._wanted._replace(channels=names)
            )
        if self._wanted.time_format is not None:
            return TimeForm(self._wanted.time_format, self._wanted.offset_s)
        sample = cells[self._time][:_SAMPLE_ROWS]
        found = detect_format(sample)
        if found is None:
            heading = self._opened.header[self._time]
            raise FileUnusableError(
                f"{self._path}:2",
                f"column '{heading}' does not hold time stamps: {shown(sample[0])} is neither ISO 8601 "
                "(2026-03-01T08:00:00+08:00), nor 2026/3/1 8:00:00, nor a number since 1970",
                hint="name the column of the time stamps: --time COLUMN",
            )
        return TimeForm(found, self._wanted.offset_s)

    def _times(
        self, cells: Sequence[Sequence[str]], numbers: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        assert self._form is not None  # noqa: S101 - found with the first rows
        column = cells[self._time]
        t_ns, good = parse_times(column, self._form)
        for position in np.flatnonzero(~good).tolist():
            if position in self._emptied:
                continue  # reported already
            self._problems.add(
                f"{self._path}:{numbers[position]}",
                f"{shown(column[position])} is no time stamp: the row's readings count as missing",
            )
        return t_ns, good

    def _values(self, cells: Sequence[Sequence[str]], numbers: Sequence[int]) -> NDArray[np.float64]:
        assert self._columns is not None  # noqa: S101 - found with the first rows
        values = np.empty((len(self._columns), len(numbers)))
        for channel, position in enumerate(self._columns):
            values[channel], bad = parse_numbers(self._with_points(cells[position]))
            for row in bad:
                cell = cells[position][row]
                advice = "; a decimal comma? --decimal ," if _DECIMAL_COMMA.fullmatch(cell) else ""
                self._problems.add(
                    f"{self._path}:{numbers[row]}",
                    f"{shown(cell)} in column '{self._opened.header[position]}' is not a number: "
                    f"it counts as missing{advice}",
                )
        return values

    def _with_points(self, cells: Sequence[str]) -> Sequence[str]:
        """Give numbers a decimal point; a point in the file, which would part thousands, makes no number."""
        if self._wanted.decimal == ".":
            return cells
        return [cell.translate(_COMMA_AS_POINT) for cell in cells]


def _is_numeric(cells: Sequence[str]) -> bool:
    """Tell a column of readings: at least half of what is filled in are numbers."""
    numbers = [parse_number(cell) for cell in cells]
    filled = sum(number is None or number == number for number in numbers)  # noqa: PLR0124 - NaN is not filled
    return 0 < filled <= 2 * sum(number is not None and number == number for number in numbers)  # noqa: PLR0124


class Columns(NamedTuple):
    """A pair of columns to put beside each channel."""

    channel: str
    flag: NDArray[np.uint8]
    """uint8[n]"""
    reason: tuple[NDArray[np.int64], dict[int, str]]
    """int64[n] masks, and the text of each mask that occurs."""


def write_csv(source: Path, out_path: Path, columns: Sequence[Columns], encoding: str) -> None:
    """Copy a file of delimited text with `<channel>.flag` and `<channel>.reason` behind each row.

    Rows keep their text. One with too few cells is filled up and the surplus of one with too many is gathered
    in its last cell, so that the new columns stand where their heading says. The copy is UTF-8.
    """
    with open_text(source, encoding) as stream, out_path.open("w", encoding="utf-8", newline="") as out:
        opened = open_csv(source, stream)
        heads = [f"{one.channel}.{what}" for one in columns for what in ("flag", "reason")]
        out.write(f"{opened.head}{opened.delimiter}{join_cells(heads, opened.delimiter)}\n")
        tails, row = _Tails(columns, opened.delimiter), 0
        for chunk in opened.chunks:
            count = sum(1 for line in chunk.lines if line)
            behind = iter(tails.of(row, row + count))
            row += count
            out.writelines(
                f"{_fitted(line, opened)}{next(behind)}\n" if line else "\n" for line in chunk.lines
            )  # fmt: skip


class _Tails:
    """Makes the text behind each row; pairs of flag and reason are few, so each is made once."""

    def __init__(self, columns: Sequence[Columns], delimiter: str) -> None:
        self._columns, self._delimiter = columns, delimiter
        self._texts: list[dict[tuple[int, int], str]] = [{} for _ in columns]

    def of(self, start: int, stop: int) -> Iterable[str]:
        parts = [
            self._column(known, one, slice(start, stop))
            for known, one in zip(self._texts, self._columns, strict=True)
        ]
        return parts[0] if len(parts) == 1 else ("".join(row) for row in zip(*parts, strict=True))

    def _column(self, known: dict[tuple[int, int], str], one: Columns, cut: slice) -> list[str]:
        masks, texts = one.reason
        pairs = list(zip(one.flag[cut].tolist(), masks[cut].tolist(), strict=True))
        for flag, mask in set(pairs) - known.keys():
            known[flag, mask] = f"{self._delimiter}{flag}{self._delimiter}{texts[mask]}"
        return [known[pair] for pair in pairs]


def _fitted(line: str, opened: Opened) -> str:
    """Return a line with as many cells as the header; as it stands where that is so already."""
    width = len(opened.header)
    if '"' not in line and line.count(opened.delimiter) == width - 1:
        return line
    cells = split_line(line, opened.delimiter)
    if not cells:
        cells = [line]
    if len(cells) > width:
        cells[width - 1 :] = [opened.delimiter.join(cells[width - 1 :])]
    return join_cells(cells + [""] * (width - len(cells)), opened.delimiter)


def join_cells(cells: Sequence[str], delimiter: str) -> str:
    """Write cells as one line, quoted where they need it."""
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="").writerow(cells)
    return line.getvalue()
