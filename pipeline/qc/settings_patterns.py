"""Settings of the rules on what was expected: arrival, identical data, unit, schedule, redundancy."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import ChannelName, Identifier, Instant, Seconds, Settings
from pipeline.qc.limits import Limit, need_one, need_order

SETPOINTS_MAX = 16
LateSeconds = Annotated[float, Field(ge=0.2, le=3600.0)]


class LateQc(Settings):
    """Late: the age of a reading when it arrived (gateway time), against limits."""

    suspect_s: Seconds | None = None
    """Older is suspect. Seconds."""
    fail_s: Seconds | None = None
    """Older fails. Seconds."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("late", ("suspect_s", "fail_s"), (self.suspect_s, self.fail_s))
        need_order(self.suspect_s, self.fail_s, keys=("suspect_s", "fail_s"), unit="s")
        return self


class IdenticalQc(Settings):
    """Identical data: a stretch of raw values that equals an earlier one, of this sample or another."""

    suspect_n: Annotated[int, Field(ge=3, le=10_000)] | None = None
    """So many repeated values are suspect. Readings."""
    fail_n: Annotated[int, Field(ge=3, le=10_000)] | None = None
    """So many repeated values fail. Readings."""
    history_n: Annotated[int, Field(ge=6, le=1_000_000)] = 10_000
    """Valid readings that are kept for comparison."""
    changes_min: Annotated[int, Field(ge=0, le=10_000)] = 3
    """A stretch with fewer changes of value counts for nothing: a resting instrument repeats itself."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("identical", ("suspect_n", "fail_n"), (self.suspect_n, self.fail_n))
        need_order(self.suspect_n, self.fail_n, keys=("suspect_n", "fail_n"), unit="readings")
        shortest = min(n for n in (self.suspect_n, self.fail_n) if n is not None)
        if self.history_n < 2 * shortest:
            raise SettingError(
                "E023",
                f"history_n = {self.history_n} does not hold two stretches of {shortest} readings",
                hint=f"write at least {2 * shortest}",
                key="history_n",
            )
        if self.changes_min >= shortest:
            raise SettingError(
                "E023",
                f"changes_min = {self.changes_min}: {shortest} readings change at most {shortest - 1} times",
                hint="make it smaller",
                key="changes_min",
            )
        return self


class UnitChangeQc(Settings):
    """Unit or resolution change: the first reading under another unit, range or last digit is flagged."""

    level: Literal["suspect", "fail"] = "suspect"
    """Flag of that reading."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""


