"""Method: edition in force, in the laboratory's scope, all bound that it asks for, its steps followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.batches.check import check_plan
from pipeline.elements.checks.finding import Finding
from pipeline.elements.checks.procedure import judge_procedure
from pipeline.elements.registry_shapes import Method

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case
    from pipeline.elements.registry_shapes import Requirement


def check_method(case: Case) -> Finding:
    """Judge the edition over the whole window and the bindings against the method's requirements."""
    start = case.task.start
    finding = Finding({**case.window(), "method": start.method, "edition": start.edition})
    if not case.registry.knows("method", start.method):
        finding.add("not_evaluated", "method-unknown", start.method, case.task.start_seq)
        return finding
    for at_utc_ns in case.registry.instants("method", start.method, case.from_utc_ns, case.to_utc_ns):
        found = case.registry.at(Method, start.method, at_utc_ns)
        if found is None:
            finding.add(
                "hold", "edition-not-current", start.method, case.task.start_seq, edition=start.edition
            )
        elif found[0].edition != start.edition:
            about = {"edition": start.edition, "current": found[0].edition}
            finding.add("hold", "edition-not-current", start.method, found[1].seq, **about)
        elif not found[0].in_scope:
            finding.add("hold", "method-out-of-scope", start.method, found[1].seq)
    if case.method is not None:
        judge_procedure(case, finding, case.method)
        for requirement in case.method.requirements:
            _judge_requirement(case, finding, requirement)
    check_plan(case, finding)
    return finding


def _judge_requirement(case: Case, finding: Finding, requirement: Requirement) -> None:
    if not case.task.bound(requirement.role):
        finding.add("not_evaluated", "role-not-bound", requirement.role, case.task.start_seq)
    elif requirement.channel is not None:
        channels = [
            facts
            for facts in case.channels
            if facts.role == requirement.role and facts.channel == requirement.channel
        ]
        if not any(facts.good for facts in channels):
            finding.add("not_evaluated", "channel-without-data", f"{requirement.role}.{requirement.channel}")
