"""A CSV file to fill in for each type: what its columns are, drawn from the settings themselves."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from pipeline.elements.correction_settings import ONE_A_ROW
from pipeline.elements.registry_csv import TABLES
from pipeline.elements.registry_settings import RegistrySettings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

DEPTH_MAX = 2
"""Tables within a table become columns `table.key`; deeper ones, and lists of tables, stay one cell."""


def template(table: str) -> str:
    """Write the commented header of a table's CSV file.

    Args:
        table: one of `registry_csv.TABLES`.
    """
    model = _model_of(RegistrySettings.model_fields[table].annotation)
    if model is None or table not in TABLES:
        raise ValueError(f"{table} is no table of the registry")
    columns = list(_columns(model, ""))
    out = io.StringIO(newline="")
    out.write(f"# {table}.csv: {(model.__doc__ or table).strip().splitlines()[0]}\n")
    out.write("# Lines that begin with # are left out. Times: 2026-03-01T08:00:00+08:00. Lists: a;b;c.\n")
    out.write("# Columns that are not needed may go; (!) must be filled in.\n#\n")
    for name, field, required in columns:
        need = " (!)" if required else ""
        out.write(f"# {name}{need}: {field.description or ''} [{_form(field.annotation)}]\n")
    csv.writer(out, lineterminator="\n").writerow(name for name, *_ in columns)
    return out.getvalue()


def _columns(model: type[BaseModel], prefix: str, depth: int = 1) -> list[tuple[str, FieldInfo, bool]]:
    found = list[tuple[str, "FieldInfo", bool]]()
    for name, field in model.model_fields.items():
        inner = None if _is_list(field.annotation) and not _spread(field) else _model_of(field.annotation)
        if inner is not None and depth < DEPTH_MAX:
            found += [
                (column, within, required and field.is_required())
                for column, within, required in _columns(inner, f"{prefix}{name}.", depth + 1)
            ]
        else:
            found.append((prefix + name, field, field.is_required()))
    return found


def _spread(field: FieldInfo) -> bool:
    """Tell whether a list has a row for each of its items."""
    return isinstance(field.json_schema_extra, dict) and ONE_A_ROW in field.json_schema_extra


def _members(hint: Any) -> list[Any]:
    inner = get_args(hint)
    return [hint, *(member for arg in inner for member in _members(arg))]


def _is_list(hint: Any) -> bool:
    return any(getattr(member, "__origin__", None) is tuple for member in _members(hint))


def _model_of(hint: Any) -> type[BaseModel] | None:
    models = [one for one in _members(hint) if isinstance(one, type) and issubclass(one, BaseModel)]
    return models[0] if models else None


def _form(hint: Any) -> str:
    """Say how a cell is written."""
    model = _model_of(hint)
    if model is not None:
        keys = ", ".join(f"{name} = …" for name in model.model_fields)
        return f"[{{{keys}}}, …]" if _is_list(hint) else f"{{{keys}}}"
    words = [word for member in _members(hint) for word in get_args(member) if isinstance(word, str)]
    if _is_list(hint):
        return "list: a;b"
    if words and str not in _members(hint):
        return " | ".join(dict.fromkeys(words))
    plain = {bool: "true | false", int: "integer", float: "number"}
    found = [text for kind, text in plain.items() if kind in _members(hint)]
    if found:
        return found[0]
    return "text" if str in _members(hint) else "time"
