"""What a running calculation remembers: the readings that a result would rest on if the task ended now."""

from __future__ import annotations

from dataclasses import dataclass, field

SERIES_MAX = 600
"""Readings under load that a mean rests on at most: the first ones."""


@dataclass(slots=True)
class UsedReading:
    """A reading that a result rests on."""

    n: int
    seq: int
    value: float
    flag: int
    t_run_ns: int
    flag_seq: int
    """Record that says `flag`: the data record, or a later flags record."""
    shown: float | None = None
    """What the instrument showed, where `value` is a corrected one."""


@dataclass(slots=True)
class Moments:
    """Exact sums of readings and of their squares, however many there are and however they came.

    Readings that are decimal numbers of the instrument's own digits are added as whole numbers of its last
    digit, others (a float32 register) as the doubles that they are, without rounding.
    """

    count: int = 0
    digits: int = 0
    """Digits after the point of the whole numbers."""
    whole: str = "0"
    """Sum of the decimal readings times 10^digits: text, as it can grow beyond 64 bits."""
    whole_squares: str = "0"
    parts: list[float] = field(default_factory=list)
    """Doubles that do not overlap and whose sum is that of the other readings."""
    square_parts: list[float] = field(default_factory=list)


@dataclass(slots=True)
class AppliedCorrection:
    """A correction that readings of a series carried, or that one of them lacked."""

    applied: str
    """`corrections.applied_id`; "": these readings are as the instrument showed them."""
    why: str
    """Why a registered correction was not applied."""
    low: float
    """Least reading, as the instrument showed it; likewise `high`."""
    high: float


@dataclass(slots=True)
class SeriesProgress:
    """The readings of one channel as a formula's functions need them."""

    input: str
    instrument: str
    channel: str
    functions: list[str]
    stable_only: bool = False
    unit: str = ""
    """Unit of the readings; of several in turn, the last."""
    units: int = 0
    """How many units there were, one after the other."""
    decimals: int | None = None
    corrections: list[AppliedCorrection] = field(default_factory=list)
    """Corrections that the readings carried; then the corrected values count."""
    stability_told: bool = False
    """The instrument says itself which readings are stable."""
    readings: dict[str, UsedReading] = field(default_factory=dict)
    """Single readings by name: first, last, min, max, gross, tare, empty."""
    loaded: list[UsedReading] = field(default_factory=list)
    moments: Moments = field(default_factory=Moments)
    seq_first: int = -1
    seq_last: int = -1

    @property
    def target(self) -> str:
        """Name as in bindings: `instrument.channel`."""
        return f"{self.instrument}.{self.channel}"


@dataclass(slots=True)
class Calculation:
    """Progress of one result, or of one replicate of it."""

    spec: int
    """Position of the result in the method's list."""
    series: list[SeriesProgress]
    min_load: float = 0.0
    replicate: int = 1
    from_run_ns: int = 0
    to_run_ns: int | None = None
    """End of the replicate; None: of the task."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A result that a method promises and that the readings do not give."""

    quantity: str
    problem: str
    missing: bool
    """Readings are missing; otherwise the formula has no value for those that there are."""
