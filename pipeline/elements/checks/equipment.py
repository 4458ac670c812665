"""Equipment: metrological status at the instants of use, identity, condition, service state, range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import DAY_NS, Finding

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case
    from pipeline.elements.registry_shapes import Equipment, Metrology
    from pipeline.elements.vocabulary import Purpose, VerdictStatus

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
_RETURN_CHECKED: frozenset[Purpose] = frozenset({"test", "proficiency"})


def check_equipment(case: Case) -> Finding:
    """Judge every instrument that a bound channel comes from; those measured with, in every respect."""
    measured = set(case.task.start.instruments)
    sensors = {facts.instrument for facts in case.task.channels}
    finding = Finding({**case.window(), "instruments": {}})
    for instrument in sorted(measured | sensors):
        _judge_metrology(case, finding, instrument)
        if instrument in measured:
            _judge_identity(case, finding, instrument)
            _judge_service(case, finding, instrument)
            _judge_range(case, finding, instrument)
    return finding


def _judge_metrology(case: Case, finding: Finding, instrument: str) -> None:
    for at_utc_ns in case.registry.equipment_instants(instrument, case.from_utc_ns, case.to_utc_ns):
        found = case.registry.equipment_of(instrument, at_utc_ns)
        if found is None:
            finding.add("not_evaluated", "equipment-unregistered", instrument, case.task.start_seq)
            continue
        entry_id, equipment, version = found
        metrology = equipment.metrology
        finding.facts["instruments"][instrument] = {
            "equipment": entry_id,
            "registry_seq": version.seq,
            "certificate": None if metrology is None else metrology.certificate,
            "due_utc_ns": None if metrology is None else metrology.due_ns,
        }
        if equipment.condition != "qualified":
            status: VerdictStatus = "hold" if equipment.condition == "stopped" else "flag"
            finding.add(status, f"equipment-{equipment.condition}", instrument, version.seq)
        _judge_certificate(case, finding, instrument, metrology, version.seq, at_utc_ns)


def _judge_certificate(
    case: Case, finding: Finding, instrument: str, metrology: Metrology | None, seq: int, at_utc_ns: int
) -> None:
    if metrology is None or not metrology.certificate or metrology.due_ns is None:
        finding.add("not_evaluated", "certificate-missing", instrument, seq)
        return
    about = {"instrument": instrument, "certificate": metrology.certificate, "due_utc_ns": metrology.due_ns}
    if metrology.confirmed_by is None:
        finding.add("not_evaluated", "certificate-not-confirmed", instrument, seq, **about)
    if at_utc_ns > metrology.due_ns:
        finding.add("hold", "calibration-overdue", instrument, seq, **about)
    elif at_utc_ns == case.to_utc_ns and metrology.due_ns - at_utc_ns <= case.settings.expiring_days * DAY_NS:
        finding.add("flag", "calibration-due-soon", instrument, seq, **about)


def _judge_identity(case: Case, finding: Finding, instrument: str) -> None:
    found = case.registry.equipment_of(instrument, case.from_utc_ns)
    if found is None:
        return
    _entry_id, equipment, version = found
    told = case.task.identities.get(instrument, [])
    finding.facts["instruments"][instrument]["told_serials"] = sorted({seen.value for seen in told})
    if equipment.serial is None:
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


def _judge_range(case: Case, finding: Finding, instrument: str) -> None:
    found = case.registry.equipment_of(instrument, case.from_utc_ns)
    if found is None:
        return
    ranges = _ranges(found[1])
    for facts in case.task.channels:
        if facts.instrument != instrument or facts.channel not in ranges or facts.minimum is None:
            continue
        low, high = ranges[facts.channel]
        about = {"channel": facts.target, "low": low, "high": high, "unit": facts.unit}
        if low is not None and facts.minimum < low:
            finding.add("hold", "range-left", facts.target, facts.minimum_seq, **about, value=facts.minimum)
        if high is not None and facts.maximum is not None and facts.maximum > high:
            finding.add("hold", "range-left", facts.target, facts.maximum_seq, **about, value=facts.maximum)


def _ranges(equipment: Equipment) -> dict[str, tuple[float | None, float | None]]:
    if equipment.metrology is None:
        return {}
    return {channel.channel: (channel.low, channel.high) for channel in equipment.metrology.channels}
