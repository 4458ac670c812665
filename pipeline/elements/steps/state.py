"""What the step engine remembers of one task."""

from __future__ import annotations

from dataclasses import dataclass, field

ROWS_MAX = 50_000
"""Readings that wait to be put in order of time; beyond it the oldest are judged without waiting longer."""
POINTS_MAX = 16
"""Readings kept to take a rate over a window: they lie at least a tenth of the window apart."""
MARKS_MAX = 10_000
"""Marks kept for one task; later ones are refused."""


@dataclass(slots=True)
class Row:
    """A valid reading of a channel that a step or a comparison watches, or a mark that a person set."""

    t_run_ns: int
    seq: int
    target: str
    """`instrument.channel`; of a mark, the step's name ("" ends the step under way)."""
    value: float | None
    """None: a mark."""


@dataclass(slots=True)
class Point:
    """A reading that a later one is compared with."""

    t_run_ns: int
    value: float
    seq: int


@dataclass(slots=True)
class Run:
    """The step under way."""

    start_run_ns: int
    start_seq: int
    marked: bool = False
    first: Point | None = None
    counted_ns: int = 0
    """Time within the limits, between readings that followed one another; a gap does not count."""
    paused_ns: int = 0
    last: Point | None = None
    inside: bool = False
    """The last reading was within the limits."""
    points: list[Point] = field(default_factory=list)
    heard: dict[str, int] = field(default_factory=dict)
    """Required channel to the gateway time of its last valid reading."""


@dataclass(slots=True)
class Found:
    """What one step was, over all its passes (a method that cycles goes through it many times)."""

    passes: int = 0
    marked: bool = False
    start_run_ns: int | None = None
    """Start of the first pass; `end_run_ns`: end of the last."""
    start_seq: int = -1
    end_run_ns: int | None = None
    end_seq: int = -1
    shortest_ns: int | None = None
    shortest_seq: int = -1
    longest_ns: int | None = None
    longest_seq: int = -1
    minimum: float | None = None
    minimum_seq: int = -1
    maximum: float | None = None
    maximum_seq: int = -1
    rate_max_per_s: float | None = None
    rate_max_seq: int = -1
    rate_min_per_s: float | None = None
    """Least mean rate of a ramp from its start to its end."""
    rate_min_seq: int = -1
    pauses: int = 0
    paused_ns: int = 0
    pause_seq: int = -1
    left: int = 0
    """How often the value left the limits before the step was done."""
    left_value: float | None = None
    """The first value outside."""
    left_seq: int = -1
    silent: dict[str, int] = field(default_factory=dict)
    """Required channel to its longest time without a valid reading during the step."""


@dataclass(slots=True)
class Compared:
    """Two channels that measure the same."""

    last: dict[str, Point] = field(default_factory=dict)
    count: int = 0
    difference_max: float | None = None
    seq: int = -1
    other_seq: int = -1


@dataclass(slots=True)
class StepsState:
    """Progress through the procedure of a task's method, and its redundant sensors."""

    targets: list[str] = field(default_factory=list)
    """Channels that are watched."""
    channels: list[str | None] = field(default_factory=list)
    """Channel of each step; None: none is bound."""
    required: list[list[str]] = field(default_factory=list)
    """Required channels of each step."""
    pairs: list[list[str]] = field(default_factory=list)
    """The two channels of each comparison; empty where one of them is not bound."""
    rows: list[Row] = field(default_factory=list)
    """Readings that wait until no earlier one can arrive."""
    through_run_ns: int = -1
    late: int = 0
    """Readings that arrived after later ones had been judged: they do not count."""
    cycles: int = 1
    position: int = 0
    cycle: int = 1
    run: Run | None = None
    previous: Point | None = None
    """Last reading of the step before: a ramp starts from it."""
    by_marks: bool = False
    """A person marks the steps: only a mark begins or ends one."""
    marks: int = 0
    disorder: list[str] = field(default_factory=list)
    """Steps that were marked out of order, the first ones; likewise `disorder_seqs`."""
    disorder_seqs: list[int] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)
    finished: bool = False
