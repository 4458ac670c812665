"""What people do around simulated instruments, step by step: the part of a scenario that no instrument knows.

Nothing here waits for a time unless it says so. A step is over when what it asks for has been seen: an answer
of the daemon's door, a pan at rest whose weight has been read, a verdict, an alarm. `$name` in arguments and
conditions stands for what an earlier step kept under that name. Whoever plays a day needs a gateway, and
for two kinds of step hands on its machine; the simulators only carry the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from config.model import Identifier, Settings

Twin = Literal["fires", "clean"]
"""A day that shows what is to be detected, and the same day without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    __pydantic_config__ = ConfigDict(extra="forbid")
    only: Twin | None = None
    """Belongs to one of the twins only; None: to both."""


@dataclass(frozen=True, slots=True)
class Act(_Step):
    """A person gives a command through the daemon's door."""

    name: str
    person: str
    command: str
    args: dict[str, Any]
    keep: dict[str, str] = field(default_factory=dict)
    """Name to the key of the answer's result that later steps know by it."""
    refused: str = ""
    """Code of the refusal that is the point of this act."""
    do: Literal["act"] = field(default="act", kw_only=True)


@dataclass(frozen=True, slots=True)
class Load(_Step):
    """Somebody puts a load on a balance, in place of what is there."""

    name: str
    load_g: float
    instrument: str = "bal-1"
    do: Literal["load"] = field(default="load", kw_only=True)


@dataclass(frozen=True, slots=True)
class Weight(_Step):
    """Wait until the pan is at rest and its weight has been read."""

    name: str
    instrument: str = "bal-1"
    do: Literal["weigh"] = field(default="weigh", kw_only=True)


@dataclass(frozen=True, slots=True)
class Trouble(_Step):
    """Something goes wrong with an instrument, by a fault model of the simulators."""

    name: str
    instrument: str
    kind: str
    duration_s: float
    parameters: dict[str, Any] = field(default_factory=dict)
    do: Literal["trouble"] = field(default="trouble", kw_only=True)


@dataclass(frozen=True, slots=True)
class Work(_Step):
    """Work goes on for a time: a window has a length."""

    name: str
    lasts_s: float
    do: Literal["work"] = field(default="work", kw_only=True)


@dataclass(frozen=True, slots=True)
class SetClock(_Step):
    """Somebody sets the UTC clock of the gateway's machine."""

    name: str
    by_s: float
    do: Literal["clock"] = field(default="clock", kw_only=True)


@dataclass(frozen=True, slots=True)
class Restart(_Step):
    """The gateway is stopped and started; in between, one byte of its journal may be changed."""

    name: str
    change: bool = False
    do: Literal["restart"] = field(default="restart", kw_only=True)


@dataclass(frozen=True, slots=True)
class Above:
    """A number above this one, where `Seen` looks for a value."""

    value: float


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these, where `Seen` looks for a value."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Seen(_Step):
    """Wait until a view of the door shows this: every key has its value, in one item where it is a list."""

    name: str
    view: str
    shows: dict[str, Any]
    keep: dict[str, str] = field(default_factory=dict)
    """Name to the key of the item that later steps know by it."""
    do: Literal["see"] = field(default="see", kw_only=True)


Step = Act | Load | Weight | Trouble | Work | SetClock | Restart | Seen


class DayEntry(Settings):
    """One day of a scenario, with its clean twin: the steps that both share, and those of either."""

    id: Identifier
    """Its name within the scenario."""
    title_en: str
    """What happens, in English."""
    title_zh: str
    """What happens, in Chinese."""
    evidence: Identifier
    """Code of the evidence that the day leads to, and its clean twin does not."""
    case: Annotated[str, Field(pattern=r"^[AB][1-5]$")]
    """Case that the evidence belongs to."""
    found: dict[Twin, dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    """What either twin makes of the last task: element to status and codes of reasons; the others are ok."""
    steps: Annotated[tuple[Annotated[Step, Field(discriminator="do")], ...], Field(min_length=1)]
    """In their order."""

    def played(self, twin: Twin) -> tuple[Step, ...]:
        """Return the steps of one of the twins."""
        return tuple(step for step in self.steps if step.only in {None, twin})
