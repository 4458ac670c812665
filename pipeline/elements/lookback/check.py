"""What look-backs say of a task: they hold it for the element that is no longer vouched for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case, Finding
    from pipeline.elements.lookback.state import LookBackState
    from pipeline.elements.vocabulary import Element


def check_look_backs(case: Case, element: Element, finding: Finding) -> None:
    """Add the look-backs that hold a task to the finding of their element."""
    known = case.state.lookbacks
    for name in known.of_task.get(case.task.id, ()):
        one = known.items.get(name)
        if one is not None and one.opened.element == element:
            add_look_back(one, finding)


def add_look_back(known: LookBackState, finding: Finding) -> None:
    """Add one look-back to a finding of its element."""
    opened = known.opened
    seqs = (opened.cause_seq,) if known.seq is None else (known.seq, opened.cause_seq)
    finding.add(
        "hold", "look-back", opened.lookback, *seqs, lookback=opened.lookback, target=opened.subject,
        cause=opened.cause, failed=opened.failed,
    )  # fmt: skip
