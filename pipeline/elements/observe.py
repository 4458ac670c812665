"""From rows to facts: what data frames, flags and gaps add to the tasks that bind their instrument.

The rows of an instrument come in batches; what is remembered does not depend on how they were cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.elements.air import excess
from pipeline.elements.corrected import counting_values, note_applied, note_correction
from pipeline.elements.formulas.series import Rows, feed
from pipeline.elements.state import (
    EVIDENCE_MAX,
    GAPS_MAX,
    OBSERVED_MAX,
    ChannelFacts,
    GapFacts,
    Observed,
    TaskState,
)  # fmt: skip
from pipeline.elements.steps.rates import note_rate
from pipeline.elements.steps.state import Point
from pipeline.elements.steps.watching import watch
from pipeline.records.flags import SEVERITY, Flag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.elements.formulas.progress import Calculation, SeriesProgress, UsedReading
    from pipeline.elements.rows import Batch
    from pipeline.elements.state import Watch
    from pipeline.records.block import Gap
    from pipeline.records.frame import FlagSet

_STABLE = "stable"
"""Channel by which an instrument says 1 when its reading is stable."""
_VALUE_MAX = 1e150
"""A value beyond it is a device's way to say overload: its square is no number."""


def observe_batch(task: TaskState, batch: Batch) -> None:
    """Add rows to every channel, calculation and step of a task that they belong to."""
    instrument = batch.frame.block.instrument
    _note_source(task, instrument, batch)
    for facts in task.channels:
        if facts.instrument == instrument:
            _observe_channel(task, facts, batch)
    for calculation in task.calculations:
        for series in calculation.series:
            if series.instrument == instrument:
                _feed(task, calculation, series, batch)


def _note_source(task: TaskState, instrument: str, batch: Batch) -> None:
    known = task.sources.setdefault(instrument, [])
    if (not known or known[-1].value != batch.source) and len(known) < OBSERVED_MAX:
        known.append(Observed(batch.source, int(batch.seq[0]), int(batch.t_run_ns[0])))


def _observe_channel(task: TaskState, facts: ChannelFacts, batch: Batch) -> None:
    position = batch.position(facts.channel)
    cut = batch.cut(facts.from_run_ns, facts.to_run_ns)
    seqs = batch.seq[cut]
    if position is None or len(seqs) == 0:
        return
    _note_layout(facts, batch, position, int(seqs[0]))
    n = batch.n[cut]
    if facts.n_first < 0:
        facts.n_first, facts.seq_first = int(n[0]), int(seqs[0])
    facts.n_last, facts.seq_last = int(n[-1]), int(seqs[-1])
    good, failed = batch.good[position][cut], batch.failed[position][cut]
    note_correction(facts, batch, cut, good)
    count_good, unsettled = int(good.sum()), int(batch.unsettled[position][cut].sum())
    facts.rows += len(seqs)
    facts.good += count_good
    facts.unsettled += unsettled
    facts.missing += len(seqs) - count_good - unsettled
    counting = counting_values(batch, position, facts.channel)[cut]
    # The range of an instrument is one of what it shows; limits of air and of steps are of what is true.
    values = batch.values[position][cut] if facts.role == "measurand" else counting
    if failed.any():
        facts.failed += _count(failed, facts.failed_seqs, seqs)
        _extend_failed_range(facts, values[failed & np.isfinite(values)])
    suspect = batch.suspect[position][cut]
    if suspect.any():
        facts.suspect += _count(suspect, facts.suspect_seqs, seqs)
    passed = good & ~failed
    if values is counting and facts.channel in batch.frame.corrected:
        passed &= np.isfinite(values)  # out of the range of the correction: no value
    valid = _taken(passed, _Valid(values, batch.t_run_ns[cut], seqs))
    if len(valid.values):
        _observe_valid(facts, valid)
    if facts.target in task.steps.targets:
        valid = _taken(passed & np.isfinite(counting), _Valid(counting, batch.t_run_ns[cut], seqs))
        if len(valid.values):
            watch(task, facts.target, valid.t_run_ns, valid.values, valid.seqs)


