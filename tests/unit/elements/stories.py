"""Days at the balance, each told in a line, for the table of checks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.elements.registry_shapes import (
    ChannelQualification,
    FormulaInput,
    Material,
    Method,
    Metrology,
    Person,
    ResultSpec,
    Step,
)
from pipeline.records.block import Channel, Layout
from tests.unit.elements.bench import (
    SECOND,
    UTC0,
    Bench,
    balance,
    leave,
    metrology,
    opened,
    registry,
    weighing,
)

Entries = Mapping[tuple[str, str], Any]
Script = Callable[[Bench], str]


@dataclass(frozen=True)
class Story:
    """A day: what the registry says, and what happens; the script gives the task that is judged."""

    script: Script
    entries: Entries = field(default_factory=dict)
    fires: bool = False
    """At its limit: whether the limit itself already gives the reason."""
    instead: str = ""
    """Of a missing fact: the reason that is given then."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def codes(self) -> set[str]:
        """Live the day and give the reason codes of all elements."""
        bench = opened(self.entries, **self.settings)
        task = self.script(bench)
        return {reason["code"] for verdict in bench.view(task)["verdicts"] for reason in verdict["reasons"]}


@dataclass(frozen=True)
class Row:
    """One reason: its passing, failing, boundary and missing-fact case, or why there is none."""

    passing: Story
    failing: Story
    boundary: Story | str
    missing: Story | str


def tested(bench: Bench) -> str:
    """A check with the weight that passes, then a test."""
    bench.check_passes()
    return bench.weigh()


def loaded(*values: float, **args: Any) -> Script:
    def script(bench: Bench) -> str:
        bench.check_passes()
        return bench.weigh(*values, **args)

    return script


def ran(seconds: float = 3, **args: Any) -> Script:
    """A task that begins with the day and ends after so many seconds, without a reading."""

    def script(bench: Bench) -> str:
        task = bench.start(**args)
        bench.advance(seconds)
        bench.do("task.stop", task=task)
        bench.air(6)
        return task

    return script


def aired(*values: float, cold: float = 4.0, before: float | None = None) -> Script:
    """A task with these temperatures of the room, one a second."""

    def script(bench: Bench) -> str:
        if before is not None:
            bench.air(1, before)
        task = bench.start()
        for value in values:
            bench.air(1, value, cold)
        bench.finish(task)
        return task

    return script


def chilled(*values: float, after: float = 4.0) -> Script:
    """A task with these temperatures of the refrigerator, one a second."""

    def script(bench: Bench) -> str:
        task = bench.start()
        for value in values:
            bench.air(1, 21.0, value)
        bench.air(2, 21.0, after)
        bench.finish(task)
        return task

    return script


def checked(*values: float, **args: Any) -> Script:
    """A check with the weight."""

    def script(bench: Bench) -> str:
        task = bench.start(**{"purpose": "qc", "sample": None, "reference": "CW-1", **args})
        bench.air(1)
        for value in values:
            bench.weight(value)
        bench.finish(task)
        return task

    return script


def read(*rows: Callable[[Bench], object]) -> Script:
    """A task in which these things happen, a second apart."""

    def script(bench: Bench) -> str:
        bench.check_passes()
        task = bench.start()
        for row in rows:
            bench.air(1)
            row(bench)
        bench.air(1)
        bench.finish(task)
        return task

    return script


def first(act: Callable[[Bench], object], then: Script = tested) -> Script:
    """Something happens before the day's work."""

    def script(bench: Bench) -> str:
        act(bench)
        return then(bench)

    return script


def during(act: Callable[[Bench, str], object], **args: Any) -> Script:
    """Something happens while the task runs."""

    def script(bench: Bench) -> str:
        bench.check_passes()
        task = bench.start(**args)
        bench.air(1)
        bench.weight(0.0, 50.0)
        act(bench, task)
        bench.air(1)
        bench.finish(task)
        return task

    return script


