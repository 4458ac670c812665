"""Snapshots of the fold: finished tasks are packed once and not again while nothing about them changes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgpack

from pipeline.elements.codec import MalformedBody, from_body, to_body
from pipeline.elements.registry import Registry
from pipeline.elements.state import State, TaskState

_WITHOUT_TASKS = tuple(field.name for field in fields(State) if field.name != "tasks")


class PackedTasks:
    """Tasks as they stand in a snapshot.

    A task is kept packed from when it is final and settled until something changes it: whoever changes such a
    task calls `forget`, or has it touched (`State.touch`). Bounded by the tasks of the state.
    """

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def forget(self, task_id: str) -> None:
        """Pack a task anew next time: it has changed."""
        self._kept.pop(task_id, None)

    def keep(self, task: TaskState, packed: bytes) -> None:
        """Keep how a task is packed, where it is finished."""
        if task.final and task.settled:
            self._kept[task.id] = packed

    def pack(self, state: State) -> list[bytes]:
        """Pack every task of a state, in its order."""
        touched = set(state.touched)
        found, kept = list[bytes](), dict[str, bytes]()
        for task_id, task in state.tasks.items():
            packed = None if task_id in touched else self._kept.get(task_id)
            if packed is None:
                packed = msgpack.packb(to_body(task), use_bin_type=True)
            if task.final and task.settled and task_id not in touched:
                kept[task_id] = packed
            found.append(packed)
        self._kept = kept
        return found


def save(version: int, state: State, registry: Registry, packed: PackedTasks) -> bytes:
    """Encode the whole state; the registry as the records that it came from."""
    body = {name: to_body(getattr(state, name)) for name in _WITHOUT_TASKS}
    versions = sorted(registry.versions(), key=lambda one: one.seq)
    known = [[one.seq, one.packed] for one in versions]
    saved: bytes = msgpack.packb([version, body, known, packed.pack(state)], use_bin_type=True)
    return saved


def load(version: int, snapshot: bytes) -> tuple[State, Registry, PackedTasks]:
    """Decode what `save` gave.

    Raises:
        MalformedBody: the bytes are no snapshot of this version.
    """
    try:
        found, body, known, tasks = msgpack.unpackb(snapshot, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise MalformedBody(f"snapshot cannot be read: {error}") from error
    if found != version:
        raise MalformedBody(f"snapshot is of version {found}, this program writes {version}")
    state, registry, packed = from_body(State, body), Registry(), PackedTasks()
    for one in tasks:
        task = from_body(TaskState, _unpacked(one))
        state.tasks[task.id] = task
        packed.keep(task, one)
    for seq, record in known:
        registry.add(seq, _unpacked(record))
    return state, registry, packed


def _unpacked(packed: bytes) -> dict[str, Any]:
    body: dict[str, Any] = msgpack.unpackb(packed, strict_map_key=False)
    return body
