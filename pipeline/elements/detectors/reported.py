"""Which case a reason of a verdict belongs to, where the result went out nevertheless."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.detectors.evidence import Evidence
from pipeline.elements.vocabulary import Element, Overall

if TYPE_CHECKING:
    from pipeline.elements.detectors.evidence import CaseId
    from pipeline.elements.shapes import Reason
    from pipeline.elements.state import TaskState

OUT: frozenset[Overall] = frozenset(
    {"clear", "released", "released-with-limitation", "released-under-look-back", "amended"}
)
"""Tasks whose results have left the laboratory, or may."""

_CASE_OF_ELEMENT: dict[Element, CaseId | None] = {
    "people": "A3", "equipment": "A2", "material": "A1", "method": "A3", "environment": "B3",
    "measurement": None,
}  # fmt: skip
"""Case that a holding reason of an element belongs to, where its code is not listed."""
_CASE_OF_CODE: dict[str, CaseId] = {
    # a mark alone is told of as well: the method lets an excursion pass, the regulator may ask
    "environment-excursion": "B3",
    "storage-excursion": "A1",
    # left out altogether: nothing was judged, and the result is there
    "role-not-bound": "B3",
    "channel-without-data": "B3",
    "environment-missing": "B3",
    "environment-unwatched": "B3",
    "environment-no-readings": "B3",
    "certificate-missing": "A2",
    "completeness-low": "A4",
    "rows-undecided": "A4",
    "check-weight-failed": "A2",
}


def case_of(element: Element, reason: Reason) -> CaseId | None:
    """Tell the case that a reason belongs to; None: it is about quality and about none of the cases."""
    listed = _CASE_OF_CODE.get(reason.code)
    if listed is not None:
        return listed
    return _CASE_OF_ELEMENT[element] if reason.status == "hold" else None


def reported(task: TaskState) -> list[Evidence]:
    """List what the verdicts in force say against a result that has gone out."""
    if task.start.purpose not in {"test", "proficiency"} or task.overall() not in OUT:
        return []
    found = []
    for posted in task.verdicts.values():
        element = posted.verdict.element
        for reason in posted.verdict.reasons:
            case = case_of(element, reason)
            if case is not None:
                seqs = (*reason.seqs, -1 if posted.seq is None else posted.seq, *task.review_seqs[-1:])
                about = {"element": element, "reason": reason.code, "overall": task.overall()}
                found.append(Evidence("element", case, reason.subject, task.id, seqs, about))
    return found
