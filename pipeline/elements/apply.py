"""What `task` and `review` records change in the state, and the bookkeeping around tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pipeline.elements.air import limit_of
from pipeline.elements.codec import from_body
from pipeline.elements.formulas.calculations import next_replicate
from pipeline.elements.formulas.calculations import prepare as prepare_calculations
from pipeline.elements.registry_shapes import Environment, Method
from pipeline.elements.shapes import (
    TASK_ACTIONS,
    Binding,
    Review,
    TaskAbort,
    TaskAction,
    TaskAmend,
    TaskBind,
    TaskHandover,
    TaskLink,
    TaskStart,
    TaskStep,
    TaskStop,
)  # fmt: skip
from pipeline.elements.state import OBSERVED_MAX, ChannelFacts, Observed, Overlap, TaskState, Watch
from pipeline.elements.steps.watching import mark
from pipeline.elements.steps.watching import prepare as prepare_steps

if TYPE_CHECKING:
    from pipeline.elements.registry import Registry
    from pipeline.elements.registry_shapes import EnvironmentChannel
    from pipeline.elements.shapes import Control
    from pipeline.elements.state import State
    from pipeline.elements.vocabulary import Role
    from pipeline.records.envelope import Record

ATTEMPTS_MAX = 20_000
"""Combinations of sample, item and method whose attempts are counted; the oldest gives way."""

OVERLAPS_MAX = 64
"""Overlaps kept for one task; the first ones."""


def read_action(record: Record) -> TaskAction:
    """Read the body of a `task` record.

    Raises:
        MalformedBody: not an action that this version knows, or not of its shape.
    """
    shape = TASK_ACTIONS.get(str(record.body.get("action")), TaskStart)
    return from_body(shape, record.body)


def apply_action(state: State, registry: Registry, record: Record, action: TaskAction) -> TaskState | None:
    """Apply an action; None when it speaks of a task that is not known (any more)."""
    if isinstance(action, TaskStart):
        return _start(state, registry, record, action)
    task = state.tasks.get(action.task)
    if task is None:
        return None
    if isinstance(action, TaskBind):
        _bind(task, registry, action.binding, record.t_run_ns)
        _note_overlaps(state, task, record.seq)
    elif isinstance(action, TaskHandover):
        _hand_over(task, action)
        _note_overlaps(state, task, record.seq)
    elif isinstance(action, TaskStep):
        _step(task, registry, action, record.seq)
    elif isinstance(action, TaskLink):
        task.links.append(action)
    elif isinstance(action, TaskAmend):
        _amend(state, task, action)
    else:
        _end(task, action, record.seq)
    return task


def attempt_key(sample: str | None, item: str, method: str, control: Control | None) -> str:
    """Name what attempts are counted for: a duplicate of a sample is no second attempt at it."""
    parts = (sample or "", item, method) if control is None else (sample or "", item, method, control.kind)
    return "|".join(parts)


def _amend(state: State, task: TaskState, action: TaskAmend) -> None:
    given = {"sample": action.sample, "item": action.item, "clause": action.clause}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    task.start = replace(task.start, attempt=action.attempt, **changed)
    task.amendments.append(action)
    start = task.start
    state.attempts[attempt_key(start.sample, start.item, start.method, start.control)] = action.attempt


def _start(state: State, registry: Registry, record: Record, start: TaskStart) -> TaskState:
    task = TaskState(start, record.seq, record.journal.hex())
    state.tasks[start.task] = task
    state.tasks_started += 1
    key = attempt_key(start.sample, start.item, start.method, start.control)
    state.attempts.pop(key, None)
    state.attempts[key] = start.attempt
    while len(state.attempts) > ATTEMPTS_MAX:
        del state.attempts[next(iter(state.attempts))]
    for binding in start.bindings:
        _bind(task, registry, binding, start.at_run_ns)
    prepare_calculations(task, registry, start.at_run_ns)
    prepare_steps(task, registry)
    _note_overlaps(state, task, record.seq)
    for facts in task.channels:
        air = state.air.channels.get(facts.target)
        if air is not None and facts.role == "environment":
            task.air_at_start.append(air.last)
    for name in start.instruments:
        known = state.instrument(name)
        if known.identity is not None:
            task.identities[name] = [known.identity]
        task.warm[name] = known.on_since_run_ns
        task.services[name] = [Observed(known.service, known.service_seq, known.service_run_ns)]
        if known.return_check_due:
            task.return_checks_due.append(name)
    return task


def _bind(task: TaskState, registry: Registry, binding: Binding, claimed_run_ns: int) -> None:
    task.bindings.append(binding)
    targets: dict[str, Watch | None] = {binding.target: None} if binding.role == "measurand" else {}
    if binding.role in {"environment", "storage"}:
        found = registry.at(Environment, binding.target, task.start.at_utc_ns)
        method = registry.at(Method, task.start.method, task.start.at_utc_ns)
        for each in () if found is None else found[0].channels:
            targets[each.target] = _watch(None if method is None else method[0], each, binding.role)
    for target, watch in targets.items():
        instrument, _, channel = target.partition(".")
        end_ns = binding.to_run_ns if binding.to_run_ns is not None else task.end_run_ns
        task.channels.append(
            ChannelFacts(
                role=binding.role, owner=binding.target, instrument=instrument, channel=channel,
                from_run_ns=max(binding.from_run_ns, claimed_run_ns) if binding.late else binding.from_run_ns,
                to_run_ns=end_ns, late=binding.late, watch=watch,
            )
        )  # fmt: skip


def _watch(method: Method | None, channel: EnvironmentChannel, role: Role) -> Watch:
    limit = limit_of(method, channel, storage=role == "storage")
    window_s = 0.0 if limit.rate_max_per_h is None else limit.rate_window_s
    return Watch(limit.low, limit.high, limit.hysteresis, window_s)


def _step(task: TaskState, registry: Registry, action: TaskStep, seq: int) -> None:
    if action.mark == "replicate":
        next_replicate(task, registry, action.at_run_ns)
    else:
        mark(task, action.name, action.at_run_ns, seq)


def _note_overlaps(state: State, task: TaskState, seq: int) -> None:
    """Note the same person or sample in another running task, with both of them."""
    people = {binding.target for binding in task.bound("operator") if binding.to_run_ns is None}
    for other in state.tasks.values():
        if other is task or other.phase != "running" or task.phase != "running":
            continue
        active = {binding.target for binding in other.bound("operator") if binding.to_run_ns is None}
        found: list[tuple[Literal["person", "sample"], str]] = []
        found += [("person", one) for one in sorted(people & active)]
        if task.start.sample is not None and task.start.sample == other.start.sample:
            found.append(("sample", task.start.sample))
        for kind, subject in found:
            for one, another in ((task, other), (other, task)):
                met = {(known.kind, known.subject, known.task) for known in one.overlaps}
                if (kind, subject, another.id) not in met and len(one.overlaps) < OVERLAPS_MAX:
                    one.overlaps.append(Overlap(kind, subject, another.id, seq))


def _hand_over(task: TaskState, action: TaskHandover) -> None:
    _close_operators(task, action.at_run_ns)
    task.bindings.append(Binding("operator", action.operator, action.at_run_ns))


def _close_operators(task: TaskState, at_run_ns: int) -> None:
    task.bindings = [
        Binding(known.role, known.target, known.from_run_ns, at_run_ns, known.late)
        if known.role == "operator" and known.to_run_ns is None
        else known
        for known in task.bindings
    ]


def _end(task: TaskState, action: TaskStop | TaskAbort, seq: int) -> None:
    task.end_run_ns, task.end_utc_ns, task.end_seq = action.at_run_ns, action.at_utc_ns, seq
    task.phase = "stopped"
    if isinstance(action, TaskAbort):
        task.phase, task.abort_reason = "aborted", action.reason
        task.held.clear()  # no result comes of it, so there is nothing left to hold
    for facts in task.channels:
        if facts.to_run_ns is None:
            facts.to_run_ns = action.at_run_ns


def apply_review(state: State, record: Record) -> None:
    """Apply a disposition: the holds that it speaks of are disposed of."""
    review = from_body(Review, record.body)
    task = state.tasks.get(review.task)
    if task is not None:
        task.reviews.append(review)
        task.review_seqs.append(record.seq)
        task.held.clear()


def observe_state(seen: dict[str, list[Observed]], instrument: str, observed: Observed) -> None:
    """Note what an instrument was or said during a task; of very many, the first ones and the last."""
    known = seen.setdefault(instrument, [])
    if known and known[-1].value == observed.value:
        return
    if len(known) >= OBSERVED_MAX:
        known.pop()
    known.append(observed)
