"""One call for whole arrays: the streaming engine's verdicts, with what later readings decided folded in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from pipeline.qc.engine import DEFAULT_INTERVAL_S, QcEngine
from pipeline.qc.rule import RING_SLACK
from pipeline.qc.settings import ChannelQc
from pipeline.qc.table import (
    BY_NAME,
    CROSSING,
    MISSING_MASK,
    RULES,
    WINDOW_BYTES_MAX,
    check_windows,
    window_bytes,
)
from pipeline.records.block import Block, Channel, Layout
from pipeline.records.flags import SEVERITY, Flag

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pipeline.qc.decision import Decision
    from pipeline.qc.rule import Rule

OneSet: TypeAlias = ChannelQc | Mapping[str, Any]
"""The rules of one channel, as settings or as the tables of a `qc` section."""

CHUNK_READINGS = 65_536
"""Readings handed to the engine in one call: large enough to hide the call, small enough for the cache."""
SPAN_READINGS = 8
"""The fastest cadence is taken over so many intervals; windows have as many spare places."""
WINDOWS_BYTES_MAX = 256 * 2**20
"""Most memory that windows of all channels together may take for the sake of the fastest stretch."""
HELD_WHOLE_MAX = 100_000
"""So many readings find room in every window that takes up half of the memory that it may."""
SECONDS_MAX = 366 * 86400.0
"""Longest duration of any rule, seconds."""
_INSTRUMENT = "array"
_TABLES = tuple(dict.fromkeys(rule.table for rule in RULES if rule.table))


class Evaluation(NamedTuple):
    """Final verdicts, in the shape of the values."""

    flag: NDArray[np.uint8]
    """uint8: worst verdict of all rules, those that need later readings included."""
    reason: NDArray[np.int64]
    """int64: bits of the rules that fired."""
    unevaluated: NDArray[np.int64]
    """int64: bits of the enabled rules that could not be evaluated."""
    by_rule: dict[str, NDArray[np.uint8]] | None
    """On request, rule to its own flags (uint8); 2 on a channel for which the rule is off."""


class _Readings(NamedTuple):
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    status: NDArray[np.uint8]
    layout: Layout
    interval_s: float


def evaluate(
    t_ns: ArrayLike,
    values: ArrayLike,
    rules: OneSet | Sequence[OneSet],
    status: ArrayLike | None = None,
    *,
    per_rule: bool = False,
    interval_s: float | None = None,
    names: Sequence[str] | None = None,
) -> Evaluation:
    """Judge the readings of one channel, or of several that share their time stamps.

    The answer is that of the streaming engine, bit for bit, however it would cut the rows; what its future
    rules decide later is folded in: flags by severity (a "not evaluated" counts only where the rule is
    required), reasons and unevaluated bits by rule.

    Args:
        t_ns: int64[n] or datetime64[n], nanoseconds. Need not be sorted: the rules say what they make of it.
        values: [n], or [c, n] for c channels. NaN and masked values are missing.
        rules: of every channel, or one set each.
        status: as `values`, codes of `Status`; all good when left out.
        per_rule: also return what each rule says by itself; takes a pass over the data for each table.
        interval_s: interval between readings, seconds: sizes the windows, and is the poll plan to rules that
            count expected readings. When left out, the median of the data, or that of a faster stretch.
        names: names of the c channels, for rules that name another channel.

    Raises:
        TypeError: an argument is of the wrong kind; says what to pass.
        ValueError: shapes do not fit, a rule makes no sense, or windows would take too much memory.
    """
    times = _times_of(t_ns)
    matrix = _matrix_of(values, times)
    if not matrix.size:
        return _nothing(matrix.shape, per_rule=per_rule)
    rows = matrix.reshape(-1, len(times))
    sets, layout = _sets_of(rules, len(rows)), _layout_of(names, len(rows))
    chosen_s = usual_interval_s(times, sets) if interval_s is None else interval_s
    readings = _Readings(times, rows, _status_of(status, matrix, rows.shape), layout, chosen_s)
    found = _judge(readings, sets)
    return _shaped(_each_rule(readings, sets, found) if per_rule else found, matrix.shape)


def _nothing(shape: tuple[int, ...], *, per_rule: bool) -> Evaluation:
    masks = np.zeros(shape, dtype=np.int64)
    return Evaluation(masks.astype(np.uint8), masks, masks.copy(), {} if per_rule else None)


def _shaped(found: Evaluation, shape: tuple[int, ...]) -> Evaluation:
    each = found.by_rule
    return Evaluation(
        found.flag.reshape(shape),
        found.reason.reshape(shape),
        found.unevaluated.reshape(shape),
        None if each is None else {name: flags.reshape(shape) for name, flags in each.items()},
    )


def usual_interval_s(times: NDArray[np.int64], sets: Sequence[ChannelQc] = ()) -> float:
    """Return the median interval, or that of the fastest stretch where windows would not hold its readings.

    A stretch is `SPAN_READINGS` intervals in a row. Where windows for the interval would take too much memory
    it is doubled. For the fastest stretch that goes up to the median, as a window that overflows says "not
    evaluated"; beyond it only if the windows still have room for all readings that there are.

    Args:
        times: int64[n], ns, in the order of the readings.
        sets: rules whose windows must fit.
    """
    ahead = min(SPAN_READINGS, len(times) - 1)
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps):
        return DEFAULT_INTERVAL_S
    usual_s = float(np.median(steps)) / 1e9
    spans = times[ahead:] - times[:-ahead]
    spans = spans[spans > 0]
    fastest_s = float(spans.min()) / ahead / 1e9 if len(spans) else usual_s
    interval_s = usual_s if RING_SLACK * fastest_s >= usual_s else fastest_s
    slowest_s = max(usual_s, SECONDS_MAX) if len(times) <= HELD_WHOLE_MAX else usual_s
    while interval_s < slowest_s and not _fits(sets, interval_s):
        interval_s = min(slowest_s, 2 * interval_s)
    return interval_s


def _fits(sets: Sequence[ChannelQc], interval_s: float) -> bool:
    needed = [window_bytes(qc, interval_s) for qc in sets]
    return max(needed, default=0) <= WINDOW_BYTES_MAX and sum(needed) <= WINDOWS_BYTES_MAX


def _times_of(t_ns: ArrayLike) -> NDArray[np.int64]:
    times = np.asarray(t_ns)
    if times.ndim != 1:
        raise ValueError(f"t_ns must have one dimension, not the shape {times.shape}")
    if times.dtype.kind == "M":
        if np.isnat(times).any():
            raise ValueError("t_ns holds NaT: leave out the rows that have no time")
        return np.ascontiguousarray(times.astype("datetime64[ns]").astype(np.int64))
    if times.dtype.kind not in "iu" and times.size:
        raise TypeError(
            f"t_ns must be int64 nanoseconds or datetime64, not {times.dtype}: float seconds lose digits; "
            "convert them with (t_s * 1e9).round().astype('int64')"
        )
    if times.dtype == np.uint64 and bool((times > np.iinfo(np.int64).max).any()):
        raise ValueError("t_ns holds a time beyond int64: are these nanoseconds since 1970?")
    return np.ascontiguousarray(times, dtype=np.int64)


def _matrix_of(values: ArrayLike, times: NDArray[np.int64]) -> NDArray[np.float64]:
    given = np.ma.asanyarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"values must be numbers, not {given.dtype}: a missing value is NaN")
    if given.ndim not in {1, 2} or given.shape[-1] != len(times):
        raise ValueError(
            f"values have the shape {given.shape}; with {len(times)} time stamps it must be "
            f"({len(times)},), or (channels, {len(times)})"
        )
    matrix = given.astype(np.float64)
    if isinstance(matrix, np.ma.MaskedArray):
        matrix = matrix.filled(np.nan)
    return np.ascontiguousarray(matrix)


def _status_of(
    status: ArrayLike | None, values: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    if status is None:
        return np.zeros(shape, dtype=np.uint8)
    codes = np.asarray(status)
    if codes.shape != values.shape:
        raise ValueError(f"status has the shape {codes.shape}, the values have {values.shape}")
    if codes.dtype.kind not in "iub":
        raise TypeError(f"status must be integer codes (0 is good), not {codes.dtype}")
    if bool((codes < 0).any() or (codes > np.iinfo(np.uint8).max).any()):
        raise ValueError("a status is a code from 0 to 255")
    return np.ascontiguousarray(codes, dtype=np.uint8).reshape(shape)


def _sets_of(rules: OneSet | Sequence[OneSet], channels: int) -> list[ChannelQc]:
    if isinstance(rules, ChannelQc | Mapping):
        return [_set_of(rules)] * channels
    if isinstance(rules, str):
        raise TypeError("rules must be ChannelQc or a dict of its tables, not text; load_rules reads a file")
    if len(rules) != channels:
        raise ValueError(f"{len(rules)} sets of rules are given for {channels} channels")
    return [_set_of(one) for one in rules]


def _set_of(rules: OneSet) -> ChannelQc:
    if isinstance(rules, ChannelQc):
        return rules
    return ChannelQc.model_validate(dict(rules))


def _layout_of(names: Sequence[str] | None, channels: int) -> Layout:
    chosen = [f"c{k}" for k in range(channels)] if names is None else list(names)
    if len(chosen) != channels:
        raise ValueError(f"{len(chosen)} names are given for {channels} channels")
    return Layout(tuple(Channel(name) for name in chosen))


def _judge(readings: _Readings, sets: Sequence[ChannelQc]) -> Evaluation:
    """Run the engine over the rows in chunks and fold in what it says later."""
    channels, rows = readings.values.shape
    names = [channel.name for channel in readings.layout.channels]
    for name, qc in zip(names, sets, strict=True):
        try:
            check_windows(qc, readings.interval_s)
        except ValueError as error:
            raise ValueError(f"channel '{name}': {error}, or state a longer interval_s") from error
    _refuse_other_instruments(dict(zip(names, sets, strict=True)))
    config = {_INSTRUMENT: dict(zip(names, sets, strict=True))}
    engine = QcEngine(config, {_INSTRUMENT: readings.interval_s})
    engine.warm()
    shape = readings.values.shape
    found = Evaluation(
        np.empty(shape, np.uint8), np.empty(shape, np.int64), np.empty(shape, np.int64), None
    )  # fmt: skip
    each = max(1, CHUNK_READINGS // channels)
    for start in range(0, rows, each):
        cut = slice(start, start + each)
        result = engine.process(_block(readings, cut), start)
        found.flag[:, cut], found.reason[:, cut] = result.flag, result.reason
        found.unevaluated[:, cut] = result.unevaluated
        fold(found, result.decisions, readings.layout)
    fold(found, engine.flush(_INSTRUMENT), readings.layout)
    return found


def _refuse_other_instruments(sets: Mapping[str, ChannelQc]) -> None:
    for name, qc in sets.items():
        for rule in CROSSING:
            if getattr(rule.settings_of(qc), "instrument", None) is not None:
                raise ValueError(
                    f"channel '{name}', rule '{rule.name}': arrays and files have no other instrument; "
                    "leave 'instrument' out and name a channel beside it"
                )


def _block(readings: _Readings, cut: slice) -> Block:
    times = readings.times[cut]
    return Block(
        instrument=_INSTRUMENT,
        layout=readings.layout,
        t_utc_ns=times,
        t_run_ns=times,
        t_request_ns=times,
        t_response_ns=times,
        status=np.ascontiguousarray(readings.status[:, cut]),
        f8=np.ascontiguousarray(readings.values[:, cut]),
        i8=np.zeros((0, len(times)), dtype=np.int64),
        u8=np.zeros((0, len(times)), dtype=np.uint64),
    )


def fold(found: Evaluation, decisions: Sequence[Decision], layout: Layout) -> None:
    """Fold later verdicts into the flags and masks of rows that start at ordinal 0.

    Args:
        found: arrays [c, n], changed in place.
        decisions: what the engine said.
        layout: names the channels in the order of the arrays.
    """
    for decision in decisions:
        if not len(decision.n):
            continue
        bit = 1 << BY_NAME[decision.rule].bit
        positions = np.fromiter((layout.index[name] for name in decision.channel), np.int64, len(decision.n))
        at = positions, decision.n
        open_ = decision.flag == Flag.NOT_EVALUATED
        found.unevaluated[at] |= np.where(open_, bit, 0)
        found.reason[at] |= np.where(open_, 0, bit)
        counts = ~open_ | decision.required
        worse = counts & (SEVERITY[decision.flag] > SEVERITY[found.flag[at]])
        found.flag[positions[worse], decision.n[worse]] = decision.flag[worse]


def _each_rule(readings: _Readings, sets: Sequence[ChannelQc], whole: Evaluation) -> Evaluation:
    """Add each rule's own flags, found by judging with its table alone."""
    found = {
        "missing": np.where(whole.reason & MISSING_MASK, Flag.MISSING, Flag.PASS).astype(np.uint8)
    }  # fmt: skip
    for table in _TABLES:
        if all(getattr(qc, table) is None for qc in sets):
            continue
        others = dict.fromkeys(name for name in _TABLES if name != table)
        alone = _judge(readings, [qc.model_copy(update=others) for qc in sets])
        for rule in (rule for rule in RULES if rule.table == table):
            settings = [rule.settings_of(qc) for qc in sets]
            on = [one is not None and _is_on(rule, one, readings.interval_s) for one in settings]
            if any(on):
                found[rule.name] = _own_flags(alone, rule.bit, np.array(on)[:, None])
    return whole._replace(by_rule=found)


def _is_on(rule: Rule, settings: Any, interval_s: float) -> bool:
    return rule.waits(settings) or rule.encode(settings, interval_s) is not None


def _own_flags(alone: Evaluation, bit: int, on: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Read one rule's flags from masks; rules of one table that fire together share the worse flag."""
    passed = np.where((alone.unevaluated >> bit & 1) | ~on, Flag.NOT_EVALUATED, Flag.PASS)
    return np.where(alone.reason >> bit & 1, alone.flag, passed).astype(np.uint8)
