"""What is remembered of batches, quality controls and charts. Everything here goes into the snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.elements.batches.shapes import ControlAssess, ControlOutcome
from pipeline.qc.control.charts import Chart, in_force

if TYPE_CHECKING:
    from pipeline.elements.state import State, TaskState

BATCHES_MAX = 1000
"""Closed batches kept; the oldest gives way. Open ones are always kept, and at most OPEN_MAX."""
UNNAMED = "-"
"""Lot or level of a control material of which the registry names none."""
OPEN_MAX = 200
MEMBERS_MAX = 500
"""Tasks of one batch."""
CHARTS_MAX = 1000
POINTS_MAX = 400
"""Points kept of one chart, and so the longest training period: the newest. Older ones are in the record."""
HISTORY_MAX = 32
"""Outcomes kept for one method, instrument and kind of control: the newest."""
OUTCOMES_MAX = 20_000
"""Controls whose outcomes are kept by task; the oldest gives way."""


@dataclass(slots=True)
class BatchState:
    """One batch with its tasks in the order in which they were started."""

    id: str
    method: str
    run: int
    """Number of the batch in the journal: the run of the control rules."""
    opened_run_ns: int
    opened_utc_ns: int
    opened_by: str
    open_seq: int
    members: list[str] = field(default_factory=list)
    close_seq: int | None = None
    closed_utc_ns: int | None = None
    closed_by: str = ""
    overdue: list[str] = field(default_factory=list)
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether tasks may still join."""
        return self.close_seq is None


@dataclass(slots=True)
class Judged:
    """An outcome; `seq` is None between its draft and its record."""

    outcome: ControlOutcome
    seq: int | None = None


@dataclass(slots=True)
class Point:
    """One observation of a control material."""

    task: str
    batch: str | None
    place: int | None
    lot: str
    value: float | None
    """None: the control gave no value."""
    unit: str
    t_utc_ns: int
    status: str
    version: int | None
    """Version of the chart that judged it; None: none was in force."""
    z: float | None
    rules: list[str]
    """Rules that fired, each as `rule scope`."""
    seq: int | None = None
    """The `control` record."""


@dataclass(slots=True)
class ChartState:
    """A chart through all its versions and lots."""

    method: str
    instrument: str
    quantity: str
    material: str
    level: str
    versions: list[Chart] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    """Record of each version that says how it stands now."""
    points: list[Point] = field(default_factory=list)
    observations: int = 0
    """All that there ever were, missing ones too."""

    def in_force(self, lot: str, at_utc_ns: int) -> Chart | None:
        """Give the version that judges an observation of a lot."""
        return in_force(self.versions, lot, at_utc_ns)


@dataclass(slots=True)
class BatchesState:
    """Batches, controls and charts."""

    runs: int = 0
    """Numbers given to batches, and to controls outside of one."""
    batches: dict[str, BatchState] = field(default_factory=dict)
    outcomes: dict[str, list[Judged]] = field(default_factory=dict)
    """Task of a control to its outcomes, one for each quantity."""
    assessed: dict[str, list[ControlAssess]] = field(default_factory=dict)
    history: dict[str, list[Judged]] = field(default_factory=dict)
    """`method|instrument|kind` to its last outcomes."""
    charts: dict[str, ChartState] = field(default_factory=dict)
    monitors: dict[str, bytes] = field(default_factory=dict)
    """`method|instrument` to the history of the control rules over its charts."""


def waits_for_batch(task: TaskState, state: State) -> bool:
    """Tell whether the verdicts stay provisional for an open batch; an aborted task waits for nothing."""
    if task.start.batch is None or task.phase == "aborted":
        return False
    batch = state.batches.batches.get(task.start.batch)
    return batch is not None and batch.is_open


def chart_key(method: str, instrument: str, quantity: str, material: str, level: str) -> str:
    """Name a chart."""
    return f"{method}|{instrument}|{quantity}|{material}|{level}"


def history_key(method: str, instrument: str, kind: str) -> str:
    """Name what controls of one kind are counted for."""
    return f"{method}|{instrument}|{kind}"
