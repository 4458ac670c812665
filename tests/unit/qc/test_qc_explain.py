"""Every flag explains itself in both languages, with the values and limits that made it."""

import math
from string import Formatter

import numpy as np
import pytest

from pipeline.qc import (
    RULES,
    ChannelQc,
    Evidence,
    QcEngine,
    QcResult,
    Sample,
    explain_reading,
    explain_row,
)
from pipeline.qc.rule import Rule
from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc
from pipeline.records import Block, Frame
from tests.unit.qc.blocks import SECOND, block_of, engine_of

FULL = ChannelQc(
    range=RangeQc(fail_low=0, suspect_high=30, fail_high=40),
    rate=RateQc(suspect=2.0, fail=50, per="min"),
    spike=SpikeQc(suspect=1, fail=5),
    flat_line=FlatLineQc(tolerance=0.05, suspect_s=2, fail_s=3),
    gap=GapQc(interval_s=1.5),
)


def frame_of(engine: QcEngine, block: Block) -> Frame:
    result: QcResult = engine.process(block, 0)
    return Frame(block, 0, result.flag, result.reason, result.unevaluated)


def explained(
    qc: ChannelQc, values: list[float], row: int, *, decided: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    engine = engine_of({"c0": qc})
    times = [k * SECOND for k in range(len(values))]
    frame = frame_of(engine, block_of([values], times))
    return (
        engine.explain(frame, row, "c0", "en", decided=decided),
        engine.explain(frame, row, "c0", "zh", decided=decided),
    )


def test_a_rate_is_told_in_the_unit_of_its_limit() -> None:
    english, chinese = explained(ChannelQc(rate=RateQc(suspect=2.0, per="min")), [20.0, 20.0 + 3.2 / 60], 1)
    assert english == ["rate 3.2 °C/min exceeds 2 °C/min (suspect)"]
    assert chinese == ["变化率 3.2 °C/min 超过 2 °C/min（可疑）"]


def test_a_value_outside_its_range_names_the_limit_that_it_crosses() -> None:
    qc = ChannelQc(range=FULL.range)
    assert explained(qc, [41.5], 0)[0] == ["41.5 °C is above the fail limit 40 °C"]
    assert explained(qc, [40.0], 0) == (
        ["40 °C is above the suspect limit 30 °C"],
        ["40 °C 高于可疑上限 30 °C"],
    )
    assert explained(qc, [-0.1], 0) == (
        ["-0.1 °C is below the fail limit 0 °C"],
        ["-0.1 °C 低于失败下限 0 °C"],
    )
    assert explained(qc, [math.inf], 0) == (["the value is infinite"], ["数值为无穷大"])


def test_a_missing_value_tells_its_status() -> None:
    engine = engine_of({})
    status = np.array([[1, 66, 0, 40]], dtype=np.uint8)
    frame = frame_of(engine, block_of([[math.nan] * 4], [0, 1, 2, 3], status=status))
    english = [engine.explain(frame, row, "c0", "en") for row in range(4)]
    assert english == [
        ["no value: no answer"], ["no value: modbus exception 2"], ["no value: the instrument sent NaN"],
        ["no value: status 40"],
    ]  # fmt: skip
    assert engine.explain(frame, 0, "c0", "zh") == ["无数值：无应答"]
    assert engine.explain(frame, 1, "c0", "zh") == ["无数值：Modbus 异常码 2"]


def test_a_spike_that_was_decided_later_tells_its_height() -> None:
    english, chinese = explained(ChannelQc(spike=FULL.spike), [1, 1, 9, 1], 2, decided=("spike",))
    assert english == ["spike of 8 °C (average) exceeds 5 °C (fail)"]
    assert chinese == ["尖峰 8 °C（平均法）超过 5 °C（失败）"]
    unknown, _ = explained(ChannelQc(spike=FULL.spike), [1, 1, 9], 2, decided=("spike",))
    assert unknown == ["spike exceeds a limit (suspect 1 °C, fail 5 °C); its neighbours are not at hand"]


def test_a_flat_line_tells_tolerance_and_duration() -> None:
    english, chinese = explained(ChannelQc(flat_line=FULL.flat_line), [1.0] * 5, 2)
    assert english == ["flat: within 0.05 °C for 2 s or longer (suspect)"]
    assert chinese == ["读数不变：2 s 及以上变动不超过 0.05 °C（可疑）"]
    assert explained(ChannelQc(flat_line=FULL.flat_line), [1.0] * 5, 4)[0] == [
        "flat: within 0.05 °C for 3 s or longer (fail), since 00:00:02 UTC"
    ]


def test_gap_order_and_duplicate_tell_what_the_stamps_say() -> None:
    engine = engine_of({"c0": ChannelQc(gap=FULL.gap)})
    block = block_of(
        [[1, 2, 3, 4]],
        [0, 2 * SECOND, 3 * SECOND, 4 * SECOND],
        t_utc_ns=[9 * SECOND, 10 * SECOND, 8 * SECOND, 8 * SECOND],
    )
    frame = frame_of(engine, block)
    assert engine.explain(frame, 1, "c0", "en") == ["2 s since the previous valid reading, more than 1.5 s"]
    assert engine.explain(frame, 2, "c0", "en") == [
        "time stamp 2 s before that of the previous valid reading"
    ]
    assert engine.explain(frame, 3, "c0", "en") == ["time stamp equal to that of the previous valid reading"]
    assert engine.explain(frame, 3, "c0", "zh") == ["时间戳与前一有效读数相同"]


def test_a_rule_that_could_not_be_evaluated_says_what_it_lacks() -> None:
    english, chinese = explained(FULL, [20.0], 0)
    assert english == [
        "rate of change not evaluated: no earlier valid reading within 60 s",
        "spike not evaluated: no valid reading within 60 s on both sides",
        "flat line not evaluated: no unbroken readings over 2 s",
        "gap not evaluated: no earlier valid reading",
        "order of time stamps not evaluated: no earlier valid reading",
        "repeated time stamp not evaluated: no earlier valid reading",
    ]
    assert chinese[0] == "变化率未评价：60 s 内没有更早的有效读数"
    assert (
        "rate of change not evaluated: the reading is not a finite number"
        in explained(FULL, [1, math.nan], 1)[0]
    )


def test_while_the_rules_are_loaded_the_reason_is_told_once() -> None:
    engine = QcEngine({"dut": {"c0": FULL}}, {"dut": 1.0})
    frame = frame_of(engine, block_of([[1.0]], [0]))
    assert engine.explain(frame, 0, "c0", "en") == ["the rules were still being loaded"]
    assert engine.explain(frame, 0, "c0", "zh") == ["规则仍在加载"]


def test_a_neighbour_in_another_frame_is_not_invented() -> None:
    engine = engine_of({"c0": ChannelQc(rate=RateQc(fail=1), gap=GapQc(interval_s=1))})
    engine.process(block_of([[0.0]], [0], t_utc_ns=[5]), 0)
    block = block_of([[9.0]], [2 * SECOND], t_utc_ns=[4])
    result = engine.process(block, 1)
    frame = Frame(block, 1, result.flag, result.reason, result.unevaluated)
    assert engine.explain(frame, 0, "c0", "en") == [
        "rate exceeds a limit (fail 1 °C/s); the previous reading is not at hand",
        "more than 1 s since the previous valid reading",
        "time stamp before that of the previous valid reading",
    ]


def test_a_flag_made_by_limits_that_have_changed_since_is_still_explained() -> None:
    block = block_of([[41.5, 50.0, 41.5, 41.5]], [0, SECOND, 2 * SECOND, 3 * SECOND])
    strict = ChannelQc(range=RangeQc(fail_high=40), rate=RateQc(fail=1), spike=SpikeQc(fail=1))
    frame = frame_of(engine_of({"c0": strict}), block)
    lax = engine_of(
        {"c0": ChannelQc(range=RangeQc(fail_high=90), rate=RateQc(fail=100), spike=SpikeQc(fail=100))}
    )
    assert lax.explain(frame, 1, "c0", "en", decided=("spike",)) == [
        "the value was outside the limits then in force, since 00:00:00 UTC or earlier",
        "rate exceeds a limit (fail 100 °C/s); the previous reading is not at hand",
        "spike exceeds a limit (fail 100 °C); its neighbours are not at hand",
    ]
    assert engine_of({}).explain(frame, 0, "c0", "en")[0] == "range: the rule is not configured any more"


def test_a_computed_value_never_looks_equal_to_the_limit_that_it_exceeds() -> None:
    evidence = Evidence(
        value=2.00000001, status=0, t_run_ns=SECOND, t_utc_ns=0, unit="g", previous=Sample(0.0, 0, 0)
    )
    text = explain_reading("rate", ChannelQc(rate=RateQc(fail=2)), evidence, "en")
    assert text == "rate 2.00000001 g/s exceeds 2 g/s (fail)"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_texts_of_both_languages_use_the_same_fields(rule: Rule) -> None:
    for english, chinese in rule.texts.values():
        fields = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] == fields[1]
        assert english != chinese


