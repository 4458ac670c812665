"""Which tasks rest on which registry entries and instruments: derived from the tasks, not remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.elements.registry_shapes import RegistryRecord
    from pipeline.elements.state import TaskState


class Mentions:
    """Index of the tasks kept by what they name: a large import, or a noisy channel, must not go through all.

    Bounded by the tasks that the state keeps. Thread-safe: no.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, dict[str, TaskState]] = {}
        self._names: dict[str, set[str]] = {}

    def add(self, task: TaskState) -> None:
        """Take a task in, or what was added to it."""
        named = self._names.setdefault(task.id, set())
        for name in {*_names(task)} - named:
            self._by_name.setdefault(name, {})[task.id] = task
            named.add(name)

    def drop(self, task: TaskState) -> None:
        """Forget a task that the state lets go of."""
        for name in self._names.pop(task.id, set()):
            known = self._by_name[name]
            del known[task.id]
            if not known:
                del self._by_name[name]

    def reading(self, instrument: str) -> list[TaskState]:
        """List every task, final ones too, that has a channel of an instrument; the oldest first."""
        return [
            task
            for task in self._named(instrument)
            if any(facts.instrument == instrument for facts in task.channels)
        ]

    def of(self, added: RegistryRecord) -> list[TaskState]:
        """List the tasks whose verdicts rest on something that a registry record speaks of."""
        if added.type == "correction":
            return []  # it speaks of instruments: `reading` lists their tasks
        name = added.data.get("instrument") if added.type == "equipment" else added.id
        return [task for task in self._named(str(name)) if _rests_on(task, added)]

    def _named(self, name: str) -> list[TaskState]:
        return sorted(self._by_name.get(name, {}).values(), key=lambda task: task.start_seq)


def _names(task: TaskState) -> Iterator[str]:
    yield task.start.method
    yield from task.start.instruments
    if task.start.sample is not None:
        yield task.start.sample
    for facts in task.channels:
        yield facts.instrument
    for binding in task.bindings:
        yield binding.target


def _rests_on(task: TaskState, added: RegistryRecord) -> bool:
    if added.type == "equipment":
        name = added.data.get("instrument")
        return name in task.start.instruments or any(facts.instrument == name for facts in task.channels)
    if added.type == "method":
        return added.id == task.start.method
    return added.id == task.start.sample or any(binding.target == added.id for binding in task.bindings)