class ScheduleQc(Settings):
    """Schedule: the value is what set-points let expect, from a table or a channel, within a tolerance."""

    start: Instant | None = None
    """When the table begins."""
    points: Annotated[tuple[tuple[float, float], ...], Field(max_length=SETPOINTS_MAX)] = ()
    """Table of set-points: seconds since the start, value in the unit of the channel."""
    setpoint: ChannelName | None = None
    """Channel that tells the set-point, instead of a table. Decided once it has told it."""
    instrument: Identifier | None = None
    """Instrument of that channel; the same one when absent."""
    setpoint_max_gap_s: Seconds = 60.0
    """A set-point that was read longer ago says nothing: the rule is then not evaluated. Seconds."""
    late_s: LateSeconds = 5.0
    """A set-point that comes later than this after its time is none. Seconds."""
    between: Literal["hold", "line"] = "hold"
    """hold: a set-point is in force until the next. line: the set-point moves straight to the next."""
    ramp_per_min: Annotated[float, Field(gt=0)] | None = None
    """Largest change of the expected value (hold only); unit of the channel per minute. Absent: at once."""
    lag_s: Annotated[float, Field(ge=0, le=366 * 86400)] = 0.0
    """Anything that was expected within this time passes. Seconds."""
    repeat_s: Seconds | None = None
    """The table begins again after so long. Seconds."""
    suspect: Limit | None = None
    """A larger difference is suspect; unit of the channel."""
    fail: Limit | None = None
    """A larger difference fails; unit of the channel."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("schedule", ("suspect", "fail"), (self.suspect, self.fail))
        need_order(self.suspect, self.fail, keys=("suspect", "fail"), unit="(unit of the channel)")
        if self.setpoint is None:
            self._check_table()
        else:
            self._check_channel()
        return self

    @property
    def crosses(self) -> bool:
        """Whether verdicts wait for another channel."""
        return self.setpoint is not None

    def _check_channel(self) -> None:
        given = [key for key in ("start", "points", "repeat_s") if getattr(self, key)]
        if given or self.between == "line":
            key = given[0] if given else "between"
            raise SettingError(
                "E023",
                f"{key} belongs to a table of set-points, and setpoint = '{self.setpoint}' names a channel",
                hint=f"leave out either setpoint or {key}",
                key=key,
            )

    def _check_table(self) -> None:
        if self.start is None or not self.points:
            raise SettingError(
                "E020",
                "'schedule' does not say what to expect",
                hint="give start and points, or setpoint with the name of a channel",
            )
        if self.instrument is not None:
            raise SettingError(
                "E023",
                "instrument is that of the channel setpoint",
                hint="give setpoint too",
                key="instrument",
            )
        times = [t_s for t_s, _ in self.points]
        if any(later <= earlier for earlier, later in pairwise(times)) or times[0] < 0:
            raise SettingError(
                "E023", "the times of 'points' must rise, from 0 on", hint="sort the set-points", key="points"
            )
        if self.repeat_s is not None and (times[0] != 0 or times[-1] >= self.repeat_s):
            raise SettingError(
                "E023",
                "a table that repeats begins at 0 s and ends before repeat_s",
                hint="give the set-point at 0 s, or a longer repeat_s",
                key="repeat_s",
            )
        if self.repeat_s is not None and self.lag_s >= self.repeat_s:
            raise SettingError(
                "E023", "lag_s reaches over a whole repeat_s", hint="make lag_s shorter", key="lag_s"
            )
        if self.ramp_per_min is not None and (self.between == "line" or self.repeat_s is not None):
            raise SettingError(
                "E023",
                "ramp_per_min needs between = 'hold' and no repeat_s",
                hint="leave it out, or write the ramps as points with between = 'line'",
                key="ramp_per_min",
            )


class RedundancyQc(Settings):
    """Redundancy: the difference from another channel that measures the same."""

    partner: ChannelName
    """Channel that measures the same."""
    instrument: Identifier | None = None
    """Instrument of the partner; the same one when absent, compared row by row. Of another one, the last
    valid reading within `align_tol_s` is compared, once that instrument has passed that time."""
    align_tol_s: Seconds = 1.0
    """A partner's reading further away in time is none (other instrument only). Seconds."""
    late_s: LateSeconds = 5.0
    """A partner's reading that comes later than this after its time is none (other instrument only).
    Seconds."""
    suspect: Limit | None = None
    """A larger difference is suspect; unit of the channel."""
    fail: Limit | None = None
    """A larger difference fails; unit of the channel."""
    required: bool = False
    """A value that the rule could not judge is flagged "not evaluated"."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        need_one("redundancy", ("suspect", "fail"), (self.suspect, self.fail))
        need_order(self.suspect, self.fail, keys=("suspect", "fail"), unit="(unit of the channel)")
        for key in ("align_tol_s", "late_s"):
            if self.instrument is None and key in self.model_fields_set:
                raise SettingError(
                    "E023",
                    f"{key} is for a partner of another instrument; rows of one instrument are at one time",
                    hint=f"leave {key} out, or name the partner's instrument",
                    key=key,
                )
        return self

    @property
    def crosses(self) -> bool:
        """Whether verdicts wait for another channel."""
        return self.instrument is not None

    @property
    def partner_name(self) -> str:
        """Name of the partner for people."""
        return self.partner if self.instrument is None else f"{self.instrument}.{self.partner}"
