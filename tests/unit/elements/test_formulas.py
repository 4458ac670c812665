"""Formulas against hand calculation, against fractions, and against bad input."""

import math
import re
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.elements.formulas.calculations import spread_pct
from pipeline.elements.formulas.declared import check_formula
from pipeline.elements.formulas.display import shown, shown_uncertainty
from pipeline.elements.formulas.evaluate import evaluate, leaf
from pipeline.elements.formulas.language import FormulaError, NoValueError, check_names, leaves, parse
from pipeline.elements.formulas.named import NAMED, Formula
from pipeline.elements.formulas.progress import SeriesProgress
from pipeline.elements.formulas.results import (
    DecisionError,
    Inputs,
    MissingError,
    Source,
    compute,
    state_conformity,
)
from pipeline.elements.formulas.series import Rows, feed, value_of
from pipeline.elements.registry_shapes import (
    CertifiedValue,
    DecisionRule,
    FormulaConstant,
    FormulaInput,
    ResultSpec,
)
from pipeline.records.units import UnitError, unit

ONE = unit("1")


def value(text: str, **names: float) -> float:
    node = parse(text)
    terms = {("", name): leaf(name, Fraction(repr(number)), ONE) for name, number in names.items()}
    return float(evaluate(node, terms).value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7.0), ("(1 + 2) * 3", 9.0), ("10 - 3 - 2", 5.0), ("12 / 3 / 2", 2.0), ("-2^2", -4.0),
        ("(-2)^2", 4.0), ("2**-2", 0.25), ("1e3 - .5", 999.5), ("0.1 + 0.2", 0.3), ("+a - -a", 2.0),
        ("sqrt(2)", math.sqrt(2)), ("exp(1)", math.e), ("ln(10)", math.log(10)), ("log10(1000)", 3.0),
        ("abs(-3) * a", 3.0),
    ],
)  # fmt: skip
def test_arithmetic_is_that_of_paper(text: str, expected: float) -> None:
    assert value(text, a=1.0) == expected


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("", 1, "ends where a value"), ("1 +", 4, "ends where a value"), ("1 + * 2", 5, "'*' stands where"),
        ("(1 + 2", 7, "opened in column 1 is not closed"), ("1 2", 3, "'2' is not expected"),
        ("1 $ 2", 3, "'$' is no part"), ("mien(x)", 1, "did you mean 'min'"), ("2 ^ a", 3, "whole number"),
        ("2 ^ 0.5", 3, "write sqrt(x)"), ("2 ^ 99", 5, "go up to 12"), ("(" * 60 + "1", 52, "deep at most"),
        ("1" * 1001, 1000, "up to 1000 characters"), ("mean(x", 7, "opened in column 1"),
    ],
)  # fmt: skip
def test_an_error_points_at_its_column(text: str, column: int, told: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert caught.value.column == column
    assert told in caught.value.problem


@given(st.text(alphabet="0123456789.+-*/^()abemnxsqrt, $", max_size=40))
def test_any_text_is_read_or_refused_with_a_column(text: str) -> None:
    refusal = None
    try:
        node = parse(text)
        check_names(node, ["x"], ["a"])
    except FormulaError as error:
        refusal = error
    else:
        assert all(name in {"x", "a"} for _function, name in leaves(node))
    assert refusal is None or 1 <= refusal.column <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 / (a - a)", "division by zero"), ("sqrt(a - 2)", "above 0"), ("ln(a - a)", "above 0"),
        ("(a - a)^-1", "0 to a power"), ("exp(701 * a)", "too large"),
    ],
)  # fmt: skip
def test_what_has_no_value_is_told(text: str, problem: str) -> None:
    with pytest.raises(NoValueError, match=problem):
        value(text, a=1.0)


NUMBERS = st.floats(0.5, 50.0, allow_nan=False).map(lambda number: round(number, 3))


