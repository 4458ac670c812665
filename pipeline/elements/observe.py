"""From rows to facts: what data frames, flags and gaps add to the tasks that bind their instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.elements.algorithms import ALGORITHMS, Rows
from pipeline.elements.state import EVIDENCE_MAX, GAPS_MAX, ChannelFacts, GapFacts, TaskState
from pipeline.records.flags import SEVERITY, Flag, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.elements.state import Calculation, UsedReading
    from pipeline.records.block import Gap
    from pipeline.records.frame import FlagSet, Frame

_UNSETTLED = (Status.UNSTABLE, Status.BUSY)
_STABLE = "stable"
"""Channel by which an instrument says 1 when its reading is stable."""


def observe_frame(task: TaskState, frame: Frame, seq: int) -> None:
    """Add the rows of a data frame to every channel and calculation of a task that they belong to."""
    for facts in task.channels:
        if facts.instrument == frame.block.instrument:
            _observe_channel(facts, frame, seq)
    for calculation in task.calculations:
        if calculation.instrument == frame.block.instrument:
            _feed(task, calculation, frame, seq)


def _window(t_run_ns: NDArray[np.int64], from_run_ns: int, to_run_ns: int | None) -> NDArray[np.bool_]:
    inside = t_run_ns >= from_run_ns
    return inside if to_run_ns is None else inside & (t_run_ns < to_run_ns)


def _values(frame: Frame, channel: str) -> tuple[int, NDArray[np.float64]] | None:
    """Position and float64[n] of a numeric channel; None where the frame has no such one."""
    position = frame.block.layout.index.get(channel)
    if position is None or frame.block.layout.channels[position].kind == "text":
        return None
    column = frame.block.column(channel)
    return position, np.asarray(column, dtype=np.float64)


def _observe_channel(facts: ChannelFacts, frame: Frame, seq: int) -> None:
    found = _values(frame, facts.channel)
    inside = _window(frame.block.t_run_ns, facts.from_run_ns, facts.to_run_ns)
    rows = np.flatnonzero(inside)
    if found is None or len(rows) == 0:
        return
    position, values = found
    values, t_run_ns = values[rows], frame.block.t_run_ns[rows]
    status, flag = frame.block.status[position][rows], frame.flag[position][rows]
    channel = frame.block.layout.channels[position]
    facts.unit, facts.decimals = channel.unit, channel.decimals
    if facts.n_first < 0:
        facts.n_first, facts.seq_first = frame.n_first + int(rows[0]), seq
    facts.n_last, facts.seq_last = frame.n_first + int(rows[-1]), seq
    good = (status == Status.GOOD) & np.isfinite(values)
    failed = good & (flag == Flag.FAIL)
    suspect = good & (flag == Flag.SUSPECT)
    facts.rows += len(rows)
    facts.good += int(good.sum())
    unsettled = int(np.isin(status, _UNSETTLED).sum())
    facts.unsettled += unsettled
    facts.missing += len(rows) - int(good.sum()) - unsettled
    facts.failed += _count(failed, facts.failed_seqs, seq)
    facts.suspect += _count(suspect, facts.suspect_seqs, seq)
    _extend_range(facts, values[good & ~failed], seq)
    _extend_failed_range(facts, values[failed])
    _extend_silence(facts, t_run_ns[good & ~failed])


def _count(mask: NDArray[np.bool_], seqs: list[int], seq: int) -> int:
    count = int(mask.sum())
    if count:
        _cite(seqs, seq)
    return count


def _cite(seqs: list[int], seq: int) -> None:
    if seq not in seqs and len(seqs) < EVIDENCE_MAX:
        seqs.append(seq)


def _extend_range(facts: ChannelFacts, values: NDArray[np.float64], seq: int) -> None:
    if len(values) == 0:
        return
    low, high = float(values.min()), float(values.max())
    if facts.minimum is None or low < facts.minimum:
        facts.minimum, facts.minimum_seq = low, seq
    if facts.maximum is None or high > facts.maximum:
        facts.maximum, facts.maximum_seq = high, seq


def _extend_failed_range(facts: ChannelFacts, values: NDArray[np.float64]) -> None:
    if len(values) == 0:
        return
    low, high = float(values.min()), float(values.max())
    facts.failed_minimum = low if facts.failed_minimum is None else min(low, facts.failed_minimum)
    facts.failed_maximum = high if facts.failed_maximum is None else max(high, facts.failed_maximum)


def _extend_silence(facts: ChannelFacts, t_run_ns: NDArray[np.int64]) -> None:
    if len(t_run_ns) == 0:
        return
    before_ns = facts.from_run_ns if facts.last_valid_run_ns is None else facts.last_valid_run_ns
    steps = np.diff(t_run_ns, prepend=np.int64(before_ns))
    facts.silence_max_ns = max(facts.silence_max_ns, int(steps.max()))
    facts.last_valid_run_ns = int(t_run_ns[-1])


def _feed(task: TaskState, calculation: Calculation, frame: Frame, seq: int) -> None:
    found = _values(frame, calculation.channel)
    if found is None:
        return
    position, values = found
    usable = _window(frame.block.t_run_ns, task.start.at_run_ns, task.end_run_ns)
    usable &= (frame.block.status[position] == Status.GOOD) & np.isfinite(values)
    algorithm = ALGORITHMS[calculation.algorithm]
    stable = _values(frame, _STABLE) if algorithm.stable_only else None
    if stable is not None:
        calculation.stability_told = True
        usable &= (frame.block.status[stable[0]] == Status.GOOD) & (stable[1] == 1)
    rows = np.flatnonzero(usable)
    if len(rows):
        algorithm.feed(
            calculation,
            Rows(
                n=frame.n_first + rows,
                t_run_ns=frame.block.t_run_ns[rows],
                values=values[rows],
                flag=frame.flag[position][rows],
                seq=seq,
            ),
        )


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
            if calculation.instrument == flags.instrument and calculation.channel == channel:
                _worsen(calculation, n, flag, seq)
    return spoke


def _observe_decision(facts: ChannelFacts, flag: int, seq: int) -> None:
    if flag == Flag.FAIL:
        facts.decided_failed += 1
        _cite(facts.failed_seqs, seq)
    elif flag == Flag.SUSPECT:
        facts.decided_suspect += 1
        _cite(facts.suspect_seqs, seq)


def _worsen(calculation: Calculation, n: int, flag: int, seq: int) -> None:
    for reading in (*calculation.readings.values(), *calculation.series):
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
