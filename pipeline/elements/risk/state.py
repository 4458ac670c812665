"""What the risk index remembers: bounded, and enough to explain every point of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

Level = Literal["ordinary", "attention", "action"]
CreditClass = Literal["A", "B", "C", "D"]
CREDIT_CLASSES: tuple[CreditClass, ...] = get_args(CreditClass)
LEVEL_TEXTS: dict[str, tuple[str, str]] = {
    "ordinary": ("ordinary", "平常"), "attention": ("attention", "关注"), "action": ("action", "处理"),
}  # fmt: skip
"""Level to its words (en, zh): a matter of the laboratory's attention, not a mark."""
EVENTS_MAX = 128
"""Single events kept for one subject: the newest. Older ones are summed up by code, with their seqs."""
CODES_MAX = 256
"""Codes that older events are summed up by; further ones are summed up as `other`."""
SUBJECTS_MAX = 10_000
"""Subjects kept; the one that was heard of longest ago gives way."""
CLASSES_MAX = 16
"""Imported credit-risk classes kept: the newest."""


@dataclass(slots=True)
class RiskEvent:
    """One thing that counts."""

    code: str
    seq: int
    t_run_ns: int
    weight: float
    task: str = ""


@dataclass(slots=True)
class Earlier:
    """Older events of one code, summed up: their decayed weights as of `t_run_ns`."""

    count: int
    seq_first: int
    seq_last: int
    weight: float
    t_run_ns: int


@dataclass(slots=True)
class RiskSubject:
    """An element, instrument, person, method, or the laboratory."""

    events: list[RiskEvent] = field(default_factory=list)
    earlier: dict[str, Earlier] = field(default_factory=dict)
    work: float = 0.0
    """Tasks done, decayed as of `work_run_ns`."""
    work_run_ns: int = 0
    tasks: int = 0
    """Tasks done, all of them."""
    level: Level = "ordinary"
    level_run_ns: int = 0
    """Gateway time since when it is so."""


@dataclass(slots=True)
class OpenGap:
    """A gap that lasts."""

    from_run_ns: int
    seq: int


@dataclass(slots=True)
class ImportedClass:
    """An official credit-risk class, as somebody imported it."""

    credit_class: CreditClass
    source: str
    decided_on: str
    document: str
    person: str
    seq: int


@dataclass(slots=True)
class SpotCheckRow:
    """What the regulator's table says of one class."""

    credit_class: CreditClass
    proportion: float
    """Share of institutions, or of results, as the table's title says."""
    per_year: float
    note: str = ""


@dataclass(slots=True)
class SpotCheckTable:
    """The regulator's table of spot checks."""

    title: str
    issuer: str
    issued_on: str
    illustrative: bool
    sha256: str
    rows: list[SpotCheckRow]
    person: str = ""
    seq: int = -1


@dataclass(slots=True)
class RiskState:
    """Memory of the risk index; a part of the fold's state."""

    now_run_ns: int = 0
    """Gateway time of the last tick: nothing else makes an event older."""
    now_utc_ns: int = 0
    """The same instant in UTC, for people."""
    caused_run_ns: int = 0
    """Gateway time of the last record that is not derived: what follows from it is as old as it."""
    evaluated_run_ns: int = 0
    subjects: dict[str, RiskSubject] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    """Subjects whose index changed since the last tick."""
    counted: dict[str, list[str]] = field(default_factory=dict)
    """Task to the reasons that were counted: a later verdict counts only for what is new in it."""
    gaps: dict[str, OpenGap] = field(default_factory=dict)
    classes: list[ImportedClass] = field(default_factory=list)
    spot_checks: SpotCheckTable | None = None
