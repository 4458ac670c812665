"""Tables of a method in a registry file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.model import ChannelName, Settings
from pipeline.elements import registry_shapes as shapes
from pipeline.elements.qc_settings import QcItemSettings
from pipeline.elements.registry_base import EntrySettings, NotNegative, Positive, ShortText
from pipeline.elements.vocabulary import Element, Excursion, Purpose, Role


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


class DecisionSettings(Settings):
    """Decision rule of a statement of conformity."""

    rule: Literal["simple", "guard-band"]
    """Accept up to the limit, or up to the limit minus the guard band."""
    low: float | None = None
    """Lower limit."""
    high: float | None = None
    """Upper limit."""
    guard_band: NotNegative = 0.0
    """w, in the unit of the result."""


class ResultSettings(Settings):
    """A result that tasks yield."""

    quantity: ShortText
    """What it is called."""
    algorithm: Literal["net-weight", "check-weight", "pressure-drop"]
    """How it is computed."""
    channel: ChannelName
    """From which channel."""
    purposes: tuple[Purpose, ...] = ("test",)
    """For tasks of which purposes."""
    decision: DecisionSettings | None = None
    """Statement of conformity."""


class StepSettings(Settings):
    """One step of the procedure."""

    name: ShortText
    """What it is called."""
    quantity: ShortText
    """What is held or ramped."""
    low: float | None = None
    """Lower limit."""
    high: float | None = None
    """Upper limit."""
    rate_max_per_s: Positive | None = None
    """Fastest change."""
    duration_min_s: NotNegative | None = None
    """Shortest duration."""
    duration_max_s: Positive | None = None
    """Longest duration."""


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
            results=tuple(
                shapes.ResultSpec(
                    r.quantity, r.algorithm, r.channel, r.purposes,
                    None if r.decision is None else shapes.DecisionRule(**dict(r.decision)),
                )
                for r in self.results
            ),
            qc=tuple(item.shape() for item in self.qc),
            replicates=self.replicates, steps=tuple(shapes.Step(**dict(step)) for step in self.steps),
        )  # fmt: skip
