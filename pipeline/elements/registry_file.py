"""Read a registry file, TOML or CSV: records without names, and names for the lab-side directory.

A CSV file has a column `type` (person, customer, equipment, ...); its other columns are keys of that table, a
dot leading into a table within. A cell of a text key is taken as it stands; any other cell is written as in
TOML (`2026-03-01T08:00:00+08:00`, `true`, `[{...}]`), a list of texts also as `a;b;c`. Empty cells are left
out.
"""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from config.errors import ConfigInvalid, Finding, Report
from config.loader import FILE_BYTES_MAX, load_toml
from config.toml_positions import Position, Positions, TomlPath
from config.validation import report_validation_errors
from pipeline.elements.codec import to_body
from pipeline.elements.registry_base import EntrySettings, to_ns
from pipeline.elements.registry_settings import RegistrySettings
from pipeline.elements.vocabulary import RegistryType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TYPES: tuple[RegistryType, ...] = ("person", "equipment", "material", "method", "environment")
_TABLES = (*TYPES, "customer")


@dataclass(frozen=True, slots=True)
class RegistryImport:
    """A registry file that may be imported."""

    records: list[dict[str, Any]]
    """For the command `registry.import`: {type, id, valid_from_ns | None, valid_to_ns | None, data,
    received_on_import}; no name of a person or customer in it."""
    directory: list[dict[str, str]]
    """For the lab-side directory only: {id, kind: person | customer, name}."""
    warnings: tuple[Finding, ...]
    """What a person should look at, such as certificates that are overdue."""


def read_registry(path: Path, now_utc_ns: int | None = None) -> RegistryImport:
    """Read a file by its ending, `.toml` or `.csv`.

    Args:
        path: the file.
        now_utc_ns: with it, certificates and materials that have expired are warned of.

    Raises:
        ConfigInvalid: every finding with file and line; unknown keys are refused.
    """
    if path.suffix.lower() == ".csv":
        settings, report = _read_csv(path)
        _check(settings, report, now_utc_ns)
        if any(found.severity == "error" for found in report.findings):
            raise ConfigInvalid(report.findings)
        return _collect(settings, report.findings)
    loaded = load_toml(path, RegistrySettings, [lambda value, report: _check(value, report, now_utc_ns)])
    return _collect(loaded.value, loaded.warnings)


def _entries(settings: RegistrySettings) -> Iterator[tuple[RegistryType, int, EntrySettings]]:
    for name in TYPES:
        for position, entry in enumerate(getattr(settings, name)):
            yield name, position, entry


def _collect(settings: RegistrySettings, warnings: tuple[Finding, ...]) -> RegistryImport:
    records = []
    for name, _position, entry in _entries(settings):
        shaped: Any = entry
        records.append({
            "type": name,
            "id": entry.id,
            "valid_from_ns": to_ns(entry.valid_from or settings.valid_from),
            "valid_to_ns": to_ns(entry.valid_to),
            "data": to_body(shaped.shape()),
            "received_on_import": bool(getattr(entry, "received_on_import", False)),
        })  # fmt: skip
    directory = [{"id": person.id, "kind": "person", "name": person.name} for person in settings.person]
    directory += [{"id": one.id, "kind": "customer", "name": one.name} for one in settings.customer]
    return RegistryImport(records, directory, warnings)


def _check(settings: RegistrySettings, report: Report, now_utc_ns: int | None) -> None:
    """Look for contradictions that no single table can see."""
    _check_ids(settings, report)
    for name, position, entry in _entries(settings):
        path: TomlPath = (name, position)
        valid_from = entry.valid_from or settings.valid_from
        if valid_from is not None and entry.valid_to is not None and entry.valid_to <= valid_from:
            report.error("E024", (*path, "valid_to"), "it ends before it begins", "is the year right?")
        _check_limits(entry, path, report)
    for position, material in enumerate(settings.material):
        if material.received_on_import and material.received_at is not None:
            where = ("material", position, "received_on_import")
            report.error("E020", where, "received_at is given too", "give one of the two")
    if now_utc_ns is not None:
        _check_expired(settings, report, now_utc_ns)


def _check_ids(settings: RegistrySettings, report: Report) -> None:
    for name in _TABLES:
        seen: set[tuple[str, object]] = set()
        for position, entry in enumerate(getattr(settings, name)):
            # One id may stand several times for spans of time that follow one another.
            key = (entry.id, getattr(entry, "valid_from", None))
            if key in seen:
                report.error("E021", (name, position, "id"), f"{name} '{entry.id}' is there already")
            seen.add(key)