@given(NUMBERS, NUMBERS)
def test_sensitivities_are_the_slopes(a: float, b: float) -> None:
    text = "sqrt(a * b) + a^3 / b - ln(a + b) * exp(b / 50) + log10(a) - abs(b - 60)"
    node = parse(text)

    def at(x: Fraction, y: Fraction) -> Any:
        return evaluate(node, {("", "a"): leaf("a", x, ONE), ("", "b"): leaf("b", y, ONE)})

    x, y, step = Fraction(repr(a)), Fraction(repr(b)), Fraction(1, 10**12)
    found = at(x, y).gradient
    for name, slope in (
        ("a", (at(x + step, y).value - at(x - step, y).value) / (2 * step)),
        ("b", (at(x, y + step).value - at(x, y - step).value) / (2 * step)),
    ):
        assert float(found[name]) == pytest.approx(float(slope), rel=1e-9)


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("mg/L", Fraction(1, 1000)), ("g/cm3", Fraction(1000)), ("kWh", Fraction(3_600_000)),
        ("m³/h", Fraction(1, 3600)), ("µS/cm", Fraction(1, 10_000)), ("K/min", Fraction(1, 60)),
        ("kPa", Fraction(1000)), ("%", Fraction(1, 100)), ("s-1", Fraction(1)), ("mmol/L", Fraction(1)),
        ("kg·m2/s2", Fraction(1)), ("1/min", Fraction(1, 60)), ("MPa", Fraction(10**6)),
    ],
)  # fmt: skip
def test_units_are_exact(text: str, factor: Fraction) -> None:
    assert unit(text).factor == factor


@pytest.mark.parametrize("text", ["stone", "g/", "m99", "°C/min", "kkg", "x" * 80])
def test_units_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UnitError):
        unit(text)


M = FormulaInput("m", "weight", "g")
V = FormulaConstant("v", 10.0, "cm3", 0.02)


@pytest.mark.parametrize(
    ("text", "inputs", "constants", "unit_text", "told"),
    [
        ("net(m) / v", (M,), (V,), "g/mL", None),
        ("net(m) / v", (M,), (V,), "kg", "which is no 'kg'"),
        ("net(m) + v", (M,), (V,), "g", "column 8: the units do not go together: kg + m3"),
        ("m / v", (M,), (V,), "g/mL", "say which, such as mean(m)"),
        ("net(v) / v", (M,), (V,), "g/mL", "unknown input from a channel 'v'"),
        ("net(m) / w", (M,), (V,), "g/mL", "unknown name 'w'"),
        ("net(m)", (M,), (V,), "g", "'v' is declared and not used"),
        ("v / v", (), (V,), "", "uses no reading"),
        ("net(m) / v", (M, M), (V,), "g/mL", "declared twice"),
        ("mean(net(m))", (M,), (), "g", "takes the name of an input"),
        ("ln(net(m))", (M,), (), "", "takes a number"),
        ("sqrt(net(m))", (M,), (), "", "has no square root"),
        ("mean(t) - r", (FormulaInput("t", "t", "°C"),), (FormulaConstant("r", 20.0, "°C"),), "K", None),
        ("mean(t) + max(t)", (FormulaInput("t", "t", "°C"),), (), "°C", "can be subtracted, not added"),
        ("2 * mean(t)", (FormulaInput("t", "t", "°C"),), (), "K", "write kelvin(x)"),
        ("kelvin(mean(t)) * 2", (FormulaInput("t", "t", "°C"),), (), "K", None),
        ("kelvin(net(m))", (M,), (), "K", "takes a temperature"),
        ("sd(t)", (FormulaInput("t", "t", "°C"),), (), "K", None),
        ("mean(m) / count(m)", (FormulaInput("m", "weight"),), (), "", None),
        ("sqrt(max(m) - min(m))", (FormulaInput("m", "x", "m2"),), (), "m", None),
    ],
)  # fmt: skip
def test_a_declared_formula_is_checked_before_there_are_readings(
    text: str, inputs: Any, constants: Any, unit_text: str, told: str | None
) -> None:
    if told is None:
        check_formula(text, inputs, constants, unit_text)
        return
    with pytest.raises((FormulaError, UnitError), match=re.escape(told)):
        check_formula(text, inputs, constants, unit_text)


def series(values: list[float], *functions: str, cut: int = 1000, decimals: int | None = 4) -> SeriesProgress:
    made = SeriesProgress("x", "bal-1", "weight", list(functions), unit="g", units=1, decimals=decimals)
    for start in range(0, len(values), cut):
        part = np.array(values[start : start + cut])
        n = np.arange(start, start + len(part))
        feed(made, Rows(n, n * 10, part, np.ones(len(part), np.uint8), n + 100), 1.0)
    return made


DECIMALS = st.integers(-(10**9), 10**9).map(lambda number: number / 10**4)
DOUBLES = st.floats(-1e100, 1e100, allow_nan=False)


