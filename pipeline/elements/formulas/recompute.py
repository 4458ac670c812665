"""A result computed again from the records that it came from, and compared to the last bit.

The records of the task go through the same fold as they did then: registry as it was known, task, readings of
its instruments, late flags, gaps and ticks, up to the record that led to the result. Corrected values are
computed again too, each from its reading and the registry record that its frame names. Every float of the
corrected values and of the new result must have the same 64 bits as in the record.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.corrections import redo_record
from pipeline.elements.apply import read_action
from pipeline.elements.codec import MalformedBody, to_body
from pipeline.elements.corrected import correction_applied
from pipeline.elements.engine import Fold
from pipeline.elements.formulas.calculations import compute_results
from pipeline.elements.registry_shapes import Environment
from pipeline.elements.shapes import TaskBind, TaskStart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.elements.registry import Registry
    from pipeline.elements.settings import ElementsSettings
    from pipeline.elements.state import TaskState
    from pipeline.records.envelope import Record

KINDS = frozenset({"config", "registry", "task", "entry", "data", "flags", "gap", "tick"})
"""Kinds of records that a result can depend on."""
_BY_INSTRUMENT = frozenset({"data", "flags", "gap"})


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place at which the new result is not the recorded one."""

    path: str
    recorded: Any
    recomputed: Any


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What came of computing a result again."""

    recorded: dict[str, Any]
    recomputed: dict[str, Any] | None
    """None: the readings at hand do not give the result."""
    difference: Difference | None
    """None: equal to the last bit."""
    missing: tuple[str, ...] = ()
    """What the records at hand lack, a sentence each."""
    records: int = 0
    """Records that went through the fold."""

    @property
    def agrees(self) -> bool:
        """Whether the new result is the recorded one, bit for bit."""
        return self.difference is None and self.recomputed is not None


def recompute(records: Iterable[Record], result: Record, settings: ElementsSettings) -> Recomputed:
    """Compute a result again.

    Args:
        records: records of its journal in seq order, of `KINDS`, from the first registry record on; those
            that it does not depend on are left aside.
        result: the `result` record.
        settings: of the elements; only how long rows were waited for can matter.
    """
    task_id, quantity = str(result.body["task"]), str(result.body["quantity"])
    through = result.seq - 1 if result.by is None else result.by.through_seq
    run = _Run(task_id, settings)
    for record in records:
        if record.seq <= through:
            run.take(record)
    task = run.fold.state.tasks.get(task_id)
    if task is None:
        told = (f"the start of task {task_id} is not among the records",)
        return Recomputed(result.body, None, Difference("task", task_id, None), told, run.count)
    found = _results(task, run.fold.registry)
    again = next((one for one in found if one["quantity"] == quantity), None)
    missing = (*run.holes, *run.unseen(result.body.get("seqs") or ()))
    if again is None:
        return Recomputed(result.body, None, Difference(quantity, "a value", None), missing, run.count)
    difference = run.uncorrectable or first_difference(result.body, again)
    return Recomputed(result.body, again, difference, missing, run.count)


def _results(task: TaskState, registry: Registry) -> list[dict[str, Any]]:
    results = task.results if task.measured else compute_results(task, registry)[0]
    return [to_body(one) for one in results]


class _Run:
    """Takes the records of one task through a fold of their own, and sees whether readings are missing."""

    def __init__(self, task_id: str, settings: ElementsSettings) -> None:
        self.fold = Fold(settings)
        self.count = 0
        self.holes: list[str] = []
        self.uncorrectable: Difference | None = None
        """The first corrected values that the readings and the registry do not give."""
        self._task_id = task_id
        self._instruments: set[str] = set()
        self._next_n: dict[str, int] = {}
        self._seqs: set[int] = set()

    def take(self, record: Record) -> None:
        """Take a record that the task depends on; leave any other aside."""
        if not self._concerns(record):
            return
        if record.kind == "task":
            self._note_instruments(record)
        if record.kind == "data":
            self._note_rows(record)
            self._correct_again(record)
        elif record.kind == "entry":
            self._seqs.add(record.seq)
            self._correct_again(record)
        self.count += 1
        self.fold.consume(record)

    def _concerns(self, record: Record) -> bool:
        if record.kind in {"task", "entry"}:
            return record.body.get("task") == self._task_id
        if record.kind in _BY_INSTRUMENT:
            return record.body.get("instrument") in self._instruments
        return record.kind != "tick" or self._task_id in self.fold.state.tasks

    def _note_instruments(self, record: Record) -> None:
        try:
            action = read_action(record)
        except MalformedBody:
            return
        bindings = action.bindings if isinstance(action, TaskStart) else ()
        bindings += (action.binding,) if isinstance(action, TaskBind) else ()
        for binding in bindings:
            if binding.role == "measurand":
                self._instruments.add(binding.target.partition(".")[0])
            elif binding.role in {"environment", "storage"}:
                found = self.fold.registry.at(Environment, binding.target, record.t_utc_ns)
                channels = () if found is None else found[0].channels
                self._instruments |= {channel.target.partition(".")[0] for channel in channels}

    def _note_rows(self, record: Record) -> None:
        name, first, rows = record.body["instrument"], record.body["n"], record.body["rows"]
        expected = self._next_n.get(name, first)
        if first > expected:
            self.holes.append(f"rows {expected} to {first - 1} of {name} are not among the records")
        self._next_n[name] = first + rows
        self._seqs.add(record.seq)

    def _correct_again(self, record: Record) -> None:
        """Compute the corrected values of a record again from its readings and the registry."""
        if self.uncorrectable is not None:
            return
        registry = self.fold.registry
        for told in redo_record(record, lambda name: correction_applied(registry, name)).problems:
            self.uncorrectable = Difference("corrected", f"record {record.seq}", told)

    def unseen(self, seqs: Iterable[int]) -> list[str]:
        """Name the records that the result cites and that were not at hand."""
        return [
            f"record {seq}, which the result cites, is not at hand" for seq in seqs if seq not in self._seqs
        ]


def first_difference(recorded: Any, recomputed: Any, path: str = "") -> Difference | None:
    """Find the first difference of two bodies in the order of the recorded one; floats by their bits."""
    if isinstance(recorded, dict) and isinstance(recomputed, dict):
        for key in [*recorded, *(key for key in recomputed if key not in recorded)]:
            where = f"{path}.{key}" if path else str(key)
            if key not in recorded or key not in recomputed:
                return Difference(where, recorded.get(key), recomputed.get(key))
            found = first_difference(recorded[key], recomputed[key], where)
            if found is not None:
                return found
        return None
    if isinstance(recorded, list | tuple) and isinstance(recomputed, list | tuple):
        for position, (one, other) in enumerate(zip(recorded, recomputed, strict=False)):
            found = first_difference(one, other, f"{path}[{position}]")
            if found is not None:
                return found
        lengths = len(recorded), len(recomputed)
        return None if lengths[0] == lengths[1] else Difference(f"{path} (length)", *lengths)
    return None if _same(recorded, recomputed) else Difference(path, recorded, recomputed)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    return type(one) is type(other) and bool(one == other)
