"""Tables of a registry file. Times are offset date-times, durations carry their unit in the key's name.

Each table turns into a record body by `shape()`; names of persons and customers stay behind: they go to the
lab-side directory only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.model import ChannelName, EntryId, Identifier, Instant, Settings
from pipeline.elements import registry_shapes as shapes
from pipeline.elements.correction_settings import CorrectionSettings
from pipeline.elements.method_settings import MethodSettings
from pipeline.elements.registry_base import (
    EntrySettings,
    NotNegative,
    Positive,
    ShortText,
    Target,
    instant_ns,
    to_ns,
)  # fmt: skip


class AuthorisationSettings(Settings):
    """Leave to work by methods on instruments."""

    methods: tuple[EntryId | Literal["*"], ...]
    """Ids of methods, or "*" for every one."""
    instruments: tuple[Identifier | Literal["*"], ...]
    """Ids of instruments of the gateway, or "*" for every one."""
    valid_from: Instant
    """First instant."""
    valid_to: Instant | None = None
    """End."""


class GrantSettings(Settings):
    """A role or a completed training."""

    code: ShortText
    """Such as authorised-signatory."""
    valid_from: Instant
    """First instant."""
    valid_to: Instant | None = None
    """End."""


class PersonSettings(EntrySettings):
    """A person of the laboratory."""

    name: ShortText
    """For the lab-side directory; never in a record."""
    badge: ShortText | None = None
    """Code of the badge as the reader gives it."""
    authorisations: tuple[AuthorisationSettings, ...] = ()
    """What the person may do."""
    roles: tuple[GrantSettings, ...] = ()
    """Roles in the laboratory."""
    training: tuple[GrantSettings, ...] = ()
    """Completed trainings."""

    def shape(self) -> shapes.Person:
        """Give the record's data, without the name."""
        return shapes.Person(
            badge=self.badge,
            authorisations=tuple(
                shapes.Authorisation(a.methods, a.instruments, instant_ns(a.valid_from), to_ns(a.valid_to))
                for a in self.authorisations
            ),
            roles=tuple(
                shapes.Grant(g.code, instant_ns(g.valid_from), to_ns(g.valid_to)) for g in self.roles
            ),
            training=tuple(
                shapes.Training(g.code, instant_ns(g.valid_from), to_ns(g.valid_to)) for g in self.training
            ),
        )


class CustomerSettings(Settings):
    """A customer: in the lab-side directory only."""

    id: EntryId
    """Opaque id, as samples name it."""
    name: ShortText
    """Never in a record."""


class ChannelQualificationSettings(Settings):
    """What the certificate says of one channel."""

    channel: ChannelName
    """Channel of the instrument."""
    unit: str = ""
    """Unit of the figures."""
    low: float | None = None
    """Lower end of the calibrated range."""
    high: float | None = None
    """Upper end of the calibrated range."""
    uncertainty: NotNegative | None = None
    """Expanded uncertainty U."""
    k: Positive | None = None
    """Coverage factor of U."""
    correction: EntryId | None = None
    """Id of the correction in force."""
    limited_low: float | None = None
    """Lower end of the range of limited use (准用)."""
    limited_high: float | None = None
    """Upper end of the range of limited use."""


class MetrologySettings(Settings):
    """Metrological status."""

    kind: Literal["verification", "calibration", "check"]
    """检定, 校准 or 核查."""
    certificate: ShortText | None = None
    """Number of the certificate."""
    laboratory: ShortText | None = None
    """Who issued it."""
    confirmed_by: EntryId | None = None
    """Person who confirmed it against the methods' requirements."""
    confirmed_at: Instant | None = None
    """When."""
    due: Instant | None = None
    """Set by the laboratory."""
    channels: tuple[ChannelQualificationSettings, ...] = ()
    """Figures of each channel."""
    withdrawn: bool = False
    """The certificate was withdrawn; what rests on it is looked back at."""


class CheckPlanSettings(Settings):
    """Plan of intermediate checks."""

    method: EntryId
    """By which method."""
    interval_s: Positive
    """How often."""


class EquipmentSettings(EntrySettings):
    """An instrument as an asset."""

    instrument: Identifier
    """Id in the gateway's configuration."""
    model: str = ""
    """Maker's model."""
    serial: ShortText | None = None
    """Serial number as the device tells it."""
    identifies: bool = True
    """Whether the device can tell its serial number."""
    condition: Literal["qualified", "limited", "stopped"] = "qualified"
    """合格, 准用 or 停用."""
    channels: tuple[ChannelName, ...] = ()
    """Channels that tasks may measure."""
    exclusive: bool = True
    """One running task at a time."""
    room: EntryId | None = None
    """Environment in which it stands."""
    metrology: MetrologySettings | None = None
    """Certificate and due date."""
    check_plan: CheckPlanSettings | None = None
    """Intermediate checks."""
    warm_up_s: Positive | None = None
    """Time from switching on to the first use."""
    capacity_per_hour: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Most tasks that can be carried through with it in an hour."""

    def shape(self) -> shapes.Equipment:
        """Give the record's data."""
        m, plan = self.metrology, self.check_plan
        return shapes.Equipment(
            instrument=self.instrument, model=self.model, serial=self.serial, identifies=self.identifies,
            condition=self.condition, channels=self.channels, exclusive=self.exclusive, room=self.room,
            metrology=None if m is None else shapes.Metrology(
                m.kind, m.certificate, m.laboratory, m.confirmed_by, to_ns(m.confirmed_at), to_ns(m.due),
                tuple(shapes.ChannelQualification(**dict(channel)) for channel in m.channels), m.withdrawn,
            ),
            check_plan=None if plan is None else shapes.IntermediateCheckPlan(plan.method, plan.interval_s),
            capacity_per_hour=self.capacity_per_hour, warm_up_s=self.warm_up_s,
        )  # fmt: skip


