"""Commands about batches, quality controls and charts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast, get_args

from pipeline.elements.batches.figures import KINDS
from pipeline.elements.batches.plan import batch_due, members, method_of
from pipeline.elements.batches.shapes import BatchClose, BatchOpen, ControlAssess
from pipeline.elements.batches.state import MEMBERS_MAX, OPEN_MAX, UNNAMED
from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import Material
from pipeline.elements.shapes import Control, Draft
from pipeline.elements.vocabulary import QcKind

if TYPE_CHECKING:
    from pipeline.elements.batches.state import BatchState
    from pipeline.elements.commands.request import Request

AUTHENTICATED = frozenset({"password", "pin"})
"""A badge can be lent and an assertion made by anybody."""
_NAMED_MAX = 5


def open_batch(request: Request) -> Planned:
    """Open a batch of a method."""
    request.only("batch", "method")
    batch, method = request.text("batch"), request.text("method")
    known = request.state.batches.batches
    if batch in known:
        raise Refused("batch-exists", batch=batch)
    if not request.registry.knows("method", method):
        raise Refused("unknown-method", method=method)
    if sum(one.is_open for one in known.values()) >= OPEN_MAX:
        raise Refused("batches-open", limit=str(OPEN_MAX))
    action = BatchOpen(batch, method, request.t_run_ns, request.t_utc_ns, request.actor)
    return Planned((Draft("batch", to_body(action)),), {"batch": batch})


def close_batch(request: Request) -> Planned:
    """Close a batch: its verdicts become final. What its QC plan lacks then holds every result of it."""
    request.only("batch", "without_qc")
    batch = _open_batch(request, request.text("batch"))
    working = [task.id for task in members(batch, request.state) if not task.measured]
    if working:
        raise Refused("batch-not-measured", batch=batch.id, tasks=", ".join(working[:_NAMED_MAX]))
    method = method_of(batch, request.registry)
    dues = [] if method is None else batch_due(batch, method, request.state, complete=True)
    overdue = tuple(f"{due.kind} {due.basis}" for due in dues)
    reason = request.optional_text("without_qc") or ""
    if overdue and not reason:
        raise Refused("qc-due", missing=", ".join(overdue))
    action = BatchClose(batch.id, request.t_run_ns, request.t_utc_ns, request.actor, overdue, reason)
    return Planned(
        (Draft("batch", to_body(action)),), {"batch": batch.id, "overdue": list(overdue)}
    )  # fmt: skip


def _open_batch(request: Request, batch_id: str) -> BatchState:
    batch = request.state.batches.batches.get(batch_id)
    if batch is None or not batch.is_open:
        raise Refused("unknown-batch", batch=batch_id)
    return batch


def place_in(request: Request, method: str) -> tuple[str | None, int | None]:
    """Give the batch that a task is to join, and its place there."""
    name = request.optional_text("batch")
    if not name:
        return None, None
    batch = _open_batch(request, name)
    if batch.method != method:
        raise Refused("batch-of-another-method", batch=name, method=batch.method)
    if len(batch.members) >= MEMBERS_MAX:
        raise Refused("batch-full", batch=name, limit=str(MEMBERS_MAX))
    tasks = request.state.tasks
    taken = {tasks[member].start.place: member for member in batch.members if member in tasks}
    place = request.integer("place")
    if place is None:
        return name, max((known for known in taken if known is not None), default=0) + 1
    if place in taken:
        raise Refused("place-taken", place=str(place), batch=name, task=taken[place])
    if place < 1:
        raise Refused("wrong-argument", argument="place", problem="places count from 1")
    return name, place


def control_of(request: Request, purpose: str) -> Control | None:
    """Tell which control a task is: as the command says, or a QC sample by its material."""
    reference = request.optional_text("reference")
    found = request.registry.at(Material, reference, request.t_utc_ns) if reference else None
    material = None if found is None else found[0]
    by_material = purpose == "qc" and material is not None and material.kind == "qc-sample"
    if not request.optional_text("control") and not by_material:
        return None
    kind = cast("QcKind", request.choice("control", get_args(QcKind), "qc-sample"))
    if purpose not in {"qc", "proficiency"}:
        raise Refused("wrong-argument", argument="purpose", problem="a control has the purpose qc")
    of, added = request.optional_text("of"), request.number("added")
    if KINDS[kind].paired and (of is None or of not in request.state.tasks):
        raise Refused("control-needs", kind=kind, argument="of (the task that it is compared with)")
    if kind == "matrix-spike" and (added is None or added <= 0):
        raise Refused("control-needs", kind=kind, argument="added (the amount, above 0)")
    if kind == "qc-sample" and material is None:
        raise Refused("control-needs", kind=kind, argument="reference (the QC sample)")
    if material is None:
        return Control(kind, of, added)
    return Control(
        kind,
        of,
        added,
        reference,
        material.lot or UNNAMED,
        material.level or UNNAMED,
        material.certified,
        material.expiry_ns,
    )


def assess(request: Request) -> Planned:
    """Tell the value of a blind sample or a proficiency test, which becomes known afterwards."""
    request.only("task", "quantity", "assigned", "uncertainty", "k", "sigma")
    if request.actor.how not in AUTHENTICATED:
        raise Refused("not-authenticated", how=request.actor.how)
    task, quantity = request.task(), request.text("quantity")
    control = task.start.control
    if control is None or not KINDS[control.kind].revealed:
        raise Refused("not-a-control", task=task.id)
    if not any(result.quantity == quantity for result in task.results):
        raise Refused("wrong-argument", argument="quantity", problem=f"{task.id} has no result of it")
    assigned = request.number("assigned")
    if assigned is None:
        raise Refused("missing-argument", argument="assigned")
    numbers = {name: request.number(name) for name in ("uncertainty", "k", "sigma")}
    for name, value in numbers.items():
        if value is not None and (value < 0 or (value == 0 and name != "uncertainty")):
            raise Refused("wrong-argument", argument=name, problem="a number above 0")
    if not math.isfinite(assigned):
        raise Refused("wrong-argument", argument="assigned", problem="a finite number")
    action = ControlAssess(
        task.id, quantity, assigned, request.actor, numbers["uncertainty"], numbers["k"], numbers["sigma"]
    )
    return Planned((Draft("control", to_body(action)),), {"task": task.id})