def test_a_rule_that_goes_on_firing_tells_since_when_in_both_languages() -> None:
    nan = math.nan
    block = block_of([[1.0, 50.0, nan, 51.0, 1.0, 52.0]], [k * SECOND for k in range(6)])
    rules = {"c0": ChannelQc(range=RangeQc(fail_high=40))}
    engine = engine_of(rules)
    frame = frame_of(engine, block)
    above = "{} °C is above the fail limit 40 °C"
    assert engine.explain(frame, 1, "c0", "en") == [above.format(50)]
    assert engine.explain(frame, 3, "c0", "en") == [above.format(51) + ", since 00:00:01 UTC"]
    assert engine.explain(frame, 3, "c0", "zh") == ["51 °C 高于失败上限 40 °C，自 00:00:01 UTC 起"]
    assert engine.explain(frame, 5, "c0", "en") == [above.format(52)]
    later = explain_row(frame, 3, "c0", rules["c0"], "en", time_text=lambda t_utc_ns: f"{t_utc_ns} ns")
    assert later == [above.format(51) + f", since {SECOND} ns"]


def test_a_rule_that_fired_on_all_that_is_at_hand_may_have_done_so_before() -> None:
    engine = engine_of({"c0": ChannelQc(range=RangeQc(fail_high=40))})
    frame = frame_of(engine, block_of([[50.0, 51.0]], [0, SECOND]))
    assert engine.explain(frame, 0, "c0", "en") == ["50 °C is above the fail limit 40 °C"]
    assert engine.explain(frame, 1, "c0", "zh") == ["51 °C 高于失败上限 40 °C，自 00:00:00 UTC 或更早起"]
