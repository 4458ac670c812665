"""Traps that published implementations fall into, each with hand-made numbers."""

import math
from typing import Any

import numpy as np
import pytest
from numba import types

from pipeline.compiled.jit import compiled
from pipeline.qc import RULES, ChannelQc, QcEngine
from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc
from pipeline.records import Block, Channel, Layout
from pipeline.records.flags import SEVERITY, worst
from tests.unit.qc.blocks import SECOND, block_of, engine_of, layout_of, run

BIT = {rule.name: 1 << rule.bit for rule in RULES}


def spikes(qc: SpikeQc, values: list[float], step_s: float = 1.0) -> dict[int, int]:
    result = run(ChannelQc(spike=qc), values, step_s)
    return {int(n): int(f) for d in result.decisions for n, f in zip(d.n, d.flag, strict=True)}


def test_limits_themselves_pass_and_either_side_may_be_absent() -> None:
    both = ChannelQc(range=RangeQc(fail_low=0, suspect_low=1, suspect_high=2, fail_high=3))
    assert run(both, [-0.1, 0, 0.5, 1, 2, 2.5, 3, 3.1]).flag.tolist() == [[4, 3, 3, 1, 1, 3, 3, 4]]
    assert run(ChannelQc(range=RangeQc(fail_high=3)), [-1e300, 3, 4]).flag.tolist() == [[1, 1, 4]]


def test_a_range_limit_of_zero_is_a_limit() -> None:
    assert run(ChannelQc(range=RangeQc(fail_low=0)), [-5e-324, -0.0, 0.0]).flag.tolist() == [[4, 1, 1]]


def test_infinity_fails_the_range_and_is_not_evaluated_by_the_others() -> None:
    qc = ChannelQc(range=RangeQc(suspect_low=0), rate=RateQc(fail=1), gap=GapQc(interval_s=10))
    result = run(qc, [1, 1, math.inf, -math.inf, 1])
    assert result.flag.tolist() == [[1, 1, 4, 4, 1]]
    others = BIT["rate"] | BIT["gap"] | BIT["order"] | BIT["duplicate"]
    assert result.unevaluated.tolist() == [[others, 0, others, others, 0]]


def test_infinity_without_a_range_is_not_missing() -> None:
    assert run(ChannelQc(), [math.inf]).flag.tolist() == [[1]]
    assert run(ChannelQc(rate=RateQc(fail=1, required=True)), [math.inf]).flag.tolist() == [[2]]


def test_nan_and_bad_status_are_missing_and_nothing_hides_it() -> None:
    qc = ChannelQc(range=RangeQc(fail_low=0), spike=SpikeQc(fail=1))
    status = np.array([[0, 0, 5]], dtype=np.uint8)
    result = engine_of({"c0": qc}).process(block_of([[1, math.nan, 1]], [0, 1, 2], status=status), 0)
    assert result.flag.tolist() == [[1, 9, 9]]
    assert result.reason.tolist() == [[0, BIT["missing"], BIT["missing"]]]


def test_at_ten_hertz_the_rate_is_per_real_second() -> None:
    result = run(ChannelQc(rate=RateQc(suspect=5, fail=20)), [0, 0.4, 1.0, 3.5], step_s=0.1)
    assert result.flag.tolist() == [[1, 1, 3, 4]]


def test_a_rate_limit_of_zero_lets_only_a_constant_pass() -> None:
    assert run(ChannelQc(rate=RateQc(fail=0)), [1, 1, 1.0000000000000002]).flag.tolist() == [[1, 1, 4]]


def test_the_rate_limit_may_be_given_per_minute_or_hour() -> None:
    assert run(ChannelQc(rate=RateQc(fail=6, per="min")), [0, 0.1, 0.3]).flag.tolist() == [[1, 1, 4]]
    assert run(ChannelQc(rate=RateQc(fail=360, per="h")), [0, 0.1, 0.3]).flag.tolist() == [[1, 1, 4]]


def test_the_rate_looks_back_over_missing_values_but_not_beyond_the_gap() -> None:
    qc = ChannelQc(rate=RateQc(fail=1, max_gap_s=2, required=True))
    assert run(qc, [0, math.nan, 4, math.nan, math.nan, 9]).flag.tolist() == [[2, 9, 4, 9, 9, 2]]


