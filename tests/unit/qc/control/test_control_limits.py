"""EWMA and CUSUM against the worked examples of the NIST/SEMATECH e-Handbook, and at their edges."""

import math
from collections.abc import Callable, Sequence

import pytest

from pipeline.qc.control.limits import cusum, ewma, ewma_half_width, shewhart_lines

# 6.3.2.4: 20 values, λ 0.3, centre 50, s 2.0539, limits for many values. The lower one is printed cut short.
EWMA_X = [
    52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6,
    52.4, 53.6, 52.1,
]  # fmt: skip
EWMA_Z = [
    50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52, 50.05, 49.38,
    49.92, 50.73, 51.23, 51.94, 51.99,
]  # fmt: skip
# 6.3.2.3: 20 values, target 325, k 0.3175, h 4.1959; both sums as printed, to two decimals.
CUSUM_X = [
    324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600, 324.625,
    325.150, 328.325, 327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350,
]  # fmt: skip
CUSUM_HIGH = [0, 0, 0, 0, 0.03, 0, 0, 0, 0, 0, 0, 0, 3.01, 4.94, 7.45, 10.63, 11.99, 14.44, 16.00, 19.04]
CUSUM_LOW = [0, 0.01, 0, 0.33, 0, 0, 0.56, 0.72, 0.17, 0.25, 0.31] + [0] * 9


def test_ewma_reproduces_the_handbook() -> None:
    track = ewma(EWMA_X, 50, 2.0539, weight=0.3, settled=True)
    assert track.z == pytest.approx(EWMA_Z, abs=0.005)
    assert track.high[0] == pytest.approx(52.5884, abs=5e-5)
    assert track.low[0] == pytest.approx(47.4115, abs=1e-4)
    assert not any(track.fired)


def test_exact_ewma_limits_begin_narrow_and_widen_to_those_for_many_values() -> None:
    track = ewma(EWMA_X, 50, 2.0539, weight=0.3)
    assert track.high[0] == pytest.approx(50 + 3 * 0.3 * 2.0539)
    assert track.high == sorted(track.high)
    assert track.high[-1] == pytest.approx(52.5884, abs=1e-4)
    assert ewma_half_width(1.0, 0.5, 3.0, 10_000) == ewma_half_width(1.0, 0.5, 3.0, None)


@pytest.mark.parametrize(("sd", "k", "h"), [(1.0, 0.3175, 4.1959), (0.635, 0.5, 4.1959 / 0.635)])
def test_cusum_reproduces_the_handbook(sd: float, k: float, h: float) -> None:
    track = cusum(CUSUM_X, 325, sd, k=k, h=h)
    assert track.high == pytest.approx(CUSUM_HIGH, abs=0.0051)
    assert track.low == pytest.approx(CUSUM_LOW, abs=0.0051)
    assert [k + 1 for k, fired in enumerate(track.fired) if fired] == list(range(14, 21))


def test_cusum_begins_anew_after_an_alarm_where_wanted() -> None:
    track = cusum([2.0] * 6, 0, 1, k=0.5, h=4.0, head_start=0.5, reset="on-alarm")
    assert track.high == [3.5, 5.0, 3.5, 5.0, 3.5, 5.0]
    assert track.fired == [False, True] * 3


def test_limits_are_strict_and_0_is_a_limit() -> None:
    assert cusum([1.5, 0.5, 0.75], 0, 1, k=0.5, h=1.0).fired == [False, False, True]
    assert cusum([0.0, 0.1], 0, 1, k=0.0, h=0.0).fired == [False, True]
    assert ewma([3.0, 3.5], 0, 1, weight=1.0).fired == [False, True]
    assert ewma([0.0, 0.1], 0, 1, width=0.0).fired == [False, True]


def test_missing_and_infinite_values_leave_the_statistic_as_it_was() -> None:
    x = [math.nan, 1.0, math.nan, math.inf, 1.0]
    track = ewma(x, 0, 1, weight=0.5, width=100)
    assert track.z[1:] == [0.5, 0.5, 0.5, 0.75]
    assert math.isnan(track.z[0])
    assert track.fired == [False, False, False, True, False]
    sums = cusum(x, 0, 1)
    assert sums.high == [0.0, 0.5, 0.5, 0.5, 1.0]
    assert sums.fired == [False, False, False, True, False]


def test_lines_are_reckoned_in_decimals() -> None:
    assert shewhart_lines(5.0, 0.1) == (4.7, 4.8, 4.9, 5.0, 5.1, 5.2, 5.3)
    assert shewhart_lines(0.0, 1.7e308)[::6] == (-math.inf, math.inf)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ewma(x, 0, 0),
        lambda x: ewma(x, math.nan, 1),
        lambda x: ewma(x, 0, 1, weight=0),
        lambda x: ewma(x, 0, 1, weight=1.1),
        lambda x: ewma(x, 0, 1, width=-1),
        lambda x: cusum(x, 0, math.nan),
        lambda x: cusum(x, 0, 1, k=-0.1),
        lambda x: cusum(x, 0, 1, h=math.inf),
        lambda x: cusum(x, 0, 1, head_start=1.0),
    ],
)
def test_parameters_out_of_range_are_refused(call: Callable[[Sequence[float]], object]) -> None:
    with pytest.raises(ValueError, match=r"needs|lies|is 0 or more"):
        call([1.0])
