"""The rules on windows, charts, medians and expectations: published numbers, and traps by hand."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipeline.qc import RULES, ChannelQc, QcResult
from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc, PageHinkleyQc
from pipeline.qc.settings_patterns import IdenticalQc, LateQc, RedundancyQc, ScheduleQc, UnitChangeQc
from pipeline.qc.settings_windows import CompletenessQc, NoiseQc, RateDevQc, RepeatedQc, StabilityQc
from pipeline.records import Channel, Layout
from tests.unit.qc.blocks import SECOND, block_of, engine_of, layout_of, run
from tests.unit.qc.twin import Series
from tests.unit.qc.twin_engine import TWINS
from tests.unit.qc.twin_windows import completeness_twin, deviation

BIT = {rule.name: 1 << rule.bit for rule in RULES}
NIST_EWMA = [
    52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6,
    52.4, 53.6, 52.1,
]  # fmt: skip
"""NIST/SEMATECH e-Handbook, 6.3.2.4."""
NIST_CUSUM = [
    324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600, 324.625,
    325.150, 328.325, 327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350,
]  # fmt: skip
"""NIST/SEMATECH e-Handbook, 6.3.2.3: means of groups of four."""


def fired(result: QcResult, rule: str) -> list[int]:
    return np.flatnonzero(result.reason[0] & BIT[rule]).tolist()


def open_rows(result: QcResult, rule: str) -> list[int]:
    return np.flatnonzero(result.unevaluated[0] & BIT[rule]).tolist()


def later(qc: ChannelQc, values: list[float]) -> dict[int, int]:
    result = run(qc, values)
    return {int(n): int(f) for d in result.decisions for n, f in zip(d.n, d.flag, strict=True)}


def test_ewma_has_the_limits_of_the_nist_handbook() -> None:
    sigma = 2.0539
    limit = 3 * sigma * math.sqrt(0.3 / 1.7)
    assert (round(50 + limit, 4), round(50 - limit, 4)) == (52.5884, 47.4116)
    assert run(ChannelQc(ewma=EwmaQc(centre=50, sigma=sigma, fail_k=3)), NIST_EWMA).flag.max() == 1
    z = [50.0]
    for x in NIST_EWMA:
        z.append(0.3 * x + 0.7 * z[-1])
    assert [round(v, 2) for v in z[1:6]] == [50.60, 49.52, 50.56, 50.18, 50.16]
    greatest = max(abs(v - 50) / math.sqrt(1 - 0.7 ** (2 * t)) for t, v in enumerate(z[1:], start=1))
    just_below = greatest / (sigma * math.sqrt(0.3 / 1.7)) * (1 - 1e-12)
    assert run(ChannelQc(ewma=EwmaQc(centre=50, sigma=sigma, fail_k=just_below)), NIST_EWMA).flag.max() == 4


def test_cusum_alarms_at_group_14_as_in_the_nist_handbook() -> None:
    qc = CusumQc(target=325, sigma=1, k=0.3175, fail_h=4.1959, reset="none")
    assert fired(run(ChannelQc(cusum=qc), NIST_CUSUM), "cusum")[0] == 13  # counted from 0
    restarting = qc.model_copy(update={"reset": "restart"})
    assert fired(run(ChannelQc(cusum=restarting), NIST_CUSUM), "cusum") == [13, 15, 18]


def test_a_head_start_makes_a_cusum_find_an_early_shift_sooner() -> None:
    values = [1.0] * 20
    found = [
        fired(run(ChannelQc(cusum=CusumQc(target=0, sigma=1, fail_h=4, head_start=h)), values), "cusum")[0]
        for h in (0.0, 0.5)
    ]
    assert found == [8, 4]


@pytest.mark.parametrize("base", [10000002.0, 1.2, 1000000.2, 10000000.2])
def test_the_window_keeps_the_digits_of_nist_numacc(base: float) -> None:
    """NIST StRD NumAcc1 to NumAcc4: standard deviation (n - 1) 1 or 0.1 exactly, at offsets up to 1e8 of
    it."""
    step = 1.0 if base == 10000002.0 else 0.1
    values = [base - step, base + step, base] if step == 1.0 else [base, *[base - 0.1, base + 0.1] * 500]
    certified = step * math.sqrt((len(values) - 1) / len(values))
    window_s = len(values) - 1
    for share, flag in ((1 - 2e-8, 4), (1 + 2e-8, 1)):
        qc = NoiseQc(fail_high=certified * share, window_s=window_s, max_gap_s=2)
        series = [base + 50 * step, *values] if step == 1.0 else [0.0, *values]
        assert run(ChannelQc(noise=qc), series, interval_s=1.0).flag[0, -1] == flag


def test_a_window_is_right_again_after_an_overload() -> None:
    noise = np.random.default_rng(7).normal(20, 0.3, 400).round(2)
    noise[100] = 9.9e37
    qc = ChannelQc(noise=NoiseQc(suspect_low=0.1, suspect_high=0.7, window_s=20))
    result = run(qc, noise.tolist(), interval_s=1.0)
    assert fired(result, "noise") == list(range(100, 121))


def test_attenuated_and_noisy_have_limits_on_both_sides() -> None:
    qc = ChannelQc(
        noise=NoiseQc(statistic="range", fail_low=1, suspect_low=2, suspect_high=3, fail_high=4, window_s=1)
    )
    assert run(qc, [0, 0.5, 2, 4, 7.5, 12]).flag.tolist() == [[1, 4, 3, 1, 3, 4]]


def test_standard_deviations_agree_with_exact_arithmetic() -> None:
    random = np.random.default_rng(11)
    values = [float(x) for x in np.concatenate([random.normal(1e6, 1e-3, 80), random.normal(0, 1, 80)])]
    times = [k * SECOND for k in range(160)]
    for low in (5e-4, 1e-3, 0.9, 1.0, 3e5):
        qc = NoiseQc(suspect_low=low, window_s=15)
        found = run(ChannelQc(noise=qc), values, interval_s=1.0).reason[0] & BIT["noise"] != 0
        for k in range(15, 160):
            sd = deviation(values[k - 15 : k + 1])
            if abs(sd - low) > 1e-9 * low:
                assert found[k] == (sd < low)
    assert TWINS["noise"](Series(values, [0] * 160, times, times), NoiseQc(suspect_low=1, window_s=15))[
        -1
    ] in {1, 3}


def test_a_step_is_measured_in_standard_deviations_of_the_readings_before_it() -> None:
    values = [0.0, 1.0] * 10 + [5.0]
    for n_dev, rows in ((7.9, [20]), (8.1, [])):
        result = run(ChannelQc(rate_dev=RateDevQc(fail=n_dev, window_s=4)), values, interval_s=1.0)
        assert fired(result, "rate_dev") == rows
        assert open_rows(result, "rate_dev") == [0, 1, 2, 3]
    flat = run(
        ChannelQc(rate_dev=RateDevQc(fail=3, window_s=4)), [1.0] * 8 + [1.0000000000000002], interval_s=1.0
    )
    assert fired(flat, "rate_dev") == [8]


def test_rate_in_standard_deviations_agrees_with_exact_arithmetic() -> None:
    values = [float(x) for x in np.random.default_rng(3).normal(1e3, 2, 200)]
    times = [k * SECOND for k in range(200)]
    qc = RateDevQc(suspect=1.37, fail=2.03, window_s=12)
    wanted = TWINS["rate_dev"](Series(values, [0] * 200, times, times), qc)
    assert run(ChannelQc(rate_dev=qc), values, interval_s=1.0).flag[0].tolist() == [
        1 if flag == 2 else flag for flag in wanted
    ]


def test_repeated_values_count_readings_not_seconds() -> None:
    qc = ChannelQc(repeated=RepeatedQc(suspect_n=3, fail_n=4))
    result = run(qc, [1, 1, 1, 1, 2, math.nan, 2, 2], step_s=30)
    assert result.flag.tolist() == [[1, 1, 3, 4, 1, 9, 1, 3]]
    assert open_rows(result, "repeated") == [0, 1, 5]
    near = ChannelQc(repeated=RepeatedQc(fail_n=3, tolerance=0.1))
    assert run(near, [0, 0.1, 0.05, 0.16, 0.1, 0.3]).flag.tolist() == [[1, 1, 4, 1, 1, 1]]


def test_hampel_scales_the_median_absolute_deviation() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 3.0 + 1.4826 * 3.1]
    found = [
        run(ChannelQc(hampel=HampelQc(fail_k=k, readings=5)), values).flag[0, -1] for k in (3.0, 3.2)
    ]  # fmt: skip
    assert found == [4, 1]
    assert fired(run(ChannelQc(hampel=HampelQc(fail_k=3, readings=5)), [1.0] * 6 + [1.1]), "hampel") == [6]


def test_a_level_shift_is_flagged_where_the_new_level_begins() -> None:
    qc = ChannelQc(level_shift=LevelShiftQc(suspect=0.5, fail=3, readings=3))
    assert later(qc, [0.0] * 6 + [1.0] * 6) == {5: 3, 6: 3, 7: 3}
    assert later(qc, [0.0, 0, 0, 9, 0, 0, 0, 0, 0]) == {}
    engine = engine_of({"c0": qc})
    engine.process(block_of([[0.0] * 4 + [5.0]], [k * SECOND for k in range(5)]), 0)
    (closed,) = engine.gap("dut")
    assert (closed.n.tolist(), closed.flag.tolist(), closed.decided_through_n) == ([3, 4], [2, 2], 4)


def test_page_hinkley_finds_a_change_of_the_mean_and_starts_anew() -> None:
    qc = ChannelQc(page_hinkley=PageHinkleyQc(delta=0.1, fail=3, count_min=5))
    result = run(qc, [0.0] * 10 + [2.0] * 10)
    assert fired(result, "page_hinkley") == [11]
    assert open_rows(result, "page_hinkley") == [0, 1, 2, 3, 12, 13, 14, 15]


def test_stable_is_a_state_and_no_flag() -> None:
    result = run(
        ChannelQc(stability=StabilityQc(tolerance=0.5, duration_s=2, required=True)), [0, 3, 3.2, 3.9, 3.5, 9]
    )
    assert result.flag.tolist() == [[2, 2, 1, 1, 1, 1]]
    assert fired(result, "stability") == [3, 4]


def test_age_at_arrival_is_counted_in_gateway_time() -> None:
    block = block_of([[1, 1, 1, math.nan]], [0, SECOND, 2 * SECOND, 3 * SECOND])
    arrived = np.array([0, 2 * SECOND, 6 * SECOND, 9 * SECOND])
    object.__setattr__(block, "t_response_ns", arrived)
    result = engine_of({"c0": ChannelQc(late=LateQc(suspect_s=0.5, fail_s=1))}).process(block, 0)
    assert result.flag.tolist() == [[1, 3, 4, 9]]


def test_completeness_counts_what_came_against_the_poll_plan() -> None:
    values = [1.0, 1, 1, 1, math.nan, 1, math.nan, math.nan, 1, 1, 1, 1]
    result = run(
        ChannelQc(completeness=CompletenessQc(suspect=0.75, fail=0.5, window_s=4)), values, interval_s=1.0
    )
    assert result.flag.tolist() == [[1, 1, 1, 1, 9, 1, 3, 4, 3, 3, 1, 1]]
    assert result.reason[0, 7] & BIT["completeness"]


def test_identical_data_are_found_in_an_earlier_stretch() -> None:
    first = np.random.default_rng(1).normal(7, 0.01, 40).tolist()
    between = np.random.default_rng(2).normal(7, 0.01, 200).tolist()
    values = [*first, *between, *first[10:25], 0.0]
    result = run(ChannelQc(identical=IdenticalQc(suspect_n=8, fail_n=12)), values)
    assert result.flag[0, 240:].tolist() == [1] * 7 + [3] * 4 + [4] * 4 + [1]
    assert not result.reason[0, :240].any()


def test_a_resting_instrument_is_no_identical_data_and_some_channels_may_rest() -> None:
    resting = [1.0] * 50
    assert run(ChannelQc(identical=IdenticalQc(fail_n=5)), resting).flag.max() == 1
    assert run(ChannelQc(identical=IdenticalQc(fail_n=5, changes_min=0)), resting).flag.max() == 4
    with pytest.raises(ValueError, match="stable by design"):
        ChannelQc(identical=IdenticalQc(fail_n=5), stable_by_design=True)


def test_stretches_older_than_the_history_are_forgotten() -> None:
    first = np.random.default_rng(1).normal(7, 0.01, 10).tolist()
    for between, flag in ((10, 4), (11, 1)):
        values = first + np.random.default_rng(2).normal(7, 0.01, between).tolist() + first
        qc = ChannelQc(identical=IdenticalQc(fail_n=10, history_n=30))
        assert run(qc, values).flag[0, -1] == flag


@pytest.mark.parametrize("change", [{"unit": "K"}, {"decimals": 1}, {"high": 50.0}])
def test_a_change_of_unit_range_or_last_digit_flags_the_first_reading_after_it(
    change: dict[str, Any],
) -> None:
    plain: dict[str, Any] = {"unit": "°C", "decimals": 2, "low": 0.0, "high": 100.0}
    qc = {"c0": ChannelQc(unit_change=UnitChangeQc(level="fail"))}
    engine = engine_of(qc)
    flags = []
    for k, settings in enumerate([plain, plain, plain | change, plain | change]):
        block = block_of([[1.0, 1.0]], [2 * k, 2 * k + 1], layout=Layout((Channel("c0", **settings),)))
        if k == 2:
            saved = bytes(engine.snapshot())
            engine = engine_of(qc)
            engine.restore(saved)
        flags += engine.process(block, 2 * k).flag[0].tolist()
    assert flags == [1, 1, 1, 1, 4, 1, 1, 1]


START = datetime(1970, 1, 1, tzinfo=UTC)


def test_a_schedule_expects_set_points_within_lag_and_ramp() -> None:
    def flags(values: list[float], **settings: Any) -> list[int]:
        qc = ScheduleQc(start=START, fail=1, points=((0.0, 20.0), (3.0, 30.0)), **settings)
        return [int(flag) for flag in run(ChannelQc(schedule=qc), values).flag[0]]

    assert flags([20, 21, 21.5, 20, 30, 30]) == [1, 1, 4, 1, 1, 1]
    assert flags([20, 20, 20, 20, 20, 30]) == [1, 1, 1, 1, 4, 1]
    assert flags([20, 20, 20, 20, 25, 30, 25], lag_s=2) == [1, 1, 1, 1, 1, 1, 4]
    assert flags([20, 23.33, 26.67, 30, 30], between="line") == [1] * 5
    assert flags([20, 20, 20, 20, 22.5, 25, 30], ramp_per_min=150) == [1, 1, 1, 1, 1, 1, 4]


def test_a_schedule_says_nothing_before_its_start_and_repeats() -> None:
    late_start = ScheduleQc(
        start=datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC), fail=0.1, points=((0.0, 1.0), (1.0, 2.0)),
        repeat_s=2, required=True,
    )  # fmt: skip
    result = run(ChannelQc(schedule=late_start), [1, 1, 1, 2, 1, 2, 2])
    assert result.flag.tolist() == [[2, 2, 1, 1, 1, 1, 4]]


def test_redundant_channels_are_compared_row_by_row() -> None:
    qc = {"c0": ChannelQc(redundancy=RedundancyQc(partner="c1", suspect=1, fail=2, required=True))}
    values = [[1, 1, 1, 1, math.nan], [1, 2.5, 4, math.nan, 1]]
    assert engine_of(qc).process(block_of(values, list(range(5))), 0).flag[0].tolist() == [1, 3, 4, 2, 9]
    alone = engine_of(qc).process(block_of([[1.0]], [0], layout=layout_of(1)), 0)
    assert alone.flag.tolist() == [[2]]


def test_charts_forget_what_was_before_a_long_gap() -> None:
    qc = ChannelQc(
        ewma=EwmaQc(centre=0, sigma=1, fail_k=3), cusum=CusumQc(target=0, sigma=1, fail_h=4, reset="none")
    )
    block = block_of([[9, 9, 0, 0]], [0, SECOND, 100 * SECOND, 101 * SECOND])
    assert engine_of({"c0": qc}).process(block, 0).flag.tolist() == [[4, 4, 1, 1]]


def test_huge_values_leave_no_infinity_behind() -> None:
    huge = 1.7976931348623157e308
    qc = ChannelQc(
        cusum=CusumQc(target=0, sigma=0.1, fail_h=4), page_hinkley=PageHinkleyQc(fail=1, count_min=2),
        noise=NoiseQc(fail_high=1, window_s=3), hampel=HampelQc(fail_k=3, readings=3),
    )  # fmt: skip
    result = run(qc, [0, huge, -huge, *[0.0] * 40], interval_s=1.0)
    assert result.reason[0, 10:].max() == 0
    assert result.reason[0, 1] & BIT["cusum"]
    assert result.reason[0, 3] & BIT["noise"]


def test_windows_whose_rings_go_round_many_times_equal_their_twins() -> None:
    random = np.random.default_rng(5)
    values = [float(x) for x in random.choice([0.0, 0.1, 0.2, 1.0, math.nan], 600)]
    times = [int(t) for t in np.cumsum(random.choice([0.8, 1.0, 1.5], 600) * SECOND)]
    series = Series(values, [0] * 600, times, times)
    noise = NoiseQc(statistic="range", suspect_low=0.15, fail_high=0.9, window_s=6, required=True)
    complete = CompletenessQc(suspect=0.7, fail=0.4, window_s=9, required=True)
    wanted = {
        "noise": TWINS["noise"](series, noise), "completeness": completeness_twin(series, complete, 1.0)
    }  # fmt: skip
    result = engine_of({"c0": ChannelQc(noise=noise, completeness=complete)}, 1.0).process(
        block_of([values], times), 0
    )
    for rule, flags in wanted.items():
        assert fired(result, rule) == [k for k, flag in enumerate(flags) if flag in {3, 4}]
        assert open_rows(result, rule) == [k for k, flag in enumerate(flags) if flag == 2]


def test_a_window_that_overflows_says_less_but_never_something_else() -> None:
    values = [float(x) for x in np.random.default_rng(6).normal(0, 1, 300)]
    times = [k * SECOND // 10 for k in range(300)]
    qc = NoiseQc(
        statistic="range", suspect_low=2.5, suspect_high=4, window_s=3
    )  # room for 12 readings, 31 come
    result = engine_of({"c0": ChannelQc(noise=qc)}, 1.0).process(block_of([values], times), 0)
    assert len(open_rows(result, "noise")) == 300
    assert result.flag.max() == 1
