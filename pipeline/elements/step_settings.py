"""Tables of the procedure of a method, and of what it asks of equipment, in a registry file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import ChannelName, Settings
from pipeline.elements.registry_base import NotNegative, Positive, ShortText
from pipeline.elements.vocabulary import Excursion


class StepSettings(Settings):
    """One step of the procedure."""

    name: ShortText
    """What it is called."""
    quantity: str = ""
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
    channel: ChannelName | None = None
    """Channel that shows it; without it the one of the quantity's name."""
    kind: Literal["hold", "ramp", "mark"] = "hold"
    """Held within the limits, on its way to them, or marked by a person."""
    rate_min_per_s: Positive | None = None
    """Slowest mean change of a ramp."""
    rate_window_s: Positive = 10.0
    """Time over which a rate is taken."""
    gap_max_s: Positive = 60.0
    """Longest time between two readings that still counts."""
    required: tuple[ChannelName, ...] = ()
    """Channels that must be read throughout."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "hold" and self.low is None and self.high is None:
            hint = 'give low, high or both, or kind = "mark"'
            raise SettingError("E020", f"step '{self.name}' holds nothing", key="name", hint=hint)
        if self.kind != "mark" and not (self.quantity or self.channel):
            hint = 'give quantity or channel, or kind = "mark"'
            raise SettingError("E020", f"no reading shows step '{self.name}'", key="name", hint=hint)
        shortest, longest = self.duration_min_s, self.duration_max_s
        if shortest is not None and longest is not None and shortest > longest:
            hint = "swap them"
            told = "its shortest duration is above its longest"
            raise SettingError("E023", told, key="duration_min_s", hint=hint)
        return self


class RedundantSettings(Settings):
    """Channels that measure the same."""

    channels: Annotated[tuple[ChannelName, ...], Field(min_length=2, max_length=2)]
    """The two of them."""
    difference_max: NotNegative
    """How far apart they may read."""
    age_max_s: Positive = 5.0
    """Readings further apart in time are not compared."""
    on_disagreement: Excursion = "hold"
    """What a disagreement makes of the element."""


class MetrologyRequirementSettings(Settings):
    """What the method asks of a certificate."""

    channel: ChannelName
    """For which channel."""
    unit: str = ""
    """Unit of the figures."""
    uncertainty_max: Positive | None = None
    """Largest U."""
    low: float | None = None
    """The range must be covered from here."""
    high: float | None = None
    """The range must be covered to here."""
    kinds: tuple[Literal["verification", "calibration", "check"], ...] = ()
    """检定, 校准, 核查: which of them will do; none: each."""
