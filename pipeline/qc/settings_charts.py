"""Settings of the control charts on the stream and of the rules on medians."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.model import Seconds, Settings
from pipeline.qc.limits import Limit, need_odd, need_one, need_order

Weight = Annotated[float, Field(gt=0, le=1)]
Sigma = Annotated[float, Field(gt=0)]
Readings = Annotated[int, Field(ge=3, le=999)]


class EwmaQc(Settings):
    """EWMA: z = lambda x + (1 - lambda) z against k sigma limits that widen from the start."""

    weight: Weight = 0.3
    """Lambda: weight of the newest reading, above 0 up to 1."""
    centre: float
    """Value at which z starts; unit of the channel."""
    sigma: Sigma
    """Standard deviation of single readings; unit of the channel."""
    suspect_k: Limit | None = None
    """Further from the centre is suspect; standard deviations of z."""
    fail_k: Limit | None = None
    """Further from the centre fails; standard deviations of z."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the chart starts anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("ewma", ("suspect_k", "fail_k"), (self.suspect_k, self.fail_k))
        need_order(self.suspect_k, self.fail_k, keys=("suspect_k", "fail_k"), unit="sigma")
        return self


class CusumQc(Settings):
    """CUSUM: two one-sided sums of the deviations from the target, less K, against H."""

    target: float
    """Value from which deviations are counted; unit of the channel."""
    sigma: Sigma
    """Standard deviation of single readings; unit of the channel."""
    k: Limit = 0.5
    """K: slack that each reading takes off the sums; sigma. Half of the shift to be found."""
    suspect_h: Limit | None = None
    """A larger sum is suspect; sigma."""
    fail_h: Limit | None = None
    """A larger sum fails; sigma."""
    head_start: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Value at which the sums start, as a share of the smaller H (fast initial response: 0.5)."""
    reset: Literal["restart", "none"] = "restart"
    """restart: both sums start anew after the larger H was exceeded. none: they go on."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the sums start anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("cusum", ("suspect_h", "fail_h"), (self.suspect_h, self.fail_h))
        need_order(self.suspect_h, self.fail_h, keys=("suspect_h", "fail_h"), unit="sigma")
        return self


class PageHinkleyQc(Settings):
    """Page-Hinkley: the readings have left their own mean, up or down. Starts anew after an alarm."""

    delta: Limit = 0.0
    """Change of the mean that is tolerated; unit of the channel."""
    suspect: Limit | None = None
    """A larger sum of deviations is suspect; unit of the channel."""
    fail: Limit | None = None
    """A larger sum of deviations fails; unit of the channel."""
    count_min: Annotated[int, Field(ge=2, le=1_000_000)] = 30
    """Readings before the mean is known well enough to judge."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the rule starts anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("page_hinkley", ("suspect", "fail"), (self.suspect, self.fail))
        need_order(self.suspect, self.fail, keys=("suspect", "fail"), unit="(unit of the channel)")
        return self


class HampelQc(Settings):
    """Hampel: |x - median| > k * 1.4826 * MAD of the last `readings` valid readings, this one included."""

    suspect_k: Limit | None = None
    """Further from the median is suspect; scaled median absolute deviations."""
    fail_k: Limit | None = None
    """Further from the median fails; scaled median absolute deviations."""
    readings: Readings = 15
    """Length of the window: an odd number of valid readings."""
    max_gap_s: Seconds = 60.0
    """After a longer interval without a valid reading the window starts anew. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("hampel", ("suspect_k", "fail_k"), (self.suspect_k, self.fail_k))
        need_order(self.suspect_k, self.fail_k, keys=("suspect_k", "fail_k"), unit="MAD")
        need_odd(self.readings, "readings")
        return self


class LevelShiftQc(Settings):
    """Level shift: the medians of the readings before and from a reading on differ. Decided later."""

    suspect: Limit | None = None
    """A larger step is suspect; unit of the channel."""
    fail: Limit | None = None
    """A larger step fails; unit of the channel."""
    readings: Readings = 15
    """Length of each of the two windows: an odd number of valid readings."""
    max_gap_s: Seconds = 60.0
    """A longer interval without a valid reading ends both windows. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("level_shift", ("suspect", "fail"), (self.suspect, self.fail))
        need_order(self.suspect, self.fail, keys=("suspect", "fail"), unit="(unit of the channel)")
        need_odd(self.readings, "readings")
        return self