def test_the_first_reading_of_each_block_is_judged_against_the_block_before() -> None:
    engine = engine_of({"c0": ChannelQc(rate=RateQc(fail=1))})
    flags = [engine.process(block_of([[x]], [k * SECOND]), k).flag[0, 0] for k, x in enumerate([0, 5, 5, 0])]
    assert flags == [1, 4, 1, 4]


def test_equal_and_backward_gateway_times_have_no_rate() -> None:
    qc = ChannelQc(rate=RateQc(fail=1, required=True))
    result = engine_of({"c0": qc}).process(block_of([[0, 9, 9]], [SECOND, SECOND, 0]), 0)
    assert result.flag.tolist() == [[2, 2, 2]]


def test_a_spike_is_flagged_on_its_middle_reading_by_either_method() -> None:
    assert spikes(SpikeQc(suspect=5, fail=8), [0, 0, 9, 0, 0, 6, 0]) == {2: 4, 5: 3}
    assert spikes(SpikeQc(method="differential", fail=2), [0, 0, 9, 0, 5, 10, 10]) == {2: 4, 3: 4}
    assert spikes(SpikeQc(method="average", fail=2), [0, 5, 10]) == {}


def test_a_spike_threshold_of_zero_is_a_threshold() -> None:
    assert spikes(SpikeQc(fail=0), [1, 1, 1, 1.1, 1]) == {2: 4, 3: 4}
    assert spikes(SpikeQc(method="differential", fail=0), [1, 1, 1.1, 1]) == {2: 4}


@pytest.mark.parametrize("value", [5e-324, 1.7976931348623157e308, -1.7976931348623157e308])
def test_a_constant_has_no_spike_even_at_the_ends_of_the_number_range(value: float) -> None:
    assert spikes(SpikeQc(fail=0), [value] * 4) == {}


def test_the_verdict_on_a_spike_comes_one_reading_later() -> None:
    engine = engine_of({"c0": ChannelQc(spike=SpikeQc(fail=1))})
    decisions = [
        engine.process(block_of([[x]], [k * SECOND]), k).decisions for k, x in enumerate([0.0, 0.0, 5.0, 0.0])
    ]
    assert [[d.decided_through_n for d in one] for one in decisions] == [[0], [], [1], [2]]
    assert [d.n.tolist() for d in decisions[3]] == [[2]]
    assert [(d.channel, d.flag.tolist(), d.decided_through_n) for d in engine.flush("dut")] == [
        (("c0",), [2], 3)
    ]


def test_an_announced_gap_and_a_flush_close_a_pending_spike_with_not_evaluated() -> None:
    for close in ("gap", "flush"):
        engine = engine_of({"c0": ChannelQc(spike=SpikeQc(fail=1, required=True))})
        engine.process(block_of([[0, 5]], [0, SECOND]), 0)
        (decision,) = getattr(engine, close)("dut")
        assert (decision.rule, decision.n.tolist(), decision.flag.tolist()) == ("spike", [1], [2])
        assert decision.required.tolist() == [True]
        after = engine.process(block_of([[0, 0]], [2 * SECOND, 3 * SECOND]), 2)
        assert after.unevaluated.tolist() == [[BIT["spike"], 0]]
        assert [d.n.tolist() for d in after.decisions] == [[]]


def test_a_channel_that_stays_missing_does_not_keep_a_row_pending_for_ever() -> None:
    engine = engine_of({"c0": ChannelQc(spike=SpikeQc(fail=1, max_gap_s=5))})
    engine.process(block_of([[0, 5]], [0, SECOND]), 0)
    late = engine.process(block_of([[math.nan] * 8], [k * SECOND for k in range(2, 10)]), 2)
    assert [(d.n.tolist(), d.flag.tolist(), d.decided_through_n) for d in late.decisions] == [([1], [2], 9)]


def test_a_flat_line_of_zero_tolerance_fires_at_a_sub_second_cadence() -> None:
    qc = ChannelQc(flat_line=FlatLineQc(suspect_s=0.5, fail_s=1))
    assert run(qc, [1.0] * 12, step_s=0.1).flag.tolist() == [[1] * 5 + [3] * 5 + [4] * 2]
    assert run(qc, [1.0, math.nextafter(1, 2)] * 6, step_s=0.1).flag.max() == 1


