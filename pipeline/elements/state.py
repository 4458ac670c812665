"""What the fold over the records remembers. Everything here goes into the snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipeline.elements.air import AirReading, AirState
from pipeline.elements.alarms.state import AlarmsState
from pipeline.elements.batches.state import BatchesState
from pipeline.elements.corrected import CorrectionSpan
from pipeline.elements.detectors.state import DetectorState
from pipeline.elements.formulas.progress import Calculation, Refusal
from pipeline.elements.hand.state import Entered
from pipeline.elements.lookback.state import LookBacksState
from pipeline.elements.risk.state import RiskState
from pipeline.elements.shapes import Binding, Result, Review, TaskAmend, TaskLink, TaskStart, Verdict
from pipeline.elements.steps.state import Point, StepsState
from pipeline.elements.timeline import Timeline
from pipeline.elements.triggers.state import TriggerState
from pipeline.elements.vocabulary import (
    Element,
    Finality,
    Overall,
    Purpose,
    Role,
    TaskPhase,
    VerdictStatus,
    sum_up,
)  # fmt: skip

EVIDENCE_MAX = 16
"""Seqs of evidence kept for one fact: the first ones; counts go on."""
OBSERVED_MAX = 64
"""Identities or service states kept for one instrument of one task; the first ones, and always the last."""
GAPS_MAX = 256
"""Gaps kept for one instrument of one task; the polls of further ones are added to the last."""


@dataclass(slots=True)
class Watch:
    """An environment's value against the limits that were known when it was bound."""

    low: float | None
    high: float | None
    hysteresis: float = 0.0
    rate_window_s: float = 0.0
    """Time over which a rate is taken; 0: none is asked for."""
    outside_since_ns: int | None = None
    """Begin of the excursion under way."""
    excursions: int = 0
    longest_ns: int = 0
    points: list[Point] = field(default_factory=list)
    rate_max_per_s: float | None = None
    rate_seq: int = -1


@dataclass(slots=True)
class ChannelFacts:
    """What the readings of one bound channel were within the window of its binding."""

    role: Role
    owner: str
    """Target of the binding: the environment, or the channel itself."""
    instrument: str
    channel: str
    from_run_ns: int
    to_run_ns: int | None = None
    late: bool = False
    rows: int = 0
    good: int = 0
    """Readings with a value."""
    missing: int = 0
    unsettled: int = 0
    """Rows whose instrument said busy or not stable: an answer, but no value."""
    failed: int = 0
    """Readings with a value that failed QC when they arrived."""
    suspect: int = 0
    decided_failed: int = 0
    """Readings that a rule failed afterwards."""
    decided_suspect: int = 0
    minimum: float | None = None
    """Least value among readings that did not fail QC; likewise `maximum`."""
    maximum: float | None = None
    minimum_seq: int = -1
    maximum_seq: int = -1
    failed_minimum: float | None = None
    """Least value among readings that failed QC; likewise `failed_maximum`."""
    failed_maximum: float | None = None
    last_valid_run_ns: int | None = None
    """Gateway time of the last reading that did not fail QC."""
    silence_max_ns: int = 0
    """Longest time without such a reading, counted from the start of the window."""
    n_first: int = -1
    n_last: int = -1
    seq_first: int = -1
    seq_last: int = -1
    failed_seqs: list[int] = field(default_factory=list)
    suspect_seqs: list[int] = field(default_factory=list)
    unit: str = ""
    decimals: int | None = None
    unit_before: str | None = None
    """Unit before the first change during the work; None: it never changed. Likewise `decimals_before`."""
    unit_seq: int = -1
    decimals_before: int | None = None
    decimals_seq: int = -1
    corrections: list[CorrectionSpan] = field(default_factory=list)
    """Which correction the readings carried, one after the other."""
    watch: Watch | None = None
    entered: int = 0
    """Of the good readings, those that a person entered by hand; counted by `hand.values` only."""
    every: int = 1
    """It is asked for in each `every`-th poll of its instrument."""

    @property
    def target(self) -> str:
        """Name as in bindings: `instrument.channel`."""
        return f"{self.instrument}.{self.channel}"


@dataclass(slots=True)
class Overlap:
    """The same person, or the same sample, in two tasks at once."""

    kind: Literal["person", "sample"]
    subject: str
    task: str
    """The other task."""
    seq: int
    """Record that brought them together."""


@dataclass(slots=True)
class Observed:
    """Something an instrument was or said, from a record on."""

    value: str
    seq: int
    t_run_ns: int


@dataclass(slots=True)
class GapFacts:
    """Deadlines in the window at which no poll was sent."""

    from_run_ns: int
    to_run_ns: int
    polls: int
    cause: str
    seq: int


@dataclass(slots=True)
class Posted:
    """A verdict in force; `seq` is None between its draft and its record."""

    verdict: Verdict
    seq: int | None = None


