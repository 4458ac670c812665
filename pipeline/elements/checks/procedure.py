"""Method: the steps that it prescribes, as the readings and the marks of people show them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.steps.engine import fits

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case, Finding
    from pipeline.elements.registry_shapes import Method, Step
    from pipeline.elements.steps.state import Found


def judge_procedure(case: Case, finding: Finding, method: Method) -> None:
    """Judge every step; a breach as soon as it is there, what is missing when the task is over."""
    steps, start = case.task.steps, case.task.start
    if not method.steps and not steps.found:
        return
    if not fits(steps, method):
        finding.add("not_evaluated", "steps-changed", start.method, case.task.start_seq, method=start.method)
        return
    finding.facts["steps"] = {
        step.name: _facts(found) for step, found in zip(method.steps, steps.found, strict=True)
    }
    for name, seq in zip(steps.disorder, steps.disorder_seqs, strict=True):
        finding.add("hold", "step-out-of-order", name, seq, step=name)
    for position, (step, found) in enumerate(zip(method.steps, steps.found, strict=True)):
        _judge_presence(case, finding, method, position, found)
        _judge_durations(finding, step, found)
        _judge_values(finding, step, found)
        allowed_ns = round(step.gap_max_s * SECOND_NS)
        for target, silence_ns in found.silent.items():
            if silence_ns > allowed_ns:
                about = {"step": step.name, "channel": target, "allowed_s": step.gap_max_s}
                subject = f"{step.name} {target}"
                finding.add(
                    "not_evaluated", "step-channel-silent", subject, found.start_seq, found.end_seq, **about
                )


def _judge_presence(case: Case, finding: Finding, method: Method, position: int, found: Found) -> None:
    step, needed = method.steps[position], method.step_cycles
    about: dict[str, Any] = {"step": step.name, "passes": found.passes, "needed": needed}
    seqs = [seq for seq in (case.task.start_seq, found.end_seq) if seq >= 0]
    marked = case.task.steps.by_marks
    if step.kind == "mark" and not marked:
        if case.closing:
            finding.add("not_evaluated", "step-not-marked", step.name, *seqs, step=step.name)
    elif step.kind != "mark" and case.task.steps.channels[position] is None:
        finding.add("not_evaluated", "step-unwatched", step.name, *seqs, step=step.name)
    elif found.passes < needed and not case.closing:
        finding.add("not_evaluated", "step-pending", step.name, *seqs, **about)
    elif found.passes < needed:
        code = "step-not-reached" if not found.passes else "step-cycles-missing"
        finding.add("hold", code, step.name, *seqs, **about)


def _judge_durations(finding: Finding, step: Step, found: Found) -> None:
    shortest_s, longest_s = _seconds(found.shortest_ns), _seconds(found.longest_ns)
    if step.duration_min_s is not None and shortest_s is not None and shortest_s < step.duration_min_s:
        about = {"step": step.name, "value_s": shortest_s, "limit_s": step.duration_min_s}
        finding.add("hold", "step-too-short", step.name, found.start_seq, found.shortest_seq, **about)
    if step.duration_max_s is not None and longest_s is not None and longest_s > step.duration_max_s:
        about = {"step": step.name, "value_s": longest_s, "limit_s": step.duration_max_s}
        finding.add("hold", "step-too-long", step.name, found.start_seq, found.longest_seq, **about)
    if found.pauses:
        told = {"step": step.name, "count": found.pauses, "allowed_s": step.gap_max_s}
        finding.add("flag", "step-paused", step.name, found.pause_seq, **told)


def _judge_values(finding: Finding, step: Step, found: Found) -> None:
    if found.left:
        about = {"step": step.name, "value": found.left_value, "low": step.low, "high": step.high}
        finding.add("hold", "step-interrupted", step.name, found.left_seq, **about, count=found.left)
    fastest, slowest = found.rate_max_per_s, found.rate_min_per_s
    if step.rate_max_per_s is not None and fastest is not None and fastest > step.rate_max_per_s:
        rate = {"step": step.name, "value": fastest, "limit": step.rate_max_per_s}
        finding.add("hold", "step-too-fast", step.name, found.rate_max_seq, **rate)
    if step.rate_min_per_s is not None and slowest is not None and slowest < step.rate_min_per_s:
        rate = {"step": step.name, "value": slowest, "limit": step.rate_min_per_s}
        finding.add("hold", "step-too-slow", step.name, found.rate_min_seq, **rate)


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / SECOND_NS


def _facts(found: Found) -> dict[str, Any]:
    return asdict(found)
