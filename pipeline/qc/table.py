"""The rules: one append-only table. An entry names its kernel, so that reading the table compiles nothing.

To add a rule: its settings class in `settings`, a field for it in `ChannelQc`, its kernel in `kernels`, and
an entry at the end of `RULES`. Positions are reason bits and part of the record format: never reordered,
never reused. Raise `version` whenever the parameters, the state or the verdicts of a rule change: state that
another version saved is then left aside, and that rule alone starts anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.qc import describe
from pipeline.qc.memory import ABSENT_NS
from pipeline.qc.settings import SECONDS_PER, FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.model import Settings
    from pipeline.qc.settings import ChannelQc

Parameter = float | int
"""A float fills a float64 slot, an int an int64 slot."""

RING_SLACK = 1.25
"""A window has room for readings that come this much faster than polled, and `RING_SPARE` more."""
RING_SPARE = 8
WINDOW_BYTES_MAX = 64 * 2**20
"""Largest memory of the windows of one channel."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `bit` is its position in `RULES`."""

    name: str
    title: tuple[str, str]
    """Name for people (en, zh)."""
    version: int
    bit: int
    table: str
    """Field of `ChannelQc` that switches the rule on; empty: always on."""
    settings: type[Settings] | None
    kernel: str
    """Name of the function in `kernels`."""
    parameters: int
    """Slots of parameters."""
    state: int
    """Slots of state, without rings."""
    encode: Callable[[Any, float], tuple[Parameter, ...] | None]
    """Settings and poll interval (s) to the parameters; None when these settings leave the rule off."""
    describe: Callable[[Any, describe.Evidence], describe.Case]
    """Settings and evidence to the case of `texts` that applies and the values for it."""
    texts: dict[str, tuple[str, str]]
    """Case to explanation (en, zh); `unevaluated` says what the rule lacks."""
    rings: Callable[[tuple[Parameter, ...]], int] = lambda _: 0
    """Slots of the rings behind the state, from the parameters."""
    future: bool = False
    """The rule judges a row once later ones came. Its first state slot: ordinal + 1 of the oldest pending."""

    def settings_of(self, qc: ChannelQc | None) -> Any:
        """Return the rule's settings of a channel, None when it has none."""
        return None if qc is None or not self.table else getattr(qc, self.table)


def nanoseconds(seconds: float) -> int:
    """Convert a duration of the settings to ns; the nearest, as 0.1 s is no binary fraction."""
    return round(seconds * 1e9)


def _or_nan(limit: float | None, scale: float = 1.0) -> float:
    return math.nan if limit is None else limit / scale


def _encode_range(qc: RangeQc, _interval_s: float) -> tuple[Parameter, ...]:
    return tuple(_or_nan(limit) for limit in (qc.suspect_low, qc.suspect_high, qc.fail_low, qc.fail_high))


def _encode_rate(qc: RateQc, _interval_s: float) -> tuple[Parameter, ...]:
    seconds = SECONDS_PER[qc.per]
    return _or_nan(qc.suspect, seconds), _or_nan(qc.fail, seconds), nanoseconds(qc.max_gap_s)


def _encode_spike(qc: SpikeQc, _interval_s: float) -> tuple[Parameter, ...]:
    differential = int(qc.method == "differential")
    return _or_nan(qc.suspect), _or_nan(qc.fail), nanoseconds(qc.max_gap_s), differential, SPIKE_BIT


def ring_capacity(duration_s: float, interval_s: float) -> int:
    """Return how many readings a window of `duration_s` has room for at a poll interval, both in seconds."""
    return math.ceil(RING_SLACK * duration_s / interval_s) + RING_SPARE


def _encode_flat_line(qc: FlatLineQc, interval_s: float) -> tuple[Parameter, ...]:
    durations_s = [duration for duration in (qc.suspect_s, qc.fail_s) if duration is not None]
    return (
        float(qc.tolerance),
        ABSENT_NS if qc.suspect_s is None else nanoseconds(qc.suspect_s),
        ABSENT_NS if qc.fail_s is None else nanoseconds(qc.fail_s),
        nanoseconds(min(durations_s)),
        nanoseconds(max(durations_s)),
        nanoseconds(qc.max_gap_s),
        ring_capacity(max(durations_s), interval_s),
    )


def _encode_gap(qc: GapQc, _interval_s: float) -> tuple[Parameter, ...] | None:
    return None if qc.interval_s is None else (nanoseconds(qc.interval_s),)


SPIKE_BIT = 3

