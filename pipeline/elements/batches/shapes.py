"""Bodies of `batch`, `control` and `chart` records. Words are part of the record format: append only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.elements.shapes import Actor
from pipeline.elements.vocabulary import ControlStatus, QcKind
from pipeline.qc.control.charts import Chart


@dataclass(frozen=True, slots=True)
class BatchOpen:
    """A batch of one method begins: tasks that are started with its id belong to it."""

    batch: str
    method: str
    at_run_ns: int
    at_utc_ns: int
    actor: Actor
    action: Literal["open"] = "open"


@dataclass(frozen=True, slots=True)
class BatchClose:
    """A batch is complete: no task joins it any more, its verdicts become final."""

    batch: str
    at_run_ns: int
    at_utc_ns: int
    actor: Actor
    overdue: tuple[str, ...] = ()
    """Kinds of quality control that the method's plan asks for and the batch has not."""
    reason: str = ""
    """Why it is closed without them."""
    action: Literal["close"] = "close"


BATCH_ACTIONS: dict[str, type[BatchOpen | BatchClose]] = {"open": BatchOpen, "close": BatchClose}


@dataclass(frozen=True, slots=True)
class FiredRule:
    """A control rule that an observation completed, with the scope in which it did."""

    rule: str
    scope: str


@dataclass(frozen=True, slots=True)
class ControlOutcome:
    """Judgement of one quantity of one quality control."""

    task: str
    """The task of the control."""
    kind: QcKind
    quantity: str
    status: ControlStatus
    figure: float | None
    """What was judged: value, relative difference or recovery in %, E_n, z; None: it cannot be had."""
    figure_name: str
    """`value`, `difference-percent`, `recovery-percent`, `e-n`, `z`, `z-prime`, `chart-z`."""
    low: float | None
    high: float | None
    value: float | None
    unit: str
    method: str
    instruments: tuple[str, ...]
    batch: str | None
    place: int | None
    at_run_ns: int
    """End of the control's work."""
    at_utc_ns: int
    why: str = ""
    """Why it is not evaluated: `no-result`, `no-limit`, `no-chart`, `no-assigned-value`, ..."""
    of: str | None = None
    """The task that it is compared with."""
    assigned: float | None = None
    material: str = ""
    lot: str = ""
    level: str = ""
    chart: str = ""
    """Key of the chart; empty: none was in force."""
    chart_version: int | None = None
    z: float | None = None
    rules: tuple[FiredRule, ...] = ()
    missing_before: int = 0
    seqs: tuple[int, ...] = ()
    """Data records that the value rests on, ascending."""
    action: Literal["judge"] = "judge"


@dataclass(frozen=True, slots=True)
class ControlAssess:
    """A value that becomes known after the measurement: of a blind sample or a proficiency test."""

    task: str
    quantity: str
    assigned: float
    actor: Actor
    uncertainty: float | None = None
    """Expanded uncertainty of the assigned value."""
    k: float | None = None
    sigma: float | None = None
    """Standard deviation for proficiency assessment, σ_pt."""
    action: Literal["assess"] = "assess"


CONTROL_ACTIONS: dict[str, type[ControlOutcome | ControlAssess]] = {
    "judge": ControlOutcome,
    "assess": ControlAssess,
}


@dataclass(frozen=True, slots=True)
class ChartRecord:
    """A version of a chart, proposed or approved, with the person who did so."""

    action: Literal["propose", "approve"]
    method: str
    instrument: str
    """Empty: of every instrument by which the method is run."""
    quantity: str
    chart: Chart
    actor: Actor
    signed_hash: str = ""
    """Of an approval: SHA-256 of the version that was approved."""
