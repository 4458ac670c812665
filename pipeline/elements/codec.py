"""Typed dataclasses to record bodies and back: one rule for every shape and for the snapshot of the state.

A body is a map of plain values (None, bool, int, float, str, bytes, list, map with string keys). Keys that
this version does not know are ignored: a newer writer may add facts, never change the meaning of old ones.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.records.envelope import Body

T = TypeVar("T")
_PLAIN = frozenset({NoneType, bool, int, float, str, bytes})


class MalformedBody(ValueError):  # noqa: N818 - a noun that says what it is
    """A body that is not the shape it should be; the message names the key."""


def to_body(value: object) -> Any:
    """Turn a dataclass, with all that it holds, into plain values."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if hasattr(kind, "__dataclass_fields__"):
        # A state holds a million of these: its plain fields are taken over in one go.
        names, values, nested = _members(kind)
        body = dict(zip(names, values(value), strict=True))
        for name in nested:
            if body[name] is not None:
                body[name] = to_body(body[name])
        return body
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else to_body(item) for item in value]
    if isinstance(value, dict):
        return {key: item if type(item) in _PLAIN else to_body(item) for key, item in value.items()}
    return value


def from_body(cls: type[T], body: Body) -> T:
    """Build `cls` from a body.

    Raises:
        MalformedBody: a key is missing, or its value has another type or is none of the allowed ones.
    """
    shape: Any = cls
    built: T = _converter(shape)(body, "")
    return built


@cache
def _members(cls: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]], tuple[str, ...]]:
    """Give the fields of a dataclass, what takes their values, and those that can hold several values."""
    names = tuple(field.name for field in fields(cls))
    hints = get_type_hints(cls)
    values = attrgetter(*names) if len(names) > 1 else _one(names)
    return names, values, tuple(name for name in names if not _is_plain(hints[name]))


def _one(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda value: tuple(getattr(value, name) for name in names)


def _is_plain(hint: Any) -> bool:
    if get_origin(hint) in {Union, UnionType}:
        return all(_is_plain(each) for each in get_args(hint))
    return hint in _PLAIN or get_origin(hint) is Literal


@cache
def _converter(hint: Any) -> Callable[[Any, str], Any]:
    if hint is Any:
        return lambda value, _where: value
    if is_dataclass(hint) and isinstance(hint, type):
        return _dataclass_converter(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return _union(args)
    if origin is Literal:
        return _choice(args)
    if origin in {tuple, list}:
        return _sequence(origin, _converter(args[0]))
    if origin is dict:
        return _mapping(_converter(args[1]))
    return _scalar(hint)


def _wrong(where: str, expected: str, value: object) -> MalformedBody:
    return MalformedBody(f"{where or 'body'} should be {expected}, not {type(value).__name__}")


def _dataclass_converter(cls: type) -> Callable[[Any, str], Any]:
    hints = get_type_hints(cls)
    members = [
        (
            field.name,
            _converter(hints[field.name]),
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(cls)
    ]

    def convert(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(where, "a map", value)
        arguments = {}
        for name, converter, required in members:
            path = f"{where}.{name}" if where else name
            if name in value:
                arguments[name] = converter(value[name], path)
            elif required:
                raise MalformedBody(f"{path} is missing")
        return cls(**arguments)

    return convert


def _union(args: tuple[Any, ...]) -> Callable[[Any, str], Any]:
    """Take the first alternative that the value fits; None only where the union has it."""
    optional = NoneType in args
    alternatives = [_converter(arg) for arg in args if arg is not NoneType]

    def convert(value: Any, where: str) -> Any:
        if value is None and optional:
            return None
        refusals = []
        for alternative in alternatives:
            try:
                return alternative(value, where)
            except MalformedBody as error:
                refusals.append(str(error))
        raise MalformedBody("; or ".join(refusals))

    return convert


def _choice(allowed: tuple[Any, ...]) -> Callable[[Any, str], Any]:
    def convert(value: Any, where: str) -> Any:
        if value not in allowed:
            raise MalformedBody(f"{where} is {value!r}; allowed: {', '.join(map(str, allowed))}")
        return value

    return convert


def _sequence(kind: type, inner: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def convert(value: Any, where: str) -> Any:
        if not isinstance(value, list | tuple):
            raise _wrong(where, "a list", value)
        return kind(inner(item, f"{where}[{position}]") for position, item in enumerate(value))

    return convert


def _mapping(inner: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def convert(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(where, "a map", value)
        return {str(key): inner(item, f"{where}.{key}") for key, item in value.items()}

    return convert


def _scalar(kind: type) -> Callable[[Any, str], Any]:
    def convert(value: Any, where: str) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        # A bool is an int in Python, and a body that says `true` for a count is wrong all the same.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _wrong(where, kind.__name__, value)
        return value

    return convert
