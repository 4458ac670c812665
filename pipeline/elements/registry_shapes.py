"""What the registry knows of people, equipment, materials, methods and environments, as `registry` records.

Every record is valid in time (`valid_from_ns` up to, not including, `valid_to_ns`, UTC) and says when it was
recorded. Names of persons and customers are not here: they live in the lab-side directory under the same ids.
All times are UTC in ns; None means that the fact was not given, or, for an end, that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.corrections import Correction, CorrectionPoint
from pipeline.elements.method_shapes import (
    DecisionRule,
    FormulaConstant,
    FormulaInput,
    Limit,
    ManualEntry,
    Method,
    MetrologyRequirement,
    Redundant,
    Requirement,
    ResultSpec,
    Step,
)  # fmt: skip
from pipeline.elements.qc_shapes import QcItem
from pipeline.elements.vocabulary import RegistryType

__all__ = [
    "ANY",
    "SHAPES",
    "Authorisation",
    "CertifiedValue",
    "ChannelQualification",
    "Correction",
    "CorrectionPoint",
    "Custody",
    "Data",
    "DecisionRule",
    "Environment",
    "EnvironmentChannel",
    "Equipment",
    "Fingerprint",
    "FormulaConstant",
    "FormulaInput",
    "Grant",
    "IntermediateCheckPlan",
    "Limit",
    "ManualEntry",
    "Material",
    "Method",
    "Metrology",
    "MetrologyRequirement",
    "Person",
    "QcItem",
    "Redundant",
    "RegistryRecord",
    "Requirement",
    "ResultSpec",
    "Step",
    "Training",
]  # fmt: skip

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
    """Id of the correction that the laboratory applies; None: it applies none."""
    limited_low: float | None = None
    """Of an instrument approved for limited use: where it may be used; likewise `limited_high`."""
    limited_high: float | None = None


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
    warm_up_s: float | None = None
    """Time from switching on to the first use; None: none is needed."""
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
class Fingerprint:
    """What was measured of a sample when it was received: a result of the test must agree with it."""

    quantity: str
    """Name of a result of the method."""
    value: float
    tolerance: float
    """Largest deviation."""


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
    exposure_max_h: float | None = None
    """Most that storage may have been outside its limits since receipt: excess times time, unit of it · h."""
    fingerprints: tuple[Fingerprint, ...] = ()
    level: str = ""
    """Level of a QC sample, such as "low" or "2"."""
    withdrawn: bool = False
    """The certificate was withdrawn: everything that rests on it is looked back at."""
    opened_at_ns: int | None = None
    """When a reagent or reference material was opened."""
    open_life_s: float | None = None
    """How long it may be used after that; None: to its expiry."""


@dataclass(frozen=True, slots=True)
class EnvironmentChannel:
    """One quantity of an environment, where it is read, and the limits that hold without a method's own."""

    quantity: str
    target: str
    """`instrument.channel`"""
    low: float | None = None
    high: float | None = None
    staleness_s: float = 60.0
    hysteresis: float = 0.0
    grace_s: float = 0.0
    rate_max_per_h: float | None = None
    rate_window_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Environment:
    """A room, refrigerator or chamber."""

    kind: Literal["room", "fridge", "freezer", "chamber"]
    channels: tuple[EnvironmentChannel, ...] = ()
    near: tuple[str, ...] = ()
    """Ids of environments near enough that one person can look after work in both."""


Data = Person | Equipment | Material | Method | Environment | Correction
SHAPES: dict[RegistryType, type[Data]] = {
    "person": Person,
    "equipment": Equipment,
    "material": Material,
    "method": Method,
    "environment": Environment,
    "correction": Correction,
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
