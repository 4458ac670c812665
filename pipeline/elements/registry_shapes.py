"""What the registry knows of people, equipment, materials, methods and environments, as `registry` records.

Every record is valid in time (`valid_from_ns` up to, not including, `valid_to_ns`, UTC) and says when it was
recorded. Names of persons and customers are not here: they live in the lab-side directory under the same ids.
All times are UTC in ns; None means that the fact was not given, or, for an end, that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.elements.vocabulary import (
    Element,
    Excursion,
    Purpose,
    QcKind,
    RegistryType,
    Role,
    Rounding,
    Score,
)  # fmt: skip

ANY = "*"
"""In an authorisation: every method, or every instrument."""


@dataclass(frozen=True, slots=True)
class Authorisation:
    """Leave to work by these methods on these instruments (ISO/IEC 17025:2017, 6.2.5 and 6.2.6)."""

    methods: tuple[str, ...]
    instruments: tuple[str, ...]
    valid_from_ns: int
    valid_to_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A role of a person in the laboratory, such as `authorised-signatory`."""

    role: str
    valid_from_ns: int
    valid_to_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """A training that a person has completed."""

    code: str
    valid_from_ns: int
    valid_to_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A person, known by an opaque id only."""

    badge: str | None = None
    authorisations: tuple[Authorisation, ...] = ()
    roles: tuple[Grant, ...] = ()
    training: tuple[Training, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelQualification:
    """What a certificate says of one channel of an instrument."""

    channel: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    uncertainty: float | None = None
    """Expanded uncertainty U in `unit`."""
    k: float | None = None
    correction: str | None = None
    """Id of the correction in force."""


@dataclass(frozen=True, slots=True)
class Metrology:
    """Metrological status: certificate, its confirmation and the due date, both by the laboratory."""

    kind: Literal["verification", "calibration", "check"]
    certificate: str | None = None
    laboratory: str | None = None
    confirmed_by: str | None = None
    """Id of the person who confirmed the certificate against the methods' requirements."""
    confirmed_at_ns: int | None = None
    due_ns: int | None = None
    channels: tuple[ChannelQualification, ...] = ()
    withdrawn: bool = False
    """The certificate was withdrawn: everything that rests on it is looked back at."""


@dataclass(frozen=True, slots=True)
class IntermediateCheckPlan:
    """How often an instrument is checked between calibrations, and by which method."""

    method: str
    interval_s: float


@dataclass(frozen=True, slots=True)
class Equipment:
    """An instrument as an asset of the laboratory."""

    instrument: str
    """Id of the instrument in the gateway's configuration."""
    model: str = ""
    serial: str | None = None
    identifies: bool = True
    """Whether the device can state its own serial number."""
    condition: Literal["qualified", "limited", "stopped"] = "qualified"
    channels: tuple[str, ...] = ()
    """Names of its channels that tasks may measure."""
    exclusive: bool = True
    """One running task at a time may measure with it."""
    room: str | None = None
    """Id of the environment in which it stands."""
    metrology: Metrology | None = None
    check_plan: IntermediateCheckPlan | None = None
    capacity_per_hour: int | None = None
    """Most tasks that can be carried through with it in an hour; None: not stated."""


@dataclass(frozen=True, slots=True)
class CertifiedValue:
    """A property value of a reference material or check weight with its expanded uncertainty."""

    quantity: str
    value: float
    unit: str
    uncertainty: float | None = None
    k: float | None = None


@dataclass(frozen=True, slots=True)
class Custody:
    """One hand-over of a material."""

    at_ns: int
    person: str
    place: str


@dataclass(frozen=True, slots=True)
class Material:
    """A sample, reagent, reference material or check weight."""

    kind: Literal["sample", "reagent", "reference-material", "check-weight", "qc-sample"]
    received_at_ns: int | None = None
    hold_limit_s: float | None = None
    """Longest time from receipt to the start of the test."""
    storage: str | None = None
    """Id of the environment in which it is kept."""
    customer: str | None = None
    lot: str | None = None
    expiry_ns: int | None = None
    certificate: str | None = None
    certified: tuple[CertifiedValue, ...] = ()
    custody: tuple[Custody, ...] = ()
    level: str = ""
    """Level of a QC sample, such as "low" or "2"."""
    withdrawn: bool = False
    """The certificate was withdrawn: everything that rests on it is looked back at."""


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
    correlation: float = 0.0
    """r between two readings of one channel, as far as the certificate's uncertainty goes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a procedure."""

    name: str
    quantity: str
    low: float | None = None
    high: float | None = None
    rate_max_per_s: float | None = None
    duration_min_s: float | None = None
    duration_max_s: float | None = None


@dataclass(frozen=True, slots=True)
class QcItem:
    """One line of a method's QC plan: which control, how often, and what it is judged by."""

    kind: QcKind
    quantity: str | None = None
    """Result that it is about; None: every one."""
    per_batch: int | None = None
    """At least so many in each batch."""
    every: int | None = None
    """At most so many samples of a batch between two of them."""
    interval_s: float | None = None
    """At most this long between two of them by the method on the instrument, batches or not."""
    opening: bool = False
    """The first sample of a batch comes after one."""
    closing: bool = False
    """The last sample of a batch comes before one."""
    score: Score | None = None
    """What is judged; None: what is usual for the kind."""
    low: float | None = None
    high: float | None = None
    """Limits of the figure, in the unit of the result or in %; None: what is usual for the kind."""
    sigma: float | None = None
    """Standard deviation for proficiency assessment, σ_pt, for z and z'."""
    warn: tuple[str, ...] = ("1-2s",)
    """Control rules after which a QC sample is marked; likewise `reject`."""
    reject: tuple[str, ...] = ("1-3s", "2-2s", "R-4s", "4-1s", "10x")


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
    qc: tuple[QcItem, ...] = ()
    """The method's QC plan."""


@dataclass(frozen=True, slots=True)
class EnvironmentChannel:
    """One quantity of an environment, where it is read, and the limits that hold without a method's own."""

    quantity: str
    target: str
    """`instrument.channel`"""
    low: float | None = None
    high: float | None = None
    staleness_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Environment:
    """A room, refrigerator or chamber."""

    kind: Literal["room", "fridge", "freezer", "chamber"]
    channels: tuple[EnvironmentChannel, ...] = ()


Data = Person | Equipment | Material | Method | Environment
SHAPES: dict[RegistryType, type[Data]] = {
    "person": Person,
    "equipment": Equipment,
    "material": Material,
    "method": Method,
    "environment": Environment,
}


@dataclass(frozen=True, slots=True)
class RegistryRecord:
    """Body of a `registry` record: one version of one entry."""

    type: RegistryType
    id: str
    valid_from_ns: int
    valid_to_ns: int | None
    recorded_at_ns: int
    data: dict[str, Any]
    """Body of the shape that `SHAPES` names for `type`."""
    actor: dict[str, Any]
