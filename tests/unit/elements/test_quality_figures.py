"""Each figure of a quality control: passing, at its limit, failing, and with something missing."""

import pytest

from pipeline.elements.batches.figures import FIGURES, KINDS, Inputs
from pipeline.elements.vocabulary import QcKind, Score


def inputs(value: float, **given: float | None) -> Inputs:
    facts = {name: given.get(name) for name in Inputs.__slots__ if name != "value"}
    return Inputs(value, **facts)


@pytest.mark.parametrize(
    ("score", "value", "given", "status", "why"),
    [
        ("limit", 0.04, {"high": 0.05}, "pass", ""),
        ("limit", 0.05, {"high": 0.05}, "fail", ""),
        ("limit", -1.0, {"low": -0.5, "high": 0.05}, "fail", ""),
        ("limit", 0.0, {}, "not-evaluated", "no-limit"),
        ("difference", 10.0, {"reference": 10.0, "high": 5.0}, "pass", ""),
        ("difference", 10.5, {"reference": 9.5, "high": 10.0}, "pass", ""),
        ("difference", 10.6, {"reference": 9.4, "high": 10.0}, "fail", ""),
        ("difference", 10.0, {"high": 5.0}, "not-evaluated", "no-counterpart"),
        ("difference", 10.0, {"reference": 10.0}, "not-evaluated", "no-limit"),
        ("difference", 0.0, {"reference": 0.0, "high": 5.0}, "not-evaluated", "no-figure"),
        ("recovery", 18.0, {"reference": 10.0, "added": 10.0, "low": 80.0, "high": 120.0}, "pass", ""),
        ("recovery", 22.1, {"reference": 10.0, "added": 10.0, "low": 80.0, "high": 120.0}, "fail", ""),
        ("recovery", 9.5, {"reference": 10.0, "low": 90.0, "high": 110.0}, "pass", ""),
        ("recovery", 8.5, {"reference": 10.0, "low": 90.0, "high": 110.0}, "fail", ""),
        ("recovery", 18.0, {"added": 10.0, "low": 80.0}, "not-evaluated", "no-counterpart"),
        ("recovery", 18.0, {"reference": 10.0, "added": 10.0}, "not-evaluated", "no-limit"),
        ("e-n", 13.0, {"uncertainty": 3.0, "k": 2.0, "reference": 8.0, "reference_uncertainty": 4.0,
                       "reference_k": 2.0}, "pass", ""),
        ("e-n", 13.1, {"uncertainty": 3.0, "k": 2.0, "reference": 8.0, "reference_uncertainty": 4.0,
                       "reference_k": 2.0}, "fail", ""),
        ("e-n", 13.1, {"uncertainty": 4.5, "k": 3.0, "reference": 8.0, "reference_uncertainty": 4.0,
                       "reference_k": 2.0}, "fail", ""),
        ("e-n", 13.0, {"reference": 8.0, "reference_uncertainty": 4.0, "reference_k": 2.0},
         "not-evaluated", "no-uncertainty"),
        ("e-n", 13.0, {"uncertainty": 3.0, "k": 2.0}, "not-evaluated", "no-reference"),
        ("z", 12.0, {"reference": 10.0, "sigma": 1.0}, "pass", ""),
        ("z", 12.5, {"reference": 10.0, "sigma": 1.0}, "warn", ""),
        ("z", 7.0, {"reference": 10.0, "sigma": 1.0}, "fail", ""),
        ("z", 7.0, {"reference": 10.0}, "not-evaluated", "no-sigma"),
        ("z", 7.0, {"sigma": 1.0}, "not-evaluated", "no-reference"),
        ("z-prime", 20.0, {"reference": 10.0, "sigma": 3.0, "reference_uncertainty": 8.0,
                           "reference_k": 2.0}, "pass", ""),
        ("z-prime", 20.1, {"reference": 10.0, "sigma": 3.0, "reference_uncertainty": 8.0,
                           "reference_k": 2.0}, "warn", ""),
        ("z-prime", 20.0, {"reference": 10.0, "sigma": 3.0}, "not-evaluated", "no-uncertainty"),
    ],
)  # fmt: skip
def test_a_figure_is_judged_by_its_limits_and_never_without_what_it_needs(
    score: Score, value: float, given: dict[str, float], status: str, why: str
) -> None:
    figure = FIGURES[score](inputs(value, **given))
    assert (figure.status, figure.why) == (status, why)
    assert (figure.value is None) == (status == "not-evaluated")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_figure_and_no_limit_that_nobody_stated(kind: QcKind) -> None:
    usual = KINDS[kind]
    assert usual.score in FIGURES
    assert not (usual.paired and usual.revealed)
    if usual.score in {"limit", "difference"}:
        assert (usual.low, usual.high) == (None, None)
