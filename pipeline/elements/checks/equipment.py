"""Equipment: identity, source, service state, warm-up, range; `metrology` and `correction` have the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.correction import judge_corrections
from pipeline.elements.checks.finding import SECOND_NS, Finding
from pipeline.elements.checks.metrology import judge_checks, judge_metrology

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case
    from pipeline.elements.state import ChannelFacts
    from pipeline.elements.vocabulary import Purpose

_SUITABLE: dict[Purpose, frozenset[str]] = {
    "test": frozenset({"in-use"}),
    "proficiency": frozenset({"in-use"}),
    "training": frozenset({"in-use", "qc"}),
    "qc": frozenset({"in-use", "qc"}),
    "intermediate-check": frozenset({"in-use", "qc", "intermediate-check"}),
    "calibration": frozenset({"in-use", "calibration"}),
    "maintenance": frozenset({"in-use", "maintenance", "fault", "out-of-service"}),
}
"""Service states in which an instrument may be used for a purpose."""
_SOURCES: dict[str, frozenset[str]] = {
    "production": frozenset({"live", "manual", "imported"}),
    "rehearsal": frozenset({"simulated", "replayed"}),
}
"""Sources that belong into a journal of a purpose; a pty or a simulator is never live."""
_RETURN_CHECKED: frozenset[Purpose] = frozenset({"test", "proficiency"})


def check_equipment(case: Case) -> Finding:
    """Judge every instrument that a bound channel comes from; those measured with, in every respect."""
    measured = set(case.task.start.instruments)
    sensors = {facts.instrument for facts in case.task.channels}
    finding = Finding({**case.window(), "instruments": {}})
    for instrument in sorted(measured | sensors):
        judge_metrology(case, finding, instrument)
        _judge_source(case, finding, instrument)
        judge_corrections(case, finding, instrument)
        if instrument in measured:
            judge_checks(case, finding, instrument)
            _judge_warm_up(case, finding, instrument)
            _judge_identity(case, finding, instrument)
            _judge_service(case, finding, instrument)
            _judge_range(case, finding, instrument)
    return finding


def _judge_identity(case: Case, finding: Finding, instrument: str) -> None:
    found = case.registry.equipment_of(instrument, case.from_utc_ns)
    if found is None:
        return
    _entry_id, equipment, version = found
    told = case.task.identities.get(instrument, [])
    finding.facts["instruments"][instrument]["told_serials"] = sorted({seen.value for seen in told})
    if equipment.serial is None and told and case.state.purpose == "production":
        about = {"instrument": instrument, "told": told[0].value}
        finding.add("hold", "identity-unregistered", instrument, told[0].seq, version.seq, **about)
    elif equipment.serial is None:
        finding.add("not_evaluated", "serial-missing", instrument, version.seq)
    elif not told and equipment.identifies:
        finding.add("not_evaluated", "identity-unknown", instrument, version.seq)
    for seen in told:
        if equipment.serial is not None and seen.value != equipment.serial:
            about = {"instrument": instrument, "told": seen.value, "registered": equipment.serial}
            finding.add("hold", "identity-mismatch", instrument, seen.seq, version.seq, **about)


def _judge_service(case: Case, finding: Finding, instrument: str) -> None:
    purpose = case.task.start.purpose
    for seen in case.task.services.get(instrument, []):
        if seen.value not in _SUITABLE[purpose]:
            about = {"instrument": instrument, "state": seen.value, "purpose": purpose}
            finding.add("hold", "service-state", instrument, seen.seq, **about)
    if instrument in case.task.return_checks_due and purpose in _RETURN_CHECKED:
        finding.add("not_evaluated", "return-check-missing", instrument, case.task.start_seq)


def _judge_source(case: Case, finding: Finding, instrument: str) -> None:
    """Judge that the readings came from what the journal is for: nothing simulated in production."""
    allowed = _SOURCES.get(case.state.purpose)
    for seen in case.task.sources.get(instrument, []) if allowed else []:
        if allowed is not None and seen.value not in allowed:
            about = {"instrument": instrument, "source": seen.value, "purpose": case.state.purpose}
            finding.add("hold", "source-not-of-purpose", instrument, seen.seq, **about)


def _judge_warm_up(case: Case, finding: Finding, instrument: str) -> None:
    """Judge the time from switching on to the start of the task."""
    found = case.registry.equipment_of(instrument, case.from_utc_ns)
    if found is None or found[1].warm_up_s is None or case.task.start.purpose == "maintenance":
        return
    on_since_ns, seq = case.task.warm.get(instrument), found[2].seq
    about = {"instrument": instrument, "needed_s": found[1].warm_up_s}
    if on_since_ns is None:
        finding.add("not_evaluated", "warm-up-unknown", instrument, seq, case.task.start_seq, **about)
    elif case.task.start.at_run_ns - on_since_ns < found[1].warm_up_s * SECOND_NS:
        on_s = (case.task.start.at_run_ns - on_since_ns) / SECOND_NS
        finding.add("hold", "warm-up-short", instrument, seq, case.task.start_seq, **about, on_s=on_s)


def _judge_range(case: Case, finding: Finding, instrument: str) -> None:
    found = case.registry.equipment_of(instrument, case.from_utc_ns)
    metrology = None if found is None else found[1].metrology
    limited = found is not None and found[1].condition == "limited"
    channels = {} if metrology is None else {one.channel: one for one in metrology.channels}
    for facts in case.channels:
        if facts.instrument != instrument or facts.channel not in channels:
            continue
        certified = channels[facts.channel]
        _judge_within(finding, facts, "range-left", certified.low, certified.high)
        if limited:
            bounds = certified.limited_low, certified.limited_high
            if bounds == (None, None):
                finding.add("not_evaluated", "limited-range-missing", facts.target, case.task.start_seq)
            _judge_within(finding, facts, "limited-range-left", *bounds)


def _judge_within(
    finding: Finding, facts: ChannelFacts, code: str, low: float | None, high: float | None
) -> None:
    about = {"channel": facts.target, "low": low, "high": high, "unit": facts.unit}
    if low is not None and facts.minimum is not None and facts.minimum < low:
        finding.add("hold", code, facts.target, facts.minimum_seq, **about, value=facts.minimum)
    if high is not None and facts.maximum is not None and facts.maximum > high:
        finding.add("hold", code, facts.target, facts.maximum_seq, **about, value=facts.maximum)
