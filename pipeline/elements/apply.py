"""What `task` and `review` records change in the state, and the bookkeeping around tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.algorithms import ALGORITHMS
from pipeline.elements.codec import from_body
from pipeline.elements.registry_shapes import Environment, Method
from pipeline.elements.shapes import (
    TASK_ACTIONS,
    Binding,
    Review,
    TaskAbort,
    TaskAction,
    TaskBind,
    TaskHandover,
    TaskLink,
    TaskStart,
    TaskStop,
)  # fmt: skip
from pipeline.elements.state import OBSERVED_MAX, Calculation, ChannelFacts, Observed, TaskState

if TYPE_CHECKING:
    from pipeline.elements.registry import Registry
    from pipeline.elements.state import State
    from pipeline.records.envelope import Record

ATTEMPTS_MAX = 20_000
"""Combinations of sample, item and method whose attempts are counted; the oldest gives way."""


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
    elif isinstance(action, TaskHandover):
        _hand_over(task, action)
    elif isinstance(action, TaskLink):
        task.links.append(action)
    else:
        _end(task, action, record.seq)
    return task


def attempt_key(sample: str | None, item: str, method: str) -> str:
    """Name what attempts are counted for."""
    return "|".join((sample or "", item, method))


def _start(state: State, registry: Registry, record: Record, start: TaskStart) -> TaskState:
    task = TaskState(start, record.seq, record.journal.hex())
    state.tasks[start.task] = task
    state.tasks_started += 1
    key = attempt_key(start.sample, start.item, start.method)
    state.attempts.pop(key, None)
    state.attempts[key] = start.attempt
    while len(state.attempts) > ATTEMPTS_MAX:
        del state.attempts[next(iter(state.attempts))]
    for binding in start.bindings:
        _bind(task, registry, binding, start.at_run_ns)
    _prepare_calculations(task, registry)
    for name in start.instruments:
        known = state.instrument(name)
        if known.identity is not None:
            task.identities[name] = [known.identity]
        task.services[name] = [Observed(known.service, known.service_seq, known.service_run_ns)]
        if known.return_check_due:
            task.return_checks_due.append(name)
    return task


def _bind(task: TaskState, registry: Registry, binding: Binding, claimed_run_ns: int) -> None:
    task.bindings.append(binding)
    targets = [binding.target] if binding.role == "measurand" else []
    if binding.role in {"environment", "storage"}:
        found = registry.at(Environment, binding.target, task.start.at_utc_ns)
        targets = [] if found is None else [channel.target for channel in found[0].channels]
    for target in targets:
        instrument, _, channel = target.partition(".")
        end_ns = binding.to_run_ns if binding.to_run_ns is not None else task.end_run_ns
        task.channels.append(
            ChannelFacts(
                role=binding.role, owner=binding.target, instrument=instrument, channel=channel,
                from_run_ns=max(binding.from_run_ns, claimed_run_ns) if binding.late else binding.from_run_ns,
                to_run_ns=end_ns, late=binding.late,
            )
        )  # fmt: skip


def _prepare_calculations(task: TaskState, registry: Registry) -> None:
    found = registry.at(Method, task.start.method, task.start.at_utc_ns)
    for position, spec in enumerate(() if found is None else found[0].results):
        if task.start.purpose not in spec.purposes or spec.algorithm not in ALGORITHMS:
            continue
        measured = (
            facts for facts in task.channels if facts.role == "measurand" and facts.channel == spec.channel
        )
        facts = next(measured, None)
        if facts is not None and found is not None:
            task.calculations.append(
                Calculation(position, spec.algorithm, facts.instrument, facts.channel, found[0].min_load)
            )


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
