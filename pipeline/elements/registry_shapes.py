"""What the registry knows of people, equipment, materials, methods and environments, as `registry` records.

Every record is valid in time (`valid_from_ns` up to, not including, `valid_to_ns`, UTC) and says when it was
recorded. Names of persons and customers are not here: they live in the lab-side directory under the same ids.
All times are UTC in ns; None means that the fact was not given, or, for an end, that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.elements.vocabulary import Element, Excursion, Purpose, RegistryType, Role

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

    kind: Literal["sample", "reagent", "reference-material", "check-weight"]
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


@dataclass(frozen=True, slots=True)
class ResultSpec:
    """A result that tasks of these purposes yield, by an algorithm of the literal table."""

    quantity: str
    algorithm: str
    channel: str
    purposes: tuple[Purpose, ...] = ("test",)
    decision: DecisionRule | None = None


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
