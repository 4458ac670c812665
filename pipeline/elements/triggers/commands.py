"""A regulator's reading of a window: only under a recorded trigger, and recorded before it is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.shapes import Draft
from pipeline.elements.triggers.state import TaskTriggers
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request
    from pipeline.elements.state import TaskState

_AUTHENTICATED = frozenset({"password", "pin", "service"})


def read(request: Request) -> Planned:
    """Plan the read-notice of one channel of one task; its result is the span that may be served."""
    request.only("task", "channel")
    actor = request.actor
    if actor.role != "regulator" or actor.how not in _AUTHENTICATED:
        raise Refused("not-regulator", person=actor.person)
    task, channel = request.task(), request.text("channel")
    triggers = request.state.triggers.recorded.get(task.id, TaskTriggers())
    seq = max(triggers.seqs.values(), default=-1)
    if seq < 0:
        raise Refused("no-trigger", task=task.id)
    known = sorted({facts.target for facts in task.channels})
    if channel not in known:
        raise Refused("not-of-task", channel=channel, task=task.id, known=", ".join(known))
    window = _window(request, task, triggers.margin_s)
    body = event_body(
        "read-notice", person=actor.person, task=task.id, channels=[channel], trigger_seq=seq,
        from_utc_ns=window[0], to_utc_ns=window[1],
    )  # fmt: skip
    body["actor"] = to_body(actor)
    result: dict[str, str | int] = {
        "task": task.id, "channel": channel, "trigger_seq": seq,
        "from_utc_ns": window[0], "to_utc_ns": window[1],
    }  # fmt: skip
    return Planned((Draft("event", body),), result)


def _window(request: Request, task: TaskState, margin_s: float) -> tuple[int, int]:
    """Give the span of the task, UTC, with the margin on both sides; a running task's ends now."""
    margin_ns = round(margin_s * SECOND_NS)
    end_ns = request.t_utc_ns if task.end_utc_ns is None else task.end_utc_ns
    return task.start.at_utc_ns - margin_ns, end_ns + margin_ns
