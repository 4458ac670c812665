"""Quality controls that came to a result: their outcomes, as `control` records."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.elements.batches.charting import Observation, observe
from pipeline.elements.batches.figures import FIGURES, KINDS, Figure, Inputs
from pipeline.elements.batches.shapes import ControlOutcome
from pipeline.elements.batches.state import HISTORY_MAX, OUTCOMES_MAX, Judged, history_key
from pipeline.elements.codec import to_body
from pipeline.elements.registry_shapes import Method
from pipeline.elements.shapes import Draft

if TYPE_CHECKING:
    from pipeline.elements.batches.charting import OnChart
    from pipeline.elements.batches.shapes import ControlAssess
    from pipeline.elements.registry import Registry
    from pipeline.elements.registry_shapes import CertifiedValue, QcItem
    from pipeline.elements.shapes import Control, Result
    from pipeline.elements.state import State, TaskState


class _Reference(NamedTuple):
    """What a result is compared with; `waits` while that is still to come."""

    value: float | None = None
    uncertainty: float | None = None
    k: float | None = None
    unit: str = ""
    sigma: float | None = None
    waits: bool = False


def judge_measured(task: TaskState, state: State, registry: Registry) -> list[Draft]:
    """Judge the controls to which a task that was just measured brings what was missing.

    Called once for each task, when its results are there.
    """
    drafts = judge_control(task, state, registry)
    for other in state.tasks.values():
        if other.start.control is not None and other.start.control.of == task.id and other is not task:
            drafts += judge_control(other, state, registry)
    return drafts


def judge_control(task: TaskState, state: State, registry: Registry) -> list[Draft]:
    """Judge a control in each quantity that can be judged now and is not yet."""
    control = task.start.control
    if control is None or not task.measured or task.phase != "stopped":
        return []
    found = registry.at(Method, task.start.method, task.start.at_utc_ns)
    method = None if found is None else found[0]
    drafts = []
    for quantity in _quantities(task, method):
        item = plan_item(method, control, quantity)
        outcome = _judge(task, control, quantity, item, state)
        if outcome is not None:
            drafts.append(_post(task, outcome, state))
    return drafts


def _quantities(task: TaskState, method: Method | None) -> list[str]:
    promised = () if method is None else method.results
    expected = [spec.quantity for spec in promised if task.start.purpose in spec.purposes]
    return list(dict.fromkeys([*expected, *(result.quantity for result in task.results)]))


def plan_item(method: Method | None, control: Control, quantity: str) -> QcItem | None:
    """Find the line of the method's plan that a control is judged by."""
    lines = () if method is None else method.qc
    return next(
        (line for line in lines if line.kind == control.kind and line.quantity in {None, quantity}), None
    )


def _judge(
    task: TaskState, control: Control, quantity: str, item: QcItem | None, state: State
) -> ControlOutcome | None:
    """Judge one quantity; None while it waits for its counterpart, or when nothing changed."""
    usual = KINDS[control.kind]
    known = next(
        (
            past.outcome
            for past in state.batches.outcomes.get(task.id, ())
            if past.outcome.quantity == quantity
        ),
        None,
    )
    charted = usual.score == "chart" and (item is None or item.score in {None, "chart"})
    if known is not None and (charted or not usual.revealed):
        return None  # an observation is on its chart once, and a counterpart has one result
    result = next((one for one in task.results if one.quantity == quantity), None)
    said = _chart(task, control, quantity, result, item, state) if charted else None
    if said is not None and said.chart is not None:
        return _charted(task, control, quantity, result, said)
    reference = _reference(task, control, quantity, state)
    if reference.waits:
        return None
    figure = _figure(control, result, reference, item)
    if charted and figure.why in {"no-reference", "no-uncertainty"}:
        figure = Figure("chart-z", None, "not-evaluated", "no-chart")
    outcome = _outcome(task, control, quantity, result, figure, item, reference, said)
    return None if known == outcome else outcome


def _chart(
    task: TaskState, control: Control, quantity: str, result: Result | None, item: QcItem | None, state: State
) -> OnChart | None:
    if _expired(task, control):
        return None
    batch = None if task.start.batch is None else state.batches.batches.get(task.start.batch)
    if batch is None:
        state.batches.runs += 1
    seen = Observation(
        task=task.id, method=task.start.method, instrument=task.start.instruments[0], quantity=quantity,
        material=control.material or "", lot=control.lot, level=control.level, batch=task.start.batch,
        place=task.start.place, run=state.batches.runs if batch is None else batch.run,
        value=None if result is None else result.value, unit="" if result is None else result.unit,
        at_utc_ns=task.end_utc_ns or task.start.at_utc_ns,
    )  # fmt: skip
    return observe(state.batches, seen, item)


def _expired(task: TaskState, control: Control) -> bool:
    return control.expiry_ns is not None and (task.end_utc_ns or task.start.at_utc_ns) >= control.expiry_ns


