"""Tasks that had left memory: each is held by a verdict that is made of the one in force.

Nothing of such a task comes back into memory but its id: its verdict, its results and its ids elsewhere are
in the ledger, and so is the hold once its record is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import Finding
from pipeline.elements.codec import from_body, to_body
from pipeline.elements.judge import hold_event
from pipeline.elements.lookback.affected import affect
from pipeline.elements.lookback.check import add_look_back
from pipeline.elements.lookback.shapes import Reached
from pipeline.elements.lookback.state import AFFECTED_MAX, park
from pipeline.elements.shapes import Draft, Verdict
from pipeline.elements.state import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.elements.lookback.shapes import LookBackReach
    from pipeline.elements.lookback.state import LookBackState


def hold_older(known: LookBackState, told: LookBackReach, seq: int) -> list[Draft]:
    """Take in a page of older tasks, and draft what holds those that are to be held.

    Args:
        known: the look-back.
        told: the page.
        seq: its record.
    """
    drafts = list[Draft]()
    for one in told.reached or _of_states(told, known):
        if one.affected.task in known.parked:
            continue
        if len(known.affected) < AFFECTED_MAX:
            known.affected.append(one.affected)
        else:
            known.further += 1
        if one.affected.moved:
            park(known, one.affected)
            drafts += _hold(known, one, seq)
    known.reached = known.reached or told.done
    known.beyond += told.beyond
    known.through_start_seq = max(known.through_start_seq, told.through_start_seq)
    return drafts


def _hold(known: LookBackState, one: Reached, seq: int) -> list[Draft]:
    before = None if one.verdict is None else from_body(Verdict, one.verdict)
    finding = Finding() if before is None else Finding(dict(before.facts), list(before.reasons))
    if before is None:
        finding.add("not_evaluated", "task-recalled", one.affected.task)
    count = len(finding.reasons)
    add_look_back(known, finding)
    if len(finding.reasons) == count:
        return []  # it is held for this already
    opened = known.opened
    verdict = Verdict(
        task=one.affected.task, element=opened.element, status=finding.status, finality="final",
        supersedes=one.verdict_seq, cause="lookback", cause_seq=seq, late=False,
        reasons=tuple(finding.reasons), facts=finding.facts,
    )  # fmt: skip
    return [Draft("verdict", to_body(verdict)), hold_event(verdict, finding.reasons[-1])]


def _of_states(told: LookBackReach, known: LookBackState) -> Iterator[Reached]:
    """Read what versions of the fold before 4 told: whole states of tasks, and after a crash some twice."""
    named = {one.task for one in known.affected}
    for body in told.tasks:
        task = from_body(TaskState, body)
        posted = task.verdicts.get(known.opened.element)
        if task.id not in named:
            verdict = (None, None) if posted is None else (to_body(posted.verdict), posted.seq)
            yield Reached(affect(task), *verdict)