def altered(change: Callable[[dict[str, Any]], object], then: Script | None = None) -> Script:
    """A task whose start says something that no command of ours would let through."""

    def script(bench: Bench) -> str:
        facts: dict[str, Any] = {"sample": "S-1", "method": "weighing", "instrument": "bal-1"}
        [draft] = bench.plan("task.start", **facts).drafts
        change(draft.body)
        bench.append(draft.kind, draft.body)
        if then is not None:
            then(bench)
        bench.air(2)
        bench.weight(0.0, 50.0)
        bench.finish(draft.body["task"])
        return str(draft.body["task"])

    return script


def rebind(role: str, target: str | None) -> Callable[[dict[str, Any]], object]:
    """Bind something else in a role, or, with None, nothing."""

    def change(body: dict[str, Any]) -> None:
        kept = [one for one in body["bindings"] if one["role"] != role]
        old = [one for one in body["bindings"] if one["role"] == role]
        body["bindings"] = kept + [{**one, "target": target} for one in old[:1] if target]

    return change


def gap(polls: int, from_s: float, to_s: float) -> Callable[[Bench], object]:
    def act(bench: Bench) -> None:
        body = {"instrument": "bal-1", "polls": polls, "cause": "disconnected", "ended": True}
        for name, zero in (("run", 5_000 * SECOND), ("utc", UTC0)):
            body[f"from_{name}_ns"] = zero + bench.now + round(from_s * SECOND)
            body[f"to_{name}_ns"] = zero + bench.now + round(to_s * SECOND)
        bench.append("gap", body)

    return act


def eq(**changes: Any) -> Entries:
    return {("equipment", "EQ-1"): balance(**changes)}


def met(**changes: Any) -> Entries:
    return eq(metrology=metrology(**changes))


def certified_for(**changes: Any) -> Metrology:
    """A certificate of the balance that says something else of its channel."""
    facts: dict[str, Any] = {"unit": "g", "low": -0.1, "high": 220.0, "uncertainty": 0.0003, "k": 2.0}
    return metrology(channels=(ChannelQualification("weight", **{**facts, **changes}),))


def qualified(**changes: Any) -> Entries:
    return eq(metrology=certified_for(**changes))


def meth(**changes: Any) -> Entries:
    return {("method", "weighing"): weighing(**changes)}


def who(**changes: Any) -> Entries:
    return {("person", "p-1"): Person(**{"badge": "B-1", "authorisations": (leave(),), **changes})}


def material(name: str, base: Material) -> Entries:
    return {("material", name): base}


def formula(text: str, **changes: Any) -> Method:
    facts: dict[str, Any] = {"inputs": (FormulaInput("w", "weight", "g"),), "unit": "g"}
    return weighing(results=(ResultSpec("q", formula=text, **{**facts, **changes}),))


def stepped(*steps: Step, **changes: Any) -> Entries:
    return {**meth(steps=steps, **changes)}


def weighed(*values: float, apart_s: int = 1, marks: Mapping[int, str] | None = None) -> Script:
    """A task whose balance reads one of these values after the other; marks by position of the value."""

    def script(bench: Bench) -> str:
        task = bench.start()
        for position, value in enumerate(values):
            if marks and position in marks:
                bench.do("task.step", task=task, step=marks[position])
            bench.air(apart_s)
            bench.weight(value)
        bench.finish(task)
        return task

    return script


def replicated(*values: float) -> Script:
    """A test of as many replicates, each weighed after the pan was empty."""

    def script(bench: Bench) -> str:
        bench.check_passes()
        task = bench.start()
        for position, value in enumerate(values):
            if position:
                bench.do("task.step", task=task, replicate=True)
            bench.air(1)
            bench.weight(0.0)
            bench.air(1)
            bench.weight(value)
        bench.finish(task)
        return task

    return script


POUNDS = Layout((Channel("weight", unit="lb", decimals=4), Channel("stable", "i8")))
COARSE = Layout((Channel("weight", unit="g", decimals=2), Channel("stable", "i8")))
TWO = Layout((Channel("weight", unit="g", decimals=4), Channel("weight_b", unit="g", decimals=4)))
CLEAN = Story(tested)
REGISTRY = registry()
