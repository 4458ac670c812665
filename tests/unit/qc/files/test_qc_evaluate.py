"""One call for arrays says what the streaming engine says, however that one is fed."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.qc import RULES, ChannelQc, QcEngine, evaluate
from pipeline.qc.files import evaluation
from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc
from pipeline.qc.table import window_bytes
from pipeline.records import Flag
from pipeline.records.flags import worst
from tests.unit.qc.blocks import SECOND, block_of, layout_of

FULL = ChannelQc(
    range=RangeQc(fail_low=-50, suspect_low=-5, suspect_high=5, fail_high=50),
    rate=RateQc(suspect=3, fail=40, max_gap_s=3, required=True),
    spike=SpikeQc(suspect=2, fail=20, max_gap_s=3, required=True),
    flat_line=FlatLineQc(tolerance=0.1, suspect_s=2, fail_s=4, max_gap_s=3),
    gap=GapQc(interval_s=2.5),
)
LAX = ChannelQc(spike=SpikeQc(fail=1))
LATER = ChannelQc.model_validate({
    "level_shift": {"suspect": 1.0, "fail": 5.0, "readings": 3, "max_gap_s": 3.0, "required": True},
    "hampel": {"fail_k": 3.0, "readings": 5, "max_gap_s": 3.0},
    "repeated": {"suspect_n": 3},
    "spike": {"fail": 2.0, "max_gap_s": 3.0},
})  # fmt: skip
BIT = {rule.name: 1 << rule.bit for rule in RULES}
NASTY = st.sampled_from(
    [0.0, -0.0, 1.0, 1.0, 1.05, 3.0, 7.0, -60.0, 5e-324, 1e308, -1e308, math.inf, -math.inf, math.nan]
)


def streamed(
    values: NDArray[np.float64],
    times: NDArray[np.int64],
    status: NDArray[np.uint8],
    sets: list[ChannelQc],
    cuts: list[int],
    interval_s: float,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Feed the engine block by block and put its later verdicts into the rows one by one."""
    engine = QcEngine({"dut": {f"c{k}": qc for k, qc in enumerate(sets)}}, {"dut": interval_s})
    engine.warm()
    layout, results, decisions = layout_of(len(sets)), [], []
    for first, end in zip([0, *cuts], [*cuts, len(times)], strict=True):
        block = block_of(values[:, first:end], times[first:end].tolist(), layout=layout,
                         status=np.ascontiguousarray(status[:, first:end]))  # fmt: skip
        results.append(engine.process(block, first))
        decisions += results[-1].decisions
    decisions += engine.flush("dut")
    flag, reason, unevaluated = (
        np.concatenate([getattr(one, name) for one in results], axis=1)
        for name in ("flag", "reason", "unevaluated")
    )
    for decision in decisions:
        verdicts = zip(decision.n, decision.channel, decision.flag, decision.required, strict=True)
        for n, channel, verdict, required in verdicts:
            at = int(channel[1:]), int(n)
            mask = unevaluated if verdict == Flag.NOT_EVALUATED else reason
            mask[at] |= BIT[decision.rule]
            if required or verdict != Flag.NOT_EVALUATED:
                flag[at] = worst([int(flag[at]), int(verdict)])
    return flag, reason, unevaluated


@st.composite
def streams(draw: st.DrawFn) -> tuple[Any, ...]:
    rows = draw(st.integers(1, 40))
    channels = draw(st.integers(1, 3))
    column = st.lists(NASTY, min_size=rows, max_size=rows)
    values = np.array(draw(st.lists(column, min_size=channels, max_size=channels)))
    steps = st.sampled_from([0, 1, SECOND // 10, SECOND, SECOND, 2 * SECOND, 10 * SECOND, -SECOND])
    times = np.cumsum(draw(st.lists(steps, min_size=rows, max_size=rows)), dtype=np.int64)
    codes = st.lists(st.sampled_from([0, 0, 0, 0, 5]), min_size=rows, max_size=rows)
    status = np.array(draw(st.lists(codes, min_size=channels, max_size=channels)), dtype=np.uint8)
    one_set = st.sampled_from([FULL, LAX, LATER, ChannelQc()])
    sets = draw(st.lists(one_set, min_size=channels, max_size=channels))
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=6)))
    return values, times, status, sets, cuts


@given(streams(), st.integers(1, 50))
@settings(max_examples=150)
def test_it_equals_the_streaming_engine_for_any_cuts(stream: tuple[Any, ...], chunk: int) -> None:
    values, times, status, sets, cuts = stream
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "CHUNK_READINGS", chunk)
        found = evaluate(times, values, sets, status, interval_s=0.5)
    flag, reason, unevaluated = streamed(values, times, status, sets, cuts, 0.5)
    np.testing.assert_array_equal(found.flag, flag)
    np.testing.assert_array_equal(found.reason, reason)
    np.testing.assert_array_equal(found.unevaluated, unevaluated)