def _charted(
    task: TaskState, control: Control, quantity: str, result: Result | None, said: OnChart
) -> ControlOutcome:
    chart = said.chart
    assert chart is not None  # noqa: S101 - the caller looked
    lines = chart.lines()
    figure = Figure("chart-z", said.z, said.status, "no-result" if result is None else "")
    outcome = _outcome(task, control, quantity, result, figure, None, _Reference(chart.centre), said)
    return ControlOutcome(**{
        **{name: getattr(outcome, name) for name in ControlOutcome.__slots__},
        "low": lines.low_3, "high": lines.high_3, "chart_version": chart.version, "rules": said.rules,
        "z": said.z, "missing_before": said.missing_before,
    })  # fmt: skip


def _reference(task: TaskState, control: Control, quantity: str, state: State) -> _Reference:
    """Find what the result is compared with: another task's, a value told afterwards, or a certificate."""
    usual = KINDS[control.kind]
    if usual.paired:
        return _counterpart(control, quantity, state)
    told = [one for one in state.batches.assessed.get(task.id, ()) if one.quantity == quantity]
    if told:
        return _Reference(told[-1].assigned, told[-1].uncertainty, told[-1].k, "", told[-1].sigma)
    certified = _certified(control, quantity)
    if certified is not None and not usual.revealed:
        return _Reference(certified.value, certified.uncertainty, certified.k, certified.unit)
    return _Reference(waits=usual.revealed)


def _counterpart(control: Control, quantity: str, state: State) -> _Reference:
    other = state.tasks.get(control.of or "")
    if other is None or other.phase == "aborted":
        return _Reference()
    if not other.measured:
        return _Reference(waits=True)
    result = next((one for one in other.results if one.quantity == quantity), None)
    if result is None:
        return _Reference()
    return _Reference(result.value, result.uncertainty, result.k, result.unit)


def _certified(control: Control, quantity: str) -> CertifiedValue | None:
    return next((value for value in control.certified if value.quantity == quantity), None)


def _figure(control: Control, result: Result | None, reference: _Reference, item: QcItem | None) -> Figure:
    usual = KINDS[control.kind]
    score = usual.score if item is None or item.score is None else item.score
    if result is None:
        return Figure(score, None, "not-evaluated", "no-result")
    if reference.unit and reference.unit != result.unit:
        return Figure(score, None, "not-evaluated", "unit-differs")
    sigma = reference.sigma if reference.sigma is not None or item is None else item.sigma
    low, high = limits_of(control, item)
    return FIGURES[score](
        Inputs(
            result.value, result.uncertainty, result.k, reference.value, reference.uncertainty,
            reference.k, control.added, sigma, low, high,
        )
    )  # fmt: skip


def limits_of(control: Control, item: QcItem | None) -> tuple[float | None, float | None]:
    """Give the limits of a control's figure: the plan's, else what is usual for the kind."""
    usual = KINDS[control.kind]
    if item is not None and (item.low is not None or item.high is not None):
        return item.low, item.high
    return usual.low, usual.high


def _outcome(  # noqa: PLR0917 - an outcome says this much
    task: TaskState, control: Control, quantity: str, result: Result | None, figure: Figure,
    item: QcItem | None, reference: _Reference, said: OnChart | None,
) -> ControlOutcome:  # fmt: skip
    low, high = limits_of(control, item)
    status, why = figure.status, figure.why
    if _expired(task, control):
        status, why = "not-evaluated", "material-expired"
    return ControlOutcome(
        task=task.id, kind=control.kind, quantity=quantity, status=status, figure=figure.value,
        figure_name=figure.name, low=low, high=high, value=None if result is None else result.value,
        unit="" if result is None else result.unit, method=task.start.method,
        instruments=task.start.instruments, batch=task.start.batch, place=task.start.place,
        at_run_ns=task.end_run_ns or 0, at_utc_ns=task.end_utc_ns or 0, why=why, of=control.of,
        assigned=reference.value, material=control.material or "", lot=control.lot, level=control.level,
        chart="" if said is None else said.key, seqs=() if result is None else result.seqs,
    )  # fmt: skip


def _post(task: TaskState, outcome: ControlOutcome, state: State) -> Draft:
    """Put an outcome into force; it supersedes an earlier one of the same task and quantity."""
    batches, judged = state.batches, Judged(outcome)

    def without(known: list[Judged]) -> list[Judged]:
        return [
            one
            for one in known
            if (one.outcome.task, one.outcome.quantity) != (outcome.task, outcome.quantity)
        ]

    batches.outcomes[task.id] = [*without(batches.outcomes.pop(task.id, [])), judged]
    while len(batches.outcomes) > OUTCOMES_MAX:
        del batches.outcomes[next(iter(batches.outcomes))]
    for instrument in outcome.instruments:
        key = history_key(outcome.method, instrument, outcome.kind)
        batches.history[key] = [*without(batches.history.get(key, [])), judged][-HISTORY_MAX:]
    return Draft("control", to_body(outcome))


def note_assessment(task: TaskState, assessed: ControlAssess, state: State) -> None:
    """Remember a value that was told afterwards."""
    known = state.batches.assessed.setdefault(task.id, [])
    known[:] = [one for one in known if one.quantity != assessed.quantity]
    known.append(assessed)
