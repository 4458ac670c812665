"""Commands: a reading that a person takes from an instrument, and the correction of one."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.corrections import correct_value
from pipeline.elements.codec import to_body
from pipeline.elements.commands.claims import claimed_run_ns
from pipeline.elements.commands.holds import is_signatory
from pipeline.elements.commands.request import Planned
from pipeline.elements.corrected import channel_plan
from pipeline.elements.hand.shapes import Entry
from pipeline.elements.hand.state import ENTRIES_MAX
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import Method
from pipeline.elements.shapes import Draft
from pipeline.records.block import Channel
from pipeline.records.units import UnitError, unit

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request
    from pipeline.elements.hand.state import Entered
    from pipeline.elements.state import TaskState

_AUTHENTICATED = frozenset({"password", "pin"})
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.(?P<digits>[0-9]{1,40}))?(?:[eE][+-]?[0-9]{1,3})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VALUE_MAX = 1e150
"""As of readings by the gateway: what is beyond stands for an overload, not for a quantity."""
_SETTLED = frozenset({"recalled", "void", "retest", "resample"})
"""Nobody uses the result of such a task: an entry of it can be corrected at any age."""


def enter(request: Request) -> Planned:
    """Enter a reading as the instrument shows it; the operator's own act, with password or PIN."""
    request.only(
        "task", "channel", "value", "unit", "reason", "at_utc", "at_utc_ns", "occurrence", "serial",
        "photo_sha256",
    )  # fmt: skip
    _see_authenticated(request)
    task = request.task()
    if task.phase == "aborted":
        raise Refused("task-aborted", task=task.id)
    if request.retired is not None and request.retired is task:
        raise Refused("task-not-running", task=task.id, phase=task.phase)
    if request.actor.person not in task.operators():
        raise Refused("not-operator", person=request.actor.person, task=task.id)
    _see_room(task)
    instrument, channel = _channel(request, task)
    text, value, decimals = _figures(request)
    given, foreseen = _unit(request, task, instrument, channel)
    at_ns = claimed_run_ns(request, task, "at")
    if at_ns is None and task.phase != "running":
        raise Refused("missing-argument", argument="at_utc (when it was read: the task has ended)")
    at_run_ns = request.t_run_ns if at_ns is None else at_ns
    entry = Entry(
        task=task.id, instrument=instrument, channel=channel, text=text, value=value, unit=given,
        decimals=decimals, at_run_ns=at_run_ns, at_utc_ns=task.utc_at(at_run_ns), foreseen=foreseen,
        late=at_ns is not None or task.phase != "running", reason=request.text("reason"),
        actor=request.actor, serial=request.optional_text("serial") or None, photo_sha256=_photo(request),
    )  # fmt: skip
    return _planned(request, entry)


def correct(request: Request) -> Planned:
    """Replace an entry by another: what it was stays in the record, with who corrected it, when and why."""
    request.only("task", "entry", "value", "unit", "reason", "photo_sha256")
    _see_authenticated(request)
    task = request.task()
    earlier = _earlier(request, task)
    if task.phase == "aborted":
        raise Refused("task-aborted", task=task.id)
    if request.retired is not None and request.retired is task and task.overall() not in _SETTLED:
        raise Refused("task-in-archive", task=task.id, overall=task.overall())
    if request.actor.person not in task.operators() and not is_signatory(request):
        raise Refused("not-operator", person=request.actor.person, task=task.id)
    _see_room(task)
    was = earlier.entry
    text, value, decimals = _figures(request)
    given, foreseen = _unit(request, task, was.instrument, was.channel)
    stood, stands = f"{was.text} {was.unit}".strip(), f"{text} {given}".strip()
    if stood == stands:
        raise Refused("nothing-corrected", entry=str(earlier.seq), was=stood)
    entry = replace(
        was, text=text, value=value, unit=given, decimals=decimals, foreseen=foreseen,
        reason=request.text("reason"), actor=request.actor, photo_sha256=_photo(request),
        corrects=earlier.seq, was=stood,
    )  # fmt: skip
    return _planned(request, entry)


def _planned(request: Request, entry: Entry) -> Planned:
    entry = replace(entry, **_correction(request, entry))
    result = {"task": entry.task, "channel": entry.target, "foreseen": entry.foreseen}
    return Planned((Draft("entry", to_body(entry)),), result)


def _correction(request: Request, entry: Entry) -> dict[str, Any]:
    """Apply the certificate's correction in force when it was read, as frames have it applied."""
    plan = channel_plan(request.registry, entry.instrument, entry.channel, entry.at_utc_ns)
    if plan is None:
        return {"correction": "", "corrected": None, "uncorrected": ""}
    return correct_value(plan, Channel(entry.channel, unit=entry.unit), entry.value)._asdict()


def _see_authenticated(request: Request) -> None:
    if request.actor.how not in _AUTHENTICATED:
        raise Refused("not-authenticated", how=request.actor.how)


def _see_room(task: TaskState) -> None:
    if len(task.entries) >= ENTRIES_MAX:
        raise Refused("too-many-entries", task=task.id, count=str(ENTRIES_MAX))


def _channel(request: Request, task: TaskState) -> tuple[str, str]:
    """Find the channel among those that the task is bound to."""
    target = request.text("channel")
    instrument, _, channel = target.partition(".")
    if not any(facts.target == target for facts in task.channels):
        known = ", ".join(sorted({facts.target for facts in task.channels})) or "–"
        raise Refused("not-of-task", channel=target, task=task.id, known=known)
    return instrument, channel


def _figures(request: Request) -> tuple[str, float, int]:
    """Read the figures: as they were typed, as a number, and their digits after the point."""
    text = request.text("value")
    found = _NUMBER.fullmatch(text)
    value = math.inf if found is None else float(text)
    if found is None or not abs(value) <= _VALUE_MAX:
        raise Refused("not-a-number", typed=text[:100])
    return text, value, len(found["digits"] or "")


def _unit(request: Request, task: TaskState, instrument: str, channel: str) -> tuple[str, bool]:
    """See that the unit is the method's; give it, and whether the method provides for entries by hand."""
    given = request.optional_text("unit") or ""
    found = request.registry.at(Method, task.start.method, task.start.at_utc_ns)
    for one in () if found is None else found[0].manual:
        if one.channel == channel:
            if given != one.unit:
                named = f"{instrument}.{channel}"
                raise Refused("wrong-unit", channel=named, wanted=one.unit or "1", given=given[:64])
            return given, True
    try:
        unit(given)
    except UnitError as error:
        raise Refused("wrong-argument", argument="unit", problem=str(error)) from None
    return given, False


def _photo(request: Request) -> str | None:
    digest = request.optional_text("photo_sha256") or None
    if digest is not None and not _SHA256.fullmatch(digest):
        problem = "the SHA-256 of the photograph: 64 hexadecimal digits in lower case"
        raise Refused("wrong-argument", argument="photo_sha256", problem=problem)
    return digest


def _earlier(request: Request, task: TaskState) -> Entered:
    seq = request.integer("entry")
    if seq is None:
        raise Refused("missing-argument", argument="entry")
    for known in task.entries:
        if known.seq == seq:
            if known.replaced_by is not None:
                raise Refused("corrected-already", entry=str(seq), by=str(known.replaced_by))
            return known
    raise Refused("no-such-entry", entry=str(seq), task=task.id)
