"""Material: what became of a sample between receipt and test: storage, hand-overs, whether it is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.air import exposure_h
from pipeline.elements.registry_shapes import Environment, Material
from pipeline.qc.control.decimals import exact

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case, Finding
    from pipeline.elements.registry_shapes import EnvironmentChannel

_HOUR_NS = 3_600_000_000_000


def judge_keeping(case: Case, finding: Finding, sample: str) -> None:
    """Judge storage, custody and identity of a sample that the registry knows."""
    found = case.registry.at(Material, sample, case.from_utc_ns)
    if found is None:
        return
    material, seq = found[0], found[1].seq
    _judge_exposure(case, finding, sample, material, seq)
    _judge_custody(case, finding, sample, material, seq)
    _judge_elsewhere(case, finding, sample)
    _judge_fingerprints(case, finding, sample, material, seq)


def _judge_exposure(case: Case, finding: Finding, sample: str, material: Material, seq: int) -> None:
    """Judge the integral of the storage's excursions from receipt to the end of the work."""
    if material.exposure_max_h is None:
        return
    place = case.registry.at(Environment, material.storage or "", case.from_utc_ns)
    if place is None or not place[0].channels or material.received_at_ns is None:
        finding.add("not_evaluated", "storage-exposure-unknown", sample, seq, sample=sample)
        return
    for channel in place[0].channels:
        _judge_channel(case, finding, sample, material, channel)


def _judge_channel(
    case: Case, finding: Finding, sample: str, material: Material, channel: EnvironmentChannel
) -> None:
    air, limit_h = case.state.air.channels.get(channel.target), material.exposure_max_h
    received_ns, to_ns = material.received_at_ns or 0, case.to_utc_ns
    about = {"sample": sample, "channel": channel.target}
    late = air is None or air.since_utc_ns > received_ns + round(channel.staleness_s * 1e9)
    silent = air is not None and (air.silent_to_utc_ns or 0) > received_ns
    if air is not None and limit_h is not None:
        total_h, excursions = exposure_h(air, received_ns, to_ns)
        finding.facts.setdefault("exposure_h", {})[channel.target] = total_h
        if total_h > limit_h:
            seqs = [seq for one in excursions[-8:] for seq in (one.seq_first, one.seq_last)]
            found = {"value_h": total_h, "limit_h": limit_h}
            finding.add("hold", "storage-exposure", channel.target, *seqs, **about, **found)
            return
    if late or silent:
        # What nobody read may have been an excursion.
        finding.add("not_evaluated", "storage-exposure-unknown", sample, case.task.start_seq, sample=sample)


def _judge_custody(case: Case, finding: Finding, sample: str, material: Material, seq: int) -> None:
    """Judge the chain of hand-overs: in order of time, none before receipt, the last one to an operator."""
    if case.method is None or not case.method.custody_required:
        return
    chain = [one for one in material.custody if one.at_ns <= case.from_utc_ns]
    if not chain:
        finding.add("not_evaluated", "custody-missing", sample, seq, case.task.start_seq, sample=sample)
        return
    times = [one.at_ns for one in chain]
    received_ns = times[0] if material.received_at_ns is None else material.received_at_ns
    holder = chain[-1].person
    about = {"sample": sample, "holder": holder}
    if times != sorted(times) or times[0] < received_ns or holder not in case.task.operators():
        finding.add("hold", "custody-gap", sample, seq, case.task.start_seq, **about)


def _judge_elsewhere(case: Case, finding: Finding, sample: str) -> None:
    """Judge that the sample was on no other instrument at the same time."""
    for overlap in case.task.overlaps:
        other = case.state.tasks.get(overlap.task)
        if overlap.kind != "sample" or other is None:
            continue
        if set(other.start.instruments) != set(case.task.start.instruments):
            about = {"sample": sample, "task": overlap.task}
            finding.add("hold", "sample-elsewhere", sample, overlap.seq, case.task.start_seq, **about)


def _judge_fingerprints(case: Case, finding: Finding, sample: str, material: Material, seq: int) -> None:
    """Judge the results by what was measured of the sample at receipt: a swapped one shows in its mass."""
    required = case.method is not None and case.method.fingerprint_required
    results = {result.quantity: result for result in case.results}
    known = [one for one in material.fingerprints if one.quantity in results]
    if required and case.closing and not known:
        finding.add("not_evaluated", "fingerprint-missing", sample, seq, case.task.start_seq, sample=sample)
    for one in known:
        result = results[one.quantity]
        if abs(exact(result.value) - exact(one.value)) > exact(one.tolerance):
            about = {
                "sample": sample, "quantity": one.quantity, "value": result.value, "received": one.value,
                "tolerance": one.tolerance, "unit": result.unit,
            }  # fmt: skip
            finding.add("hold", "fingerprint-changed", sample, seq, *result.seqs[:8], **about)
