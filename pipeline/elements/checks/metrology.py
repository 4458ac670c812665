"""Equipment: metrological status at the instants of use, the method's requirement, intermediate checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import DAY_NS, SECOND_NS
from pipeline.qc.control.decimals import exact
from pipeline.records.units import UnitError, unit

if TYPE_CHECKING:
    from fractions import Fraction

    from pipeline.elements.checks.finding import Case, Finding
    from pipeline.elements.registry_shapes import ChannelQualification, Metrology, MetrologyRequirement
    from pipeline.elements.vocabulary import Purpose, VerdictStatus

_IN_USE: frozenset[Purpose] = frozenset({"test", "proficiency", "qc"})
"""Purposes for which the intermediate checks of an instrument must be in date."""


def judge_metrology(case: Case, finding: Finding, instrument: str) -> None:
    """Judge condition, certificate and due date of the asset behind an instrument, whenever it changed."""
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
        if metrology is not None and instrument in case.task.start.instruments:
            _judge_requirements(case, finding, instrument, metrology, version.seq)


def _judge_certificate(
    case: Case, finding: Finding, instrument: str, metrology: Metrology | None, seq: int, at_utc_ns: int
) -> None:
    if metrology is None or not metrology.certificate or metrology.due_ns is None:
        finding.add("not_evaluated", "certificate-missing", instrument, seq)
        return
    about = {"instrument": instrument, "certificate": metrology.certificate, "due_utc_ns": metrology.due_ns}
    if metrology.withdrawn:
        finding.add("hold", "certificate-withdrawn", instrument, seq, **about)
    if metrology.confirmed_by is None:
        finding.add("not_evaluated", "certificate-not-confirmed", instrument, seq, **about)
    if at_utc_ns > metrology.due_ns:
        finding.add("hold", "calibration-overdue", instrument, seq, **about)
    elif at_utc_ns == case.to_utc_ns and metrology.due_ns - at_utc_ns <= case.settings.expiring_days * DAY_NS:
        finding.add("flag", "calibration-due-soon", instrument, seq, **about)


def _judge_requirements(
    case: Case, finding: Finding, instrument: str, metrology: Metrology, seq: int
) -> None:
    """Judge the certificate by what the method asks of it: kind, U and range of each channel (ISO 10012)."""
    method = case.method
    bound = {facts.channel for facts in case.task.channels if facts.instrument == instrument}
    certified = {one.channel: one for one in metrology.channels}
    for asked in () if method is None else method.metrology:
        if asked.channel not in bound:
            continue
        subject = f"{instrument}.{asked.channel}"
        if asked.kinds and metrology.kind not in asked.kinds:
            kinds = {"channel": subject, "kind": metrology.kind, "needed": ", ".join(asked.kinds)}
            finding.add("hold", "status-kind-unsuitable", subject, seq, **kinds)
        found = certified.get(asked.channel)
        if found is not None:
            _judge_capability(finding, subject, asked, found, seq)
        elif (asked.uncertainty_max, asked.low, asked.high) != (None, None, None):
            finding.add("not_evaluated", "requirement-not-confirmable", subject, seq, channel=subject)


def _judge_capability(
    finding: Finding, subject: str, asked: MetrologyRequirement, found: ChannelQualification, seq: int
) -> None:
    """Judge U and range of the certificate; figures in another unit of the same kind are converted."""
    try:
        stated_in, asked_in = unit(found.unit or asked.unit), unit(asked.unit or found.unit)
        scale = stated_in.factor / asked_in.factor
        # A range in °C is none in K: their zeros differ.
        same = (stated_in.dimension, stated_in.celsius) == (asked_in.dimension, asked_in.celsius)
    except UnitError:
        scale, same = exact(1.0), found.unit == asked.unit
    needs = [(asked.uncertainty_max, found.uncertainty), (asked.low, found.low), (asked.high, found.high)]
    if not same or any(needed is not None and stated is None for needed, stated in needs):
        finding.add("not_evaluated", "requirement-not-confirmable", subject, seq, channel=subject)
        return
    about = {"channel": subject, "unit": found.unit}
    limit, stated = asked.uncertainty_max, found.uncertainty
    if limit is not None and stated is not None and exact(stated) * scale > exact(limit):
        worse = {"uncertainty": stated, "needed": limit}
        finding.add("hold", "uncertainty-above-requirement", subject, seq, **about, **worse)
    if not (_reaches(found.low, asked.low, scale, -1) and _reaches(found.high, asked.high, scale, 1)):
        covered = {"low": found.low, "high": found.high, "needed_low": asked.low, "needed_high": asked.high}
        finding.add("hold", "range-below-requirement", subject, seq, **about, **covered)


def _reaches(stated: float | None, needed: float | None, scale: Fraction, sign: int) -> bool:
    if needed is None or stated is None:
        return True
    return (exact(stated) * scale - exact(needed)) * sign >= 0


def judge_checks(case: Case, finding: Finding, instrument: str) -> None:
    """Judge the intermediate checks of an instrument: the last one passed, and is as recent as planned."""
    found = case.registry.equipment_of(instrument, case.from_utc_ns)
    plan = None if found is None else found[1].check_plan
    if found is None or plan is None or case.task.start.purpose not in _IN_USE:
        return
    known = case.state.instruments.get(instrument)
    start_ns = case.task.start.at_run_ns
    before = [
        check
        for check in (() if known is None else known.checks)
        if check.method == plan.method and check.end_run_ns <= start_ns and check.status != "not_evaluated"
    ]
    last = max(before, key=lambda check: (check.end_run_ns, check.seq), default=None)
    about = {"instrument": instrument, "method": plan.method, "interval_s": plan.interval_s}
    if last is None:
        seqs = found[2].seq, case.task.start_seq
        finding.add("not_evaluated", "intermediate-check-missing", instrument, *seqs, **about)
    elif last.status == "hold":
        finding.add("hold", "intermediate-check-failed", instrument, last.seq, **about, task=last.task)
    elif start_ns - last.end_run_ns > plan.interval_s * SECOND_NS:
        age_s = (start_ns - last.end_run_ns) / SECOND_NS
        finding.add("hold", "intermediate-check-overdue", instrument, last.seq, **about, age_s=age_s)
