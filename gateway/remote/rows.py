"""Command files: a CSV row is a command. Pure reading and writing; a broken row spoils no other."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Any, Literal

ROW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")
FILE_BYTES_MAX = 4 * 1024 * 1024
Kind = Literal["text", "list", "integer"]
COLUMNS: dict[str, Kind] = {
    "task": "text", "sample": "text", "item": "text", "clause": "text", "method": "text",
    "instrument": "text", "instruments": "list", "operator": "text", "badge": "text", "purpose": "text",
    "batch": "text", "place": "integer", "control": "text", "of": "text", "environments": "list",
    "reference": "text", "reagents": "list", "measurands": "list",
    "role": "text", "target": "text", "from_utc_ns": "integer", "to_utc_ns": "integer",
    "from_utc": "text", "to_utc": "text", "reason": "text", "system": "text", "external_id": "text",
}  # fmt: skip
"""Columns beside `row_id` and `command`, each an argument of the commands. Lists are written a;b;c."""
ANSWER_COLUMNS = ("row_id", "line", "command", "ok", "code", "message", "hint", "task", "record")


class FileRefusedError(ValueError):
    """A file of which no row can be taken: what is wrong with it, as file:line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a command, or what is wrong with it."""

    line: int
    """Last line of the file that the row stands on, from 1."""
    row_id: str
    command: str
    args: dict[str, Any]
    problem: str = ""
    """Empty for a row that can be carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a row."""

    row: Row
    ok: bool
    code: str = ""
    message: str = ""
    hint: str = ""
    task: str = ""
    record: str = ""
    """Seqs of the records, `first` or `first-last`."""


def read_rows(name: str, content: bytes, rows_max: int) -> list[Row]:
    """Read a command file.

    Args:
        name: of the file, for messages.
        content: UTF-8, with or without a byte order mark.
        rows_max: most rows.

    Raises:
        FileRefusedError: no row of it can be taken.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileRefusedError(f"{name}:{line}: not UTF-8; save the file as UTF-8 (was it GBK?)") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = list[Row]()
    seen: dict[str, int] = {}
    try:
        header = [column.strip() for column in next(reader, [])]
        _check_header(name, header)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(_row(name, header, cells, reader.line_num, seen))
            if len(rows) > rows_max:
                raise FileRefusedError(f"{name}:{reader.line_num}: more than {rows_max} rows; split the file")
    except csv.Error as error:
        # Behind an open quote nothing can be told apart: what was read before it stands.
        line = reader.line_num
        problem = f"{name}:{line}: not valid CSV: {error}; the rest of the file cannot be read"
        rows.append(Row(line, "", "", {}, problem))
    return rows


def _check_header(name: str, header: list[str]) -> None:
    if missing := [column for column in ("row_id", "command") if column not in header]:
        raise FileRefusedError(f"{name}:1: the first line names no column {' and '.join(missing)}")
    if unknown := [column for column in header if column not in {"row_id", "command", *COLUMNS}]:
        known = ", ".join(COLUMNS)
        raise FileRefusedError(f"{name}:1: unknown column '{unknown[0]}'; known are row_id, command, {known}")
    if doubled := [column for column in header if header.count(column) > 1]:
        raise FileRefusedError(f"{name}:1: column '{doubled[0]}' stands there twice")


def _row(name: str, header: list[str], cells: list[str], line: int, seen: dict[str, int]) -> Row:
    here = f"{name}:{line}"
    named = dict(zip(header, (cell.strip() for cell in cells), strict=False))
    row_id, command = named.pop("row_id", ""), named.pop("command", "")
    if len(cells) != len(header):
        problem = f"{here}: {len(cells)} cells, the header has {len(header)}; is a comma missing or too many?"
        return Row(line, row_id, command, {}, problem)
    if not ROW_ID.fullmatch(row_id):
        problem = f"{here}: row_id '{row_id}' is no id: 1 to 100 letters, digits and . _ : / -"
        return Row(line, row_id, command, {}, problem)
    if row_id in seen:
        return Row(line, row_id, command, {}, f"{here}: row_id '{row_id}' stands in line {seen[row_id]} too")
    seen[row_id] = line
    try:
        args = {column: _value(column, cell) for column, cell in named.items() if cell}
    except ValueError as error:
        return Row(line, row_id, command, {}, f"{here}: {error}")
    return Row(line, row_id, command, args)


def _value(column: str, cell: str) -> str | int | list[str]:
    kind = COLUMNS[column]
    if kind == "list":
        return [part.strip() for part in cell.split(";") if part.strip()]
    if kind == "integer":
        try:
            return int(cell)
        except ValueError:
            raise ValueError(f"{column} '{cell}' is no integer") from None
    return cell


def write_answers(answers: list[Answer]) -> bytes:
    """Write an answer file: UTF-8 CSV with a line for each row."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ANSWER_COLUMNS)
    for answer in answers:
        row = answer.row
        writer.writerow([
            row.row_id, row.line, row.command, "yes" if answer.ok else "no", answer.code, answer.message,
            answer.hint, answer.task, answer.record,
        ])  # fmt: skip
    return out.getvalue().encode()
