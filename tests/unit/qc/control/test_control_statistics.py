"""Estimators, scores, uncertainty and decisions: figures of the literature and strict edges.

The inputs were compared with stored copies. Copper, value by value: appendix B of "An Introduction to R"
(CRAN), which scans them as `chem`. Table H.2: the docstring of `multi_estimate_real` in MSLNZ/GTC,
GTC/type_a.py (commit 002c12ee). Individuals: tests/test_band_data.py of nio-blocks/control_bands, which cites
the handbook. The publications themselves were not at hand.
"""

import math
from collections.abc import Callable
from statistics import correlation

import pytest

from pipeline.qc.control import scores
from pipeline.qc.control.estimate import EstimateRefused, algorithm_a, classical, estimate, moving_range
from pipeline.qc.control.uncertainty import Quantity, decide, propagate

# Analytical Methods Committee, Analyst 114 (1989) 1693: copper in wholemeal flour, mg/kg.
COPPER = [
    2.9, 3.1, 3.4, 3.4, 3.7, 3.7, 2.8, 2.5, 2.4, 2.4, 2.7, 2.2, 5.28, 3.37, 3.03, 3.03, 28.95, 3.77, 3.4, 2.2,
    3.5, 3.6, 3.7, 3.7,
]  # fmt: skip
# NIST/SEMATECH e-Handbook 6.3.2.2: flow rate of ten batches; mean 50.81, mean moving range 1.8778.
FLOW = [49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1]
NAN, INF = math.nan, math.inf


def test_algorithm_a_reproduces_the_copper_data() -> None:
    centre, sd = algorithm_a(COPPER)
    assert (f"{centre:.3f}", f"{sd:.3f}") == ("3.206", "0.674")
    assert estimate([*COPPER, NAN], "algorithm-a").missing == 1


def test_moving_range_reproduces_the_handbook() -> None:
    centre, sd = moving_range(FLOW)
    assert centre == pytest.approx(50.81, abs=1e-9)
    assert sd == pytest.approx(1.8778 / 1.128, abs=5e-5)
    assert centre + 3 * sd == pytest.approx(55.8041, abs=2e-4)


def test_a_range_across_a_missing_value_is_left_out() -> None:
    found = estimate([1.0, 2.0, NAN, 50.0, 51.0], "moving-range", n_min=4)
    assert found.sd == pytest.approx(1 / 1.128)
    assert (found.n, found.missing, found.centre) == (4, 1, 26.0)


@pytest.mark.parametrize(
    ("values", "estimator", "message"),
    [
        ([1.0] * 20, "classical", "SD = 0"),
        ([1.0] * 15 + [2.0] * 5, "algorithm-a", "more than half"),
        ([1.0, NAN] * 20, "moving-range", "no two"),
        ([1.0] * 19 + [NAN], "classical", "19 valid"),
        ([1.0] * 20 + [INF], "classical", "infinite"),
        ([1e308, -1e308] * 10, "classical", "SD = inf"),
        ([1.7e308, 1.6e308] * 10, "moving-range", "too large"),
    ],
)
def test_values_that_give_no_chart_are_refused(values: list[float], estimator: str, message: str) -> None:
    with pytest.raises(EstimateRefused, match=message):
        estimate(values, estimator)  # type: ignore[arg-type]


def test_an_estimator_has_a_name_and_more_than_one_value() -> None:
    with pytest.raises(ValueError, match="no estimator"):
        estimate([1.0, 2.0], "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_min"):
        estimate([1.0, 2.0], "classical", n_min=1)


@pytest.mark.parametrize(
    ("arguments", "score", "passes"),
    [
        ((10.5, 0.3, 10.0, 0.4), 1.0, True),
        ((10.3, 0.3, 10.0, 0.0), 1.0, True),  # in binary 0.3000000000000007 / 0.3
        ((9.7, 0.3, 10.0, 0.0), -1.0, True),
        ((10.5000001, 0.3, 10.0, 0.4), 1.0000002, False),
        ((10.0, 0.0, 10.0, 0.0), NAN, None),
        ((10.1, 0.0, 10.0, 0.0), INF, False),
        ((10.0, 0.1, 10.0, 0.0), 0.0, True),
        ((NAN, 0.1, 10.0, 0.1), NAN, None),
        ((10.0, NAN, 10.0, 0.1), NAN, None),
        ((10.0, INF, 11.0, 0.1), NAN, None),
    ],
)
def test_e_n_at_its_edges(arguments: tuple[float, ...], score: float, passes: bool | None) -> None:
    found = scores.e_n(*arguments)
    assert found == pytest.approx(score, nan_ok=True)
    assert scores.e_n_passes(found) is passes