class _Valid(NamedTuple):
    """Readings that count: columns of one length."""

    values: NDArray[np.float64]
    t_run_ns: NDArray[np.int64]
    seqs: NDArray[np.int64]


def _taken(there: NDArray[np.bool_], rows: _Valid) -> _Valid:
    """Take some of the rows; mostly it is all of them."""
    return rows if there.all() else _Valid(rows.values[there], rows.t_run_ns[there], rows.seqs[there])


def _note_layout(facts: ChannelFacts, batch: Batch, position: int, seq: int) -> None:
    """Note unit and resolution, and their first change during the work."""
    channel = batch.frame.block.layout.channels[position]
    if facts.rows and channel.unit != facts.unit and facts.unit_before is None:
        facts.unit_before, facts.unit_seq = facts.unit, seq
    if facts.rows and channel.decimals != facts.decimals and facts.decimals_seq < 0:
        facts.decimals_before, facts.decimals_seq = facts.decimals, seq
    facts.unit, facts.decimals, facts.every = channel.unit, channel.decimals, channel.every


def _observe_valid(facts: ChannelFacts, valid: _Valid) -> None:
    """Add readings that did not fail QC; at least one."""
    values, t_run_ns, seqs = valid
    lowest, highest = int(values.argmin()), int(values.argmax())
    low, high = float(values[lowest]), float(values[highest])
    if facts.minimum is None or low < facts.minimum:
        facts.minimum, facts.minimum_seq = low, int(seqs[lowest])
    if facts.maximum is None or high > facts.maximum:
        facts.maximum, facts.maximum_seq = high, int(seqs[highest])
    before_ns = facts.from_run_ns if facts.last_valid_run_ns is None else facts.last_valid_run_ns
    silence_ns = int(t_run_ns[0]) - before_ns
    if len(t_run_ns) > 1:
        silence_ns = max(silence_ns, int((t_run_ns[1:] - t_run_ns[:-1]).max()))
    facts.silence_max_ns = max(facts.silence_max_ns, silence_ns)
    facts.last_valid_run_ns = int(t_run_ns[-1])
    if facts.watch is not None:
        for t, value, seq in zip(t_run_ns.tolist(), values.tolist(), seqs.tolist(), strict=True):
            _watch(facts.watch, Point(t, value, seq))


def _watch(watched: Watch, point: Point) -> None:
    """Follow excursions, with hysteresis on the way back, and the rate of change."""
    if watched.rate_window_s:
        rate = note_rate(watched.points, point, round(watched.rate_window_s * 1_000_000_000))
        if rate is not None and (watched.rate_max_per_s is None or rate > watched.rate_max_per_s):
            watched.rate_max_per_s, watched.rate_seq = rate, point.seq
    if watched.outside_since_ns is None:
        if excess(point.value, watched.low, watched.high) > 0:
            watched.outside_since_ns = point.t_run_ns
            watched.excursions += 1
        return
    watched.longest_ns = max(watched.longest_ns, point.t_run_ns - watched.outside_since_ns)
    low = None if watched.low is None else watched.low + watched.hysteresis
    high = None if watched.high is None else watched.high - watched.hysteresis
    if excess(point.value, low, high) <= 0:
        watched.outside_since_ns = None


def _count(mask: NDArray[np.bool_], cited: list[int], seqs: NDArray[np.int64]) -> int:
    for seq in seqs[mask].tolist():
        _cite(cited, seq)
        if len(cited) >= EVIDENCE_MAX:
            break
    return int(mask.sum())


def _cite(seqs: list[int], seq: int) -> None:
    if seq not in seqs and len(seqs) < EVIDENCE_MAX:
        seqs.append(seq)


def _extend_failed_range(facts: ChannelFacts, values: NDArray[np.float64]) -> None:
    if not len(values):
        return
    low, high = float(values.min()), float(values.max())
    facts.failed_minimum = low if facts.failed_minimum is None else min(low, facts.failed_minimum)
    facts.failed_maximum = high if facts.failed_maximum is None else max(high, facts.failed_maximum)


