"""The value of a formula, its dimension and its sensitivity coefficients, exactly.

Values are fractions: a reading counts as the decimal number that the instrument showed, so 100.0010 -
100.0000 is 0.001 and not 0.00100000000000477, and a result equal to its limit meets it. Roots, logarithms and
exponentials are taken with 50 digits by the `decimal` module, whose results are correctly rounded: every
machine gets the same last bit. Sensitivity coefficients c = ∂f/∂x (JCGM 100:2008, 5.1.3) come along by
forward differentiation of the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from pipeline.elements.formulas.language import (
    SERIES_FUNCTIONS,
    Call,
    FormulaError,
    Name,
    NoValueError,
    Number,
    Operation,
)  # fmt: skip
from pipeline.records.units import NUMBER, Unit, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.elements.formulas.language import Node
    from pipeline.records.units import Dimension

DIGITS = 50
_CONTEXT = Context(prec=DIGITS)
_EXPONENT_MAX = 700
"""exp() of more than about 709 is beyond every double."""
_ZERO_CELSIUS = Fraction("273.15")
_KELVIN: Dimension = (0, 0, 0, 0, 1, 0, 0)


@dataclass(frozen=True, slots=True)
class Term:
    """A value in coherent SI units, with what it is and what it depends on."""

    value: Fraction
    dimension: Dimension = NUMBER
    celsius: bool = False
    """A point on the Celsius scale, in degrees of it."""
    gradient: dict[str, Fraction] = field(default_factory=dict)
    """Leaf to ∂f/∂leaf, both in SI units."""


def leaf(name: str, value: Fraction, unit: Unit) -> Term:
    """Give an input as a term of its own."""
    return Term(value * unit.factor, unit.dimension, unit.celsius, {name: Fraction(1)})


def evaluate(node: Node, terms: Mapping[tuple[str, str], Term]) -> Term:
    """Compute a formula.

    Args:
        node: a formula whose names were checked.
        terms: a term for each of `language.leaves`.

    Raises:
        NoValueError: there is no value for these inputs (a division by 0, a root of -1).
        FormulaError: the units do not go together.
    """
    if isinstance(node, Number):
        return Term(node.value)
    if isinstance(node, Name):
        return terms["", node.name]
    if isinstance(node, Call):
        if node.function in SERIES_FUNCTIONS and isinstance(node.argument, Name):
            return terms[node.function, node.argument.name]
        return _call(node, evaluate(node.argument, terms))
    left, right = evaluate(node.left, terms), evaluate(node.right, terms)
    if node.operator in "+-":
        return _added(node, left, right)
    if left.celsius or right.celsius:
        problem = "a temperature in °C is a point on a scale: write kelvin(x), or a difference"
        raise FormulaError(node.column, problem)
    if node.operator == "*":
        dimension = tuple(a + b for a, b in zip(left.dimension, right.dimension, strict=True))
        gradient = _mixed((left.gradient, right.value), (right.gradient, left.value))
        return Term(left.value * right.value, dimension, gradient=gradient)
    if node.operator == "/":
        return _divided(node, left, right)
    return _raised(node, left, int(right.value))


def _mixed(*parts: tuple[dict[str, Fraction], Fraction]) -> dict[str, Fraction]:
    mixed: dict[str, Fraction] = {}
    for gradient, weight in parts:
        for name, slope in gradient.items():
            mixed[name] = mixed.get(name, Fraction(0)) + slope * weight
    return mixed


def _added(node: Operation, left: Term, right: Term) -> Term:
    if left.dimension != right.dimension:
        told = f"{name_of(left.dimension)} {node.operator} {name_of(right.dimension)}"
        raise FormulaError(node.column, f"the units do not go together: {told}")
    sign = 1 if node.operator == "+" else -1
    if right.celsius and (not left.celsius or sign > 0):
        raise FormulaError(node.column, "two temperatures in °C can be subtracted, not added")
    # A difference of two points on the scale is in kelvin; a point plus or minus kelvin is a point.
    gradient = _mixed((left.gradient, Fraction(1)), (right.gradient, Fraction(sign)))
    celsius = left.celsius and not right.celsius
    return Term(left.value + sign * right.value, left.dimension, celsius, gradient)


def _divided(node: Operation, left: Term, right: Term) -> Term:
    if right.value == 0:
        raise NoValueError(node.column, "division by zero")
    dimension = tuple(a - b for a, b in zip(left.dimension, right.dimension, strict=True))
    gradient = _mixed(
        (left.gradient, 1 / right.value), (right.gradient, -left.value / (right.value * right.value))
    )
    return Term(left.value / right.value, dimension, gradient=gradient)


def _raised(node: Operation, base: Term, exponent: int) -> Term:
    if base.value == 0 and exponent < 1:
        raise NoValueError(node.column, "0 to a power below 1 has no value")
    dimension = tuple(a * exponent for a in base.dimension)
    slope = exponent * base.value ** (exponent - 1) if exponent else Fraction(0)
    return Term(base.value**exponent, dimension, gradient=_mixed((base.gradient, slope)))


def _call(node: Call, x: Term) -> Term:
    if node.function == "kelvin":
        if x.dimension != _KELVIN:
            raise FormulaError(node.column, f"kelvin() takes a temperature, not {name_of(x.dimension)}")
        return Term(x.value + (_ZERO_CELSIUS if x.celsius else 0), _KELVIN, gradient=x.gradient)
    if x.celsius:
        raise FormulaError(node.column, f"{node.function}() of °C has no meaning: write kelvin(x)")
    if node.function == "abs":
        sign = Fraction(-1 if x.value < 0 else 1)
        return Term(abs(x.value), x.dimension, gradient=_mixed((x.gradient, sign)))
    if node.function == "sqrt":
        return _root(node, x)
    if x.dimension != NUMBER:
        raise FormulaError(node.column, f"{node.function}() takes a number, not {name_of(x.dimension)}")
    value, slope = _transcendental(node, x.value)
    return Term(value, gradient=_mixed((x.gradient, slope)))


def _root(node: Call, x: Term) -> Term:
    if x.value < 0 or (x.value == 0 and x.gradient):
        raise NoValueError(node.column, "sqrt() takes a value above 0")
    if any(exponent % 2 for exponent in x.dimension):
        raise FormulaError(node.column, f"{name_of(x.dimension)} has no square root")
    root = square_root(x.value)
    half = tuple(exponent // 2 for exponent in x.dimension)
    return Term(root, half, gradient=_mixed((x.gradient, 1 / (2 * root) if root else Fraction(0))))


def square_root(value: Fraction) -> Fraction:
    """Take a root with `DIGITS` digits."""
    return Fraction(_CONTEXT.sqrt(_decimal(value)))


def _decimal(value: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _transcendental(node: Call, x: Fraction) -> tuple[Fraction, Fraction]:
    """Value and slope of ln, log10 or exp."""
    if node.function == "exp":
        if abs(x) > _EXPONENT_MAX:
            raise NoValueError(node.column, "exp() of more than 700 is too large")
        value = Fraction(_CONTEXT.exp(_decimal(x)))
        return value, value
    if x <= 0:
        raise NoValueError(node.column, f"{node.function}() takes a value above 0")
    number = _decimal(x)
    if node.function == "ln":
        return Fraction(_CONTEXT.ln(number)), 1 / x
    return Fraction(_CONTEXT.log10(number)), 1 / (x * Fraction(_CONTEXT.ln(Decimal(10))))