@pytest.mark.parametrize(
    ("arguments", "score", "grade"),
    [
        ((10.4, 10.0, 0.2, 0.0), 2.0, "satisfactory"),
        ((10.41, 10.0, 0.2, 0.0), 2.05, "questionable"),
        ((9.4, 10.0, 0.2, 0.0), -3.0, "unsatisfactory"),
        ((11.0, 10.0, 0.3, 0.4), 2.0, "satisfactory"),
        ((10.0, 10.0, 0.0, 0.0), NAN, None),
        ((10.1, 10.0, 0.0, 0.0), INF, "unsatisfactory"),
        ((NAN, 10.0, 0.2, 0.0), NAN, None),
    ],
)
def test_z_scores_at_their_edges(arguments: tuple[float, ...], score: float, grade: str | None) -> None:
    found = scores.z_prime(*arguments)
    assert found == pytest.approx(score, nan_ok=True)
    assert scores.grade_z(found) == grade
    if arguments[3] == 0:
        assert scores.z_score(*arguments[:3]) == pytest.approx(score, nan_ok=True)


def test_recovery_in_its_band() -> None:
    found = scores.recovery_percent(1.3, 0.1, 1.0)
    assert found == 120.0
    assert scores.within(found, 80.0, 120.0) is True
    assert scores.within(120.00001, 80.0, 120.0) is False
    assert scores.within(-1.0, 0.0, None) is False
    assert scores.within(0.0, 0.0, 0.0) is True
    assert scores.within(scores.recovery_percent(1.0, 1.0, 0.0), 80.0, 120.0) is None
    assert math.isnan(scores.recovery_percent(NAN, 0.0, 1.0))


def test_duplicates_by_their_relative_difference() -> None:
    assert scores.duplicate_difference_percent(9.0, 11.0) == 20.0
    assert scores.duplicate_difference_percent(-9.0, -11.0) == 20.0
    assert scores.duplicate_difference_percent(1.0, -1.0) == INF
    assert math.isnan(scores.duplicate_difference_percent(0.0, 0.0))
    assert math.isnan(scores.duplicate_difference_percent(0.0, NAN))


def test_a_blank_lies_below_its_limit() -> None:
    assert scores.blank_passes(0.09, 0.1) is True
    assert scores.blank_passes(0.1, 0.1) is False
    assert scores.blank_passes(0.0, 0.0) is False
    assert scores.blank_passes(-0.01, 0.0) is True
    assert scores.blank_passes(NAN, 0.1) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: scores.e_n(1, -0.1, 1, 0.1),
        lambda: scores.z_score(1, 1, -0.1),
        lambda: scores.recovery_percent(1, 0, -1),
        lambda: scores.within(1, None, None),
        lambda: scores.within(1, 2, 1),
        lambda: scores.within(1, NAN, None),
        lambda: scores.blank_passes(1, NAN),
    ],
)
def test_inputs_that_cannot_be_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"0 or more|a band|a number"):
        call()


# JCGM 100:2008, table H.2: V in V, I in mA and φ in rad, measured together five times.
H2_V = [5.007, 4.994, 5.005, 4.990, 4.999]
H2_I = [19.663, 19.639, 19.640, 19.685, 19.678]
H2_PHI = [1.0456, 1.0438, 1.0468, 1.0428, 1.0433]


def of_mean(name: str, values: list[float]) -> Quantity:
    centre, sd = classical(values)
    return Quantity(name, centre, sd / math.sqrt(len(values)))


H2 = [of_mean("V", H2_V), of_mean("I", H2_I), of_mean("phi", H2_PHI)]
H2_R = {
    ("V", "I"): correlation(H2_V, H2_I),
    ("V", "phi"): correlation(H2_V, H2_PHI),
    ("I", "phi"): correlation(H2_I, H2_PHI),
}


@pytest.mark.parametrize(
    ("model", "value", "u"),
    [
        (lambda v, i, phi: 1000 * v / i * math.cos(phi), "127.732", 0.071),
        (lambda v, i, phi: 1000 * v / i * math.sin(phi), "219.847", 0.295),
        (lambda v, i, _phi: 1000 * v / i, "254.260", 0.236),
    ],
    ids=["R", "X", "Z"],
)
def test_correlated_inputs_reproduce_the_guide(model: Callable[..., float], value: str, u: float) -> None:
    assert [f"{r:.2f}" for r in H2_R.values()] == ["-0.36", "0.86", "-0.65"]
    budget = propagate(model, H2, correlations=H2_R)
    assert f"{budget.value:.3f}" == value
    assert budget.u == pytest.approx(u, abs=0.001)  # for X the guide prints 0.295, its data give 0.2956


