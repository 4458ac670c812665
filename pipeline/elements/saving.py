"""Snapshots of the fold, in pieces: none takes long to make, and together they tell of one seq.

A snapshot is a row of msgpack values: the version, then [path, part] for every part of the state, such as
[["risk", "subjects"], {...}], at last [["end"], []]. A table may come in several parts. Finished tasks are
packed once and not again while nothing about them changes.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, get_origin, get_type_hints

import msgpack

from pipeline.elements.codec import MalformedBody, from_body, to_body
from pipeline.elements.registry import Registry
from pipeline.elements.state import State, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.records.envelope import Record

Path: TypeAlias = tuple[str, ...]
"""Names of the fields and keys that lead to a part."""
PART_BYTES = 24 * 1024
"""Of a part, and of what is packed in one turn of the loop: that takes a millisecond or two."""
_LARGE = 100
"""Items of a table inside an item of a table from which it is no longer packed in one go."""
_COPIED = 32
"""Bytes that were packed before, and are only copied, for each byte that is packed in the same time."""
_AT_ONCE = ("air", "instruments", "timeline", "touched")
"""Tables that records may change which change nothing else (`is_harmless`): small, and taken first."""
_HARMLESS = frozenset({"data", "checkpoint", "cosignature"})


def is_harmless(record: Record) -> bool:
    """Tell whether a record leaves those parts of the state alone that a snapshot does not begin with."""
    return record.kind in _HARMLESS or (record.kind == "flags" and not record.body.get("n"))


class PackedTasks:
    """Tasks as they stand in a snapshot.

    A task is kept packed from when it is final and settled until something changes it: whoever changes such a
    task, or takes it out of the state, calls `forget`, or has it touched (`State.touch`). Bounded by the
    tasks of the state.
    """

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def forget(self, task_id: str) -> None:
        """Pack a task anew next time: it has changed, or it is gone."""
        self._kept.pop(task_id, None)

    def keep(self, task: TaskState, packed: bytes) -> None:
        """Keep how a task is packed, where it is finished."""
        if task.final and task.settled:
            self._kept[task.id] = packed

    def parts(self, state: State) -> Iterator[tuple[bytes, int]]:
        """Pack every task of a state, in its order: parts, and what each of them costs (`Capture.take`)."""
        touched = set(state.touched)
        part, fresh, size = list[bytes](), 0, 0
        for task_id, task in state.tasks.items():
            packed = None if task_id in touched else self._kept.get(task_id)
            if packed is None:
                packed = _packed(to_body(task))
                fresh += len(packed)
                if task_id not in touched:
                    self.keep(task, packed)
            part.append(packed)
            size += len(packed)
            if size >= PART_BYTES:
                yield _packed([["tasks"], part]), fresh + size // _COPIED
                part, fresh, size = [], 0, 0
        yield _packed([["tasks"], part]), fresh


class Capture:
    """A snapshot of the fold that is being made, piece by piece, between other work.

    Thread-safe: no. Memory: the snapshot.

    Attributes:
        seq: the last record that the state tells of.
        taken: the pieces so far.
        whole: all pieces are there.
        lost: a record changed what was not taken yet: to be begun again. Never with `whole`.
    """

    def __init__(self, version: int, state: State, registry: Registry, packed: PackedTasks) -> None:
        self.seq = state.last_seq
        self.taken: list[bytes] = list(_first(version, state))
        self.whole = self.lost = False
        self._rest = _rest(state, registry, packed)

    def take(self) -> None:
        """Make the next pieces, as many as one turn of the loop has time for."""
        spent = 0
        while spent < PART_BYTES and not (self.whole or self.lost):
            made = next(self._rest, None)
            if made is None:
                self.whole = True
            else:
                self.taken.append(made[0])
                spent += made[1]

    def lose(self) -> None:
        """Note that the state is about to change."""
        self.lost = not self.whole


def save(version: int, state: State, registry: Registry, packed: PackedTasks) -> bytes:
    """Encode the whole state at once; the registry as the records that it came from."""
    rest = [piece for piece, _cost in _rest(state, registry, packed)]
    return b"".join([*_first(version, state), *rest])


def _first(version: int, state: State) -> Iterator[bytes]:
    """Make what is taken at once: single values, and the tables of `_AT_ONCE`."""
    yield _packed(version)
    for field in fields(State):
        value = getattr(state, field.name)
        at_once = field.name in _AT_ONCE
        if at_once or not isinstance(value, dict | list):
            yield from _parts((field.name,), value, tables=at_once)


def _rest(state: State, registry: Registry, packed: PackedTasks) -> Iterator[tuple[bytes, int]]:
    for field in fields(State):
        value = getattr(state, field.name)
        if field.name not in {*_AT_ONCE, "tasks"}:
            yield from ((part, len(part)) for part in _tables((field.name,), value))
    known, size = list[list[Any]](), 0
    for one in sorted(registry.versions(), key=lambda version: version.seq):
        known.append([one.seq, one.packed])
        size += len(one.packed)
        if size >= PART_BYTES:
            yield _packed([["registry"], known]), size // _COPIED
            known, size = [], 0
    yield _packed([["registry"], known]), 0
    yield from packed.parts(state)
    yield _packed([["end"], []]), 0


def _parts(path: Path, value: Any, *, tables: bool = True) -> Iterator[bytes]:
    """Pack a value: what is single in it, then its tables."""
    if not is_dataclass(value):
        yield from (
            _table(path, value) if isinstance(value, dict | list) else (_packed([path, to_body(value)]),)
        )
        return
    held = _held(value.__class__)
    names = (field.name for field in fields(value) if field.name not in held)
    yield _packed([path, {name: to_body(getattr(value, name)) for name in names}])
    if tables:
        yield from _tables(path, value)


def _tables(path: Path, value: Any) -> Iterator[bytes]:
    """Pack the tables of a value: itself, or those that are fields of it."""
    if isinstance(value, dict | list):
        yield from _table(path, value)
    elif is_dataclass(value):
        for name in _held(value.__class__):
            yield from _table((*path, name), getattr(value, name))


def _table(path: Path, table: dict[str, Any] | list[Any]) -> Iterator[bytes]:
    """Pack a table in parts of about `PART_BYTES`; of a large item its own tables are parts again."""
    part, size, keyed = list[bytes](), 0, isinstance(table, dict)
    for item in table.items() if isinstance(table, dict) else table:
        if isinstance(table, dict) and _is_large(item[1]):
            yield _part(path, part, keyed=True)  # in its order
            yield from _parts((*path, item[0]), item[1])
            part, size = [], 0
            continue
        packed = b"".join(_packed(to_body(one)) for one in item) if keyed else _packed(to_body(item))
        part.append(packed)
        size += len(packed)
        if size >= PART_BYTES:
            yield _part(path, part, keyed=keyed)
            part, size = [], 0
    yield _part(path, part, keyed=keyed)


def _part(path: Path, packed: list[bytes], *, keyed: bool) -> bytes:
    packer = msgpack.Packer()
    head = packer.pack_map_header(len(packed)) if keyed else packer.pack_array_header(len(packed))
    return b"".join([packer.pack_array_header(2), _packed(path), head, *packed])


def _is_large(value: Any) -> bool:
    """Tell whether a value has a long table in it."""
    return is_dataclass(value) and any(len(getattr(value, name)) > _LARGE for name in _held(value.__class__))


@cache
def _held(cls: type) -> tuple[str, ...]:
    """Names of the fields of a dataclass that are tables."""
    hints = get_type_hints(cls)
    return tuple(field.name for field in fields(cls) if get_origin(hints[field.name]) in {dict, list})


def _packed(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def load(version: int, snapshot: bytes) -> tuple[State, Registry, PackedTasks]:
    """Decode what `save` gave, or the pieces of a `Capture` together.

    Raises:
        MalformedBody: the bytes are no snapshot of this version.
    """
    parts = msgpack.Unpacker(strict_map_key=False, max_buffer_size=len(snapshot))
    parts.feed(snapshot)
    try:
        found = next(parts, None)
        if found != version:
            raise MalformedBody(f"snapshot is of version {found}, this program writes {version}")
        body: dict[str, Any] = {}
        for path, part in parts:
            _put(body, path, part)
        tasks, known, _ = body.pop("tasks"), body.pop("registry"), body.pop("end")
    except (ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException) as error:
        raise MalformedBody(f"snapshot cannot be read: {error}") from error
    state, registry, packed = from_body(State, body), Registry(), PackedTasks()
    for one in tasks:
        task = from_body(TaskState, _unpacked(one))
        state.tasks[task.id] = task
        packed.keep(task, one)
    for seq, record in known:
        registry.add(seq, _unpacked(record))
    return state, registry, packed


def _put(body: dict[str, Any], path: list[str], part: Any) -> None:
    """Put a part where it belongs: behind the earlier parts of the same table."""
    for name in path[:-1]:
        body = body[name]
    known = body.get(path[-1])
    if isinstance(known, dict) and isinstance(part, dict):
        known.update(part)
    elif isinstance(known, list) and isinstance(part, list):
        known += part
    else:
        body[path[-1]] = part


def _unpacked(packed: bytes) -> dict[str, Any]:
    body: dict[str, Any] = msgpack.unpackb(packed, strict_map_key=False)
    return body
