"""Which channels the steps and comparisons of a task watch, and how their readings and marks come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.registry_shapes import Method
from pipeline.elements.steps.state import MARKS_MAX, Compared, Found, Row, StepsState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.elements.registry import Registry
    from pipeline.elements.registry_shapes import Step
    from pipeline.elements.state import TaskState


def prepare(task: TaskState, registry: Registry) -> None:
    """Find the channels of a task's steps and comparisons at its start."""
    found = registry.at(Method, task.start.method, task.start.at_utc_ns)
    if found is None or not (found[0].steps or found[0].redundant):
        return
    method = found[0]
    steps = task.steps = StepsState(cycles=method.step_cycles)
    steps.channels = [_channel(task, step) for step in method.steps]
    steps.required = [[_target(task, name) or name for name in step.required] for step in method.steps]
    steps.found = [Found() for _ in method.steps]
    for rule in method.redundant:
        pair = [target for name in rule.channels if (target := _target(task, name)) is not None]
        steps.pairs.append(pair if len(pair) == len(rule.channels) else [])
        steps.compared.append(Compared())
    watched = [channel for channel in steps.channels if channel is not None]
    for names in (*steps.required, *steps.pairs):
        watched += names
    steps.targets = list(dict.fromkeys(watched))


def _channel(task: TaskState, step: Step) -> str | None:
    name = step.channel or step.quantity
    return _target(task, name) if name and step.kind != "mark" else None


def _target(task: TaskState, name: str) -> str | None:
    """Find a bound channel by its name, or by `instrument.channel`; a measurand before an environment."""
    bound = [facts for facts in task.channels if name in {facts.channel, facts.target}]
    bound.sort(key=lambda facts: facts.role != "measurand")
    return bound[0].target if bound else None


def watch(
    task: TaskState, target: str, t_run_ns: NDArray[np.int64], values: NDArray[np.float64],
    seqs: NDArray[np.int64],
) -> None:  # fmt: skip
    """Note valid readings of a watched channel, until they are old enough to be judged."""
    state = task.steps
    state.rows += [
        Row(t, seq, target, value)
        for t, seq, value in zip(t_run_ns.tolist(), seqs.tolist(), values.tolist(), strict=True)
    ]


def mark(task: TaskState, name: str, t_run_ns: int, seq: int) -> None:
    """Note that a person marked the beginning of a step, or, with no name, the end of the one under way."""
    if task.steps.marks < MARKS_MAX:
        task.steps.marks += 1
        task.steps.rows.append(Row(t_run_ns, seq, name, None))
