"""A person's command with the state that it is checked against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.elements.refusal import Refused
from pipeline.elements.registry_base import instant_ns
from pipeline.elements.registry_shapes import Person
from pipeline.elements.shapes import Actor, Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.elements.registry import Registry
    from pipeline.elements.state import State, TaskState

TEXT_LENGTH_MAX = 2000
LIST_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Planned:
    """What a command leads to: drafts to be appended in order and at once, and the answer to its sender."""

    drafts: tuple[Draft, ...]
    result: dict[str, Any]
    seqs: tuple[int, ...] = ()
    """Of a repeated idempotency key: first and last seq of the earlier records; `drafts` is empty then."""


@dataclass(frozen=True, slots=True)
class Request:
    """One command; reads the state and changes nothing."""

    command: str
    args: dict[str, Any]
    actor: Actor
    state: State
    registry: Registry
    t_utc_ns: int
    t_run_ns: int
    retired: TaskState | None = None
    """A task that the state has let go of and that this command is about, built from its records."""

    def text(self, name: str) -> str:
        """Give a text that the command needs."""
        value = self.optional_text(name)
        if not value:
            raise Refused("missing-argument", argument=name)
        return value

    def optional_text(self, name: str) -> str | None:
        """Give a text, or None."""
        value = self.args.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX:
            raise Refused(
                "wrong-argument", argument=name, problem=f"a text of up to {TEXT_LENGTH_MAX} characters"
            )
        return value.strip()

    def texts(self, name: str) -> tuple[str, ...]:
        """Give a list of texts, empty where it is left out."""
        value = self.args.get(name) or []
        if not isinstance(value, list | tuple) or len(value) > LIST_LENGTH_MAX:
            raise Refused("wrong-argument", argument=name, problem=f"a list of up to {LIST_LENGTH_MAX} texts")
        if not all(isinstance(item, str) and item.strip() for item in value):
            raise Refused("wrong-argument", argument=name, problem="every item is a text")
        return tuple(dict.fromkeys(item.strip() for item in value))

    def integer(self, name: str) -> int | None:
        """Give an integer, or None."""
        value = self.args.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refused("wrong-argument", argument=name, problem="an integer")
        return value

    def number(self, name: str) -> float | None:
        """Give a finite number, or None."""
        value = self.args.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise Refused("wrong-argument", argument=name, problem="a finite number")
        return float(value)

    def instant(self, name: str) -> int | None:
        """Give an instant, UTC in ns, from ISO 8601 with its offset, to the microsecond; or None."""
        text = self.optional_text(name)
        if text is None:
            return None
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            problem = "an instant with its offset from UTC, such as 2026-03-01T08:00:00+08:00"
            raise Refused("wrong-argument", argument=name, problem=problem)
        return instant_ns(instant)

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        """Give one of the allowed words."""
        value = self.optional_text(name) or default
        if value is None:
            raise Refused("missing-argument", argument=name)
        if value not in allowed:
            raise Refused("wrong-argument", argument=name, problem=f"{value} is none of {', '.join(allowed)}")
        return value

    def only(self, *names: str) -> None:
        """Refuse arguments that the command does not know: a misspelt one would silently do nothing."""
        for name in self.args:
            if name not in names:
                known = ", ".join(names)
                raise Refused("unknown-argument", command=self.command, argument=str(name), known=known)

    def task(self) -> TaskState:
        """Find the task that the command names."""
        task_id = self.text("task")
        task = self.state.tasks.get(task_id)
        if task is None and self.retired is not None and self.retired.id == task_id:
            task = self.retired
        if task is None:
            raise Refused("unknown-task", task=task_id)
        return task

    def running_task(self) -> TaskState:
        """Find the task and see that it runs."""
        task = self.task()
        if task.phase != "running":
            raise Refused("task-not-running", task=task.id, phase=task.phase)
        return task

    def operator(self) -> str:
        """Give the person who operates: by badge, by id, or, with neither, the actor."""
        badge = self.optional_text("badge")
        if badge:
            person = self.registry.person_of_badge(badge, self.t_utc_ns)
            if person is None:
                raise Refused("unknown-badge", badge=badge)
            return person
        person = self.optional_text("operator") or ("" if self.actor.how == "service" else self.actor.person)
        if not person:
            raise Refused("missing-argument", argument="operator (or badge)")
        if self.registry.at(Person, person, self.t_utc_ns) is None:
            raise Refused("unknown-person", person=person)
        return person