@given(st.lists(st.one_of(DECIMALS, DOUBLES), min_size=2, max_size=60), st.integers(1, 7))
def test_moments_are_exact_however_the_rows_are_cut(values: list[float], cut: int) -> None:
    functions = ("mean", "sd", "min", "max", "first", "last", "count")
    whole, parts = series(values, *functions), series(values, *functions, cut=cut)
    for function in functions:
        assert value_of(whole, function) == pytest.approx(value_of(parts, function), rel=1e-30)
    # Whichever way each reading was added, the mean is that of the numbers, far below a double's last bit.
    exact = statistics.mean([Fraction(number) for number in values])
    found = value_of(whole, "mean")
    assert found is not None
    assert abs(found - exact) <= max(map(abs, values)) * Fraction(1, 2**52)


@given(st.lists(DECIMALS, min_size=2, max_size=60))
def test_readings_with_digits_are_reckoned_as_the_decimals_shown(values: list[float]) -> None:
    found = value_of(series(values, "mean", "sd"), "mean")
    assert found == sum(Fraction(repr(number)) for number in values) / len(values)


def test_digits_that_change_in_between_are_added_exactly() -> None:
    made = series([1.25, 2.5], "mean", decimals=2)
    made.decimals = 4
    n = np.array([2])
    feed(made, Rows(n, n, np.array([0.0001]), np.ones(1, np.uint8), n), 1.0)
    made.decimals = 1
    feed(made, Rows(n, n, np.array([0.5]), np.ones(1, np.uint8), n), 1.0)
    assert value_of(made, "mean") == Fraction("4.2501") / 4


SPEC = ResultSpec("q", coverage_factor=2.0)
SOURCES = {"bal-1.weight": Source(0.0004, 2.0, "g")}


def budgeted(text: str, made: SeriesProgress, spec: ResultSpec = SPEC, **more: Any) -> Any:
    inputs = (FormulaInput("x", "weight"), FormulaInput("ref", certified="mass"))
    formula = Formula(2, text, inputs, more.pop("constants", ()))
    return compute(formula, spec, Inputs([made], more.pop("sources", SOURCES), more.pop("certified", ())))


def test_the_budget_of_a_quotient_is_that_of_the_guide() -> None:
    made = series([0.0, 20.0], "net", "gross", "tare")
    spec = ResultSpec("density", unit="g/cm3")
    found = budgeted("net(x) / v", made, spec, constants=(V,))
    assert (found.value, found.unit) == (2.0, "g/cm3")
    # u²/y² = (√2 · 0.0002 / 20)² + (0.02 / 10)²
    assert found.u == pytest.approx(2 * math.hypot(math.sqrt(2) * 0.0002 / 20, 0.02 / 10), rel=1e-12)
    names = [part["input"] for part in found.facts["budget"]]
    assert names == ["gross(x)", "tare(x)", "v"]
    assert [part["sensitivity"] for part in found.facts["budget"]] == pytest.approx([0.1, -0.1, -0.2])


def test_a_deviation_has_scatter_and_the_certificate_of_the_reference() -> None:
    values = [100.0002, 100.0004, 100.0003]
    certified = (CertifiedValue("mass", 100.0, "g", 0.0002, 2.0),)
    found = budgeted("loaded(x) - ref", series(values, "loaded"), certified=certified)
    scatter = statistics.stdev(values) / math.sqrt(3)
    assert found.value == 0.0003
    assert found.u == pytest.approx(math.sqrt(0.0002**2 + 0.0001**2 + scatter**2), rel=1e-6)


@pytest.mark.parametrize(("r", "factor"), [(0.0, math.sqrt(2)), (1.0, 0.0), (-1.0, 2.0), (0.5, 1.0)])
def test_correlation_between_readings_of_one_channel(r: float, factor: float) -> None:
    found = budgeted(
        "first(x) - last(x)", series([9.0, 7.0], "first", "last"), ResultSpec("d", correlation=r)
    )
    assert found.u == pytest.approx(0.0002 * factor, abs=1e-12)


def test_a_budget_with_a_hole_is_none() -> None:
    assert budgeted("last(x)", series([9.0], "last"), sources={}).u is None
    certified = (CertifiedValue("mass", 1.0, "g"),)
    assert budgeted("last(x) - ref", series([9.0], "last"), certified=certified).u is None


