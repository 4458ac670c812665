"""What is remembered of alarms. Everything here goes into the snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.elements.alarms.shapes import Deed, Step
from pipeline.records.block import Severity

GROUPS_MAX = 20
"""Open alarms of one code, each with a cause of its own; further causes share one more alarm."""
CLOSED_MAX = 500
"""Closed alarms kept; the oldest gives way. Open ones are always kept."""
EVIDENCE_MAX = 16
"""Seqs kept of one alarm: the first ones; `last_seq` and `count` go on."""
DEEDS_MAX = 64
"""Deeds kept of one alarm: the first ones. All of them are in the record."""


@dataclass(slots=True)
class Done:
    """One deed of a person on an alarm."""

    deed: Deed
    person: str
    text: str
    seq: int
    at_utc_ns: int


@dataclass(slots=True)
class AlarmState:
    """One alarm; `seq` is None between its draft and its record."""

    id: str
    code: str
    severity: Severity
    group: str
    body: dict[str, Any]
    """Body of the first event."""
    instrument: str | None
    first_seq: int
    first_utc_ns: int
    last_seq: int
    last_utc_ns: int
    since_run_ns: int
    """Gateway time from which its present step is waited for."""
    seq: int | None = None
    count: int = 1
    seqs: list[int] = field(default_factory=list)
    flood: bool = False
    step: Step = "raised"
    level: int = 0
    late: bool = False
    """Acknowledged, and not closed in time."""
    suppressed: str = ""
    ended_seq: int | None = None
    """Event that says that the condition is over; a person closes the alarm all the same."""
    deeds: list[Done] = field(default_factory=list)
    notice: int = 0
    """Number of its last change that people are to be told of."""
    told: int = 0
    """Last notice that the webhook has taken or refused for good."""
    refused: str = ""
    """Why the webhook refused the last one."""

    @property
    def is_open(self) -> bool:
        """Whether a person has still to act."""
        return self.step != "closed"


@dataclass(slots=True)
class AlarmsState:
    """All alarms."""

    raised: int = 0
    """Alarms raised in the life of the journal."""
    items: dict[str, AlarmState] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    """Cause to its open alarm."""
    open_by_code: dict[str, int] = field(default_factory=dict)
    changed_seq: int = -1
    """Last record that changed anything here."""
