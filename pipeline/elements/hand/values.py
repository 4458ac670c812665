"""What hand-entered readings add to the facts of channels and to calculations.

Entries can be corrected, rows cannot: so what entries add is reckoned anew from those in force whenever it is
asked for, and never mixed into what was observed of rows.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.elements.corrected import CorrectionSpan
from pipeline.elements.formulas.progress import AppliedCorrection, Calculation
from pipeline.elements.formulas.series import SELECTING, Rows, feed
from pipeline.elements.hand.state import counting
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.elements.formulas.progress import SeriesProgress
    from pipeline.elements.hand.state import Entered
    from pipeline.elements.state import ChannelFacts, TaskState

_WEIGHED = SELECTING | {"first", "last"}
"""Functions that depend on the order of their readings."""


class MixedReadingsError(ValueError):
    """The order of readings by hand and by the gateway decides, and cannot be told."""


def whole_channels(task: TaskState) -> list[ChannelFacts]:
    """Give the facts of every channel with the entries in force; without any, those of the task itself."""
    entries = counting(task.entries)
    return [_with(facts, entries) for facts in task.channels] if entries else task.channels


def _with(facts: ChannelFacts, entries: Sequence[Entered]) -> ChannelFacts:
    own = [
        each
        for each in entries
        if each.entry.target == facts.target
        and facts.from_run_ns <= each.entry.at_run_ns
        and (facts.to_run_ns is None or each.entry.at_run_ns <= facts.to_run_ns)
    ]
    if not own:
        return facts
    made = replace(facts, rows=facts.rows + len(own), good=facts.good + len(own), entered=len(own))
    made.corrections = [*facts.corrections, *(_span(each) for each in own)]
    for each in own:
        # As for rows: the range of an instrument is one of what it shows, limits of air are of what is true.
        value = each.entry.value if facts.role == "measurand" else each.entry.counting
        if value is None:
            continue
        if made.minimum is None or value < made.minimum:
            made.minimum, made.minimum_seq = value, each.seq
        if made.maximum is None or value > made.maximum:
            made.maximum, made.maximum_seq = value, each.seq
    seqs = [each.seq for each in own] + ([facts.seq_first, facts.seq_last] if facts.seq_first >= 0 else [])
    made.seq_first, made.seq_last = min(seqs), max(seqs)
    last_ns = max(each.entry.at_run_ns for each in own)
    made.last_valid_run_ns = max(last_ns, facts.last_valid_run_ns or last_ns)
    if not facts.rows:
        made.unit, made.decimals = own[-1].entry.unit, own[-1].entry.decimals
    return made


def _span(each: Entered) -> CorrectionSpan:
    entry = each.entry
    span = CorrectionSpan(
        entry.correction, entry.uncorrected, entry.at_utc_ns, entry.at_utc_ns, each.seq, each.seq
    )
    if entry.counting is None:
        span.outside, span.outside_seq = 1, each.seq
    return span


def whole_calculations(task: TaskState, position: int) -> list[Calculation]:
    """Give the calculations of one result of the method, with the entries in force.

    Raises:
        MixedReadingsError: a function of ordered readings has some by hand and some by the gateway.
    """
    own = [calculation for calculation in task.calculations if calculation.spec == position]
    entries = counting(task.entries)
    return [_fed(task, calculation, entries) for calculation in own] if entries else own


def _fed(task: TaskState, calculation: Calculation, entries: Sequence[Entered]) -> Calculation:
    begin_ns = max(task.start.at_run_ns, calculation.from_run_ns)
    end_ns = calculation.to_run_ns
    inside = [
        each
        for each in entries
        if each.entry.counting is not None
        and each.entry.at_run_ns >= begin_ns
        and (end_ns is None or each.entry.at_run_ns < end_ns)
    ]
    series = [
        _series(one, [each for each in inside if each.entry.target == one.target], calculation.min_load)
        for one in calculation.series
    ]
    return replace(calculation, series=series)


def _series(known: SeriesProgress, entries: Sequence[Entered], min_load: float) -> SeriesProgress:
    if not entries:
        return known
    if known.seq_first >= 0 and _WEIGHED & set(known.functions):
        told = "some readings of {} were taken by the gateway and some by hand: their order cannot be told"
        raise MixedReadingsError(told.format(known.target))
    made = deepcopy(known)
    for each in entries:
        if each.entry.unit != made.unit or not made.units:
            made.unit, made.units = each.entry.unit, made.units + 1
        _note_applied(made, each)
    digits = [each.entry.decimals for each in entries]
    # The coarsest reading says how far the whole can be resolved.
    made.decimals = min(digits if known.decimals is None else [*digits, known.decimals])
    feed(made, _rows(entries), min_load)
    made.seq_first = min(each.seq for each in entries)
    made.seq_last = max(each.seq for each in entries)
    if known.seq_first >= 0:
        made.seq_first = min(made.seq_first, known.seq_first)
        made.seq_last = max(made.seq_last, known.seq_last)
    return made


def _note_applied(series: SeriesProgress, each: Entered) -> None:
    """Note what correction a reading by hand carried, as is done for those by the gateway."""
    entry = each.entry
    if not entry.correction and not entry.uncorrected:
        return
    for known in series.corrections:
        if (known.applied, known.why) == (entry.correction, entry.uncorrected):
            known.low, known.high = min(known.low, entry.value), max(known.high, entry.value)
            return
    applied = AppliedCorrection(entry.correction, entry.uncorrected, entry.value, entry.value)
    series.corrections.append(applied)


def _rows(entries: Sequence[Entered]) -> Rows:
    """Give entries the form of rows; their ordinals, which no instrument gave, are below those of any row."""
    count = len(entries)
    return Rows(
        np.arange(-count, 0, dtype=np.int64),
        np.array([each.entry.at_run_ns for each in entries], dtype=np.int64),
        np.array([each.entry.counting for each in entries], dtype=np.float64),
        np.full(count, int(Flag.PASS), dtype=np.uint8),
        np.array([each.seq for each in entries], dtype=np.int64),
        np.array([each.entry.value for each in entries], dtype=np.float64)
        if any(each.entry.correction for each in entries)
        else None,
    )