def _check_limits(table: BaseModel, path: TomlPath, report: Report) -> None:
    """Find every low above its high, however deep."""
    low, high = getattr(table, "low", None), getattr(table, "high", None)
    if low is not None and high is not None and low > high:
        report.error("E023", (*path, "low"), f"low {low} is above high {high}", "swap them")
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            _check_limits(value, (*path, name), report)
        elif isinstance(value, tuple):
            for position, item in enumerate(value):
                if isinstance(item, BaseModel):
                    _check_limits(item, (*path, name, position), report)


def _check_expired(settings: RegistrySettings, report: Report, now_utc_ns: int) -> None:
    for position, equipment in enumerate(settings.equipment):
        due_ns = None if equipment.metrology is None else to_ns(equipment.metrology.due)
        if due_ns is not None and due_ns < now_utc_ns:
            where = ("equipment", position, "metrology", "due")
            report.warning("E024", where, f"the certificate of '{equipment.id}' is overdue")
    for position, material in enumerate(settings.material):
        expiry_ns = to_ns(material.expiry)
        if expiry_ns is not None and expiry_ns <= now_utc_ns:
            report.warning("E024", ("material", position, "expiry"), f"'{material.id}' has expired")


def _read_csv(path: Path) -> tuple[RegistrySettings, Report]:
    rows = _csv_rows(path)
    data: dict[str, Any] = {}
    keys: dict[TomlPath, Position] = {}
    values: dict[TomlPath, Position] = {(): Position(1, 1)}
    wrong: list[Finding] = []
    for line, row in rows:
        name = row.pop("type", "")
        if name not in _TABLES:
            message = f"type '{name}' is none of {', '.join(_TABLES)}"
            wrong.append(Finding("E015", "error", str(path), line, 1, message))
            continue
        entries = data.setdefault(name, [])
        entry: TomlPath = (name, len(entries))
        values.setdefault((name,), Position(line, 1))
        values[entry] = Position(line, 1)
        entries.append(_csv_entry(name, row, entry, line, (keys, values)))
    report = Report(str(path), Positions(keys, values))
    try:
        settings = RegistrySettings.model_validate(data)
    except ValidationError as error:
        report_validation_errors(error, RegistrySettings, data, report)
        raise ConfigInvalid([*wrong, *report.findings]) from None
    if wrong:
        raise ConfigInvalid(wrong)
    return settings, report


def _csv_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read rows with the number of their last line. Raises ConfigInvalid."""
    file = str(path)
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigInvalid([Finding("E001", "error", file, None, None, "is larger than 4 MiB")])
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        hint = "save the file as UTF-8 (was it GBK?)"
        raise ConfigInvalid([Finding("E002", "error", file, None, None, "is not UTF-8", hint)]) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigInvalid(
            [Finding("E001", "error", file, None, None, f"cannot be read: {reason}")]
        ) from None
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    rows, wrong = [], []
    try:
        header = [column.strip() for column in next(reader, [])]
        if "type" not in header or len(set(header)) != len(header):
            message = "the first line must name the columns, each once, among them 'type'"
            raise ConfigInvalid([Finding("E010", "error", file, 1, 1, message)])
        for cells in reader:
            if len(cells) != len(header) and any(cells):
                message = f"{len(cells)} cells, the header has {len(header)}"
                wrong.append(Finding("E016", "error", file, reader.line_num, 1, message))
            elif any(cells):
                row = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
                rows.append((reader.line_num, row))
    except csv.Error as error:
        wrong.append(Finding("E003", "error", file, reader.line_num, 1, f"not valid CSV: {error}"))
    if wrong:
        raise ConfigInvalid(wrong)
    return rows


def _csv_entry(
    name: str, row: dict[str, str], path: TomlPath, line: int,
    places: tuple[dict[TomlPath, Position], dict[TomlPath, Position]],
) -> dict[str, Any]:  # fmt: skip
    entry: dict[str, Any] = {}
    keys, values = places
    for column, cell in row.items():
        steps = column.split(".")
        table = entry
        for depth, step in enumerate(steps[:-1]):
            inner = table.setdefault(step, {})
            table = inner if isinstance(inner, dict) else {}
            values.setdefault((*path, *steps[: depth + 1]), Position(line, 1))
        table[steps[-1]] = _cell(cell, _annotation(name, steps))
        keys[*path, *steps] = values[*path, *steps] = Position(line, 1)
    return entry


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


def _cell(cell: str, hint: Any) -> Any:
    members = _members(hint)
    listed = any(getattr(member, "__origin__", None) is tuple for member in members)
    if str in members and not listed and not any(member in {int, float, bool} for member in members):
        return cell
    try:
        return tomllib.loads(f"cell = {cell}")["cell"]
    except tomllib.TOMLDecodeError:
        return [part.strip() for part in cell.split(";") if part.strip()] if listed else cell