@dataclass(slots=True)
class TaskState:
    """One task with all that was observed for it."""

    start: TaskStart
    start_seq: int
    journal: str
    phase: TaskPhase = "running"
    end_run_ns: int | None = None
    end_utc_ns: int | None = None
    end_seq: int | None = None
    abort_reason: str = ""
    bindings: list[Binding] = field(default_factory=list)
    channels: list[ChannelFacts] = field(default_factory=list)
    calculations: list[Calculation] = field(default_factory=list)
    identities: dict[str, list[Observed]] = field(default_factory=dict)
    services: dict[str, list[Observed]] = field(default_factory=dict)
    return_checks_due: list[str] = field(default_factory=list)
    """Instruments that came back from repair or calibration and were not checked before this task."""
    gaps: dict[str, list[GapFacts]] = field(default_factory=dict)
    sources: dict[str, list[Observed]] = field(default_factory=dict)
    """Instrument to the sources of its records: live, simulated, replayed, ..."""
    overlaps: list[Overlap] = field(default_factory=list)
    air_at_start: list[AirReading] = field(default_factory=list)
    """What the bound environments read last before the task began."""
    warm: dict[str, int | None] = field(default_factory=dict)
    """Instrument to the gateway time since which it was on when the task began; None: not known."""
    steps: StepsState = field(default_factory=StepsState)
    entries: list[Entered] = field(default_factory=list)
    """Readings entered by hand, and what corrects them."""
    refusals: list[Refusal] = field(default_factory=list)
    """Results that could not be computed."""
    links: list[TaskLink] = field(default_factory=list)
    amendments: list[TaskAmend] = field(default_factory=list)
    verdicts: dict[str, Posted] = field(default_factory=dict)
    held: list[Element] = field(default_factory=list)
    """Elements whose hold no person has disposed of."""
    results: list[Result] = field(default_factory=list)
    result_seqs: list[int] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    review_seqs: list[int] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    """Instruments that have delivered a row from after the end."""
    settled: bool = False
    """The window has closed and no row of it can still arrive."""
    measured: bool = False
    """All rows have arrived and are decided, the results are computed: what is missing now stays missing."""
    final: bool = False
    """Measured, and the batch of the task is closed."""

    @property
    def id(self) -> str:
        """Id of the task."""
        return self.start.task

    def utc_at(self, t_run_ns: int) -> int:
        """Convert gateway time to UTC by the stamps of the start: a later clock step does not move it."""
        return self.start.at_utc_ns + t_run_ns - self.start.at_run_ns

    def bound(self, role: Role) -> list[Binding]:
        """List the bindings of one role in the order in which they were made."""
        return [binding for binding in self.bindings if binding.role == role]

    def operators(self) -> set[str]:
        """Everybody who was an operator at any time."""
        return {binding.target for binding in self.bound("operator")}

    def overall(self) -> Overall:
        """Sum the task up in one word."""
        disposition = self.reviews[-1].disposition if self.reviews else None
        return sum_up(self.phase, disposition, held=bool(self.held), final=self.final)


@dataclass(slots=True)
class CheckOutcome:
    """A final check of an instrument by a task of purpose `qc` or `intermediate-check`."""

    task: str
    end_run_ns: int
    status: VerdictStatus
    seq: int
    finality: Finality = "final"
    purpose: Purpose = "qc"
    method: str = ""


@dataclass(slots=True)
class InstrumentState:
    """What is known of an instrument now."""

    service: str = "in-use"
    service_seq: int = -1
    service_run_ns: int = 0
    service_reason: str = ""
    identity: Observed | None = None
    found: Observed | None = None
    """What it is found to be though it is declared live: `pty` or `simulator`."""
    decided: dict[str, int] = field(default_factory=dict)
    """Rule that needs the future to the last ordinal that it has decided."""
    return_check_due: bool = False
    on_since_run_ns: int | None = None
    """When it was heard of first, or again after it had been off, out of service or warming up."""
    checks: list[CheckOutcome] = field(default_factory=list)


@dataclass(slots=True)
class Answer:
    """What a command with an idempotency key did."""

    command: str
    seqs: list[int]
    """First and last seq of its records: they are appended in one go."""
    result: dict[str, str | int | bool]


@dataclass(slots=True)
class State:
    """The whole state of the fold, except the registry, which is kept as its records."""

    last_seq: int = -1
    journal: str = ""
    tasks_started: int = 0
    tasks: dict[str, TaskState] = field(default_factory=dict)
    instruments: dict[str, InstrumentState] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    touched: list[str] = field(default_factory=list)
    """Measured tasks that a record has touched and the next tick judges again."""
    air: AirState = field(default_factory=AirState)
    purpose: str = ""
    """Purpose of the journal as the last configuration states it; "": not told yet."""
    batches: BatchesState = field(default_factory=BatchesState)
    lookbacks: LookBacksState = field(default_factory=LookBacksState)
    alarms: AlarmsState = field(default_factory=AlarmsState)
    detectors: DetectorState = field(default_factory=DetectorState)
    risk: RiskState = field(default_factory=RiskState)
    triggers: TriggerState = field(default_factory=TriggerState)
    timeline: Timeline = field(default_factory=Timeline)

    def instrument(self, name: str) -> InstrumentState:
        """Give the state of an instrument, new where nothing is known."""
        return self.instruments.setdefault(name, InstrumentState())

    def touch(self, task: TaskState) -> None:
        """Have a measured task judged again at the next tick; others are judged there anyway."""
        if task.measured and task.id not in self.touched:
            self.touched.append(task.id)
