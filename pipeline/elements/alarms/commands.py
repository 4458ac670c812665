"""What people do about alarms: each step is signed and says why."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipeline.elements.alarms.part import REACHED
from pipeline.elements.alarms.shapes import AlarmStep, Deed, Step
from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.shapes import Draft

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.elements.commands.request import Request

_AUTHENTICATED = frozenset({"password", "pin"})
ALLOWED: dict[Step, tuple[Deed, ...]] = {
    "raised": ("acknowledge",),
    "acknowledged": ("cause",),
    "cause": ("cause", "action"),
    "action": ("action", "close"),
    "closed": (),
}
"""Where an alarm stands to what may be done next; cause and action may be stated again, in better words."""


def _step(request: Request, deed: Deed) -> Planned:
    request.only("alarm", "text")
    if request.actor.how not in _AUTHENTICATED:
        raise Refused("not-authenticated", how=request.actor.how)
    name, text = request.text("alarm"), request.text("text")
    alarm = request.state.alarms.items.get(name)
    if alarm is None:
        raise Refused("unknown-alarm", alarm=name)
    allowed = ALLOWED[alarm.step]
    if deed not in allowed:
        raise Refused("alarm-step", alarm=name, step=alarm.step, allowed=", ".join(allowed) or "–")
    step = AlarmStep(name, deed, text, request.actor)
    return Planned((Draft("alarm", to_body(step)),), {"alarm": name, "step": REACHED[deed]})


ALARM_COMMANDS: dict[str, Callable[[Request], Planned]] = {
    f"alarm.{deed}": partial(_step, deed=deed) for deed in REACHED
}
"""Commands about alarms."""
