"""UTC against gateway time, as the records show it: when a claim made in UTC was.

A stretch is a span of gateway time in which UTC ran along with it; a step of the clock, or a downtime, begins
another. Where UTC went back an instant occurs twice; where it was put forward some never do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline.elements.parts import View
    from pipeline.elements.shapes import Draft
    from pipeline.records.envelope import Record

STEP_NS = 100_000_000
"""A smaller change of the difference is slewing: nobody claims an instant more finely than this."""
MERGED_NS = 1_000_000_000
"""Two occurrences nearer than this are one, and an instant skipped by less than this is the next one."""
STRETCHES_MAX = 1024
_FOREIGN = frozenset({"imported", "replayed"})
"""Sources whose stamps are not of this gateway's clock."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """UTC is gateway time plus `difference_ns`, from an instant on."""

    from_run_ns: int
    difference_ns: int


@dataclass(slots=True)
class Timeline:
    """The stretches in order; of very many, the latest."""

    stretches: list[Stretch] = field(default_factory=list)


class Occurrences(NamedTuple):
    """When an instant of UTC was, in gateway time."""

    run_ns: tuple[int, ...]
    """Ascending; none: the clock was put over it, or it is outside what is remembered."""


def follow(record: Record, view: View) -> list[Draft]:
    """Note how UTC stands to gateway time in a record of the gateway's own; a part of the fold."""
    if record.source in _FOREIGN:
        return []
    stretches = view.state.timeline.stretches
    difference_ns = record.t_utc_ns - record.t_run_ns
    if not stretches or abs(difference_ns - stretches[-1].difference_ns) >= STEP_NS:
        stretches.append(Stretch(record.t_run_ns, difference_ns))
        del stretches[:-STRETCHES_MAX]
    return []


def occurrences(timeline: Timeline, utc_ns: int, until_run_ns: int) -> Occurrences:
    """Find when an instant of UTC was, up to an instant of gateway time (included)."""
    stretches = timeline.stretches
    found = list[int]()
    for position, stretch in enumerate(stretches):
        last = position + 1 == len(stretches)
        end_ns = until_run_ns + 1 if last else stretches[position + 1].from_run_ns
        run_ns = utc_ns - stretch.difference_ns
        skipped_ns = stretch.from_run_ns - run_ns
        if not last or run_ns <= until_run_ns:
            inside = stretch.from_run_ns <= run_ns < end_ns
            # Just before a stretch that began with a small step forward: the stretch's first instant.
            before = position > 0 and 0 < skipped_ns < MERGED_NS and not found
            if inside or before:
                found.append(max(run_ns, stretch.from_run_ns))
    merged = found[:1]
    for run_ns in found[1:]:
        if run_ns - merged[-1] >= MERGED_NS:
            merged.append(run_ns)
    return Occurrences(tuple(merged))
