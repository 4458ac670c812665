"""Curves of corrections: exact at the points, nothing outside the range, equal to the last bit everywhere."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from pipeline.corrections import Correction, CorrectionPoint, Curve
from pipeline.corrections.curve import expanded_over

SEED = 20261122


def correction(**changes: object) -> Correction:
    facts = {
        "equipment": "EQ-1",
        "channel": "t",
        "certificate": "C-1",
        "kind": "offset",
        "low": -50.0,
        "high": 50.0,
    }
    return Correction(**{**facts, **changes})  # type: ignore[arg-type]


TABLE = correction(
    kind="table", low=0.0, high=100.0,
    points=(
        CorrectionPoint(0.0, 0.1, 0.02), CorrectionPoint(20.0, -0.3, 0.03), CorrectionPoint(100.0, 0.5, 0.05),
    ),
)  # fmt: skip


def of_one(one: Correction, *readings: float) -> list[float]:
    values: list[float] = Curve([one]).corrected(np.array([readings]))[0].tolist()
    return values


def naive(one: Correction, x: float) -> float:
    """Python's own float arithmetic, one reading at a time."""
    if not one.low <= x <= one.high:
        return math.nan
    if one.kind == "table":
        here = max(at for at, point in enumerate(one.points) if point.reading <= x)
        point, after = one.points[here], one.points[min(here + 1, len(one.points) - 1)]
        if after is point:
            return x + point.correction
        slope = (after.correction - point.correction) / (after.reading - point.reading)
        return x + (point.correction + (x - point.reading) * slope)
    coefficients = one.coefficients if one.kind == "polynomial" else (one.offset, one.gain)
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


@pytest.mark.parametrize(
    ("one", "x", "corrected"),
    [
        (correction(offset=0.25), 21.5, 21.75),
        (correction(kind="linear", gain=1.5, offset=-1.0), 10.0, 14.0),
        (correction(kind="polynomial", coefficients=(1.0, 2.0, 0.5)), 4.0, 17.0),
        (TABLE, 0.0, 0.1), (TABLE, 20.0, 19.7), (TABLE, 100.0, 100.5), (TABLE, 60.0, 60.1),
    ],
)  # fmt: skip
def test_a_reading_is_corrected_as_the_certificate_says(one: Correction, x: float, corrected: float) -> None:
    assert of_one(one, x) == [corrected]


def test_the_table_is_its_points_to_the_last_bit() -> None:
    shown = [point.reading for point in TABLE.points]
    assert of_one(TABLE, *shown) == [point.reading + point.correction for point in TABLE.points]


@pytest.mark.parametrize("one", [correction(offset=0.25, low=0.0, high=10.0), TABLE])
def test_nothing_is_extrapolated_and_what_was_not_measured_stays_so(one: Correction) -> None:
    below, above = np.nextafter(one.low, -np.inf), np.nextafter(one.high, np.inf)
    outside = of_one(one, float(below), float(above), math.nan, math.inf, -math.inf)
    assert np.isnan(outside).all()
    assert np.isfinite(of_one(one, one.low, one.high)).all()


@st.composite
def tables(draw: st.DrawFn) -> Correction:
    xs = sorted(draw(st.sets(st.floats(-1e3, 1e3, width=32).map(lambda x: x + 0.0), min_size=2, max_size=9)))
    points = tuple(CorrectionPoint(x, draw(st.floats(-1, 1))) for x in xs)
    return correction(kind="table", points=points, low=xs[0], high=xs[-1])


def test_a_value_too_large_for_a_number_is_none() -> None:
    steep = correction(kind="polynomial", coefficients=(0.0, 0.0, 1e308))
    assert of_one(steep, 1.0) == [1e308]
    assert math.isnan(of_one(steep, 50.0)[0])


POLYNOMIALS = st.lists(st.floats(-10, 10), min_size=1, max_size=5).map(
    lambda given: correction(kind="polynomial", coefficients=tuple(number + 0.0 for number in given))
)
LINES = st.builds(
    lambda gain, offset: correction(kind="linear", gain=gain, offset=offset + 0.0),
    st.floats(0.5, 2), st.floats(-5, 5),
)  # fmt: skip


@seed(SEED)
@given(st.data())
def test_many_channels_at_once_give_the_bits_of_one_reading_at_a_time(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from([tables(), POLYNOMIALS | LINES]))
    ones = data.draw(st.lists(family, min_size=1, max_size=4))
    readings = np.array(data.draw(st.lists(
        st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6), min_size=len(ones), max_size=len(ones)
    )))  # fmt: skip
    together = Curve(ones).corrected(readings)
    for row, one in enumerate(ones):
        alone = Curve([one]).corrected(readings[row : row + 1])[0]
        assert alone.tobytes() == together[row].tobytes()
        for x, value in zip(readings[row].tolist(), alone.tolist(), strict=True):
            expected = naive(one, x)
            assert value == expected or (math.isnan(value) and math.isnan(expected)), (one, x)


@seed(SEED)
@given(tables(), st.floats(0, 1))
def test_between_two_points_the_correction_is_between_theirs(one: Correction, part: float) -> None:
    x = one.low + part * (one.high - one.low)
    [value] = of_one(one, x)
    exact = Fraction(value) - Fraction(x)
    bounds = [Fraction(point.correction) for point in one.points]
    slack = Fraction(1, 10**9)
    assert min(bounds) - slack <= exact <= max(bounds) + slack


@pytest.mark.parametrize(
    ("low", "high", "expanded"),
    [
        (0.0, 0.0, 0.02), (1.0, 2.0, 0.03), (20.0, 20.0, 0.03), (20.0, 21.0, 0.05), (0.0, 100.0, 0.05),
    ],
)  # fmt: skip
def test_between_two_points_the_larger_uncertainty_counts(low: float, high: float, expanded: float) -> None:
    assert expanded_over(TABLE, low, high) == expanded


def test_a_point_without_its_own_uncertainty_has_that_of_the_range_or_none() -> None:
    points = (CorrectionPoint(0.0, 0.1), CorrectionPoint(10.0, 0.2, 0.5))
    bare = correction(kind="table", points=points, low=0.0, high=10.0)
    assert expanded_over(bare, 1.0, 2.0) is None
    assert (
        expanded_over(correction(kind="table", points=points, low=0.0, high=10.0, uncertainty=0.7), 1, 2)
        == 0.7
    )
    assert expanded_over(correction(uncertainty=0.3), 1.0, 2.0) == 0.3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"low": 50.0}, "not below"), ({"offset": math.nan}, "finite"), ({"gain": 2.0}, "no gain"),
        ({"kind": "polynomial"}, "1 to 10"), ({"kind": "table"}, "2 to 64"),
        ({"kind": "table", "points": TABLE.points, "low": -0.1}, "extrapolated"),
        ({"kind": "table", "points": TABLE.points[::-1], "low": 0.0}, "rising"),
        ({"points": TABLE.points}, "no points"),
        ({"kind": "linear", "coefficients": (1.0,)}, "no coefficients"),
    ],
)  # fmt: skip
def test_what_no_certificate_can_mean_is_told(changes: dict[str, object], told: str) -> None:
    problem = correction(**changes).problem()
    assert problem is not None
    assert told in problem


def test_a_sound_correction_has_no_problem() -> None:
    assert TABLE.problem() is None
    assert correction(offset=1.0).problem() is None
