"""Measurement: flags of the readings that count, completeness, the result itself, the daily check weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.algorithms import ALGORITHMS, used_readings
from pipeline.elements.batches.check import check_controls
from pipeline.elements.checks.finding import SECOND_NS, Finding
from pipeline.elements.state import EVIDENCE_MAX
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case
    from pipeline.elements.state import Calculation, ChannelFacts, CheckOutcome, GapFacts, State, TaskState
    from pipeline.elements.vocabulary import Purpose

_CHECKED: frozenset[Purpose] = frozenset({"test", "proficiency"})
_CHECKING: frozenset[Purpose] = frozenset({"qc", "intermediate-check"})


def check_measurement(case: Case) -> Finding:
    """Judge the readings of the measurand channels and what was made of them."""
    finding = Finding({**case.window(), "channels": {}})
    channels = [facts for facts in case.task.channels if facts.role == "measurand"]
    if not channels:
        finding.add("not_evaluated", "measurand-missing", case.task.id, case.task.start_seq)
    selected = {
        (progress.instrument, progress.channel)
        for progress in case.task.calculations
        if ALGORITHMS[progress.algorithm].selects
    }
    for facts in channels:
        _judge_completeness(case, finding, facts)
        if (facts.instrument, facts.channel) not in selected:
            _judge_window(finding, facts)
    for progress in case.task.calculations:
        _judge_used(finding, progress)
    _judge_results(case, finding)
    _judge_deviation(case, finding)
    _judge_check_weight(case, finding)
    check_controls(case, finding)
    return finding


def _judge_completeness(case: Case, finding: Finding, facts: ChannelFacts) -> None:
    end_ns = case.end_run_ns if facts.to_run_ns is None else facts.to_run_ns
    gaps = case.task.gaps.get(facts.instrument, [])
    polls = sum(_polls_within(gap, facts.from_run_ns, end_ns) for gap in gaps)
    expected = facts.rows - facts.unsettled + polls
    method = case.method
    finding.facts["channels"][facts.target] = {
        "rows": facts.rows, "good": facts.good, "missing": facts.missing, "unsettled": facts.unsettled,
        "gap_polls": polls, "failed": facts.failed + facts.decided_failed,
        "suspect": facts.suspect + facts.decided_suspect, "min": facts.minimum, "max": facts.maximum,
        "unit": facts.unit, "seq_first": facts.seq_first, "seq_last": facts.seq_last,
    }  # fmt: skip
    if facts.good == 0:
        finding.add("not_evaluated", "no-readings", facts.target, facts.seq_first)
        return
    share = facts.good / expected
    about = {"channel": facts.target, "share": share, "gap_polls": polls, "missing": facts.missing}
    if method is not None and share < method.completeness_min:
        seqs = [gap.seq for gap in gaps]
        finding.add("hold", "completeness-low", facts.target, *seqs, **about, limit=method.completeness_min)
    elif polls or facts.missing:
        finding.add("flag", "readings-lost", facts.target, *(gap.seq for gap in gaps), **about)
    if facts.late:
        finding.add("not_evaluated", "measurand-bound-late", facts.target, case.task.start_seq)


def _polls_within(gap: GapFacts, from_run_ns: int, to_run_ns: int) -> int:
    """Count the polls of a gap that fall into a window: they are evenly spaced, a part counts whole."""
    inside_ns = min(gap.to_run_ns, to_run_ns) - max(gap.from_run_ns, from_run_ns)
    length_ns = gap.to_run_ns - gap.from_run_ns
    if inside_ns <= 0 or length_ns <= 0:
        return 0
    return -(-gap.polls * inside_ns // length_ns)


def _judge_window(finding: Finding, facts: ChannelFacts) -> None:
    failed, suspect = facts.failed + facts.decided_failed, facts.suspect + facts.decided_suspect
    if failed:
        finding.add("hold", "readings-failed", facts.target, *facts.failed_seqs, count=failed)
    if suspect:
        finding.add("flag", "readings-suspect", facts.target, *facts.suspect_seqs, count=suspect)


def _judge_used(finding: Finding, progress: Calculation) -> None:
    if not ALGORITHMS[progress.algorithm].selects:
        return
    target = f"{progress.instrument}.{progress.channel}"
    used = used_readings(progress)
    failed = [reading.flag_seq for reading in used if reading.flag == Flag.FAIL]
    suspect = [reading.flag_seq for reading in used if reading.flag == Flag.SUSPECT]
    if failed:
        finding.add("hold", "readings-failed", target, *failed[:EVIDENCE_MAX], count=len(failed))
    if suspect:
        finding.add("flag", "readings-suspect", target, *suspect[:EVIDENCE_MAX], count=len(suspect))


def _judge_results(case: Case, finding: Finding) -> None:
    if case.task.phase == "aborted":
        return
    computed = {result.quantity for result in case.results}
    for spec in _expected(case):
        if spec not in computed:
            code = "result-missing" if case.closing else "result-pending"
            finding.add("not_evaluated", code, spec, case.task.start_seq)
    for result in case.results:
        finding.facts.setdefault("results", {})[result.quantity] = {
            "value": result.value,
            "unit": result.unit,
        }
        if result.uncertainty is None:
            finding.add("flag", "uncertainty-missing", result.quantity, *result.seqs[:1])


def _expected(case: Case) -> list[str]:
    method = case.method
    if method is None:
        return []
    return [spec.quantity for spec in method.results if case.task.start.purpose in spec.purposes]


def _judge_deviation(case: Case, finding: Finding) -> None:
    """Judge a check against the method's tolerance; the limit itself passes."""
    method = case.method
    if case.task.start.purpose not in _CHECKING or method is None:
        return
    for result in case.results:
        if not ALGORITHMS[result.algorithm].needs_reference:
            continue
        if method.weight_tolerance is None:
            finding.add("not_evaluated", "tolerance-missing", case.task.start.method)
        elif abs(result.value) > method.weight_tolerance:
            about: dict[str, Any] = {
                "value": result.value, "tolerance": method.weight_tolerance, "unit": result.unit,
            }  # fmt: skip
            subject = case.task.start.instruments[0]
            finding.add(
                "hold", "check-weight-out-of-tolerance", subject, *result.seqs[:EVIDENCE_MAX], **about
            )


def _judge_check_weight(case: Case, finding: Finding) -> None:
    method = case.method
    if method is None or method.check_max_age_s is None or case.task.start.purpose not in _CHECKED:
        return
    for instrument in sorted({progress.instrument for progress in case.task.calculations}):
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
