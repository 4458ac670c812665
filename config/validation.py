"""Turn what pydantic found into findings that a person at a bench can act on."""

import datetime as dt
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.errors import Report, SettingError
from config.model import CredentialRef
from config.shapes import (
    Location,
    advice_for_key,
    allowed_keys,
    allowed_tags,
    describe_key,
    is_table,
    locate,
)
from config.toml_positions import TomlPath

_WANTED = {
    "string_type": "text in quotes",
    "path_type": "text in quotes",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "an array",
    "list_type": "an array",
    "frozen_set_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "date_type": "a date without quotes (2026-03-01)",
    "time_type": "a time without quotes (08:00:00)",
    "datetime_type": "a date-time without quotes (2026-03-01T08:00:00+08:00)",
}

# datetime before date and bool before int: each is a subclass of the other.
_GIVEN: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (int, "an integer"),
    (float, "a number with a fraction"),
    (str, "text"),
    (dict, "a table"),
    ((tuple, list), "an array"),
    (dt.datetime, "a date-time"),
    (dt.date, "a date"),
    (dt.time, "a time"),
)

# Kind of error: code, comparison, name of the limit, what is counted (nothing for the number itself).
_LIMITS = {
    "greater_than": ("E013", "above", "gt", ""),
    "greater_than_equal": ("E013", "at least", "ge", ""),
    "less_than": ("E013", "below", "lt", ""),
    "less_than_equal": ("E013", "at most", "le", ""),
    "multiple_of": ("E013", "a multiple of", "multiple_of", ""),
    "string_too_short": ("E014", "at least", "min_length", "characters"),
    "string_too_long": ("E014", "at most", "max_length", "characters"),
    "too_short": ("E016", "at least", "min_length", "items"),
    "too_long": ("E016", "at most", "max_length", "items"),
}

SHOWN_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class _Problem:
    code: str
    path: TomlPath
    message: str
    hint: str | None = None
    at_key: bool = False
    wanted: str | None = None
    """Set on a wrong type only, so that the members of a union can be told in one sentence."""


def report_validation_errors(
    error: ValidationError, model: type[BaseModel], data: dict[str, Any], report: Report
) -> None:
    """Report every error that pydantic found in ``data``, each at its place in the file."""
    single: list[_Problem] = []
    by_choice: dict[TomlPath, list[_Problem]] = {}
    for details in error.errors():
        if _is_consequence(details):
            continue
        where = locate(model, details["loc"])
        problem = _explain(details, where, data)
        if where.chosen:
            by_choice.setdefault(where.path, []).append(problem)
        elif problem not in single:
            single.append(problem)
    for problem in [*single, *(found for choice in by_choice.values() for found in _merge(choice, data))]:
        tell = report.error_at_key if problem.at_key else report.error
        tell(problem.code, problem.path, problem.message, problem.hint)


def _is_consequence(details: ErrorDetails) -> bool:
    """Tell a list that is too short only because its items are wrong: each of them is reported by itself."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """Ask for the known word nearest to a mistyped one, or give None where none is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else None


def _explain(details: ErrorDetails, where: Location, data: dict[str, Any]) -> _Problem:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(where, data)
    if kind == "missing":
        return _missing(where, data)
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return _wrong_tag(kind, context, where, data)
    if kind in _WANTED:
        return _wrong_type(_WANTED[kind], details["input"], where.path, data)
    if kind == "value_error":
        return _refused(context.get("error"), where, data)
    code, reason, hint = _wrong_value(details, where)
    return _Problem(code, where.path, f"{_subject(where.path, data)} {reason}", hint, at_key=where.is_key)


def _unknown_key(where: Location, data: dict[str, Any]) -> _Problem:
    key, table = str(where.path[-1]), where.path[:-1]
    known = allowed_keys(where.owners)
    unused = [name for name in known if name not in _lookup(data, table)]
    hint = advice_for_key(where.owners, key) or did_you_mean(key, unused) or did_you_mean(key, known)
    if hint is None:
        hint = f"possible here: {', '.join(unused)}" if unused else "no other key is possible here"
    return _Problem("E012", where.path, f"unknown key '{key}'{_inside(table, data)}", hint, at_key=True)


def _missing(where: Location, data: dict[str, Any]) -> _Problem:
    key, table = where.path[-1], where.path[:-1]
    if isinstance(key, int):
        given = len(_lookup(data, table))
        return _Problem(
            "E016", table, f"{_subject(table, data)} has too few items: {given}", "add the others"
        )
    about = describe_key(where.owners, key)
    is_own_table = not table and is_table(where.owners, key)
    wanted = f"add the table [{key}]" if is_own_table else f"add '{key} = …'"
    hint = wanted + (f": {about}" if about else "")
    return _Problem("E010", table, f"missing key '{key}'{_inside(table, data)}", hint)


def _wrong_tag(kind: str, context: dict[str, Any], where: Location, data: dict[str, Any]) -> _Problem:
    key = str(context["discriminator"]).strip("'")
    if kind == "union_tag_not_found":
        tags = allowed_tags(where.here, key)
        return _Problem(
            "E010", where.path, f"missing key '{key}'{_inside(where.path, data)}", f"one of {_listed(tags)}"
        )
    tags = re.findall(r"'([^']*)'", context["expected_tags"])
    tag = str(context["tag"])
    hint = " ".join(filter(None, [did_you_mean(tag, tags), f"one of {_listed(tags)}"]))
    path = (*where.path, key)
    return _Problem("E015", path, f"unknown {key} {_shown(tag)}{_inside(where.path, data)}", hint)


