"""Measurement: the results of a task, and the checks of its instruments with a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.formulas.calculations import compared_with_reference, spread_pct
from pipeline.elements.state import EVIDENCE_MAX

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case, Finding
    from pipeline.elements.shapes import Result
    from pipeline.elements.state import CheckOutcome, State, TaskState
    from pipeline.elements.vocabulary import Purpose

_CHECKED: frozenset[Purpose] = frozenset({"test", "proficiency"})
_CHECKING: frozenset[Purpose] = frozenset({"qc", "intermediate-check"})


def check_outcomes(case: Case, finding: Finding) -> None:
    """Judge the results, the deviation from a reference and the last check of the instruments."""
    _judge_results(case, finding)
    _judge_replicates(case, finding)
    _judge_deviation(case, finding)
    _judge_check_weight(case, finding)


def _judge_results(case: Case, finding: Finding) -> None:
    if case.task.phase == "aborted":
        return
    computed = {result.quantity for result in case.results}
    refused = {refusal.quantity: refusal for refusal in case.task.refusals if not refusal.missing}
    for spec in _expected(case):
        if case.closing and spec in refused:
            problem = {"quantity": spec, "problem": refused[spec].problem}
            finding.add("hold", "result-not-computable", spec, case.task.start_seq, **problem)
        elif spec not in computed:
            code = "result-missing" if case.closing else "result-pending"
            finding.add("not_evaluated", code, spec, case.task.start_seq)
    for result in case.results:
        finding.facts.setdefault("results", {})[result.quantity] = {
            "value": result.value,
            "unit": result.unit,
        }
        if "undecided" in result.facts:
            problem = {"quantity": result.quantity, "problem": result.facts["undecided"]}
            finding.add(
                "not_evaluated", "decision-not-possible", result.quantity, *result.seqs[:1], **problem
            )
        if result.uncertainty is None:
            finding.add("flag", "uncertainty-missing", result.quantity, *result.seqs[:1])


def _expected(case: Case) -> list[str]:
    method = case.method
    if method is None:
        return []
    return [spec.quantity for spec in method.results if case.task.start.purpose in spec.purposes]


def _judge_replicates(case: Case, finding: Finding) -> None:
    """Judge the agreement of replicates: RPD of two, RSD of more, in per cent of the mean."""
    method = case.method
    if method is None or method.replicates < 2 or not case.closing:
        return
    for result in case.results:
        if _is_check(case, result):
            continue
        values = result.facts.get("replicates", [result.value])
        about: dict[str, Any] = {"quantity": result.quantity, "count": len(values)}
        seqs = result.seqs[:EVIDENCE_MAX]
        if len(values) < method.replicates:
            needed = {**about, "needed": method.replicates}
            finding.add("hold", "replicates-missing", result.quantity, *seqs, **needed)
            continue
        limit = method.replicate_rpd_max_pct if len(values) == 2 else method.replicate_rsd_max_pct
        if limit is None:
            finding.add("not_evaluated", "replicates-limit-missing", result.quantity, *seqs, **about)
            continue
        spread = spread_pct(values)
        if spread is None:
            finding.add("not_evaluated", "replicates-not-comparable", result.quantity, *seqs, **about)
        elif spread > limit:
            found = {**about, "spread_pct": spread, "limit_pct": limit}
            finding.add("hold", "replicates-disagree", result.quantity, *seqs, **found)


def _judge_deviation(case: Case, finding: Finding) -> None:
    """Judge a check against the method's tolerance, the limit itself passes, and by |E_n| <= 1."""
    method = case.method
    if case.task.start.purpose not in _CHECKING or method is None:
        return
    for result in case.results:
        if not _is_check(case, result):
            continue
        subject, seqs = case.task.start.instruments[0], result.seqs[:EVIDENCE_MAX]
        if method.weight_tolerance is None:
            finding.add("not_evaluated", "tolerance-missing", case.task.start.method)
        elif abs(result.value) > method.weight_tolerance:
            about: dict[str, Any] = {
                "value": result.value, "tolerance": method.weight_tolerance, "unit": result.unit,
            }  # fmt: skip
            finding.add("hold", "check-weight-out-of-tolerance", subject, *seqs, **about)
        if case.task.start.purpose == "intermediate-check":
            _judge_en(finding, subject, result)


def _judge_en(finding: Finding, subject: str, result: Result) -> None:
    """Judge E_n = (x - x_ref) / √(U² + U_ref²) (ISO 13528:2022, 9.7; k = 2): the budget has both parts."""
    seqs = result.seqs[:EVIDENCE_MAX]
    if not result.uncertainty or not result.k:
        finding.add("not_evaluated", "en-not-computable", subject, *seqs, quantity=result.quantity)
        return
    en = result.value / (2.0 * result.uncertainty / result.k)
    finding.facts.setdefault("en", {})[result.quantity] = en
    if abs(en) > 1:
        finding.add("hold", "en-exceeded", subject, *seqs, value=en, quantity=result.quantity)


def _is_check(case: Case, result: Result) -> bool:
    method = case.method
    specs = () if method is None else method.results
    return any(spec.quantity == result.quantity and compared_with_reference(spec) for spec in specs)


def _judge_check_weight(case: Case, finding: Finding) -> None:
    method = case.method
    if method is None or method.check_max_age_s is None or case.task.start.purpose not in _CHECKED:
        return
    measured = {one.instrument for calculation in case.task.calculations for one in calculation.series}
    for instrument in sorted(measured):
        _judge_last_check(case, finding, instrument, method.check_max_age_s)


def _judge_last_check(case: Case, finding: Finding, instrument: str, max_age_s: float) -> None:
    last = last_check(case, instrument)
    about = {"instrument": instrument, "max_age_s": max_age_s}
    if last is None or case.task.start.at_run_ns - last.end_run_ns > max_age_s * SECOND_NS:
        code = "check-weight-pending" if check_under_way(case.task, case.state) else "check-weight-missing"
        seqs = () if last is None else (last.seq,)
        finding.add("not_evaluated", code, instrument, case.task.start_seq, *seqs, **about)
    elif last.status == "hold":
        finding.add(
            "hold", "check-weight-failed", instrument, last.seq, instrument=instrument, task=last.task
        )
    else:
        finding.facts.setdefault("check_weight", {})[instrument] = {
            "task": last.task,
            "verdict_seq": last.seq,
        }


def last_check(case: Case, instrument: str) -> CheckOutcome | None:
    """Find the last check of an instrument that ended before this task began and came to an answer."""
    known = case.state.instruments.get(instrument)
    before = [] if known is None else [
        check
        for check in known.checks
        if check.end_run_ns <= case.task.start.at_run_ns and check.status != "not_evaluated"
    ]  # fmt: skip
    return max(before, key=lambda check: (check.end_run_ns, check.seq), default=None)


def check_under_way(task: TaskState, state: State) -> bool:
    """Tell whether a check of the task's instruments that ended before it began still has no answer."""
    return task.start.purpose in _CHECKED and any(
        other.start.purpose in _CHECKING
        and other.start.control is None
        and other.phase == "stopped"
        and not _is_answered(other)
        and bool(set(task.start.instruments) & set(other.start.instruments))
        and (other.end_run_ns or 0) <= task.start.at_run_ns
        for other in state.tasks.values()
    )


def _is_answered(check: TaskState) -> bool:
    posted = check.verdicts.get("measurement")
    return check.measured and posted is not None and posted.seq is not None
