"""What the registry knows of methods: limits, results and formulas, steps, what is asked of equipment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.elements.qc_shapes import QcItem
from pipeline.elements.vocabulary import Element, Excursion, Purpose, Role, Rounding


@dataclass(frozen=True, slots=True)
class Requirement:
    """A binding that a task by the method must have, and, where a channel is named, readings of it."""

    role: Role
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """Limits of one quantity of the environment, either side open; the limits themselves pass."""

    quantity: str
    low: float | None = None
    high: float | None = None
    on_excursion: Excursion = "hold"
    staleness_s: float | None = None
    """Longest time without a valid reading; None takes the environment's own."""
    hysteresis: float = 0.0
    """How far inside the limits an excursion must have come back to be over."""
    grace_s: float = 0.0
    """An excursion not longer than this is marked and does not hold."""
    rate_max_per_h: float | None = None
    """Fastest change."""
    rate_window_s: float = 600.0
    """Time over which a rate is taken."""


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Statement of conformity: `simple` accepts up to the limit, `guard-band` up to limit - w (ILAC-G8)."""

    rule: Literal["simple", "guard-band"]
    low: float | None = None
    high: float | None = None
    guard_band: float = 0.0
    """w, in the unit of the result."""
    guard_factor: float | None = None
    """r of w = r U (ILAC-G8:09/2019, 4.2); takes the place of `guard_band`."""


@dataclass(frozen=True, slots=True)
class FormulaInput:
    """A name in a formula: the readings of a channel, or a certified value of the bound reference."""

    name: str
    channel: str | None = None
    unit: str | None = None
    """Unit in which it is expected; None: as it comes, without a check at the import."""
    certified: str | None = None
    """Quantity that the reference certifies; `*`: its first one."""
    stable_only: bool = False
    """Readings that the instrument calls stable only."""


@dataclass(frozen=True, slots=True)
class FormulaConstant:
    """A fixed value in a formula, with its standard uncertainty."""

    name: str
    value: float
    unit: str = ""
    u: float = 0.0


@dataclass(frozen=True, slots=True)
class ResultSpec:
    """A result that tasks of these purposes yield: by a declared formula, or by one that has a name."""

    quantity: str
    algorithm: str = "formula"
    """`formula`, or a name of `formulas.named.NAMED`."""
    channel: str = ""
    """Channel that a named formula reads."""
    purposes: tuple[Purpose, ...] = ("test",)
    decision: DecisionRule | None = None
    formula: str = ""
    inputs: tuple[FormulaInput, ...] = ()
    constants: tuple[FormulaConstant, ...] = ()
    unit: str = ""
    """Unit of the result; "": that of the first input from a channel."""
    decimals: int | None = None
    """Digits after the point on reports; None: those of the instrument."""
    rounding: Rounding = "half-even"
    """For display only; a value in a record is never rounded."""
    coverage_factor: float = 2.0
    """k of U = k u."""
    coverage: Literal["factor", "student"] = "factor"
    """Whether k is `coverage_factor`, or that of the effective degrees of freedom for about 95 %."""
    correlation: float = 0.0
    """r between two readings of one channel, as far as the certificate's uncertainty goes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a procedure; what each kind is, `steps.engine` says."""

    name: str
    quantity: str = ""
    low: float | None = None
    high: float | None = None
    rate_max_per_s: float | None = None
    duration_min_s: float | None = None
    duration_max_s: float | None = None
    channel: str | None = None
    """Channel that shows it; None: the one of the quantity's name."""
    kind: Literal["hold", "ramp", "mark"] = "hold"
    rate_min_per_s: float | None = None
    """Slowest mean rate of a ramp."""
    rate_window_s: float = 10.0
    """Time over which a rate is taken."""
    gap_max_s: float = 60.0
    """Longest time between two readings that still counts as time of the step."""
    required: tuple[str, ...] = ()
    """Channels that must be read throughout the step."""


@dataclass(frozen=True, slots=True)
class Redundant:
    """Two channels that measure the same, and how far apart they may read."""

    channels: tuple[str, ...]
    """Two channels."""
    difference_max: float
    age_max_s: float = 5.0
    """Readings further apart in time are not compared."""
    on_disagreement: Excursion = "hold"


@dataclass(frozen=True, slots=True)
class MetrologyRequirement:
    """What a method asks of the certificate of a channel (计量确认, ISO 10012)."""

    channel: str
    unit: str = ""
    uncertainty_max: float | None = None
    """Largest U that will do, in `unit`."""
    low: float | None = None
    """The certificate must cover the range from here; likewise `high`."""
    high: float | None = None
    kinds: tuple[Literal["verification", "calibration", "check"], ...] = ()
    """Kinds of metrological status that will do; none: each."""


@dataclass(frozen=True, slots=True)
class ManualEntry:
    """A channel that a person may read and enter by hand."""

    channel: str
    unit: str = ""
    """The only unit in which it is entered."""


@dataclass(frozen=True, slots=True)
class Method:
    """An edition of a method; a new edition is a new record of the same id."""

    code: str
    edition: str
    in_scope: bool = True
    """Covered by the laboratory's qualification."""
    required_elements: tuple[Element, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    measurands: tuple[str, ...] = ()
    """Channels that a task measures on its instruments; none: all that they offer."""
    environment_limits: tuple[Limit, ...] = ()
    hold_time_required: bool = True
    weight_tolerance: float | None = None
    """Largest deviation of a check weight from its certified value, in the balance's unit."""
    min_load: float = 0.0
    """A pan reading above it is a load, one at or below it an empty pan; in the balance's unit."""
    check_max_age_s: float | None = None
    """A passed check weight not older than this at the start is required; None: no check is required."""
    completeness_min: float = 0.95
    """Smallest share of expected readings that were good."""
    results: tuple[ResultSpec, ...] = ()
    replicates: int = 1
    steps: tuple[Step, ...] = ()
    step_cycles: int = 1
    """How many times the steps are gone through."""
    redundant: tuple[Redundant, ...] = ()
    replicate_rsd_max_pct: float | None = None
    """Largest relative standard deviation of three or more replicates, in per cent."""
    replicate_rpd_max_pct: float | None = None
    """Largest relative difference of two replicates, in per cent of their mean."""
    metrology: tuple[MetrologyRequirement, ...] = ()
    training: tuple[str, ...] = ()
    """Codes of trainings that an operator must have, valid throughout the work."""
    start_outside: Literal["mark", "refuse"] = "mark"
    """A start while the environment is outside its limits is marked, or refused."""
    custody_required: bool = False
    """The hand-overs of a sample must reach its operator without a break."""
    fingerprint_required: bool = False
    """The sample must be recognised by what was measured when it was received."""
    unsettled_max: float = 0.9
    """Largest share of answers that the instrument itself called unstable."""
    qc: tuple[QcItem, ...] = ()
    """The method's QC plan."""
    manual: tuple[ManualEntry, ...] = ()
    """Channels whose readings count when they are entered by hand; of others they are kept and marked."""