class CertifiedValueSettings(Settings):
    """A certified value."""

    quantity: ShortText
    """What is certified."""
    value: float
    """In `unit`."""
    unit: ShortText
    """Unit of the figures."""
    uncertainty: NotNegative | None = None
    """Expanded uncertainty U."""
    k: Positive | None = None
    """Coverage factor of U."""


class CustodySettings(Settings):
    """One hand-over of a material."""

    at: Instant
    """When."""
    person: EntryId
    """To whom."""
    place: ShortText
    """Where to."""


class FingerprintSettings(Settings):
    """What was measured of a sample at receipt."""

    quantity: ShortText
    """Result of the method that must agree with it."""
    value: float
    """In the unit of that result."""
    tolerance: NotNegative
    """Largest deviation."""


class MaterialSettings(EntrySettings):
    """A sample, reagent, reference material or check weight."""

    kind: Literal["sample", "reagent", "reference-material", "check-weight", "qc-sample"]
    """What it is."""
    received_at: Instant | None = None
    """When it reached the laboratory."""
    received_on_import: bool = False
    """It is being booked in by this import: the time of import is the time of receipt."""
    hold_limit_h: Positive | None = None
    """Longest time from receipt to the start of the test, hours."""
    storage: EntryId | None = None
    """Environment in which it is kept."""
    customer: EntryId | None = None
    """Opaque id of the customer."""
    lot: ShortText | None = None
    """Lot."""
    expiry: Instant | None = None
    """First instant at which it must not be used."""
    certificate: ShortText | None = None
    """Number of the certificate."""
    certified: tuple[CertifiedValueSettings, ...] = ()
    """Certified values."""
    custody: tuple[CustodySettings, ...] = ()
    """Hand-overs so far."""
    exposure_max_h: NotNegative | None = None
    """Most that storage may have been outside its limits since receipt: unit of the channel times hours."""
    fingerprints: tuple[FingerprintSettings, ...] = ()
    """What it is recognised by."""
    level: str = ""
    """Level of a QC sample."""
    withdrawn: bool = False
    """The certificate was withdrawn; what rests on it is looked back at."""

    opened_at: Instant | None = None
    """When a reagent or reference material was opened."""
    open_life_h: Positive | None = None
    """How long it may be used after that, hours; else to its expiry."""

    def shape(self) -> shapes.Material:
        """Give the record's data."""
        return shapes.Material(
            kind=self.kind, received_at_ns=to_ns(self.received_at),
            hold_limit_s=None if self.hold_limit_h is None else self.hold_limit_h * 3600,
            storage=self.storage, customer=self.customer, lot=self.lot, expiry_ns=to_ns(self.expiry),
            certificate=self.certificate,
            certified=tuple(shapes.CertifiedValue(**dict(value)) for value in self.certified),
            custody=tuple(shapes.Custody(instant_ns(c.at), c.person, c.place) for c in self.custody),
            level=self.level, withdrawn=self.withdrawn, exposure_max_h=self.exposure_max_h,
            fingerprints=tuple(shapes.Fingerprint(**dict(one)) for one in self.fingerprints),
            opened_at_ns=to_ns(self.opened_at),
            open_life_s=None if self.open_life_h is None else self.open_life_h * 3600,
        )  # fmt: skip


class EnvironmentChannelSettings(Settings):
    """One quantity of an environment."""

    quantity: ShortText
    """What it is called."""
    target: Target
    """Where it is read: instrument.channel."""
    low: float | None = None
    """Lower limit; it passes itself."""
    high: float | None = None
    """Upper limit; it passes itself."""
    staleness_s: Positive = 60.0
    """Longest time without a valid reading."""
    hysteresis: NotNegative = 0.0
    """How far inside the limits an excursion must have come back to be over."""
    grace_s: NotNegative = 0.0
    """An excursion not longer than this is marked and does not hold."""
    rate_max_per_h: Positive | None = None
    """Fastest change."""
    rate_window_s: Positive = 600.0
    """Time over which a rate is taken."""


class EnvironmentSettings(EntrySettings):
    """A room, refrigerator or chamber."""

    kind: Literal["room", "fridge", "freezer", "chamber"]
    """What it is."""
    channels: tuple[EnvironmentChannelSettings, ...] = ()
    """What is watched in it."""
    near: tuple[EntryId, ...] = ()
    """Environments near enough that one person can look after work in both."""

    def shape(self) -> shapes.Environment:
        """Give the record's data."""
        return shapes.Environment(
            self.kind,
            tuple(shapes.EnvironmentChannel(**dict(channel)) for channel in self.channels),
            self.near,
        )


class RegistrySettings(Settings):
    """A registry file."""

    valid_from: Instant | None = None
    """For every entry that has none of its own."""
    person: tuple[PersonSettings, ...] = ()
    """People."""
    customer: tuple[CustomerSettings, ...] = ()
    """Customers."""
    equipment: tuple[EquipmentSettings, ...] = ()
    """Equipment."""
    material: tuple[MaterialSettings, ...] = ()
    """Samples, reagents, reference materials."""
    method: tuple[MethodSettings, ...] = ()
    """Methods."""
    environment: tuple[EnvironmentSettings, ...] = ()
    """Rooms, refrigerators, chambers."""
    correction: tuple[CorrectionSettings, ...] = ()
    """Corrections of readings, from certificates."""
