"""Read a registry table from CSV: one row an entry, every mistake with its line and cell.

A column `type` says of which table a row is (person, customer, equipment, ...); a file named after a table
(`equipment.csv`, `equipment.2026.csv`) needs none. The other columns are keys of that table, a dot leading
into a table within. Rows of one entry that follow one another hold an item each of a list that says so, such
as the points of a correction (`points.reading`); their other cells are empty or the same. A cell of a text
key is taken as it stands; any other cell is written as in TOML (`2026-03-01T08:00:00+08:00`, `true`,
`[{...}]`), a list of texts also as `a;b;c`. Empty cells are left out, and so are lines whose first cell
begins with `#`. The column of a finding counts cells, as a spreadsheet does.
"""

from __future__ import annotations

import csv
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from config.errors import ConfigInvalid, Finding, Report
from config.loader import FILE_BYTES_MAX
from config.toml_positions import Index, Position, Positions, TomlPath
from config.validation import report_validation_errors
from pipeline.elements.correction_settings import ONE_A_ROW
from pipeline.elements.registry_settings import RegistrySettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLES = ("person", "equipment", "material", "method", "environment", "correction", "customer")


class _Cell(NamedTuple):
    """A cell that is not empty."""

    text: str
    number: int
    """Of the column, from 1."""


class Place(NamedTuple):
    """Where a row stands, and where places of keys and values are noted."""

    file: str
    line: int
    keys: dict[TomlPath, Position]
    values: dict[TomlPath, Position]


def read_csv(path: Path) -> tuple[RegistrySettings, Report, Positions]:
    """Read and validate a table.

    Raises:
        ConfigInvalid: every broken row, unknown column and unfit cell of the file.
    """
    rows, wrong = _rows(path, _implied(path))
    data: dict[str, Any] = {}
    keys: dict[TomlPath, Position] = {}
    values: dict[TomlPath, Position] = {(): Position(1, 1)}
    for line, row in rows:
        kind = row.pop("type", _Cell("", 1))
        if kind.text not in TABLES:
            message = f"type '{kind.text}' is none of {', '.join(TABLES)}"
            wrong.append(Finding("E015", "error", str(path), line, kind.number, message))
            continue
        entries = data.setdefault(kind.text, [])
        values.setdefault((kind.text,), Position(line, 1))
        if entries and _goes_on(kind.text, row, entries[-1]):
            at: TomlPath = (kind.text, len(entries) - 1)
            wrong += _join(entries[-1], row, at, Place(str(path), line, keys, values))
            continue
        entry: TomlPath = (kind.text, len(entries))
        values[entry] = Position(line, 1)
        entries.append({})
        wrong += _join(entries[-1], row, entry, Place(str(path), line, keys, values))
    positions = Positions(lambda: Index(keys, values))
    report = Report(str(path), positions)
    try:
        settings = RegistrySettings.model_validate(data)
    except ValidationError as error:
        report_validation_errors(error, RegistrySettings, data, report)
        raise ConfigInvalid([*wrong, *report.findings]) from None
    if wrong:
        raise ConfigInvalid(wrong)
    return settings, report, positions


def _implied(path: Path) -> str | None:
    stem = path.name.split(".")[0].lower()
    return stem if stem in TABLES else None


