"""Follow pydantic's error locations through the settings classes.

A location mixes keys and indices of the data with labels of union members (the tag of a discriminated union,
the name of a type). Only the annotations tell them apart: a label and a key may be spelt alike.
"""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, Tag
from pydantic.fields import FieldInfo

from config.model import Settings
from config.toml_positions import TomlPath

Models: TypeAlias = tuple[type[BaseModel], ...]


@dataclass(frozen=True, slots=True)
class Location:
    """What a location of an error means.

    ``path`` leads to the value in the data, ``owners`` are the classes that the table holding it may have,
    ``here`` the classes that the value itself may have. ``chosen`` says that an untagged union offered
    several types for this value, ``is_key`` that the key and not the value is wrong.
    """

    path: TomlPath
    owners: Models
    here: Models
    chosen: bool
    is_key: bool


def locate(model: type[BaseModel], loc: tuple[str | int, ...]) -> Location:
    """Translate one location of a ValidationError of ``model``."""
    kinds: tuple[Any, ...] = (model,)
    path: TomlPath = ()
    owners: Models = ()
    chosen = False
    for step in loc:
        arms = tuple(arm for kind in kinds for arm in _arms(kind))
        if _offers_choice(kinds):
            kinds, chosen = _labelled(arms, str(step)), not _is_tag(arms, str(step))
            continue
        if step == "[key]":
            return Location(path, owners, (), chosen=False, is_key=True)
        if isinstance(step, str):
            owners = _models(arms)
        path, chosen = (*path, step), False
        kinds = tuple(kind for arm in arms for kind in _inside(arm, step))
    here = _models(tuple(arm for kind in kinds for arm in _arms(kind)))
    return Location(path, owners, here, chosen=chosen, is_key=False)


def allowed_keys(models: Models) -> list[str]:
    """List the keys that a table of one of these classes may have, as a file spells them."""
    return sorted(
        {key for model in models for name, field in _fields(model) for key in _spellings(name, field)}
    )


def advice_for_key(models: Models, key: str) -> str | None:
    """Say what to do instead of writing a key that people look for in tables of these classes."""
    said = (model.elsewhere.get(key) for model in models if issubclass(model, Settings))
    return next((advice for advice in said if advice), None)


def describe_key(models: Models, key: str) -> str | None:
    """Give the first sentence of a key's documentation."""
    for model in models:
        for name, field in _fields(model):
            if key in _spellings(name, field) and field.description:
                return field.description.partition("\n")[0].partition(". ")[0].rstrip(".")
    return None


def is_table(models: Models, key: str) -> bool:
    """Tell a key that stands for a table from one with a value."""
    kinds = (
        field.annotation
        for model in models
        for name, field in _fields(model)
        if key in _spellings(name, field)
    )
    return any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds)


def allowed_tags(models: Models, key: str) -> list[str]:
    """List what a key may say that picks the class of its table."""
    return sorted(
        {
            str(value)
            for model in models
            for name, field in _fields(model)
            if key in _spellings(name, field)
            for value in _literals(field.annotation)
        }
    )


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    yield from model.model_fields.items()


def _spellings(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias or field.alias
    if isinstance(alias, str):
        return [alias]
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [name]


def _bare(kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind


def _arms(kind: Any) -> Iterator[Any]:
    """Give the members of a union without None; any other type is its only member."""
    bare = _bare(kind)
    if get_origin(bare) in {Union, types.UnionType}:
        yield from (inner for arm in get_args(bare) if arm is not types.NoneType for inner in _arms(arm))
    else:
        yield kind


def _offers_choice(kinds: tuple[Any, ...]) -> bool:
    return any(len(tuple(_arms(kind))) > 1 for kind in kinds)


def _models(arms: tuple[Any, ...]) -> Models:
    return tuple(bare for arm in arms if isinstance(bare := _bare(arm), type) and issubclass(bare, BaseModel))


def _literals(kind: Any) -> tuple[Any, ...]:
    bare = _bare(kind)
    return get_args(bare) if get_origin(bare) is Literal else ()


def _has_tag(arm: Any, label: str) -> bool:
    metadata = get_args(arm)[1:] if get_origin(arm) is Annotated else ()
    if any(isinstance(item, Tag) and item.tag == label for item in metadata):
        return True
    return any(
        label in map(str, _literals(field.annotation))
        for model in _models((arm,))
        for _, field in _fields(model)
    )


def _is_tag(arms: tuple[Any, ...], label: str) -> bool:
    return any(_has_tag(arm, label) for arm in arms)


def _labelled(arms: tuple[Any, ...], label: str) -> tuple[Any, ...]:
    """Keep the members of a union that a label may mean; all of them where it names none for certain."""
    tagged = tuple(arm for arm in arms if _has_tag(arm, label))
    named = tuple(
        arm
        for arm in arms
        for model in _models((arm,))
        if label == model.__name__ or f" {model.__name__}]" in label
    )
    return tagged or named or arms


def _inside(arm: Any, step: str | int) -> Iterator[Any]:
    """Give the types that a value may have under one key or index of a type."""
    bare = _bare(arm)
    arguments = get_args(bare)
    if isinstance(step, int):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            yield arguments[0]
        elif step < len(arguments):
            yield arguments[step]
    elif isinstance(bare, type) and issubclass(bare, BaseModel):
        yield from (field.annotation for name, field in _fields(bare) if step in _spellings(name, field))
    elif len(arguments) == 2:
        yield arguments[1]