def test_units_are_converted_and_strangers_refused() -> None:
    found = budgeted("last(x)", series([9.0], "last"), ResultSpec("q", unit="mg"))
    assert (found.value, found.u) == (9000.0, pytest.approx(0.2, rel=1e-15))
    with pytest.raises(UnitError, match="does not give mL"):
        budgeted("last(x)", series([9.0], "last"), ResultSpec("q", unit="mL"))
    made = series([9.0], "last")
    made.unit = "NTU"
    sources = {"bal-1.weight": Source(0.5, 2.0, "NTU")}
    assert budgeted("last(x)", made, ResultSpec("q", unit="NTU"), sources=sources).value == 9.0
    made.units = 2
    with pytest.raises(UnitError, match="changed its unit"):
        budgeted("last(x)", made, ResultSpec("q", unit="NTU"))


def test_what_is_missing_is_named() -> None:
    with pytest.raises(MissingError, match=r"net\(x\)"):
        budgeted("net(x)", series([0.0], "net", "gross", "tare"))
    with pytest.raises(MissingError, match="certified value mass"):
        budgeted("last(x) - ref", series([9.0], "last"))


def test_an_empty_pan_that_was_not_weighed_carries_no_uncertainty() -> None:
    found = budgeted("net(x)", series([20.0], "net", "gross", "tare"))
    assert (found.value, found.u) == (20.0, 0.0002)


RULE = {"rule": "guard-band", "high": 10.0}


@pytest.mark.parametrize(
    ("number", "expanded", "rule", "decision"),
    [
        (10.0, None, {"rule": "simple", "high": 10.0}, "pass"),
        (math.nextafter(10.0, 11.0), None, {"rule": "simple", "high": 10.0}, "fail"),
        (9.5, None, {**RULE, "guard_band": 0.5}, "pass"),
        (9.6, None, {**RULE, "guard_band": 0.5}, "fail"),
        (9.8, 0.2, {**RULE, "guard_factor": 1.0}, "pass"),
        (9.9, 0.2, {**RULE, "guard_factor": 1.0}, "fail"),
        (9.9, 0.2, {**RULE, "guard_factor": 0.5}, "pass"),
        (0.0, 0.2, {"rule": "simple", "low": 0.0}, "pass"),
    ],
)  # fmt: skip
def test_conformity_with_a_guard_band(
    number: float, expanded: float | None, rule: Any, decision: str
) -> None:
    stated = state_conformity(number, expanded, DecisionRule(**rule))
    assert stated is not None
    assert stated.decision == decision


def test_no_conformity_is_stated_without_what_it_needs() -> None:
    assert state_conformity(1.0, None, None) is None
    assert state_conformity(1.0, None, DecisionRule("simple")) is None
    with pytest.raises(DecisionError, match="U is not known"):
        state_conformity(1.0, None, DecisionRule("guard-band", high=2.0, guard_factor=1.0))
    with pytest.raises(DecisionError, match="leaves nothing"):
        state_conformity(1.0, None, DecisionRule("guard-band", low=0.0, high=2.0, guard_band=1.5))


@pytest.mark.parametrize(
    ("number", "decimals", "rounding", "text"),
    [
        (2.5, 0, "half-even", "2"), (3.5, 0, "half-even", "4"), (2.5, 0, "half-up", "3"),
        (-2.5, 0, "half-up", "-3"), (0.125, 2, "half-even", "0.12"), (0.135, 2, "half-even", "0.14"),
        (2.675, 2, "half-up", "2.68"), (-0.004, 2, "half-even", "0.00"), (1e-9, 3, "half-up", "0.000"),
        (12.0, 2, "half-even", "12.00"), (0.1 + 0.2, None, "half-even", "0.30000000000000004"),
    ],
)  # fmt: skip
def test_rounding_is_for_display_and_from_the_decimal(
    number: float, decimals: int | None, rounding: str, text: str
) -> None:
    assert shown(number, decimals, rounding) == text


@pytest.mark.parametrize(
    ("expanded", "text"),
    [
        (0.00042426406871192855, "0.00043"), (0.3, "0.30"), (0.1 + 0.2, "0.30"), (12.0, "12"),
        (1234.0, "1300"), (0.0, "0.0"), (9.91, "10.0"), (2.0, "2.0"),
    ],
)  # fmt: skip
def test_an_uncertainty_is_shown_with_two_digits_rounded_up(expanded: float, text: str) -> None:
    assert shown_uncertainty(expanded) == text


def test_spread_of_replicates() -> None:
    assert spread_pct([9.0, 11.0]) == 20.0
    assert spread_pct([9.0, 10.0, 11.0]) == 10.0
    assert spread_pct([-1.0, 1.0]) is None
    assert spread_pct([1.0]) is None


def test_named_formulas_are_formulas() -> None:
    for text in NAMED.values():
        check_names(parse(text), ["x"], ["certified"])