def test_a_flat_line_skips_missing_values_and_starts_anew_after_a_gap() -> None:
    qc = ChannelQc(flat_line=FlatLineQc(fail_s=3, max_gap_s=2, required=True))
    assert run(qc, [1, math.nan, 1, 1]).flag.tolist() == [[2, 9, 2, 4]]
    assert run(qc, [1, 1, math.nan, math.nan, 1, 1, 1, 1]).flag.tolist() == [[2, 2, 9, 9, 2, 2, 2, 4]]


def test_the_window_of_a_flat_line_begins_at_the_last_reading_that_is_a_duration_away() -> None:
    qc = ChannelQc(flat_line=FlatLineQc(tolerance=0.15, fail_s=1))
    for second_ns, flag in ((0, 4), (1, 1)):
        times = [0, second_ns, SECOND // 2, SECOND]
        result = engine_of({"c0": qc}).process(block_of([[0, 0.1, 0.1, 0.2]], times), 0)
        assert result.flag[0, 3] == flag


def test_a_window_holds_readings_that_come_faster_than_polled_by_a_quarter() -> None:
    qc = ChannelQc(flat_line=FlatLineQc(tolerance=1000, fail_s=10))
    rising = [float(k) for k in range(400)]
    assert run(qc, rising, step_s=0.08, interval_s=0.1).flag[0, 125:].tolist() == [4] * 275
    assert run(qc, rising, step_s=0.02, interval_s=0.1).flag.max() == 1  # too fast: says 2, flags nothing


def test_gap_order_and_duplicate_look_at_their_own_clocks() -> None:
    qc = ChannelQc(gap=GapQc(interval_s=1))
    block = block_of([[1, 2, 3, 4, 5]], [0, 1, 2, 4, 5], t_utc_ns=[10, 9, 9, 11, 12])
    block = block_of(
        [[1, 2, 3, 4, 5]], [t * SECOND for t in (0, 1, 2, 4, 5)], t_utc_ns=block.t_utc_ns.tolist()
    )
    result = engine_of({"c0": qc}).process(block, 0)
    assert result.reason.tolist() == [[0, BIT["order"], BIT["duplicate"], BIT["gap"], 0]]
    assert result.flag.tolist() == [[1, 3, 3, 3, 1]]


def test_an_empty_block_changes_nothing() -> None:
    engine = engine_of({"c0": ChannelQc(spike=SpikeQc(fail=0), rate=RateQc(fail=0))})
    result = engine.process(block_of([[]], []), 0)
    assert result.flag.shape == (1, 0)
    engine.process(block_of([[1, 2]], [0, 1]), 0)
    saved = bytes(engine.snapshot())
    assert engine.process(block_of([[]], []), 2).decisions == []
    assert bytes(engine.snapshot()) == saved


def test_integers_and_texts_are_judged_where_that_makes_sense() -> None:
    layout = Layout((Channel("code", "i8"), Channel("name", "text"), Channel("total", "u8")))
    zero = np.array([0, SECOND], dtype=np.int64)
    block = Block(
        "dut", layout, zero, zero, zero, zero, np.array([[0, 0], [0, 5], [0, 0]], dtype=np.uint8),
        np.zeros((0, 2)), np.array([[7, -1]], dtype=np.int64), np.array([[1, 2**64 - 1]], dtype=np.uint64),
        (("ready", None),),
    )  # fmt: skip
    qc = ChannelQc(range=RangeQc(fail_low=0, fail_high=100))
    optional = ChannelQc(range=RangeQc(fail_low=0, required=False))
    result = engine_of({"code": qc, "name": optional, "total": qc}).process(block, 0)
    assert result.flag.tolist() == [[1, 4], [1, 9], [1, 4]]
    assert result.unevaluated.tolist() == [[0, 0], [BIT["range"], BIT["range"]], [0, 0]]


def test_read_only_arrays_of_a_decoded_frame_are_accepted() -> None:
    block = block_of([[1.0, 200.0]], [0, 1])
    for array in (block.f8, block.status, block.t_run_ns, block.t_utc_ns):
        array.setflags(write=False)
    engine = engine_of({"c0": ChannelQc(range=RangeQc(fail_high=100))})
    assert engine.process(block, 0).flag.tolist() == [[1, 4]]


def test_a_new_unit_starts_a_channel_anew_and_a_new_range_does_not() -> None:
    qc = ChannelQc(rate=RateQc(fail=1), spike=SpikeQc(fail=1))
    engine = engine_of({"c0": qc, "c1": qc})
    grams = Layout((Channel("c0", unit="g"), Channel("c1", unit="g")))
    other = Layout((Channel("c0", unit="kg"), Channel("c1", unit="g", high=5.0)))
    engine.process(block_of([[1, 1], [1, 1]], [0, SECOND], layout=grams), 0)
    result = engine.process(block_of([[9], [9]], [2 * SECOND], layout=other), 2)
    assert result.flag.tolist() == [[1], [4]]
    assert result.unevaluated.tolist() == [[BIT["rate"] | BIT["spike"]], [0]]
    assert [(d.n.tolist(), d.channel, d.flag.tolist()) for d in result.decisions] == [
        ([1], ("c0",), [2]),
        ([1], ("c1",), [4]),
    ]


def test_a_changed_rule_restarts_alone_and_its_pending_row_is_closed() -> None:
    before = ChannelQc(rate=RateQc(fail=1), spike=SpikeQc(fail=1))
    engine = engine_of({"c0": before})
    engine.process(block_of([[0, 0]], [0, SECOND]), 0)
    changed = engine_of({"c0": ChannelQc(rate=RateQc(fail=1), spike=SpikeQc(fail=2))})
    assert changed.restore(bytes(engine.snapshot()))
    result = changed.process(block_of([[9]], [2 * SECOND]), 2)
    assert (result.flag.tolist(), result.unevaluated.tolist()) == ([[4]], [[BIT["spike"]]])
    assert [(d.n.tolist(), d.flag.tolist()) for d in result.decisions if len(d.n)] == [([1], [2])]


def test_a_gap_after_a_restart_closes_what_was_pending_before_it() -> None:
    engine = engine_of({"c0": ChannelQc(rate=RateQc(fail=1), spike=SpikeQc(fail=1))})
    engine.process(block_of([[0, 0]], [0, SECOND]), 0)
    for known, flag in ((True, 4), (False, 1)):
        second = engine_of({"c0": ChannelQc(rate=RateQc(fail=1), spike=SpikeQc(fail=1))})
        second.restore(bytes(engine.snapshot()))
        (decision,) = second.gap("dut", duration_known=known)
        assert (decision.n.tolist(), decision.flag.tolist(), decision.decided_through_n) == ([1], [2], 1)
        assert second.process(block_of([[9]], [2 * SECOND]), 2).flag.tolist() == [[flag]]


def test_state_of_an_instrument_that_has_not_spoken_yet_survives_a_second_restart() -> None:
    rules = {"c0": ChannelQc(rate=RateQc(fail=1))}
    engine = engine_of(rules)
    engine.process(block_of([[0]], [0]), 0)
    second, third = engine_of(rules), engine_of(rules)
    second.restore(bytes(engine.snapshot()))
    third.restore(bytes(second.snapshot()))
    assert third.process(block_of([[9]], [SECOND]), 1).flag.tolist() == [[4]]


@pytest.mark.parametrize(
    "damaged", [b"", b"\xc1", b"\x01", b"\x92\x01\x05", b"\x92\x63\x80", b"\x93\x01\x02\x03"]
)
def test_a_snapshot_that_cannot_be_read_is_left_aside(damaged: bytes) -> None:
    assert not engine_of({}).restore(damaged)


def test_before_the_kernels_are_ready_required_rules_say_not_evaluated() -> None:
    engine = QcEngine({"dut": {"c0": ChannelQc(range=RangeQc(fail_high=1)), "c1": ChannelQc()}}, {"dut": 1.0})
    assert not engine.ready
    result = engine.process(block_of([[5, math.nan], [5, math.nan]], [0, 1]), 0)
    assert result.flag.tolist() == [[2, 9], [1, 9]]
    assert result.reason.tolist() == [[0, 1], [0, 1]]
    warming = 1 << 62
    assert result.unevaluated.tolist() == [[warming | BIT["range"]] * 2, [warming] * 2]
    engine.warm()
    assert engine.ready
    assert engine.process(block_of([[5], [5]], [2]), 2).flag.tolist() == [[4], [1]]


def test_rows_that_were_not_seen_while_warming_leave_no_stale_state() -> None:
    rules = {"c0": ChannelQc(rate=RateQc(fail=1), spike=SpikeQc(fail=1))}
    engine = engine_of(rules)
    engine.process(block_of([[0, 0]], [0, SECOND]), 0)
    cold = QcEngine({"dut": rules}, {"dut": 0.1})
    cold.restore(bytes(engine.snapshot()))
    blind = cold.process(block_of([[5]], [2 * SECOND]), 2)
    assert [(d.n.tolist(), d.flag.tolist()) for d in blind.decisions] == [([1], [2])]
    cold.warm()
    after = cold.process(block_of([[9]], [3 * SECOND]), 3)
    assert after.unevaluated.tolist() == [[BIT["rate"] | BIT["spike"]]]


def test_a_pending_row_of_a_changed_rule_is_closed_even_while_warming() -> None:
    engine = engine_of({"c0": ChannelQc(spike=SpikeQc(fail=1))})
    engine.process(block_of([[0, 0]], [0, SECOND]), 0)
    cold = QcEngine({"dut": {"c0": ChannelQc(spike=SpikeQc(fail=2))}}, {"dut": 0.1})
    cold.restore(bytes(engine.snapshot()))
    decisions = cold.process(block_of([[5]], [2 * SECOND]), 2).decisions
    assert [(d.n.tolist(), d.decided_through_n) for d in decisions] == [([1], 1), ([], 2)]


def test_a_required_rule_that_cannot_be_evaluated_is_not_hidden_by_one_that_passes() -> None:
    qc = ChannelQc(range=RangeQc(fail_high=9), rate=RateQc(fail=1, required=True))
    assert run(qc, [1, 1]).flag.tolist() == [[2, 1]]


def test_a_layout_without_channels_is_no_trouble() -> None:
    assert engine_of({}).process(block_of(np.zeros((0, 3)), [0, 1, 2]), 0).flag.shape == (0, 3)


def test_nothing_is_decided_twice() -> None:
    engine = engine_of({"c0": ChannelQc(spike=SpikeQc(fail=1))})
    engine.process(block_of([[0, 5]], [0, SECOND]), 0)
    assert len(engine.gap("dut")) == 1
    assert engine.gap("dut") == []
    assert engine.flush("unknown") == []


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same() -> None:
    scope: dict[str, Any] = {}
    exec("def twice(x): return 2 * x", scope)  # a function without a file
    assert compiled(types.int64(types.int64), scope["twice"])(21) == 42


def test_windows_beyond_the_memory_limit_are_refused_with_the_way_out() -> None:
    qc = ChannelQc(flat_line=FlatLineQc(tolerance=0.1, fail_s=300 * 86400))
    with pytest.raises(ValueError, match=r"'c0' of instrument 'dut': .*MiB.*shorten the durations"):
        QcEngine({"dut": {"c0": qc}}, {"dut": 0.02})


def test_the_table_is_in_step_with_the_flags_and_never_reordered() -> None:
    names = ["missing", "range", "rate", "spike", "flat_line", "gap", "order", "duplicate"]
    assert [rule.name for rule in RULES[: len(names)]] == names
    assert [rule.bit for rule in RULES] == list(range(len(RULES)))
    assert len(RULES) <= 62
    assert worst([1, 2, 9, 3]) == 3
    assert SEVERITY[4] > SEVERITY[3] > SEVERITY[9] > SEVERITY[2] > SEVERITY[1]


def test_many_channels_are_judged_independently_of_each_other() -> None:
    rng = np.random.default_rng(20261122)
    values = rng.normal(0, 3, (40, 50)).round(1)
    times = [k * SECOND for k in range(50)]
    qc = ChannelQc(
        range=RangeQc(fail_high=6), rate=RateQc(fail=5), spike=SpikeQc(fail=4), flat_line=FlatLineQc(fail_s=2)
    )
    together = engine_of({f"c{k}": qc for k in range(40)}).process(block_of(values, times), 0)
    for k in range(40):
        alone = engine_of({"c0": qc}).process(block_of(values[k : k + 1], times, layout=layout_of(1)), 0)
        np.testing.assert_array_equal(together.flag[k], alone.flag[0])
        np.testing.assert_array_equal(together.reason[k], alone.reason[0])
