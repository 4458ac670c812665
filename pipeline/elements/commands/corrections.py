"""Corrections of what was said at a task's start: new records that keep who, when, why and the old value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.apply import attempt_key
from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import Material
from pipeline.elements.shapes import Draft, TaskAmend

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request
    from pipeline.elements.state import TaskState

_AUTHENTICATED = frozenset({"password", "pin"})
_SETTLED = frozenset({"released", "released-with-limitation", "released-under-look-back", "void"})
"""What a signed task cannot be corrected in: it is recalled, or amended by a disposition, first."""


def amend(request: Request) -> Planned:
    """Correct the sample, item or clause of a task (ISO/IEC 17025:2017, 7.5.2)."""
    request.only("task", "sample", "item", "clause", "reason")
    if request.actor.how not in _AUTHENTICATED:
        raise Refused("not-authenticated", how=request.actor.how)
    task = request.task()
    if task.phase == "aborted":
        raise Refused("task-aborted", task=task.id)
    if task.overall() in _SETTLED:
        raise Refused("task-disposed", task=task.id, overall=task.overall())
    reason, start = request.text("reason"), task.start
    given = {name: request.optional_text(name) for name in ("sample", "item", "clause")}
    changed = {name: new for name, new in given.items() if new is not None and new != getattr(start, name)}
    if not changed:
        raise Refused("nothing-amended", task=task.id)
    if "sample" in changed:
        _see_sample(request, changed["sample"])
    action = TaskAmend(
        task=task.id, reason=reason, actor=request.actor, sample=changed.get("sample"),
        item=changed.get("item"), clause=changed.get("clause"), attempt=_attempt(request, task, changed),
        was={name: getattr(start, name) or "" for name in changed},
    )  # fmt: skip
    return Planned((Draft("task", to_body(action)),), {"task": task.id, "amended": ", ".join(changed)})


def _see_sample(request: Request, sample: str) -> None:
    found = request.registry.at(Material, sample, request.t_utc_ns)
    if found is None or found[0].kind != "sample":
        raise Refused("unknown-sample", sample=sample)


def _attempt(request: Request, task: TaskState, changed: dict[str, str]) -> int:
    """Count the attempt anew where it is now one at something else."""
    start = task.start
    sample, item = changed.get("sample", start.sample), changed.get("item", start.item)
    if (sample, item) == (start.sample, start.item):
        return start.attempt
    return request.state.attempts.get(attempt_key(sample, item, start.method, start.control), 0) + 1
