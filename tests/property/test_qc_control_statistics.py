"""What must hold for every input of the statistics: symmetry, scale, and agreement with the plain formula."""

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.qc.control import scores
from pipeline.qc.control.decimals import exact, nearest
from pipeline.qc.control.estimate import ESTIMATORS, EstimateRefused, EstimatorName, estimate
from pipeline.qc.control.limits import cusum, ewma, shewhart_lines
from pipeline.qc.control.uncertainty import Quantity, decide, propagate

NUMBERS = st.floats(-1e6, 1e6) | st.integers(-1000, 1000).map(lambda k: k / 100)
POSITIVE = st.floats(1e-3, 1e3) | st.integers(1, 1000).map(lambda k: k / 100)
ANY = st.floats()


@given(ANY, ANY, ANY, ANY)
def test_e_n_is_a_number_infinite_or_not_evaluated_and_changes_sign_with_its_sides(
    x: float, u: float, reference: float, u_reference: float
) -> None:
    u, u_reference = abs(u), abs(u_reference)
    score = scores.e_n(x, u, reference, u_reference)
    back = scores.e_n(reference, u_reference, x, u)
    assert (math.isnan(score) and math.isnan(back)) or score == -back
    assert scores.e_n_passes(score) in {True, False, None}


@given(NUMBERS, POSITIVE, NUMBERS, POSITIVE)
def test_e_n_equals_the_plain_formula(x: float, u: float, reference: float, u_reference: float) -> None:
    plain = (x - reference) / math.hypot(u, u_reference)
    assert math.isclose(scores.e_n(x, u, reference, u_reference), plain, rel_tol=1e-9, abs_tol=1e-9)


@given(ANY, ANY)
def test_duplicates_do_not_depend_on_their_order(a: float, b: float) -> None:
    there, back = scores.duplicate_difference_percent(a, b), scores.duplicate_difference_percent(b, a)
    assert there == back or (math.isnan(there) and math.isnan(back))
    assert not there < 0


@given(
    st.lists(NUMBERS | st.just(math.nan), max_size=40), st.sampled_from(sorted(ESTIMATORS)), POSITIVE, NUMBERS
)
def test_an_estimate_moves_and_stretches_with_its_values(
    values: list[float], estimator: EstimatorName, scale: float, shift: float
) -> None:
    try:
        found = estimate(values, estimator, n_min=2)
    except EstimateRefused:
        assume(False)
    largest = max(abs(value) for value in values if not math.isnan(value))
    assume(found.sd > 1e-6 * max(largest, abs(shift) / scale))  # else the shift drowns the spread
    try:
        moved = estimate([scale * value + shift for value in values], estimator, n_min=2)
    except EstimateRefused:
        assume(False)  # values that were apart have fallen together beside a large shift
    assert math.isclose(moved.sd, scale * found.sd, rel_tol=1e-6)
    assert math.isclose(moved.centre, scale * found.centre + shift, rel_tol=1e-9, abs_tol=1e-6 * moved.sd)
    assert found.n + found.missing == len(values)


@given(NUMBERS, st.floats(0, 1e6), st.floats(-10, 10))
def test_a_decision_compares_with_the_narrowed_limit(limit: float, value: float, w: float) -> None:
    expected = exact(value) <= exact(limit) - exact(w)
    assert (decide(value, high=limit, guard_band=w) == "accept") == expected
    assert decide(value, high=limit, guard_band=w) == decide(-value, low=-limit, guard_band=w)


@given(st.lists(st.tuples(NUMBERS, POSITIVE, st.floats(-5, 5)), min_size=1, max_size=5), st.data())
def test_propagation_through_a_linear_model_equals_the_matrix_formula(
    terms: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    names = [f"x{k}" for k in range(len(terms))]
    inputs = [Quantity(name, x, u) for name, (x, u, _) in zip(names, terms, strict=True)]
    factors = np.array([c for _, _, c in terms])
    mixed = np.array(data.draw(st.lists(st.lists(st.floats(-1, 1), min_size=5, max_size=5),
                                        min_size=len(terms), max_size=len(terms))))  # fmt: skip
    lengths = np.linalg.norm(mixed, axis=1)
    assume((lengths > 0.1).all())
    r = (mixed @ mixed.T) / np.outer(lengths, lengths)
    pairs = {
        (names[i], names[j]): float(np.clip(r[i, j], -1, 1))
        for i in range(len(names))
        for j in range(i)
    }  # fmt: skip
    given_c = dict(zip(names, factors.tolist(), strict=True))
    known = propagate(
        lambda *x: float(factors @ np.array(x)), inputs, sensitivities=given_c, correlations=pairs
    )
    found = propagate(lambda *x: float(factors @ np.array(x)), inputs, correlations=pairs)
    parts = factors * np.array([u for _, u, _ in terms])
    scale = float(np.abs(parts).sum())
    assert math.isclose(known.u**2, float(parts @ r @ parts), rel_tol=1e-9, abs_tol=1e-9 * scale**2)
    assert math.isclose(found.u, known.u, rel_tol=1e-5, abs_tol=1e-5 * scale + 1e-4)


@given(NUMBERS, POSITIVE)
def test_lines_lie_in_order_and_mirror_one_another(centre: float, sd: float) -> None:
    lines = shewhart_lines(centre, sd)
    assert list(lines) == sorted(lines)
    assert tuple(-line for line in reversed(shewhart_lines(-centre, sd))) == lines
    assert lines.high_2 == nearest(exact(centre) + 2 * exact(sd))


@given(st.lists(ANY, max_size=30), st.integers(0, 30), POSITIVE)
def test_running_statistics_stay_finite_and_do_not_look_ahead(x: list[float], cut: int, sd: float) -> None:
    bounded = [value if abs(value) < 1e100 or not math.isfinite(value) else 1.0 for value in x]
    for run in (ewma, cusum):
        whole, part = run(bounded, 0.0, sd), run(bounded[:cut], 0.0, sd)
        assert whole.fired[:cut] == part.fired
        assert all(not fired for fired, value in zip(whole.fired, bounded, strict=True) if math.isnan(value))
        assert all(math.isfinite(low) or math.isnan(low) for low in whole.low)
