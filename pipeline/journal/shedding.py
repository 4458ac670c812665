"""What giving up bulk for room loses: which rows of which instruments, and the gaps that explain them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.journal.disk import Disk, read_damaged
from pipeline.journal.framing import Entry, parse, payload
from pipeline.journal.segments import Segment, is_flagged, read_index
from pipeline.records import Gap
from pipeline.records.envelope import BULK_KINDS, MalformedRecord, decode
from pipeline.records.frame import span
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Sequence

CANDIDATES = 16
"""Among so many of the oldest segments those without a remark of the rules go first."""


@dataclass(slots=True)
class ShedPlan:
    """What giving up the bulk of one segment loses."""

    segment: Segment
    seqs: RangeSet = field(default_factory=RangeSet)
    """Bulk records without a receipt."""
    gaps: dict[str, Gap] = field(default_factory=dict)
    """Instrument to the gap that explains its rows."""
    rows: int = 0

    @property
    def gap_list(self) -> list[Gap]:
        """The gaps, by instrument."""
        return [self.gaps[name] for name in sorted(self.gaps)]


def choose_segment(disk: Disk, segments: Sequence[Segment]) -> Segment | None:
    """Choose what is given up next: the oldest without flagged rows, else the oldest. Reads indices."""
    finished: list[tuple[bool, int, Segment]] = []
    for segment in segments[:CANDIDATES]:
        flagged = is_flagged(disk, segment)
        if flagged is not None:
            finished.append((flagged, segment.first_seq, segment))
    return min(finished, key=lambda one: one[:2])[2] if finished else None


def plan_shedding(disk: Disk, segment: Segment, done: RangeSet, shed: RangeSet) -> ShedPlan | None:
    """Read what a segment's bulk holds that nobody else has; None when the segment is not finished."""
    found = read_index(disk, segment)
    if found is None:
        return None
    plan = ShedPlan(segment)
    for entry, kind in zip(found[0].entries, found[0].kinds, strict=True):
        if kind in BULK_KINDS and entry.seq not in done and entry.seq not in shed:
            plan.seqs.add(entry.seq)
            if kind == "data":
                size = entry.end - entry.offset
                _count_rows(plan, read_damaged(disk, segment.path, entry.offset, size))
    return plan


def _count_rows(plan: ShedPlan, frame: bytes) -> None:
    entry: Entry | None = parse(memoryview(frame), 0)
    if entry is None:
        return  # damaged: a quarantine event tells of it, and nobody can say which rows it held
    try:
        body = decode(payload(frame, entry)).body
        rows, run_ns, utc_ns = span(body)
        instrument = str(body["instrument"])
    except (MalformedRecord, KeyError, TypeError, ValueError):
        return
    if not rows:
        return
    before = plan.gaps.get(instrument)
    plan.rows += rows
    plan.gaps[instrument] = Gap(
        instrument,
        run_ns[0] if before is None else before.from_run_ns, run_ns[1],
        utc_ns[0] if before is None else before.from_utc_ns, utc_ns[1],
        rows + (0 if before is None else before.polls), "shed", ended=True,
    )  # fmt: skip