def _text(path: Path) -> str:
    file = str(path)
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            hint = "split it: yaosu registry import takes several files"
            message = f"is larger than {FILE_BYTES_MAX // 2**20} MiB"
            raise ConfigInvalid([Finding("E001", "error", file, None, None, message, hint)])
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        hint = "save the file as UTF-8 (was it GBK?)"
        raise ConfigInvalid([Finding("E002", "error", file, None, None, "is not UTF-8", hint)]) from None
    except FileNotFoundError:
        hint = "check the path; an empty one to fill in: yaosu registry template TYPE"
        raise ConfigInvalid(
            [Finding("E001", "error", file, None, None, "there is no such file", hint)]
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigInvalid(
            [Finding("E001", "error", file, None, None, f"cannot be read: {reason}")]
        ) from None


def _rows(path: Path, implied: str | None) -> tuple[list[tuple[int, dict[str, _Cell]]], list[Finding]]:
    """Read the rows, each with the number of its last line, and what is wrong with the others."""
    file = str(path)
    reader = csv.reader(_text(path).splitlines(keepends=True), strict=True)
    rows = list[tuple[int, dict[str, _Cell]]]()
    wrong = list[Finding]()
    try:
        header = [column.strip() for column in next((cells for cells in reader if not _skipped(cells)), [])]
        if (implied is None and "type" not in header) or len(set(header)) != len(header) or not header:
            hint = "or name the file after its type, such as equipment.csv; see: yaosu registry template TYPE"
            message = "the first line must name the columns, each once, among them 'type'"
            raise ConfigInvalid([Finding("E010", "error", file, reader.line_num or 1, 1, message, hint)])
        for cells in reader:
            if _skipped(cells):
                continue
            if len(cells) != len(header):
                message = f"{len(cells)} cells, the header has {len(header)}"
                hint = "is a comma missing or too many? text with a comma stands in double quotes"
                wrong.append(Finding("E016", "error", file, reader.line_num, 1, message, hint))
                continue
            row = {
                name: _Cell(cell.strip(), number)
                for number, (name, cell) in enumerate(zip(header, cells, strict=True), start=1)
                if cell.strip()
            }
            rows.append((reader.line_num, {"type": _Cell(implied, 1), **row} if implied else row))
    except csv.Error as error:
        wrong.append(Finding("E003", "error", file, reader.line_num, 1, f"not valid CSV: {error}"))
    return rows, wrong


def _skipped(cells: list[str]) -> bool:
    return not any(cells) or cells[0].lstrip().startswith("#")


def _goes_on(table: str, row: dict[str, _Cell], before: dict[str, Any]) -> bool:
    """Tell whether a row has one more item of a list for the entry of the row above it."""
    listed = any(_spread(table, column) for column in row)
    return listed and "id" in row and row["id"].text == before.get("id")


def _spread(table: str, column: str) -> str:
    """Name the list of which a column holds one item a row; "" where it holds none."""
    name, _, key = column.partition(".")
    field = _model(table).model_fields.get(name)
    extra = None if field is None else field.json_schema_extra
    return name if key and isinstance(extra, dict) and ONE_A_ROW in extra else ""


def _model(table: str) -> type[BaseModel]:
    members = _members(RegistrySettings.model_fields[table].annotation)
    return next(kind for kind in members if isinstance(kind, type) and issubclass(kind, BaseModel))


def _join(entry: dict[str, Any], row: dict[str, _Cell], path: TomlPath, place: Place) -> Iterator[Finding]:
    """Put the cells of a row into their entry; what contradicts a row above is told."""
    table, begun = str(path[0]), set[str]()
    for column, cell in row.items():
        steps: TomlPath = tuple(column.split("."))
        value = _value(cell.text, _annotation(table, column.split(".")))
        name = _spread(table, column)
        if name:
            items = entry.setdefault(name, [])
            if name not in begun:
                items.append({})
                begun.add(name)
            steps = (name, len(items) - 1, *steps[1:])
        position = Position(place.line, cell.number)
        if not _put(entry, steps, value, path, place, position):
            message = f"'{column}' is {cell.text} here, and not so in the rows of '{entry.get('id')}' above"
            hint = "leave the cell empty, or give the entry an id of its own"
            yield Finding("E016", "error", place.file, place.line, cell.number, message, hint)
        place.keys[*path, *steps] = place.values[*path, *steps] = position


def _put(
    entry: dict[str, Any], steps: TomlPath, value: Any, path: TomlPath, place: Place, position: Position
) -> bool:
    """Set a key, however deep; tell whether it agrees with what is there."""
    table: Any = entry
    for depth, step in enumerate(steps[:-1]):
        if isinstance(table, dict):
            inner = table.setdefault(step, {})
            table = inner if isinstance(inner, dict | list) else {}
        else:
            table = table[step]
        place.values.setdefault((*path, *steps[: depth + 1]), position)
    return bool(table.setdefault(steps[-1], value) == value)


def _annotation(name: str, steps: list[str]) -> Any:
    """Find what type a column's key has; None for a key that is not there."""
    hint: Any = RegistrySettings.model_fields[name].annotation
    for step in steps:
        models = [kind for kind in _members(hint) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not models or step not in models[0].model_fields:
            return None
        hint = models[0].model_fields[step].annotation
    return hint


def _members(hint: Any) -> list[Any]:
    """List the plain types inside an optional, a tuple or an annotated type."""
    inner = get_args(hint)
    return [hint] if not inner else [hint, *(member for arg in inner for member in _members(arg))]


def _value(cell: str, hint: Any) -> Any:
    members = _members(hint)
    listed = any(getattr(member, "__origin__", None) is tuple for member in members)
    if str in members and not listed and not any(member in {int, float, bool} for member in members):
        return cell
    try:
        return tomllib.loads(f"cell = {cell}")["cell"]
    except tomllib.TOMLDecodeError:
        return [part.strip() for part in cell.split(";") if part.strip()] if listed else cell
