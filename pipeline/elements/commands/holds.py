"""The disposition of a held task: an authenticated authorised signatory's act, never its operator's."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import Person
from pipeline.elements.shapes import Draft, Review
from pipeline.elements.signing import signing_hash
from pipeline.elements.vocabulary import RELEASING, SIGNATORY, Disposition

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request
    from pipeline.elements.state import TaskState

_AUTHENTICATED = frozenset({"password", "pin"})
"""A badge can be lent and an assertion made by anybody: neither can dispose of anything."""


def release(request: Request) -> Planned:
    """Dispose of a task."""
    request.only("task", "disposition", "reason", "signed_hash", "limitation")
    task = request.task()
    disposition = cast("Disposition", request.choice("disposition", get_args(Disposition), "release"))
    _see_signatory(request, task)
    _see_task(task, disposition)
    reason = request.text("reason")
    limitation = request.optional_text("limitation") or ""
    if disposition == "release-with-limitation" and not limitation:
        raise Refused("missing-argument", argument="limitation")
    signed = request.text("signed_hash")
    if signed != signing_hash(task):
        raise Refused("signed-something-else", task=task.id)
    review = Review(
        task=task.id, disposition=disposition, reason=reason,
        verdicts=tuple(sorted(posted.seq for posted in task.verdicts.values() if posted.seq is not None)),
        results=tuple(sorted(task.result_seqs)), signed_hash=signed, actor=request.actor,
        limitation=limitation,
    )  # fmt: skip
    return Planned((Draft("review", to_body(review)),), {"task": task.id, "disposition": disposition})


def _see_signatory(request: Request, task: TaskState) -> None:
    actor = request.actor
    if actor.how not in _AUTHENTICATED:
        raise Refused("not-authenticated", how=actor.how)
    if actor.person in task.operators():
        raise Refused("own-task", person=actor.person, task=task.id)
    if not is_signatory(request):
        raise Refused("not-signatory", person=actor.person)


def is_signatory(request: Request) -> bool:
    """Tell whether who gives the command is an authorised signatory at this instant."""
    found = request.registry.at(Person, request.actor.person, request.t_utc_ns)
    return any(
        grant.role == SIGNATORY
        and grant.valid_from_ns <= request.t_utc_ns
        and (grant.valid_to_ns is None or request.t_utc_ns < grant.valid_to_ns)
        for grant in (() if found is None else found[0].roles)
    )


def _see_task(task: TaskState, disposition: Disposition) -> None:
    if task.phase == "aborted":
        raise Refused("task-aborted", task=task.id)
    if not task.final or any(posted.seq is None for posted in task.verdicts.values()):
        raise Refused("task-not-final", task=task.id)
    if disposition in RELEASING and not task.held:
        raise Refused("nothing-held", task=task.id)
