"""Checks of a declared formula when a method is imported: names, units, dimension of the result."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING

from pipeline.elements.formulas.evaluate import evaluate, leaf
from pipeline.elements.formulas.language import FormulaError, NoValueError, check_names, leaves, parse
from pipeline.records.units import NUMBER, Unit, UnitError, name_of, unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.elements.formulas.evaluate import Term
    from pipeline.elements.formulas.language import Node
    from pipeline.elements.registry_shapes import FormulaConstant, FormulaInput

_TRIALS = (
    (Fraction(3, 2), Fraction(1, 7)), (Fraction(40), Fraction(-1, 3)), (Fraction(1, 50), Fraction(1, 700)),
)  # fmt: skip
"""Value of the first name, and step to each next, for a trial: a dimension does not depend on values."""


def check_formula(
    text: str, inputs: Sequence[FormulaInput], constants: Sequence[FormulaConstant], result_unit: str
) -> None:
    """See that a formula can be computed, as far as that can be told before there are readings.

    Units are checked when every input declares its own; a value of another unit that fits is converted.

    Raises:
        FormulaError: with the column of the formula.
        UnitError: a unit is not known, or the result cannot be in its unit.
    """
    node = parse(text)
    names = [one.name for one in inputs] + [one.name for one in constants]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise FormulaError(1, f"'{twice[0]}' is declared twice")
    series = [one.name for one in inputs if one.channel is not None]
    values = [one.name for one in inputs if one.channel is None] + [one.name for one in constants]
    check_names(node, series, values)
    if not any(function for function, _name in leaves(node)):
        raise FormulaError(1, "the formula uses no reading")
    needed = {name for _function, name in leaves(node)}
    unused = [name for name in names if name not in needed]
    if unused:
        raise FormulaError(1, f"'{unused[0]}' is declared and not used")
    declared = {one.name: one.unit for one in inputs}
    declared |= {one.name: one.unit for one in constants}
    if any(declared[name] is None for name in needed):
        return
    units = {name: unit(text or "") for name, text in declared.items()}
    found, wanted = _trial(node, units), unit(result_unit)
    if found is None:
        return
    if found.dimension != wanted.dimension or found.celsius != wanted.celsius:
        told = "°C" if found.celsius else name_of(found.dimension)
        raise UnitError(f"the formula gives {told}, which is no '{result_unit or '1'}'")


def unit_of(function: str, own: Unit) -> Unit:
    """Give the unit of a function of readings: a scatter of °C is in K, a count is a number."""
    if function == "count":
        return Unit(Fraction(1), NUMBER)
    return Unit(own.factor, own.dimension) if function == "sd" else own


def _trial(node: Node, units: dict[str, Unit]) -> Term | None:
    """Compute the formula for made-up readings; None where it has no value for any of them."""
    for value, step in _TRIALS:
        # Different values for different names: a difference must not vanish by accident.
        terms = {
            (function, name): leaf(name, value + step * position, unit_of(function, units[name]))
            for position, (function, name) in enumerate(leaves(node))
        }
        with suppress(NoValueError):
            return evaluate(node, terms)
    return None