def _wrong_type(wanted: str, given: Any, path: TomlPath, data: dict[str, Any]) -> _Problem:
    name = next((name for kind, name in _GIVEN if isinstance(given, kind)), type(given).__name__)
    message = f"{_subject(path, data)} must be {wanted}, not {name}"
    hint = None
    if isinstance(given, str) and wanted in {"an integer", "a number", "true or false"}:
        hint = "write it without quotes"
    elif wanted == "text in quotes" and not isinstance(given, dict | tuple | list):
        hint = "put it in double quotes"
    elif wanted == "an array" and isinstance(given, dict):
        hint = f"begin it with [[{_dotted(path)}]], not [{_dotted(path)}]"
    elif wanted == "a table" and isinstance(given, tuple | list):
        hint = f"begin it with [{_dotted(path)}], not [[{_dotted(path)}]]"
    elif wanted == "an array":
        hint = "put square brackets around it"
    return _Problem("E011", path, message, hint, wanted=wanted)


def _refused(cause: BaseException | None, where: Location, data: dict[str, Any]) -> _Problem:
    """Tell what a validator of a settings class said; a SettingError brings its own code."""
    if not isinstance(cause, SettingError):
        return _Problem("E019", where.path, f"{_subject(where.path, data)}: {cause}", at_key=where.is_key)
    path = where.path if cause.key is None else (*where.path, cause.key)
    return _Problem(cause.code, path, f"{_subject(path, data)}: {cause}", cause.hint, at_key=where.is_key)


def _wrong_value(details: ErrorDetails, where: Location) -> tuple[str, str, str | None]:
    """Give code, the rest of the sentence and hint for a value of the right type."""
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    # A secret may have been typed where its name belongs: such a value is never repeated.
    shown = "what is written" if CredentialRef in where.owners else _shown(given)
    if kind in _LIMITS:
        code, words, limit, counted = _LIMITS[kind]
        if counted:
            return code, f"must have {words} {context[limit]} {counted}, has {len(given)}", None
        return code, f"must be {words} {_shown(context[limit])}, is {shown}", None
    if kind == "finite_number":
        return "E013", f"must be a finite number, is {shown}", "leave the key out where there is no limit"
    if kind == "string_pattern_mismatch":
        return "E014", f"must match {context['pattern']}, is {shown}", _pattern_hint(context["pattern"])
    if kind in {"literal_error", "enum"}:
        near = did_you_mean(str(given), re.findall(r"'([^']*)'", context["expected"]))
        return "E015", f"must be {context['expected']}, is {shown}", near
    if kind == "timezone_aware":
        return "E017", "has no offset from UTC", f"write {given.isoformat()}+08:00 if that is Beijing time"
    if kind == "inline_secret":
        hint = 'write { credential = "NAME" } and keep the secret in a file of that name with mode 0600'
        return "E018", "holds a secret, which does not belong in this file", hint
    return "E019", f"is not valid: {details['msg']}", None


def _merge(choice: list[_Problem], data: dict[str, Any]) -> list[_Problem]:
    """Tell the members of an untagged union in one sentence; a member of the right type speaks alone."""
    closer = [problem for problem in choice if problem.wanted is None]
    if closer:
        return closer
    wanted = " or ".join(dict.fromkeys(problem.wanted or "" for problem in choice))
    return [_wrong_type(wanted, _lookup(data, choice[0].path), choice[0].path, data)]


def _lookup(data: Any, path: TomlPath) -> Any:
    """Follow a path as far as the file goes; a default's table is empty."""
    for step in path:
        if isinstance(data, dict):
            data = data.get(str(step), {})
        elif isinstance(data, list) and isinstance(step, int):
            data = data[step]
    return data


def _subject(path: TomlPath, data: dict[str, Any]) -> str:
    """Name a value: its key and, where it is one of several, whose."""
    if not path:
        return "the file"
    if isinstance(path[-1], str):
        return f"'{path[-1]}'{_inside(path[:-1], data)}"
    if isinstance(_lookup(data, path), dict):
        return _table(path, data)
    return f"item {path[-1] + 1} of {_subject(path[:-1], data)}"


def _inside(table: TomlPath, data: dict[str, Any]) -> str:
    return f" in {_table(table, data)}" if table else ""


def _table(path: TomlPath, data: dict[str, Any]) -> str:
    """Name a table from the inside out: ``channel 'temp' of instrument 'ph'``."""
    parts: list[str] = []
    names: list[str] = []
    for depth, step in enumerate(path, start=1):
        if isinstance(step, str):
            names.append(step)
            continue
        kind = _singular(".".join(names)) if names else "item"
        parts.append(f"{kind} {_label(_lookup(data, path[:depth]), step)}")
        names = []
    if names:
        parts.append(f"'{'.'.join(names)}'")
    return " of ".join(reversed(parts))


def _label(item: Any, index: int) -> str:
    """Tell one table of an array from the others, by its own name where it has one."""
    own = (item.get(key) for key in ("id", "name")) if isinstance(item, dict) else ()
    return next((_shown(name) for name in own if isinstance(name, str) and name), f"#{index + 1}")


def _singular(noun: str) -> str:
    return noun[:-1] if noun.endswith("s") and not noun.endswith(("ss", "us", "is")) else noun


def _dotted(path: TomlPath) -> str:
    return ".".join(step for step in path if isinstance(step, str))


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _shown(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    text = f"'{value}'" if isinstance(value, str) else str(value)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= SHOWN_LENGTH_MAX else f"{text[:SHOWN_LENGTH_MAX]}…"


def _pattern_hint(pattern: str) -> str | None:
    """Say in words what the two common patterns mean."""
    return {
        "^[a-z][a-z0-9-]*$": "lower case letters, digits and hyphens, a letter first",
        "^[a-z][a-z0-9_]*$": "lower case letters, digits and underscores, a letter first",
    }.get(pattern)
