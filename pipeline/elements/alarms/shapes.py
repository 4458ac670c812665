"""Bodies of `alarm` records. Words are part of the record format: append only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.elements.shapes import Actor
from pipeline.records.block import Severity

Step = Literal["raised", "acknowledged", "cause", "action", "closed"]
"""How far an alarm has come: raised → acknowledged → cause → action → closed."""
Deed = Literal["acknowledge", "cause", "action", "close"]


@dataclass(frozen=True, slots=True)
class AlarmRaise:
    """An event called for a person. Further events of the same cause are counted, not raised again."""

    alarm: str
    code: str
    """Of the event."""
    severity: Severity
    group: str
    """The cause that further events are grouped by."""
    instrument: str | None
    cause_seq: int
    suppressed: str
    """Service state for which nobody is called; empty: people are called."""
    flood: bool = False
    """Many causes of one code are open already: this one stands for all further ones."""
    do: Literal["raise"] = "raise"


@dataclass(frozen=True, slots=True)
class AlarmSuppress:
    """The service state of the instrument began or ended to keep an alarm quiet."""

    alarm: str
    suppressed: str
    """Service state; empty: people are called from now on."""
    cause_seq: int
    do: Literal["suppress"] = "suppress"


@dataclass(frozen=True, slots=True)
class AlarmEscalate:
    """Nobody has acted in time."""

    alarm: str
    level: int
    after_s: float
    """Time since the step at which the alarm stands."""
    step: Step
    do: Literal["escalate"] = "escalate"


@dataclass(frozen=True, slots=True)
class AlarmStep:
    """A person took an alarm one step further."""

    alarm: str
    deed: Deed
    text: str
    """The reason: what was seen, what caused it, what was done, why it may be closed."""
    actor: Actor
    do: Literal["step"] = "step"


@dataclass(frozen=True, slots=True)
class AlarmTold:
    """What became of telling a notice of an alarm to a receiver outside."""

    alarm: str
    notice: int
    attempts: int
    taken: bool
    """The receiver has taken it; False: it refused it for good."""
    error: str = ""
    via: Literal["webhook"] = "webhook"
    do: Literal["told"] = "told"


AlarmDeed = AlarmRaise | AlarmSuppress | AlarmEscalate | AlarmStep | AlarmTold
ALARM_SHAPES: dict[str, type[AlarmDeed]] = {
    "raise": AlarmRaise,
    "suppress": AlarmSuppress,
    "escalate": AlarmEscalate,
    "step": AlarmStep,
    "told": AlarmTold,
}
