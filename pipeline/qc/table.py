"""The rules: one append-only table. An entry names its kernel, so that reading the table compiles nothing.

To add a rule: its settings class, a field for it in `ChannelQc`, its kernel in `kernels`, and an entry at the
end of `RULES`. Positions are reason bits and part of the record format: never reordered, never reused. Raise
`version` whenever the parameters, the state or the verdicts of a rule change: state that another version
saved is then left aside, and that rule alone starts anew.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.qc import describe, describe_windows, encode
from pipeline.qc.encode import LEVEL_SHIFT_BIT, SPIKE_BIT
from pipeline.qc.kernel_constants import ENTRY_SLOTS, SCHEDULE_FIXED, SHIFT_STATE, WINDOW_SLOTS
from pipeline.qc.rule import Rule
from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc
from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc, PageHinkleyQc
from pipeline.qc.settings_patterns import IdenticalQc, LateQc, RedundancyQc, ScheduleQc, UnitChangeQc
from pipeline.qc.settings_windows import CompletenessQc, NoiseQc, RateDevQc, RepeatedQc, StabilityQc

if TYPE_CHECKING:
    from pipeline.qc.settings import ChannelQc

WINDOW_BYTES_MAX = 64 * 2**20
"""Largest memory of the windows of one channel."""

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
        encode.gross_range, describe.gross_range,
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
        encode.rate, describe.rate,
        {
            "fired": ("rate {rate} exceeds {limit} ({level})", "变化率 {rate} 超过 {limit}（{level}）"),
            "unknown": ("rate exceeds a limit ({limits}); the previous reading is not at hand",
                        "变化率超限（{limits}）；前一读数不在手边"),
            "unevaluated": ("no earlier valid reading within {max_gap}", "{max_gap} 内没有更早的有效读数"),
        },
    ),
    Rule(
        "spike", ("spike", "尖峰"), 1, SPIKE_BIT, "spike", SpikeQc, "spike", 5, 5,
        encode.spike, describe.spike,
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
        "flat_line", ("flat line", "读数不变"), 2, 4, "flat_line", FlatLineQc, "flat_line", 7, 8,
        encode.flat_line, describe.flat_line,
        {
            "fired": ("flat: within {tolerance} for {duration} or longer ({level})",
                      "读数不变：{duration} 及以上变动不超过 {tolerance}（{level}）"),
            "unevaluated": ("no unbroken readings over {duration}", "没有连续 {duration} 的读数"),
        },
        rings=lambda parameters: 4 * int(parameters[-1]),
    ),
    Rule(
        "gap", ("gap", "间隔"), 1, 5, "gap", GapQc, "gap", 1, 2,
        encode.gap, describe.gap,
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
    Rule(
        "repeated", ("repeated value", "重复读数"), 2, 8, "repeated", RepeatedQc, "repeated", 7, 10,
        encode.repeated, describe_windows.repeated,
        {
            "fired": ("{count} readings or more in a row within {tolerance} ({level})",
                      "连续 {count} 个及以上读数相差不超过 {tolerance}（{level}）"),
            "equal": ("{count} equal readings or more in a row ({level})",
                      "连续 {count} 个及以上读数相同（{level}）"),
            "unevaluated": ("fewer than {count} unbroken readings", "连续读数不足 {count} 个"),
        },
        rings=lambda parameters: 4 * int(parameters[-1]),
    ),
    Rule(
        "noise", ("attenuated or noisy", "信号衰减或噪声"), 1, 9, "noise", NoiseQc, "noise", 8,
                  3 + WINDOW_SLOTS,
        encode.noise, describe_windows.noise,
        {
            "attenuated": ("{statistic} {variation} over {window} is below {limit}: attenuated ({level})",
                           "{window} 内{statistic} {variation} 低于 {limit}：信号衰减（{level}）"),
            "noisy": ("{statistic} {variation} over {window} exceeds {limit}: noisy ({level})",
                      "{window} 内{statistic} {variation} 超过 {limit}：噪声过大（{level}）"),
            "unknown": ("{statistic} over {window} is outside its limits ({limits})",
                        "{window} 内{statistic}超出限值（{limits}）"),
            "unevaluated": ("no unbroken readings over {window}", "没有连续 {window} 的读数"),
        },
        rings=lambda parameters: ENTRY_SLOTS * int(parameters[-1]),
    ),
    Rule(
        "rate_dev", ("step in standard deviations", "标准差倍数变化"), 1, 10, "rate_dev", RateDevQc,
                     "rate_dev", 5,
        4 + WINDOW_SLOTS, encode.rate_dev, describe_windows.rate_dev,
        {
            "fired": ("step of more than {limit} standard deviations of the {window} before ({level})",
                      "变化超过此前 {window} 读数标准差的 {limit} 倍（{level}）"),
            "unevaluated": ("no unbroken readings over {window} before it", "此前没有连续 {window} 的读数"),
        },
        rings=lambda parameters: ENTRY_SLOTS * int(parameters[-1]),
    ),
    Rule(
        "ewma", ("EWMA chart", "EWMA 控制图"), 1, 11, "ewma", EwmaQc, "ewma", 5, 4,
        encode.ewma, describe_windows.ewma,
        {
            "fired": ("the moving average is more than {limit} sigma from the centre {centre} ({level})",
                      "移动平均偏离中心线 {centre} 超过 {limit} 倍标准差（{level}）"),
            "unevaluated": ("there is no finite number", "没有有限数值"),
        },
    ),
    Rule(
        "cusum", ("CUSUM chart", "CUSUM 控制图"), 1, 12, "cusum", CusumQc, "cusum", 8, 4,
        encode.cusum, describe_windows.cusum,
        {
            "fired": ("the sum of deviations from the target {target} exceeds {limit} sigma ({level})",
                      "对目标值 {target} 的累积偏差超过 {limit} 倍标准差（{level}）"),
            "unevaluated": ("there is no finite number", "没有有限数值"),
        },
    ),
    Rule(
        "hampel", ("Hampel outlier", "Hampel 离群值"), 1, 13, "hampel", HampelQc, "hampel", 4, 4,
        encode.hampel, describe_windows.hampel,
        {
            "fired": ("more than {limit} scaled MAD from the median of {readings} readings ({level})",
                      "偏离最近 {readings} 个读数的中位数超过 {limit} 倍标准化 MAD（{level}）"),
            "unevaluated": ("fewer than {readings} unbroken readings", "连续读数不足 {readings} 个"),
        },
        rings=lambda parameters: 2 * int(parameters[2]),
    ),
    Rule(
        "level_shift", ("level shift", "水平漂移"), 1, LEVEL_SHIFT_BIT, "level_shift", LevelShiftQc,
                        "level_shift", 5,
        SHIFT_STATE, encode.level_shift, describe_windows.level_shift,
        {
            "fired": ("the medians of {readings} readings before and after differ by over {limit} ({level})",
                      "前后各 {readings} 个读数的中位数相差超过 {limit}（{level}）"),
            "unevaluated": ("no {readings} unbroken readings on both sides",
                            "两侧连续读数不足 {readings} 个"),
        },
        rings=lambda parameters: 5 * int(parameters[2]), future=True, pending_ring=True,
    ),
    Rule(
        "page_hinkley", ("change of the mean", "均值变化"), 1, 15, "page_hinkley", PageHinkleyQc,
                         "page_hinkley", 6, 6,
        encode.page_hinkley, describe_windows.page_hinkley,
        {
            "fired": ("the readings have left their mean: the sum of deviations exceeds {limit} ({level})",
                      "读数偏离自身均值：累积偏差超过 {limit}（{level}）"),
            "unevaluated": ("fewer than {count} readings since the last start",
                            "自上次起算读数不足 {count} 个"),
        },
    ),
    Rule(
        "stability", ("stable", "稳定"), 2, 16, "stability", StabilityQc, "stability", 7, 8,
        encode.stability, describe_windows.stability,
        {
            "fired": ("stable: within ± {tolerance} for {duration} or longer",
                      "稳定：{duration} 及以上保持在 ± {tolerance} 之内"),
            "unevaluated": ("no unbroken readings over {duration}", "没有连续 {duration} 的读数"),
        },
        rings=lambda parameters: 4 * int(parameters[-1]),
    ),
    Rule(
        "late", ("late arrival", "迟到"), 1, 17, "late", LateQc, "late", 2, 0,
        encode.late, describe_windows.late,
        {
            "fired": ("older than {limit} when it arrived ({level})", "到达时已超过 {limit}（{level}）"),
            "unevaluated": ("there is no reading", "没有读数"),
        },
    ),
    Rule(
        "completeness", ("completeness", "完整率"), 1, 18, "completeness", CompletenessQc, "completeness", 4,
                         5,
        encode.completeness, describe_windows.completeness,
        {
            "fired": ("fewer than {limit} of the readings to be polled in {window} have come ({level})",
                      "{window} 内应采读数到达不足 {limit}（{level}）"),
            "unevaluated": ("the stream has not lasted {window} yet", "数据流尚不足 {window}"),
        },
        rings=lambda parameters: int(parameters[-1]),
    ),
    Rule(
        "identical", ("identical data", "数据雷同"), 1, 19, "identical", IdenticalQc, "identical", 7, 5,
        encode.identical, describe_windows.identical,
        {
            "fired": ("the last {count} readings or more repeat an earlier stretch exactly ({level})",
                      "最近 {count} 个及以上读数与此前一段完全相同（{level}）"),
            "unevaluated": ("fewer than {count} readings", "读数不足 {count} 个"),
        },
        rings=lambda parameters: 3 * int(parameters[3]) + int(parameters[6]),
    ),
    Rule(
        "unit_change", ("change of unit or resolution", "单位或分辨力变化"), 1, 20, "unit_change",
                        UnitChangeQc,
        "unit_change", 2, 2, encode.unit_change, describe_windows.unit_change,
        {
            "fired": ("unit, range or last digit has changed before this reading; now {unit} ({level})",
                      "此读数之前单位、量程或末位已改变；现为 {unit}（{level}）"),
            "unevaluated": ("the layout is not known", "通道布局未知"),
        },
        local=encode.layout_signature, survives=True,
    ),
    Rule(
        "schedule", ("schedule", "程序设定"), 2, 21, "schedule", ScheduleQc, "schedule", SCHEDULE_FIXED, 0,
        encode.schedule, describe_windows.schedule,
        {
            "fired": ("more than {limit} from what the set-points let expect ({level})",
                      "偏离设定程序的期望值超过 {limit}（{level}）"),
            "unevaluated": ("nothing is expected at this time", "此时没有期望值"),
        },
        crosses=True,
    ),
    Rule(
        "redundancy", ("redundancy", "冗余比对"), 1, 22, "redundancy", RedundancyQc, "redundancy", 3, 0,
        encode.redundancy, describe_windows.redundancy,
        {
            "fired": ("differs from channel '{partner}' by more than {limit} ({level})",
                      "与通道“{partner}”相差超过 {limit}（{level}）"),
            "unevaluated": ("no valid reading of channel '{partner}' beside it",
                            "通道“{partner}”没有同时的有效读数"),
        },
        local=encode.partner_position, partner=True, crosses=True,
    ),
)  # fmt: skip

BY_NAME = {rule.name: rule for rule in RULES}
FUTURE = tuple(rule for rule in RULES if rule.future)
CROSSING = tuple(rule for rule in RULES if rule.crosses)
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
