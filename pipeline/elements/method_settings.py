"""Tables of a method in a registry file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import ChannelName, Settings
from pipeline.elements import registry_shapes as shapes
from pipeline.elements.qc_settings import QcItemSettings
from pipeline.elements.registry_base import EntrySettings, NotNegative, Positive, ShortText
from pipeline.elements.result_settings import ResultSettings
from pipeline.elements.step_settings import MetrologyRequirementSettings, RedundantSettings, StepSettings
from pipeline.elements.vocabulary import Element, Excursion, Role
from pipeline.records.units import UNIT_LENGTH_MAX, UnitError, unit


class RequirementSettings(Settings):
    """A binding that the method asks for."""

    role: Role
    """Role of the binding."""
    channel: ChannelName | None = None
    """Channel that must have delivered readings."""


class LimitSettings(Settings):
    """Limits of the environment."""

    quantity: ShortText
    """As the environment names it."""
    low: float | None = None
    """Lower limit; it passes itself."""
    high: float | None = None
    """Upper limit; it passes itself."""
    on_excursion: Excursion = "hold"
    """What an excursion makes of the element."""
    staleness_s: Positive | None = None
    """Longest time without a valid reading."""
    hysteresis: NotNegative = 0.0
    """How far inside the limits an excursion must have come back to be over."""
    grace_s: NotNegative = 0.0
    """An excursion not longer than this is marked and does not hold."""
    rate_max_per_h: Positive | None = None
    """Fastest change."""
    rate_window_s: Positive = 600.0
    """Time over which a rate is taken."""


class ManualEntrySettings(Settings):
    """A channel that may be entered by hand."""

    channel: ChannelName
    """Channel of an instrument of the task."""
    unit: Annotated[str, Field(max_length=UNIT_LENGTH_MAX)] = ""
    """The only unit in which it is entered."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            unit(self.unit)
        except UnitError as error:
            raise SettingError("E020", str(error), key="unit", hint="see docs/results.md") from error
        return self


class MethodSettings(EntrySettings):
    """An edition of a method."""

    code: ShortText
    """Number of the standard or instruction."""
    edition: ShortText
    """Year or revision."""
    in_scope: bool = True
    """Covered by the laboratory's qualification."""
    required_elements: tuple[Element, ...] = (
        "people", "equipment", "material", "method", "environment", "measurement",
    )  # fmt: skip
    """Elements whose missing facts hold the result."""
    requirements: tuple[RequirementSettings, ...] = ()
    """Bindings that a task must have."""
    measurands: tuple[ChannelName, ...] = ()
    """Channels that a task measures; none: all that the instrument offers."""
    environment_limits: tuple[LimitSettings, ...] = ()
    """Limits during the work."""
    hold_time_required: bool = True
    """Whether a sample must have a hold time limit."""
    weight_tolerance: NotNegative | None = None
    """Largest deviation of a check weight, in the balance's unit."""
    min_load: NotNegative = 0.0
    """A pan reading above it is a load."""
    check_max_age_h: Positive | None = None
    """A passed check not older than this is required before the work, hours."""
    completeness_min: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Smallest share of good readings."""
    results: tuple[ResultSettings, ...] = ()
    """What tasks yield."""
    replicates: Annotated[int, Field(ge=1, le=1000)] = 1
    """Replicate measurements."""
    qc: tuple[QcItemSettings, ...] = ()
    """QC plan."""
    steps: tuple[StepSettings, ...] = ()
    """Procedure."""
    step_cycles: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """How many times the steps are gone through."""
    redundant: tuple[RedundantSettings, ...] = ()
    """Channels that measure the same."""
    replicate_rsd_max_pct: Positive | None = None
    """Largest relative standard deviation of three or more replicates, %."""
    replicate_rpd_max_pct: Positive | None = None
    """Largest relative difference of two replicates, %."""
    metrology: tuple[MetrologyRequirementSettings, ...] = ()
    """What is asked of certificates."""
    training: tuple[ShortText, ...] = ()
    """Trainings that an operator must have."""
    start_outside: Literal["mark", "refuse"] = "mark"
    """A start while the environment is outside its limits."""
    custody_required: bool = False
    """The hand-overs of a sample must reach its operator."""
    fingerprint_required: bool = False
    """The sample must be recognised by what was measured at receipt."""
    unsettled_max: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Largest share of answers that the instrument called unstable."""
    manual: tuple[ManualEntrySettings, ...] = ()
    """Channels that a person may read and enter by hand."""

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            hint = "give each step a name of its own; cycles are step_cycles"
            raise SettingError("E021", "two steps have one name", key="steps", hint=hint)
        return self

    def shape(self) -> shapes.Method:
        """Give the record's data."""
        age_h = self.check_max_age_h
        return shapes.Method(
            code=self.code, edition=self.edition, in_scope=self.in_scope,
            required_elements=self.required_elements,
            requirements=tuple(shapes.Requirement(r.role, r.channel) for r in self.requirements),
            measurands=self.measurands,
            environment_limits=tuple(shapes.Limit(**dict(limit)) for limit in self.environment_limits),
            hold_time_required=self.hold_time_required, weight_tolerance=self.weight_tolerance,
            min_load=self.min_load, check_max_age_s=None if age_h is None else age_h * 3600,
            completeness_min=self.completeness_min,
            results=tuple(result.shape() for result in self.results),
            qc=tuple(item.shape() for item in self.qc),
            step_cycles=self.step_cycles, training=self.training, start_outside=self.start_outside,
            redundant=tuple(shapes.Redundant(**dict(one)) for one in self.redundant),
            replicate_rsd_max_pct=self.replicate_rsd_max_pct,
            replicate_rpd_max_pct=self.replicate_rpd_max_pct,
            metrology=tuple(shapes.MetrologyRequirement(**dict(one)) for one in self.metrology),
            custody_required=self.custody_required, fingerprint_required=self.fingerprint_required,
            unsettled_max=self.unsettled_max,
            manual=tuple(shapes.ManualEntry(**dict(one)) for one in self.manual),
            replicates=self.replicates, steps=tuple(shapes.Step(**dict(step)) for step in self.steps),
        )  # fmt: skip
