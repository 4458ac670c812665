"""Settings of the stream rules: one class for each rule, gathered in `ChannelQc`.

A rule is switched on by giving its table. Every limit is optional, 0 is a limit, and a reading exactly on a
limit passes. `required` says whether a reading for which the rule could not be evaluated is itself "not
evaluated".
"""

from typing import Literal, Self

from pydantic import model_validator

from config.errors import SettingError
from config.model import Seconds, Settings
from pipeline.qc.limits import Limit, need_one, need_order
from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc, PageHinkleyQc
from pipeline.qc.settings_patterns import IdenticalQc, LateQc, RedundancyQc, ScheduleQc, UnitChangeQc
from pipeline.qc.settings_windows import CompletenessQc, NoiseQc, RateDevQc, RepeatedQc, StabilityQc


class RangeQc(Settings):
    """Gross range: a value outside a pair of limits. Either side of either pair may be left out."""

    suspect_low: float | None = None
    """Values below are suspect; unit of the channel."""
    suspect_high: float | None = None
    """Values above are suspect; unit of the channel."""
    fail_low: float | None = None
    """Values below fail; unit of the channel."""
    fail_high: float | None = None
    """Values above fail; unit of the channel."""
    required: bool = True
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        keys = ("suspect_low", "suspect_high", "fail_low", "fail_high")
        need_one("range", keys, tuple(getattr(self, key) for key in keys))
        for low in ("fail_low", "suspect_low"):
            for high in ("suspect_high", "fail_high"):
                self._not_above(low, high, "no value lies between them")
        self._not_above("fail_low", "suspect_low", "the fail range must contain the suspect range")
        self._not_above("suspect_high", "fail_high", "the fail range must contain the suspect range")
        return self

    def _not_above(self, low: str, high: str, why: str) -> None:
        below, above = getattr(self, low), getattr(self, high)
        if below is not None and above is not None and below > above:
            raise SettingError(
                "E023",
                f"{low} = {below} is above {high} = {above}: {why}",
                hint="order them fail_low <= suspect_low <= suspect_high <= fail_high",
                key=low,
            )


class RateQc(Settings):
    """Rate of change: |x[i] - x[i-1]| / dt against a limit, between valid readings, dt in real seconds."""

    suspect: Limit | None = None
    """Faster is suspect; unit of the channel per `per`."""
    fail: Limit | None = None
    """Faster fails; unit of the channel per `per`."""
    per: Literal["s", "min", "h"] = "s"
    """Unit of time of both limits."""
    max_gap_s: Seconds = 60.0
    """A previous valid reading further back does not count: the rule is then not evaluated. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("rate", ("suspect", "fail"), (self.suspect, self.fail))
        need_order(self.suspect, self.fail, keys=("suspect", "fail"), unit=f"per {self.per}")
        return self


class SpikeQc(Settings):
    """Spike: a reading that stands out from both neighbours. Decided when the reading after it has come."""

    method: Literal["average", "differential"] = "average"
    """average: |x[i] - (x[i-1] + x[i+1]) / 2|. differential: the smaller step, if the two turn back."""
    suspect: Limit | None = None
    """A higher spike is suspect; unit of the channel."""
    fail: Limit | None = None
    """A higher spike fails; unit of the channel."""
    max_gap_s: Seconds = 60.0
    """A neighbour further away does not count: the rule is then not evaluated. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("spike", ("suspect", "fail"), (self.suspect, self.fail))
        need_order(self.suspect, self.fail, keys=("suspect", "fail"), unit="(unit of the channel)")
        return self


class FlatLineQc(Settings):
    """Flat line: max - min within `tolerance` over readings that span a duration or longer."""

    tolerance: Limit = 0.0
    """Largest max - min that counts as flat; unit of the channel. 0: equal values only."""
    suspect_s: Seconds | None = None
    """Flat for so long is suspect. Seconds."""
    fail_s: Seconds | None = None
    """Flat for so long fails. Seconds."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the window starts anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("flat_line", ("suspect_s", "fail_s"), (self.suspect_s, self.fail_s))
        need_order(self.suspect_s, self.fail_s, keys=("suspect_s", "fail_s"), unit="s")
        return self


class GapQc(Settings):
    """Gap, order and duplicate: what the time stamps of neighbouring valid readings say."""

    interval_s: Seconds | None = None
    """A longer time since the previous valid reading is suspect (gateway time). Seconds."""
    order: bool = True
    """A time stamp (UTC) before that of the previous valid reading is suspect."""
    duplicate: bool = True
    """A time stamp (UTC) equal to that of the previous valid reading is suspect."""
    required: bool = False
    """A value that the rules could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.interval_s is None and not self.order and not self.duplicate:
            raise SettingError(
                "E020",
                "'gap' switches nothing on",
                hint="give interval_s, order or duplicate, or leave the table out",
            )
        return self


class ChannelQc(Settings):
    """The rules of one channel. Missing values are always flagged; any other rule needs its table."""

    range: RangeQc | None = None
    """Gross range."""
    rate: RateQc | None = None
    """Rate of change."""
    spike: SpikeQc | None = None
    """Spike."""
    flat_line: FlatLineQc | None = None
    """Flat line."""
    gap: GapQc | None = None
    """Gap, order and duplicate of time stamps."""
    repeated: RepeatedQc | None = None
    """Repeated value."""
    noise: NoiseQc | None = None
    """Attenuated or noisy signal."""
    rate_dev: RateDevQc | None = None
    """Rate of change in standard deviations."""
    ewma: EwmaQc | None = None
    """Exponentially weighted moving average."""
    cusum: CusumQc | None = None
    """Cumulative sums."""
    hampel: HampelQc | None = None
    """Distance from the median of the last readings."""
    level_shift: LevelShiftQc | None = None
    """Step between the medians of two windows."""
    page_hinkley: PageHinkleyQc | None = None
    """Change of the mean."""
    stability: StabilityQc | None = None
    """State *stable*."""
    late: LateQc | None = None
    """Age of a reading at its arrival."""
    completeness: CompletenessQc | None = None
    """Readings received of those that were to be polled."""
    identical: IdenticalQc | None = None
    """Identical data: a stretch of values that has come before."""
    unit_change: UnitChangeQc | None = None
    """Change of unit, range or last digit."""
    schedule: ScheduleQc | None = None
    """Expected value from a table of set-points."""
    redundancy: RedundancyQc | None = None
    """Difference from another channel that measures the same."""
    stable_by_design: bool = False
    """The quantity may stay the same for ever (a reference, a switch): equal values say nothing about it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("repeated", "identical"):
            if self.stable_by_design and getattr(self, key) is not None:
                raise SettingError(
                    "E023",
                    f"'{key}' makes no sense on a channel that is stable by design",
                    hint=f"leave the table '{key}' out, or set stable_by_design = false",
                    key=key,
                )
        return self