@given(streams())
@settings(max_examples=50)
def test_the_rules_by_themselves_make_up_the_whole(stream: tuple[Any, ...]) -> None:
    values, times, status, sets, _ = stream
    found = evaluate(times, values, sets, status, per_rule=True)
    assert found.by_rule is not None
    for rule in RULES:
        own = found.by_rule.get(rule.name, np.full(values.shape, Flag.NOT_EVALUATED))
        np.testing.assert_array_equal(np.isin(own, (3, 4, 9)), (found.reason >> rule.bit & 1) == 1)
    fired = np.maximum.reduce([np.where(own == Flag.FAIL, 1, 0) for own in found.by_rule.values()])
    np.testing.assert_array_equal(fired == 1, found.flag == Flag.FAIL)


def test_chunks_of_every_size_give_the_same_answer() -> None:
    rng = np.random.default_rng(20261122)
    values, times = rng.normal(0, 3, (2, 5000)).round(1), np.arange(5000) * (SECOND // 10)
    values[0, 1000:1100] = 1.0
    status = np.zeros(values.shape, dtype=np.uint8)
    whole = evaluate(times, values, FULL)
    for size in (1, 7, 100, 4096, 5000):
        cuts = list(range(size, 5000, size))
        flag, reason, unevaluated = streamed(values, times, status, [FULL, FULL], cuts, 0.1)
        np.testing.assert_array_equal(whole.flag, flag)
        np.testing.assert_array_equal(whole.reason, reason)
        np.testing.assert_array_equal(whole.unevaluated, unevaluated)


def test_a_spike_is_in_the_final_flag_and_an_open_one_only_where_required() -> None:
    times = [k * SECOND for k in range(5)]
    found = evaluate(times, [0, 0, 9, 0, 0], {"spike": {"fail": 5.0}}, per_rule=True)
    assert found.flag.tolist() == [1, 1, 4, 1, 1]
    assert found.reason.tolist() == [0, 0, BIT["spike"], 0, 0]
    assert found.unevaluated.tolist() == [BIT["spike"], 0, 0, 0, BIT["spike"]]
    assert found.by_rule is not None
    assert found.by_rule["spike"].tolist() == [2, 1, 4, 1, 2]
    required = evaluate(times, [0, 0, 9, 0, 0], {"spike": {"fail": 5.0, "required": True}})
    assert required.flag.tolist() == [2, 1, 4, 1, 2]


def test_a_rule_that_is_off_for_a_channel_says_not_evaluated_there() -> None:
    found = evaluate([0, 1], [[5.0, 5.0], [5.0, 5.0]], [{"range": {"fail_high": 1.0}}, {}], per_rule=True)
    assert found.by_rule is not None
    assert found.by_rule["range"].tolist() == [[4, 4], [2, 2]]
    assert found.flag.tolist() == [[4, 4], [1, 1]]
    assert "rate" not in found.by_rule


def test_a_rule_may_name_another_channel() -> None:
    rules = [{}, {"redundancy": {"partner": "a", "fail": 1.0}}]
    found = evaluate([0, SECOND], [[1.0, 1.0], [1.5, 2.5]], rules, names=("a", "b"))
    assert found.flag.tolist() == [[1, 1], [1, 4]]


def test_rules_that_share_a_table_are_told_apart() -> None:
    qc = {"gap": {"interval_s": 1.5}}
    found = evaluate([0, SECOND, SECOND, 4 * SECOND, 3 * SECOND], [1.0] * 5, qc, per_rule=True)
    assert found.by_rule is not None
    assert {name: flags.tolist() for name, flags in found.by_rule.items()} == {
        "missing": [1] * 5,
        "gap": [2, 1, 1, 3, 1],
        "order": [2, 1, 1, 1, 3],
        "duplicate": [2, 1, 3, 1, 1],
    }


def test_only_one_table_is_shared_and_its_rules_know_one_level() -> None:
    tables = Counter(rule.table for rule in RULES)
    assert {table for table, count in tables.items() if count > 1} == {"gap"}


def test_missing_values_are_nan_masked_or_of_bad_status() -> None:
    masked = np.ma.MaskedArray([1.0, 2.0, 3.0], mask=[False, True, False])
    assert evaluate([0, 1, 2], masked, {}).flag.tolist() == [1, 9, 1]
    assert evaluate([0, 1, 2], [1, math.nan, 3], ChannelQc(), status=[0, 0, 7]).flag.tolist() == [1, 9, 9]


def test_times_may_be_datetime64_of_any_unit_and_unsorted() -> None:
    times = np.array(["2026-03-01T00:00:02", "2026-03-01T00:00:00"], dtype="datetime64[s]")
    found = evaluate(times, [1, 2], ChannelQc(gap=GapQc()))
    assert found.reason.tolist() == [0, BIT["order"]]


def test_one_dimension_in_gives_one_dimension_out_and_nothing_gives_nothing() -> None:
    assert evaluate([0], [1.0], {}, per_rule=True).flag.shape == (1,)
    assert evaluate([0], [[1.0]], {}).flag.shape == (1, 1)
    for empty in (np.zeros(0), np.zeros((3, 0)), np.zeros((0, 0))):
        found = evaluate([], empty, {}, per_rule=True)
        assert found.flag.shape == found.reason.shape == found.unevaluated.shape == empty.shape
        assert found.flag.dtype == np.uint8


def test_the_arguments_are_not_changed() -> None:
    times, values = np.arange(3) * SECOND, np.array([1.0, math.nan, 9.0])
    times.setflags(write=False)
    values.setflags(write=False)
    assert evaluate(times, values, FULL).flag.tolist() == [2, 9, 3]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([0.5, 1.5], [1, 2], {}), TypeError, "int64 nanoseconds or datetime64, not float64"),
        (([[0, 1]], [1, 2], {}), ValueError, "t_ns must have one dimension"),
        (([0, 1], [1, 2, 3], {}), ValueError, r"with 2 time stamps it must be \(2,\)"),
        (([0, 1], [[[1, 2]]], {}), ValueError, "channels, 2"),
        (([0, 1], ["a", "b"], {}), TypeError, "values must be numbers"),
        (([0, 1], [1, 2], {}, [0]), ValueError, "status has the shape"),
        (([0, 1], [1, 2], {}, [0, 300]), ValueError, "0 to 255"),
        (([0, 1], [1, 2], {}, [0.0, 0.0]), TypeError, "integer codes"),
        (([0, 1], [1, 2], "rules.toml"), TypeError, "load_rules"),
        (([0, 1], [1, 2], [{}, {}]), ValueError, "2 sets of rules are given for 1 channels"),
        (([0, 1], [1, 2], {"rang": {}}), ValueError, "rang"),
        ((np.array([2**63, 1], dtype=np.uint64), [1, 2], {}), ValueError, "beyond int64"),
        ((np.array(["NaT"], dtype="datetime64[s]"), [1], {}), ValueError, "NaT"),
    ],
)
def test_a_wrong_argument_is_refused_with_words_that_help(
    arguments: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        evaluate(*arguments)


def test_windows_beyond_memory_name_the_channel_and_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"channel 'c0': .* MiB.*interval_s"):
        evaluate([0, 1], [1, 2], {"flat_line": {"tolerance": 0.1, "fail_s": 86400.0}}, interval_s=1e-3)


