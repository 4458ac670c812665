"""Measurement: what a person should know of the readings that were entered by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.hand.state import in_force
from pipeline.elements.state import EVIDENCE_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.elements.checks.finding import Case, Finding
    from pipeline.elements.hand.state import Entered


def judge_entries(case: Case, finding: Finding) -> None:
    """Mark readings by hand that the method does not provide for, came late or were corrected.

    A correction after the verdicts holds the result: a person decides what becomes of it.
    """
    entries = case.task.entries
    if not entries:
        return
    current = in_force(entries)
    finding.facts["entered"] = {
        target: len(own) for target, own in _by_target(each for each in current if each.entry.foreseen)
    }
    marks = (
        ("entry-not-foreseen", [each for each in current if not each.entry.foreseen]),
        ("entry-late", [each for each in current if each.entry.late]),
        ("entry-corrected", [each for each in current if each.entry.corrects is not None]),
    )
    for code, found in marks:
        for target, own in _by_target(found):
            seqs = [each.seq for each in own][:EVIDENCE_MAX]
            finding.add("flag", code, target, *seqs, channel=target, count=len(own))
    for each in entries:
        entry = each.entry
        if each.after_verdict and entry.corrects is not None and entry.foreseen:
            about = {"channel": entry.target, "was": entry.was, "now": f"{entry.text} {entry.unit}".strip()}
            subject = f"{entry.target} #{each.seq}"
            finding.add("hold", "entry-corrected-afterwards", subject, entry.corrects, each.seq, **about)


def _by_target(entries: Iterable[Entered]) -> list[tuple[str, list[Entered]]]:
    found: dict[str, list[Entered]] = {}
    for each in entries:
        found.setdefault(each.entry.target, []).append(each)
    return sorted(found.items())
