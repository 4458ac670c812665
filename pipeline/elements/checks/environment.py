"""Environment: every bound room, refrigerator or chamber within its limits during the binding's window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.air import excess, is_fresh, limit_of
from pipeline.elements.checks.finding import SECOND_NS, Finding
from pipeline.elements.registry_shapes import Environment

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case
    from pipeline.elements.registry_shapes import EnvironmentChannel, Limit
    from pipeline.elements.state import ChannelFacts


def check_environment(case: Case) -> Finding:
    """Judge the environments of the work by the method's limits, those of storage by their own."""
    finding = Finding({**case.window(), "channels": {}})
    bindings = [*case.task.bound("environment"), *case.task.bound("storage")]
    if not case.task.bound("environment"):
        finding.add("not_evaluated", "environment-missing", case.task.id, case.task.start_seq)
    for binding in bindings:
        found = case.registry.at(Environment, binding.target, case.from_utc_ns)
        if found is None:
            finding.add("not_evaluated", "environment-unknown", binding.target, case.task.start_seq)
            continue
        if not found[0].channels:
            about = {"place": binding.target, "channel": binding.target}
            role = "storage" if binding.role == "storage" else "environment"
            finding.add("not_evaluated", f"{role}-limits-missing", binding.target, found[1].seq, **about)
        for channel in found[0].channels:
            _judge_channel(case, finding, binding.target, channel, binding.role == "storage")
    return finding


def _judge_channel(
    case: Case,
    finding: Finding,
    owner: str,
    channel: EnvironmentChannel,
    storage: bool,  # noqa: FBT001 - a fact
) -> None:
    role = "storage" if storage else "environment"
    watched = [
        facts
        for facts in case.channels
        if facts.owner == owner and facts.role == role and facts.target == channel.target
    ]
    limit = limit_of(case.method, channel, storage=storage)
    if not storage:
        _judge_start(case, finding, owner, channel, limit)
    if not watched:
        finding.add("not_evaluated", f"{role}-unwatched", channel.target, case.task.start_seq, place=owner)
    for facts in watched:
        finding.facts["channels"][channel.target] = _facts(facts)
        about = {
            "place": owner, "channel": channel.target, "quantity": channel.quantity,
            "low": limit.low, "high": limit.high, "unit": facts.unit,
        }  # fmt: skip
        if limit.low is None and limit.high is None:
            finding.add("not_evaluated", f"{role}-limits-missing", channel.target, **about)
        _judge_range(case, finding, facts, limit, about, role)
        _judge_rate(finding, facts, limit, role)
        _judge_silence(case, finding, facts, limit, role)


def _outside(low: float | None, high: float | None, limit: Limit) -> float | None:
    if limit.low is not None and low is not None and low < limit.low:
        return low
    if limit.high is not None and high is not None and high > limit.high:
        return high
    return None


def _judge_start(case: Case, finding: Finding, owner: str, channel: EnvironmentChannel, limit: Limit) -> None:
    """Judge what the place read last before the task began, as long as it spoke for that instant."""
    for reading in case.task.air_at_start:
        fresh = is_fresh(reading, limit, case.task.start.at_run_ns)
        if reading.target == channel.target and fresh and excess(reading.value, limit.low, limit.high) > 0:
            about = {"place": owner, "channel": channel.target, "value": reading.value}
            bounds = {"low": limit.low, "high": limit.high}
            seqs = reading.seq, case.task.start_seq
            finding.add("flag", "environment-outside-at-start", channel.target, *seqs, **about, **bounds)


def _judge_rate(finding: Finding, facts: ChannelFacts, limit: Limit, role: str) -> None:
    watch = facts.watch
    if limit.rate_max_per_h is None or watch is None or watch.rate_max_per_s is None:
        return
    rate_per_h = watch.rate_max_per_s * 3600
    if rate_per_h > limit.rate_max_per_h:
        about = {"channel": facts.target, "value_per_h": rate_per_h, "limit_per_h": limit.rate_max_per_h}
        finding.add(
            limit.on_excursion, f"{role}-rate", facts.target, watch.rate_seq, **about, unit=facts.unit
        )


def _is_brief(case: Case, facts: ChannelFacts, limit: Limit) -> bool:
    """Tell whether every excursion was within the grace, by the limits that were in force all along."""
    watch = facts.watch
    if not limit.grace_s or watch is None or (watch.low, watch.high) != (limit.low, limit.high):
        return False
    longest_ns = watch.longest_ns
    if watch.outside_since_ns is not None:
        end_ns = case.end_run_ns if facts.to_run_ns is None else facts.to_run_ns
        longest_ns = max(longest_ns, end_ns - watch.outside_since_ns)
    return watch.hysteresis == limit.hysteresis and longest_ns <= limit.grace_s * SECOND_NS


def _judge_range(
    case: Case, finding: Finding, facts: ChannelFacts, limit: Limit, about: dict[str, Any], role: str
) -> None:
    value = _outside(facts.minimum, facts.maximum, limit)
    if value is not None:
        seq = facts.minimum_seq if value == facts.minimum else facts.maximum_seq
        if _is_brief(case, facts, limit):
            brief = {**about, "grace_s": limit.grace_s, "value": value}
            finding.add("flag", f"{role}-excursion-brief", facts.target, seq, **brief)
        else:
            finding.add(limit.on_excursion, f"{role}-excursion", facts.target, seq, **about, value=value)
    # A reading that failed QC proves nothing by itself, but one outside the limits must not vanish either.
    failed = _outside(facts.failed_minimum, facts.failed_maximum, limit)
    if failed is not None:
        seqs = facts.failed_seqs
        finding.add(
            limit.on_excursion, f"{role}-excursion-unsure", facts.target, *seqs, **about, value=failed
        )
    elif facts.failed:
        counts = {"channel": facts.target, "count": facts.failed}
        finding.add("flag", f"{role}-readings-failed", facts.target, *facts.failed_seqs, **counts)


def _judge_silence(case: Case, finding: Finding, facts: ChannelFacts, limit: Limit, role: str) -> None:
    if facts.late:
        # What a channel showed before the claim was not kept for this task.
        finding.add("not_evaluated", f"{role}-bound-late", facts.target, case.task.start_seq)
    end_ns = case.end_run_ns if facts.to_run_ns is None else facts.to_run_ns
    since_ns = facts.from_run_ns if facts.last_valid_run_ns is None else facts.last_valid_run_ns
    silence_ns = max(facts.silence_max_ns, end_ns - since_ns)
    allowed_s = limit.staleness_s if limit.staleness_s is not None else 0.0
    about = {"channel": facts.target, "allowed_s": allowed_s}
    if facts.last_valid_run_ns is None:
        finding.add("not_evaluated", f"{role}-no-readings", facts.target, case.task.start_seq, **about)
    elif silence_ns > allowed_s * SECOND_NS:
        finding.add("not_evaluated", f"{role}-stale", facts.target, facts.seq_last, **about)


def _facts(facts: ChannelFacts) -> dict[str, Any]:
    return {
        "rows": facts.rows, "good": facts.good, "missing": facts.missing, "failed": facts.failed,
        "min": facts.minimum, "min_seq": facts.minimum_seq,
        "max": facts.maximum, "max_seq": facts.maximum_seq, "unit": facts.unit,
        "seq_first": facts.seq_first, "seq_last": facts.seq_last,
        "silence_max_s": facts.silence_max_ns / SECOND_NS,
    }  # fmt: skip