def test_the_interval_is_the_median_or_that_of_a_faster_stretch() -> None:
    steady = np.arange(100) * SECOND
    assert evaluation.usual_interval_s(steady) == 1.0
    assert evaluation.usual_interval_s(steady + np.resize([0, 5_000_000], 100)) == pytest.approx(1, abs=0.006)
    faster = np.concatenate((steady, steady[-1] + np.arange(1, 50) * (SECOND // 10)))
    assert evaluation.usual_interval_s(faster) == pytest.approx(0.1)
    assert evaluation.usual_interval_s(np.zeros(5, dtype=np.int64)) > 0
    assert evaluation.usual_interval_s(np.array([7])) > 0


def test_a_stretch_that_comes_faster_does_not_overflow_a_window() -> None:
    times = np.cumsum(np.concatenate((np.full(100, 60 * SECOND), np.full(1000, SECOND // 10))))
    found = evaluate(
        times, np.ones(1100), {"flat_line": {"tolerance": 0.1, "fail_s": 60.0, "max_gap_s": 100.0}}
    )
    assert found.flag[1:].tolist() == [4] * 1099


def test_a_few_readings_a_nanosecond_apart_are_no_reason_to_refuse() -> None:
    assert evaluate([0, 0, 1], [1.0, 1.0, 1.0], FULL).flag.shape == (3,)


def test_a_burst_does_not_take_all_memory() -> None:
    times = np.concatenate((np.arange(100) * 60 * SECOND, 6000 * SECOND + np.arange(20)))
    qc = ChannelQc(flat_line=FlatLineQc(tolerance=0.1, fail_s=3600))
    interval_s = evaluation.usual_interval_s(times, [qc])
    assert window_bytes(qc, interval_s) <= evaluation.WINDOWS_BYTES_MAX
    assert evaluate(times, np.ones(120), qc).flag[70] == Flag.FAIL
