"""Equipment: the correction that readings carried is the one that the laboratory has put in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.corrections import entry_of
from pipeline.elements.corrected import channel_plan, correction_applied, instants

if TYPE_CHECKING:
    from pipeline.corrections import ChannelPlan, Uncorrected
    from pipeline.elements.checks.finding import Case, Finding
    from pipeline.elements.corrected import CorrectionSpan
    from pipeline.elements.state import ChannelFacts
    from pipeline.elements.vocabulary import VerdictStatus

_WHY: dict[Uncorrected, tuple[VerdictStatus, str]] = {
    "unknown": ("not_evaluated", "correction-unknown"),
    "other": ("hold", "correction-of-other"),
    "withdrawn": ("hold", "correction-withdrawn"),
    "unit": ("hold", "correction-unit"),
    "not-numeric": ("hold", "correction-not-numeric"),
}
"""What each reason for which a registered correction gives no values means for the equipment."""


def judge_corrections(case: Case, finding: Finding, instrument: str) -> None:
    """Judge what the readings of every bound channel carried, by the registry as it is known now."""
    applied: dict[str, str | list[str]] = {}
    for facts in case.channels:
        if facts.instrument != instrument:
            continue
        for span in facts.corrections:
            _judge_span(case, finding, facts, span)
        carried = list(dict.fromkeys(span.applied for span in facts.corrections if span.applied))
        if carried:
            applied[facts.channel] = carried[0] if len(carried) == 1 else carried
    if applied:
        finding.facts["instruments"].setdefault(instrument, {})["corrections"] = applied


def _judge_span(case: Case, finding: Finding, facts: ChannelFacts, span: CorrectionSpan) -> None:
    seqs = span.seq_first, span.seq_last
    about = {"channel": facts.target, "applied": span.applied or None}
    for at_utc_ns in instants(case.registry, facts.instrument, span.from_utc_ns, span.to_utc_ns):
        plan = channel_plan(case.registry, facts.instrument, facts.channel, at_utc_ns)
        if plan is not None and plan.why is not None:
            status, code = _WHY[plan.why]
            finding.add(status, code, facts.target, *seqs, **about, registered=entry_of(plan.applied))
        elif not _agrees(case, plan, span):
            registered = None if plan is None else entry_of(plan.applied)
            status, code = _WHY.get(span.why, ("hold", "correction-not-applied"))  # type: ignore[call-overload]
            finding.add(status, code, facts.target, *seqs, **about, registered=registered)
    if span.outside:
        correction = correction_applied(case.registry, span.applied)
        bounds = (None, None) if correction is None else (correction.low, correction.high)
        finding.add(
            "hold", "correction-out-of-range", facts.target, span.outside_seq, **about, count=span.outside,
            low=bounds[0], high=bounds[1], unit=facts.unit,
        )  # fmt: skip


def _agrees(case: Case, plan: ChannelPlan | None, span: CorrectionSpan) -> bool:
    """Tell whether readings carried what is in force; a record that only repeats it changes nothing."""
    if plan is None or not span.applied:
        return plan is None and not span.applied
    same = entry_of(plan.applied) == entry_of(span.applied)
    return same and correction_applied(case.registry, span.applied) == plan.correction
