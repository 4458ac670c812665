"""From findings to records: results, verdicts that supersede one another, holds that only a person lifts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.elements.batches.controls import judge_measured
from pipeline.elements.batches.state import waits_for_batch
from pipeline.elements.checks import CHECKS, Case, Finding, check_under_way
from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.codec import to_body
from pipeline.elements.formulas.calculations import compute_results
from pipeline.elements.lookback.check import check_look_backs
from pipeline.elements.shapes import Draft, Reason, Verdict
from pipeline.elements.state import CheckOutcome, Posted
from pipeline.elements.steps.engine import advance, finish, fits
from pipeline.elements.vocabulary import ELEMENTS, STATUS_RANK
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from pipeline.elements.registry import Registry
    from pipeline.elements.settings import ElementsSettings
    from pipeline.elements.state import State, TaskState
    from pipeline.elements.vocabulary import Element, Finality

_CHECKING = frozenset({"qc", "intermediate-check"})
CHECKS_MAX = 32
"""Outcomes of checks kept for one instrument: the last ones."""


def judge(
    task: TaskState, state: State, registry: Registry, settings: ElementsSettings,
    now_run_ns: int, cause: tuple[str, int],
) -> list[Draft]:  # fmt: skip
    """Judge every element of a task as of `now_run_ns` and draft what changed.

    `cause` is the kind and the seq of the record that led to it.
    """
    drafts = []
    closing = task.measured or _closes(task, state, settings, now_run_ns)
    case = Case(task, state, registry, settings, now_run_ns, closing)
    if case.method is not None and fits(task.steps, case.method):
        advance(task.steps, case.method, now_run_ns)
        if closing:
            finish(task.steps, case.method, case.end_run_ns)
    if closing and not task.measured:
        task.measured = True
        task.results, task.refusals = compute_results(task, registry)
        drafts += [Draft("result", to_body(result)) for result in task.results]
        drafts += judge_measured(task, state, registry)
    if closing:
        case = replace(case, results=tuple(task.results))
    task.final = task.final or (task.measured and not waits_for_batch(task, state))
    for element in ELEMENTS:
        finding = CHECKS[element](case)
        check_look_backs(case, element, finding)
        drafts += _judge_element(case, element, finding, cause)
    return drafts


def _closes(task: TaskState, state: State, settings: ElementsSettings, now_run_ns: int) -> bool:
    """Tell whether all rows of the task have arrived and are decided, or have been waited for long enough."""
    if task.end_run_ns is None:
        return False
    if now_run_ns >= task.end_run_ns + round(settings.decide_limit * SECOND_NS):
        return True
    if not task.settled:
        return False
    return not undecided(task, state) and not check_under_way(task, state)


def undecided(task: TaskState, state: State) -> dict[str, str]:
    """Map each bound channel that has rows which a rule has not decided to that rule."""
    waiting = {}
    for facts in task.channels:
        known = state.instruments.get(facts.instrument)
        for rule, decided_through_n in {} if known is None else known.decided.items():
            if facts.n_last > decided_through_n:
                waiting[facts.target] = rule
    return waiting


def _judge_element(case: Case, element: Element, finding: Finding, cause: tuple[str, int]) -> list[Draft]:
    task = case.task
    if element == "measurement" and case.closing:
        for target, rule in undecided(task, case.state).items():
            finding.add("not_evaluated", "rows-undecided", target, rule=rule)
    finality: Finality = "final" if task.final else "provisional"
    posted = task.verdicts.get(element)
    before = None if posted is None else posted.verdict
    reasons = tuple(finding.reasons)
    if before is not None and _same(before, finality, finding):
        return []
    verdict = Verdict(
        task=task.id, element=element, status=finding.status, finality=finality,
        supersedes=None if posted is None else posted.seq, cause=cause[0], cause_seq=cause[1],
        late=element in task.held and finding.status in {"ok", "flag"},
        reasons=reasons, facts=finding.facts,
    )  # fmt: skip
    task.verdicts[element] = Posted(verdict)
    drafts = [Draft("verdict", to_body(verdict))]
    if _adds_hold(case, before, verdict):
        drafts += _hold_events(case, before, verdict)
        if element not in task.held:
            task.held.append(element)
    return drafts


def _same(before: Verdict, finality: Finality, finding: Finding) -> bool:
    """Tell whether a verdict says what is in force already: growing counts alone are no change."""
    return (
        before.status == finding.status
        and before.finality == finality
        and _keys(before.reasons) == _keys(tuple(finding.reasons))
    )


def _keys(reasons: tuple[Reason, ...]) -> set[tuple[str, str]]:
    return {(reason.code, reason.subject) for reason in reasons}


def holds(case: Case, verdict: Verdict) -> bool:
    """Tell whether a verdict holds the result: a breach, or at the end a missing fact that is required."""
    if verdict.status == "hold":
        return True
    if verdict.status != "not_evaluated" or verdict.finality != "final":
        return False
    method = case.method
    return method is None or not method.required_elements or verdict.element in method.required_elements


def _adds_hold(case: Case, before: Verdict | None, verdict: Verdict) -> bool:
    """Tell whether a verdict holds for a reason that no person has seen yet."""
    if case.task.phase == "aborted" or not holds(case, verdict):
        return False
    if before is None or not holds(case, before):
        return True
    worse = STATUS_RANK[verdict.status] > STATUS_RANK[before.status]
    return worse or bool(_keys(verdict.reasons) - _keys(before.reasons))


def _hold_events(case: Case, before: Verdict | None, verdict: Verdict) -> list[Draft]:
    """Draft one event for each new reason that holds: people read events, not verdicts."""
    known = _keys(before.reasons) if before is not None and holds(case, before) else set()
    holding = {"hold", "not_evaluated"} if verdict.finality == "final" else {"hold"}
    return [
        hold_event(verdict, reason)
        for reason in verdict.reasons
        if reason.status in holding and (reason.code, reason.subject) not in known
    ]


def hold_event(verdict: Verdict, reason: Reason) -> Draft:
    """Draft the event that tells people for which reason a verdict holds its result."""
    told = event_body(
        "element-held", task=verdict.task, element=verdict.element, reason=reason.code,
        subject=reason.subject, details=dict(reason.args),
    )  # fmt: skip
    return Draft("event", told)


def note_check(task: TaskState, state: State, seq: int) -> None:
    """Remember the outcome of a finished check for the instruments that it checked."""
    if task.start.purpose not in _CHECKING or task.phase != "stopped" or not task.measured:
        return
    if task.start.control is not None:
        return  # a blank or a duplicate says nothing of the instrument's calibration
    statuses = [task.verdicts[element].verdict.status for element in ("measurement", "material")]
    outcome = CheckOutcome(
        task.id, task.end_run_ns or 0, max(statuses, key=STATUS_RANK.__getitem__), seq,
        purpose=task.start.purpose, method=task.start.method,
    )  # fmt: skip
    for name in task.start.instruments:
        instrument = state.instrument(name)
        instrument.checks = [check for check in instrument.checks if check.task != task.id][-CHECKS_MAX + 1 :]
        instrument.checks.append(outcome)
        if outcome.status in {"ok", "flag"}:
            instrument.return_check_due = False
