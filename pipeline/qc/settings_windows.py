"""Settings of the rules on windows: repeated value, noise, rate in standard deviations, state."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import Seconds, Settings
from pipeline.qc.limits import Limit, need_falling, need_one, need_order

Count = Annotated[int, Field(ge=2, le=1_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class RepeatedQc(Settings):
    """Repeated value: n valid readings in a row that are equal, or within `tolerance` of one another."""

    suspect_n: Count | None = None
    """So many are suspect. Readings."""
    fail_n: Count | None = None
    """So many fail. Readings."""
    tolerance: Limit = 0.0
    """Largest difference that counts as equal (QARTOD: EPS); unit of the channel. 0: the same raw code."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the count starts anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("repeated", ("suspect_n", "fail_n"), (self.suspect_n, self.fail_n))
        need_order(self.suspect_n, self.fail_n, keys=("suspect_n", "fail_n"), unit="readings")
        return self


class NoiseQc(Settings):
    """Attenuated or noisy: the variation of the readings of a trailing window is below or above limits."""

    statistic: Literal["sd", "range"] = "sd"
    """sd: standard deviation (ddof 0). range: greatest less least."""
    suspect_low: Limit | None = None
    """Less variation is suspect (attenuated); unit of the channel."""
    suspect_high: Limit | None = None
    """More variation is suspect (noisy); unit of the channel."""
    fail_low: Limit | None = None
    """Less variation fails; unit of the channel."""
    fail_high: Limit | None = None
    """More variation fails; unit of the channel."""
    window_s: Seconds = 60.0
    """Length of the window, both ends included. Seconds."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the window starts anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        keys = ("suspect_low", "suspect_high", "fail_low", "fail_high")
        need_one("noise", keys, tuple(getattr(self, key) for key in keys))
        unit = "(unit of the channel)"
        need_order(self.suspect_high, self.fail_high, keys=("suspect_high", "fail_high"), unit=unit)
        need_falling(self.suspect_low, self.fail_low, keys=("suspect_low", "fail_low"), unit=unit)
        lows = [low for low in (self.suspect_low, self.fail_low) if low is not None]
        highs = [high for high in (self.suspect_high, self.fail_high) if high is not None]
        if lows and highs and max(lows) > min(highs):
            raise SettingError(
                "E023",
                f"the low limit {max(lows)} is above the high limit {min(highs)}: nothing lies between",
                hint="order them fail_low <= suspect_low <= suspect_high <= fail_high",
                key="suspect_low" if self.suspect_low is not None else "fail_low",
            )
        return self


class RateDevQc(Settings):
    """Rate of change, second form: a step of more than N standard deviations of the readings before it."""

    suspect: Limit | None = None
    """A greater step is suspect; standard deviations (QARTOD: N_DEV)."""
    fail: Limit | None = None
    """A greater step fails; standard deviations."""
    window_s: Seconds = 3600.0
    """Window before the reading over which the standard deviation is taken (QARTOD: TIM_DEV). Seconds."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the window starts anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("rate_dev", ("suspect", "fail"), (self.suspect, self.fail))
        need_order(self.suspect, self.fail, keys=("suspect", "fail"), unit="standard deviations")
        return self


class StabilityQc(Settings):
    """State *stable*: all readings of a duration lie within ± `tolerance`. It is told, never flagged."""

    tolerance: Limit
    """Half of the largest max - min that counts as stable; unit of the channel."""
    duration_s: Seconds
    """How long the readings must stay within it. Seconds."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the window starts anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""


class CompletenessQc(Settings):
    """Completeness: valid readings of a trailing window as a share of those that were to be polled."""

    suspect: Share | None = None
    """A smaller share is suspect; 0 to 1."""
    fail: Share | None = None
    """A smaller share fails; 0 to 1."""
    window_s: Seconds = 600.0
    """Length of the window. Seconds."""
    interval_s: Seconds | None = None
    """Interval of the readings to be expected; the poll interval when absent. Needed where nobody polls.
    Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("completeness", ("suspect", "fail"), (self.suspect, self.fail))
        need_falling(self.suspect, self.fail, keys=("suspect", "fail"), unit="(share)")
        return self