def test_uncorrelated_inputs_add_in_squares() -> None:
    inputs = [Quantity("a", 3.0, 0.3), Quantity("b", 4.0, 0.4), Quantity("c", 7.0, 0.0)]
    budget = propagate(lambda a, b, c: a + b - 2 * c, inputs)
    assert budget.u == pytest.approx(0.5)
    assert [part.sensitivity for part in budget.contributions] == pytest.approx([1, 1, -2])
    assert budget.expanded() == pytest.approx(1.0)
    given = propagate(lambda a, b, c: a + b - 2 * c, inputs, sensitivities={"a": 10.0})
    assert given.contributions[0].u == pytest.approx(3.0)


def test_full_correlation_adds_or_cancels() -> None:
    inputs = [Quantity("a", 3.0, 0.3), Quantity("b", 4.0, 0.3)]
    assert propagate(lambda a, b: a + b, inputs, correlations={("b", "a"): 1.0}).u == pytest.approx(0.6)
    assert propagate(lambda a, b: a - b, inputs, correlations={("a", "b"): 1.0}).u == pytest.approx(
        0, abs=1e-7
    )


def test_inputs_without_uncertainty_contribute_none() -> None:
    budget = propagate(lambda a: a**2, [Quantity("a", 3.0, 0.0)])
    assert (budget.value, budget.u) == (9.0, 0.0)
    assert budget.contributions[0].sensitivity == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Quantity("a", NAN, 0.1), "finite value"),
        (lambda: Quantity("a", 1.0, -0.1), "u of 0 or more"),
        (lambda: propagate(lambda a, b: a, [Quantity("a", 1, 1), Quantity("a", 1, 1)]), "each input a name"),
        (lambda: propagate(lambda a: a, [Quantity("a", 1, 1)], sensitivities={"b": 1.0}), "by name"),
        (lambda: propagate(lambda a: a, [Quantity("a", 1, 1)], sensitivities={"a": NAN}), "not finite"),
        (lambda: propagate(lambda a: 1 / a, [Quantity("a", 0.0, 0.1)]), "no value"),
        (lambda: propagate(lambda a: 1 / a, [Quantity("a", 1.0, 1.0)]), "no value"),
        (lambda: propagate(lambda a: a * INF, [Quantity("a", 1.0, 1.0)]), "no finite value"),
        (lambda: propagate(lambda a: a, [Quantity("a", 1e20, 1.0)]), "lost in the last place"),
        (lambda: propagate(lambda a: a, [Quantity("a", 1, 1)], correlations={("a", "a"): 1.0}), "two inputs"),
        (lambda: propagate(lambda a, b: a, H2[:2], correlations={("V", "I"): 1.5}), "-1 to 1"),
        (lambda: propagate(lambda a, b: a, H2[:2], correlations={("V", "I"): 1, ("I", "V"): 1}), "once"),
        (
            lambda: propagate(
                lambda a, b, c: a + b + c,
                [Quantity(name, 1.0, 1.0) for name in "abc"],
                correlations={("a", "b"): -1.0, ("b", "c"): -1.0, ("a", "c"): -1.0},
            ),
            "cannot hold together",
        ),
        (lambda: propagate(lambda a: a, [Quantity("a", 1, 1)]).expanded(0), "coverage factor"),
    ],
)
def test_budgets_that_cannot_be_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("value", "limits", "decision"),
    [
        (0.8, {"high": 1.0, "guard_band": 0.2}, "accept"),
        (0.3, {"high": 0.4, "guard_band": 0.1}, "accept"),  # 0.4 - 0.1 is above 0.3 in binary
        (0.30000001, {"high": 0.4, "guard_band": 0.1}, "reject"),
        (0.7, {"high": 0.8, "guard_band": 0.1}, "accept"),  # 0.8 - 0.1 is 0.7000000000000001 in binary
        (1.1, {"low": 1.0, "guard_band": 0.1}, "accept"),
        (1.09, {"low": 1.0, "high": 2.0, "guard_band": 0.1}, "reject"),
        (1.1, {"high": 1.0, "guard_band": -0.1}, "accept"),
        (0.0, {"high": 0.0}, "accept"),
        (1e-300, {"high": 0.0}, "reject"),
        (INF, {"high": 1.0}, "reject"),
        (INF, {"low": 1.0}, "accept"),
        (-INF, {"low": 1.0}, "reject"),
        (NAN, {"high": 1.0}, None),
    ],
)
def test_decision_with_a_guard_band(value: float, limits: dict[str, float], decision: str | None) -> None:
    assert decide(value, **limits) == decision


@pytest.mark.parametrize(
    "limits",
    [{}, {"high": NAN}, {"high": 1.0, "guard_band": INF}, {"low": 0.0, "high": 1.0, "guard_band": 0.6}],
)
def test_a_decision_needs_limits_that_leave_something(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"needs a limit|leaves nothing"):
        decide(1.0, **limits)