def _feed(task: TaskState, calculation: Calculation, series: SeriesProgress, batch: Batch) -> None:
    """Give a calculation the readings that it may use: good, of its window, stable where that is asked."""
    position = batch.position(series.channel)
    if position is None:
        return
    from_ns = max(task.start.at_run_ns, calculation.from_run_ns)
    cut = batch.cut(from_ns, task.end_run_ns if calculation.to_run_ns is None else calculation.to_run_ns)
    values = batch.values[position][cut]
    usable = batch.good[position][cut] & (np.abs(values) <= _VALUE_MAX)
    stable = batch.position(_STABLE) if series.stable_only else None
    if stable is not None:
        series.stability_told = True
        usable &= batch.good[stable][cut] & (batch.values[stable][cut] == 1)
    if not usable.any():
        return
    channel = batch.frame.block.layout.channels[position]
    if channel.unit != series.unit or not series.units:
        series.unit, series.units = channel.unit, series.units + 1
    series.decimals = channel.decimals
    shown, values = values, counting_values(batch, position, series.channel)[cut]
    usable &= np.isfinite(values)
    if not usable.any():
        return
    corrected = note_applied(series, batch.frame, shown[usable])
    n, t_run_ns, seqs = (column[cut][usable] for column in (batch.n, batch.t_run_ns, batch.seq))
    flags = batch.frame.flag[position][cut][usable]
    rows = Rows(n, t_run_ns, values[usable], flags, seqs, shown[usable] if corrected else None)
    feed(series, rows, calculation.min_load)


def observe_flags(task: TaskState, flags: FlagSet, seq: int) -> bool:
    """Add what a rule decided afterwards to the readings of a task; tell whether it spoke of any.

    A flag set lists only rows that did not pass.
    """
    spoke = False
    for n, channel, flag in zip(flags.n.tolist(), flags.channel, flags.flag.tolist(), strict=True):
        for facts in task.channels:
            inside = facts.n_first >= 0 and facts.n_first <= n <= facts.n_last
            if inside and facts.instrument == flags.instrument and facts.channel == channel:
                _observe_decision(facts, flag, seq)
                spoke = True
        for calculation in task.calculations:
            for series in calculation.series:
                if series.instrument == flags.instrument and series.channel == channel:
                    _worsen(series, n, flag, seq)
    return spoke


def _observe_decision(facts: ChannelFacts, flag: int, seq: int) -> None:
    if flag == Flag.FAIL:
        facts.decided_failed += 1
        _cite(facts.failed_seqs, seq)
    elif flag == Flag.SUSPECT:
        facts.decided_suspect += 1
        _cite(facts.suspect_seqs, seq)


def _worsen(series: SeriesProgress, n: int, flag: int, seq: int) -> None:
    for reading in (*series.readings.values(), *series.loaded):
        if reading.n == n and _is_worse(flag, reading):
            reading.flag, reading.flag_seq = flag, seq


def _is_worse(flag: int, reading: UsedReading) -> bool:
    return bool(SEVERITY[flag] > SEVERITY[reading.flag])


def observe_gap(task: TaskState, gap: Gap, seq: int) -> bool:
    """Note polls that were not sent in a task's window; tell whether there were any.

    A gap is told at its begin and, whole, at its end.
    """
    if task.end_run_ns is not None and gap.from_run_ns >= task.end_run_ns:
        return False
    if gap.to_run_ns <= task.start.at_run_ns:
        return False
    known = task.gaps.setdefault(gap.instrument, [])
    for earlier in known:
        if earlier.from_run_ns == gap.from_run_ns:
            earlier.to_run_ns, earlier.polls, earlier.seq = gap.to_run_ns, gap.polls, seq
            return True
    if len(known) < GAPS_MAX:
        known.append(GapFacts(gap.from_run_ns, gap.to_run_ns, gap.polls, gap.cause, seq))
    else:
        known[-1].to_run_ns = max(known[-1].to_run_ns, gap.to_run_ns)
        known[-1].polls += gap.polls
    return True
