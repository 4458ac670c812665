"""Formulas that have a name, so that a method need not spell them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.elements.registry_shapes import FormulaConstant, FormulaInput

if TYPE_CHECKING:
    from pipeline.elements.registry_shapes import ResultSpec

DECLARED = "formula"
"""Name of the algorithm of a result whose formula the method declares."""
ANY_CERTIFIED = "*"
"""The first certified value of the reference, whatever its quantity."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula with its inputs. A change of how it is reckoned is a new version: records name it."""

    version: int
    text: str
    inputs: tuple[FormulaInput, ...] = ()
    constants: tuple[FormulaConstant, ...] = ()


NAMED: dict[str, str] = {
    "net-weight": "net(x)",
    "check-weight": "loaded(x) - certified",
    "pressure-drop": "first(x) - last(x)",
}
"""`x` is the result's channel, `certified` the first certified value of the reference."""
VERSION = 2
"""Of the language and of every function in it; 2: uncertainty by propagation."""


def formula_of(spec: ResultSpec) -> Formula | None:
    """Give the formula of a result; None for a name of a newer version."""
    if spec.algorithm == DECLARED:
        return Formula(VERSION, spec.formula, spec.inputs, spec.constants)
    text = NAMED.get(spec.algorithm)
    if text is None:
        return None
    inputs: tuple[FormulaInput, ...] = (FormulaInput("x", channel=spec.channel),)
    if "certified" in text:
        inputs += (FormulaInput("certified", certified=ANY_CERTIFIED),)
    return Formula(VERSION, text, inputs)
