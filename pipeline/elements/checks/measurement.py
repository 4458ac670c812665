"""Measurement: flags of the readings that count, completeness, unit and resolution, redundant sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.batches.check import check_controls
from pipeline.elements.checks.finding import Finding
from pipeline.elements.checks.outcomes import check_outcomes
from pipeline.elements.formulas.calculations import selects
from pipeline.elements.formulas.series import used_readings
from pipeline.elements.hand.check import judge_entries
from pipeline.elements.state import EVIDENCE_MAX
from pipeline.elements.steps.engine import fits
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case
    from pipeline.elements.formulas.progress import SeriesProgress
    from pipeline.elements.state import ChannelFacts, GapFacts


def check_measurement(case: Case) -> Finding:
    """Judge the readings of the measurand channels and what was made of them."""
    finding = Finding({**case.window(), "channels": {}})
    channels = [facts for facts in case.channels if facts.role == "measurand"]
    if not channels:
        finding.add("not_evaluated", "measurand-missing", case.task.id, case.task.start_seq)
    series = [one for calculation in case.task.calculations for one in calculation.series]
    selected = {one.target for one in series} - {one.target for one in series if not selects(one)}
    for facts in channels:
        _judge_completeness(case, finding, facts)
        _judge_display(finding, facts)
        if facts.target not in selected:
            _judge_window(finding, facts)
    for one in series:
        if one.target in selected:
            _judge_used(finding, one)
    _judge_redundant(case, finding)
    judge_entries(case, finding)
    check_outcomes(case, finding)
    check_controls(case, finding)
    return finding


def _judge_completeness(case: Case, finding: Finding, facts: ChannelFacts) -> None:
    end_ns = case.end_run_ns if facts.to_run_ns is None else facts.to_run_ns
    gaps = case.task.gaps.get(facts.instrument, [])
    # A channel that is asked for in every tenth poll lost a tenth of them; a part counts whole.
    polls = -(-sum(_polls_within(gap, facts.from_run_ns, end_ns) for gap in gaps) // facts.every)
    expected = facts.rows - facts.unsettled + polls
    method = case.method
    finding.facts["channels"][facts.target] = {
        "rows": facts.rows, "good": facts.good, "missing": facts.missing, "unsettled": facts.unsettled,
        "gap_polls": polls, "failed": facts.failed + facts.decided_failed,
        "suspect": facts.suspect + facts.decided_suspect, "min": facts.minimum, "max": facts.maximum,
        "unit": facts.unit, "seq_first": facts.seq_first, "seq_last": facts.seq_last,
    }  # fmt: skip
    if facts.late:
        finding.add("not_evaluated", "measurand-bound-late", facts.target, case.task.start_seq)
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
    answered = facts.good + facts.unsettled
    if method is not None and facts.unsettled > method.unsettled_max * answered:
        count = {"channel": facts.target, "count": facts.unsettled, "answers": answered}
        finding.add("flag", "readings-unstable", facts.target, facts.seq_first, **count)


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


def _judge_used(finding: Finding, series: SeriesProgress) -> None:
    used = used_readings(series)
    failed = [reading.flag_seq for reading in used if reading.flag == Flag.FAIL]
    suspect = [reading.flag_seq for reading in used if reading.flag == Flag.SUSPECT]
    if failed:
        finding.add("hold", "readings-failed", series.target, *failed[:EVIDENCE_MAX], count=len(failed))
    if suspect:
        finding.add("flag", "readings-suspect", series.target, *suspect[:EVIDENCE_MAX], count=len(suspect))


def _judge_display(finding: Finding, facts: ChannelFacts) -> None:
    """Judge that unit and resolution stayed what they were: a balance switched to lb reads on as before."""
    if facts.unit_before is not None:
        about = {"channel": facts.target, "before": facts.unit_before, "after": facts.unit}
        finding.add("hold", "unit-changed", facts.target, facts.unit_seq, **about)
    if facts.decimals_seq >= 0:
        digits = {"channel": facts.target, "before": facts.decimals_before, "after": facts.decimals}
        finding.add("flag", "resolution-changed", facts.target, facts.decimals_seq, **digits)


def _judge_redundant(case: Case, finding: Finding) -> None:
    """Judge channels that measure the same by the greatest difference of readings close in time."""
    method, steps = case.method, case.task.steps
    if method is None or not method.redundant or not fits(steps, method):
        return
    for rule, pair, compared in zip(method.redundant, steps.pairs, steps.compared, strict=True):
        subject = " / ".join(rule.channels)
        if not compared.count:
            if case.closing or not pair:
                finding.add("not_evaluated", "redundant-not-compared", subject, case.task.start_seq)
        elif compared.difference_max is not None and compared.difference_max > rule.difference_max:
            about = {"channels": subject, "value": compared.difference_max, "limit": rule.difference_max}
            seqs = compared.seq, compared.other_seq
            finding.add(rule.on_disagreement, "redundant-disagreement", subject, *seqs, **about)