RULES: tuple[Rule, ...] = (
    Rule(
        "missing", ("missing value", "缺失"), 1, 0, "", None, "missing", 0, 0,
        lambda _qc, _interval_s: (), describe.missing,
        {
            "fired": ("no value: {status}", "无数值：{status}"),
            "nan": ("no value: the instrument sent NaN", "无数值：仪器发来 NaN（非数）"),
        },
    ),
    Rule(
        "range", ("range", "量程"), 1, 1, "range", RangeQc, "gross_range", 4, 0,
        _encode_range, describe.gross_range,
        {
            "above": ("{value} is above the {level} limit {limit}", "{value} 高于{level}上限 {limit}"),
            "below": ("{value} is below the {level} limit {limit}", "{value} 低于{level}下限 {limit}"),
            "infinite": ("the value is infinite", "数值为无穷大"),
            "unknown": ("the value was outside the limits then in force", "数值超出当时的限值"),
            "unevaluated": ("there is no number", "没有数值"),
        },
    ),
    Rule(
        "rate", ("rate of change", "变化率"), 1, 2, "rate", RateQc, "rate", 3, 3,
        _encode_rate, describe.rate,
        {
            "fired": ("rate {rate} exceeds {limit} ({level})", "变化率 {rate} 超过 {limit}（{level}）"),
            "unknown": ("rate exceeds a limit ({limits}); the previous reading is not at hand",
                        "变化率超限（{limits}）；前一读数不在手边"),
            "unevaluated": ("no earlier valid reading within {max_gap}", "{max_gap} 内没有更早的有效读数"),
        },
    ),
    Rule(
        "spike", ("spike", "尖峰"), 1, SPIKE_BIT, "spike", SpikeQc, "spike", 5, 5,
        _encode_spike, describe.spike,
        {
            "fired": ("spike of {height} ({method}) exceeds {limit} ({level})",
                      "尖峰 {height}（{method}）超过 {limit}（{level}）"),
            "unknown": ("spike exceeds a limit ({limits}); its neighbours are not at hand",
                        "尖峰超限（{limits}）；相邻读数不在手边"),
            "unevaluated": ("no valid reading within {max_gap} on both sides",
                            "两侧 {max_gap} 内没有有效读数"),
        },
        future=True,
    ),
    Rule(
        "flat_line", ("flat line", "读数不变"), 1, 4, "flat_line", FlatLineQc, "flat_line", 7, 8,
        _encode_flat_line, describe.flat_line,
        {
            "fired": ("flat: within {tolerance} for {duration} or longer ({level})",
                      "读数不变：{duration} 及以上变动不超过 {tolerance}（{level}）"),
            "unevaluated": ("no unbroken readings over {duration}", "没有连续 {duration} 的读数"),
        },
        rings=lambda parameters: 4 * int(parameters[-1]),
    ),
    Rule(
        "gap", ("gap", "间隔"), 1, 5, "gap", GapQc, "gap", 1, 2,
        _encode_gap, describe.gap,
        {
            "fired": ("{interval} since the previous valid reading, more than {limit}",
                      "距前一有效读数 {interval}，超过 {limit}"),
            "unknown": ("more than {limit} since the previous valid reading", "距前一有效读数超过 {limit}"),
            "unevaluated": ("no earlier valid reading", "没有更早的有效读数"),
        },
    ),
    Rule(
        "order", ("order of time stamps", "时间顺序"), 1, 6, "gap", GapQc, "order", 0, 2,
        lambda qc, _interval_s: () if qc.order else None, describe.stamp,
        {
            "fired": ("time stamp {behind} before that of the previous valid reading",
                      "时间戳早于前一有效读数 {behind}"),
            "unknown": ("time stamp before that of the previous valid reading", "时间戳早于前一有效读数"),
            "unevaluated": ("no earlier valid reading", "没有更早的有效读数"),
        },
    ),
    Rule(
        "duplicate", ("repeated time stamp", "时间重复"), 1, 7, "gap", GapQc, "duplicate", 0, 2,
        lambda qc, _interval_s: () if qc.duplicate else None, describe.same_stamp,
        {
            "fired": ("time stamp equal to that of the previous valid reading", "时间戳与前一有效读数相同"),
            "unevaluated": ("no earlier valid reading", "没有更早的有效读数"),
        },
    ),
)  # fmt: skip

BY_NAME = {rule.name: rule for rule in RULES}
FUTURE = tuple(rule for rule in RULES if rule.future)
MISSING_MASK = 1 << BY_NAME["missing"].bit


def window_bytes(qc: ChannelQc, interval_s: float) -> int:
    """Return the memory of one channel's windows in bytes.

    Args:
        qc: the channel's rules.
        interval_s: the instrument's poll interval, seconds.
    """
    total = 0
    for rule in RULES:
        settings = rule.settings_of(qc)
        parameters = None if settings is None else rule.encode(settings, interval_s)
        total += 0 if parameters is None else 8 * rule.rings(parameters)
    return total


def check_windows(qc: ChannelQc, interval_s: float) -> None:
    """Refuse windows that would take too much memory.

    Raises:
        ValueError: they exceed `WINDOW_BYTES_MAX`; says by how much and what to change.
    """
    if not (interval_s > 0 and math.isfinite(interval_s)):
        raise ValueError(f"the interval between readings must be above 0 s, not {interval_s}")
    needed = window_bytes(qc, interval_s)
    if needed > WINDOW_BYTES_MAX:
        raise ValueError(
            f"the windows of the rules need {needed / 2**20:.0f} MiB at one reading every {interval_s} s, "
            f"more than {WINDOW_BYTES_MAX / 2**20:.0f} MiB: shorten the durations or poll less often"
        )
