"""Material: hold time, storage and custody of the sample, its identity; references and reagents in date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import SECOND_NS, Finding
from pipeline.elements.checks.keeping import judge_keeping
from pipeline.elements.registry_shapes import Material

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case
    from pipeline.elements.vocabulary import Purpose

_OF_SAMPLES: frozenset[Purpose] = frozenset({"test", "proficiency"})
_OF_REFERENCES: frozenset[Purpose] = frozenset({"qc", "intermediate-check"})


def check_material(case: Case) -> Finding:
    """Judge the sample at the start of the test, references and reagents at both ends of their bindings."""
    finding = Finding({**case.window(), "sample": case.task.start.sample})
    if case.task.start.sample is not None:
        _judge_sample(case, finding, case.task.start.sample)
        judge_keeping(case, finding, case.task.start.sample)
    elif case.task.start.purpose in _OF_SAMPLES:
        finding.add("not_evaluated", "sample-missing", case.task.id, case.task.start_seq)
    control = case.task.start.control
    compared = control is not None and control.kind != "qc-sample"
    if case.task.start.purpose in _OF_REFERENCES and not compared and not case.task.bound("reference"):
        finding.add("not_evaluated", "reference-missing", case.task.id, case.task.start_seq)
    for role in ("reference", "reagent"):
        for binding in case.task.bound(role):
            to_run_ns = case.end_run_ns if binding.to_run_ns is None else binding.to_run_ns
            _judge_expiry(case, finding, binding.target, case.task.utc_at(to_run_ns))
    return finding


def _judge_sample(case: Case, finding: Finding, sample: str) -> None:
    found = case.registry.at(Material, sample, case.from_utc_ns)
    if found is None:
        finding.add("not_evaluated", "material-unknown", sample, case.task.start_seq)
        return
    material, version = found
    method = case.method
    if material.hold_limit_s is None:
        if method is None or method.hold_time_required:
            finding.add("not_evaluated", "hold-limit-missing", sample, version.seq)
        return
    if material.received_at_ns is None:
        finding.add("not_evaluated", "received-at-missing", sample, version.seq)
        return
    age_ns = case.from_utc_ns - material.received_at_ns
    finding.facts.update(
        received_utc_ns=material.received_at_ns, age_s=age_ns / SECOND_NS, limit_s=material.hold_limit_s
    )
    about = {"sample": sample, "age_s": age_ns / SECOND_NS, "limit_s": material.hold_limit_s}
    if age_ns < 0:
        finding.add("hold", "received-after-start", sample, version.seq, case.task.start_seq, **about)
    elif age_ns > material.hold_limit_s * SECOND_NS:
        finding.add("hold", "hold-time-exceeded", sample, version.seq, case.task.start_seq, **about)


def _judge_expiry(case: Case, finding: Finding, material_id: str, to_utc_ns: int) -> None:
    found = case.registry.at(Material, material_id, to_utc_ns)
    if found is None:
        finding.add("not_evaluated", "material-unknown", material_id, case.task.start_seq)
        return
    material, version = found
    if material.withdrawn:
        about = {"instrument": material_id, "certificate": material.certificate or ""}
        finding.add("hold", "certificate-withdrawn", material_id, version.seq, **about)
    if material.opened_at_ns is not None and material.open_life_s is not None:
        ends_ns = material.opened_at_ns + round(material.open_life_s * SECOND_NS)
        if to_utc_ns >= ends_ns:
            opened = {"opened_utc_ns": material.opened_at_ns, "ended_utc_ns": ends_ns}
            finding.add("hold", "open-too-long", material_id, version.seq, **opened)
    if material.expiry_ns is None:
        finding.add("not_evaluated", "expiry-missing", material_id, version.seq)
    elif to_utc_ns >= material.expiry_ns:
        finding.add("hold", "material-expired", material_id, version.seq, expiry_utc_ns=material.expiry_ns)
