"""Effective degrees of freedom and coverage factors: published figures and strict edges.

The example of JCGM 100:2008, G.4.1 was compared with the copy at isobudgets.com ("Effective Degrees of
Freedom Formula"); the table of t with NIST TN 1297, appendix B, table B.1. The GUM itself was not at hand.
"""

import math

import pytest

from pipeline.qc.control.coverage import COVERAGE_T, coverage_factor, effective_degrees


def t_covers(t: float, degrees: int) -> float:
    """Share of Student's distribution within ± t, by Simpson's rule."""
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2))

    def density(x: float) -> float:
        power: float = (1 + x * x / degrees) ** (-(degrees + 1) / 2)
        return scale / math.sqrt(degrees * math.pi) * power

    steps = 2000
    width = t / steps
    inner = math.fsum((4 if at % 2 else 2) * density(at * width) for at in range(1, steps))
    return 2 * (density(0) + density(t) + inner) * width / 3


def test_the_guide_s_example_has_nineteen_degrees_of_freedom() -> None:
    degrees = effective_degrees(1.03, [(0.25, 9), (0.57, 4), (0.82, 14)])
    assert f"{degrees:.1f}" == "19.0"


def test_the_table_is_that_of_student_s_distribution() -> None:
    for degrees, t in COVERAGE_T:
        half = 0.0005 if degrees == 100 else 0.005
        assert t_covers(t - half, degrees) < 0.9545 < t_covers(t + half, degrees), degrees


@pytest.mark.parametrize(
    ("degrees", "k"),
    [
        (1.0, 13.97),
        (1.99, 13.97),
        (4.0, 2.87),
        (19.0, 2.14),
        (24.9, 2.13),
        (99.0, 2.05),
        (1e6, 2.025),
        (math.inf, 2.0),
    ],
)
def test_the_next_lower_entry_of_the_table_counts(degrees: float, k: float) -> None:
    assert coverage_factor(degrees) == k


@pytest.mark.parametrize("degrees", [0.99, 0.0, -1.0, math.nan])
def test_too_few_degrees_of_freedom_give_no_factor(degrees: float) -> None:
    with pytest.raises(ValueError, match="no coverage factor"):
        coverage_factor(degrees)


def test_what_does_not_count_leaves_them_unlimited_and_small_figures_stay_figures() -> None:
    assert effective_degrees(0.5, [(0.5, math.inf)]) == math.inf
    assert effective_degrees(0.0, [(0.0, 4)]) == math.inf
    assert effective_degrees(1e-100, [(1e-100, 4)]) == 4.0
