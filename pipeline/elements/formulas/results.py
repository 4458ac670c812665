"""From readings to results: value, uncertainty budget, conformity.

The value is the formula's, of readings as the instrument showed them (corrected ones where the frames carry a
correction). The uncertainty is propagated by JCGM 100:2008, 5.1.2 and 5.2.2, from
- the certificate of each instrument, u = U/k, correlated between readings of one channel by the spec's `r`;
  of corrected readings it is the U that the certificate states of the correction there, where it states one;
- the scatter of readings that a mean was taken of, s²/n (4.2.3);
- the certificate of the reference, and the u of declared constants.
A budget with a hole is none: where one of them states no U, the result has no U, and its verdict says so.
The statement of conformity follows JCGM 106:2012, 8.3.2 and ILAC-G8:09/2019 with w as declared, or r U.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.corrections import expanded_over
from pipeline.elements.formulas.declared import unit_of
from pipeline.elements.formulas.evaluate import Term, evaluate, leaf, square_root
from pipeline.elements.formulas.language import leaves, parse
from pipeline.elements.formulas.named import ANY_CERTIFIED
from pipeline.elements.formulas.series import count_of, scatter_of, shown_span, value_of
from pipeline.elements.shapes import Conformity
from pipeline.qc.control.coverage import effective_degrees
from pipeline.qc.control.decimals import exact, nearest
from pipeline.qc.control.uncertainty import Budget, Quantity, decide, propagate
from pipeline.records.units import Unit, UnitError, unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.corrections import Correction
    from pipeline.elements.formulas.named import Formula
    from pipeline.elements.formulas.progress import SeriesProgress
    from pipeline.elements.registry_shapes import CertifiedValue, DecisionRule, ResultSpec


class MissingError(ValueError):
    """The readings, or a certified value, that the formula needs are not there."""


class DecisionError(ValueError):
    """No statement of conformity is possible; the message says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of the uncertainty of a channel: U and k of its certificate."""

    expanded: float | None = None
    k: float | None = None
    unit: str = ""
    corrections: tuple[Correction, ...] = ()
    """Those that the readings carried."""

    def stated(self, low: float, high: float) -> tuple[Stated | None, bool]:
        """Give what the certificate states of readings of a span, and whether it is of the correction.

        Both U are statements of one calibration: the correction's takes the place of the channel's.
        """
        found = list[Stated]()
        for one in self.corrections:
            expanded = expanded_over(one, low, high)
            if expanded is not None:
                found.append(Stated(expanded, one.k, one.unit, one.degrees_of_freedom or math.inf))
        if found and len(found) == len(self.corrections):
            return max(found, key=lambda stated: exact(stated.expanded) / exact(stated.k)), True
        if self.expanded is None or not self.k:
            return None, False
        return Stated(self.expanded, self.k, self.unit, math.inf), False


class Stated(NamedTuple):
    """U of a certificate with its k, unit and degrees of freedom."""

    expanded: float
    k: float
    unit: str
    degrees: float


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a computation reads, and nothing else: a recomputation is given the same."""

    series: Sequence[SeriesProgress]
    sources: Mapping[str, Source]
    """By target of the series, `instrument.channel`."""
    certified: Sequence[CertifiedValue] = ()


@dataclass(slots=True)
class Computed:
    """A value with its budget, and what a person needs to follow it."""

    value: float
    unit: str
    u: float | None
    """Combined standard uncertainty in `unit`; None: not known."""
    degrees: float = math.inf
    """Effective degrees of freedom of u."""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Uncertain:
    """One source of uncertainty."""

    leaf: str
    owner: str
    """Channel, or what else is correlated with itself; "" for a scatter."""
    value: Fraction
    u: Fraction
    factor: Fraction
    """Value and u are in the unit of the input; times this they are in SI units."""
    degrees: float = math.inf
    """Degrees of freedom of u."""


@dataclass(slots=True)
class _Leaves:
    """The terms of a formula, in SI units, and their sources of uncertainty, in the units of the inputs."""

    terms: dict[tuple[str, str], Term] = field(default_factory=dict)
    sources: dict[str, _Uncertain] = field(default_factory=dict)
    """By the name in the budget."""
    complete: bool = True
    shown: dict[str, Any] = field(default_factory=dict)


def compute(formula: Formula, spec: ResultSpec, inputs: Inputs) -> Computed:
    """Compute a result.

    Raises:
        MissingError: a reading or certified value is missing.
        FormulaError, UnitError: the formula has no value for these readings, or their units do not fit.
    """
    node = parse(formula.text)
    by_name = {series.input: series for series in inputs.series}
    text = spec.unit or next((series.unit for series in inputs.series if series.unit), "")
    found = _Leaves()
    for function, name in leaves(node):
        if function and name not in by_name:
            raise MissingError(f"{function}({name})")  # the method was changed after the start
        if function:
            _add_series(found, function, by_name[name], inputs, text)
        else:
            _add_value(found, name, formula, inputs, text)
    term = evaluate(node, found.terms)
    wanted = _unit(text, text)
    if term.dimension != wanted.dimension or term.celsius != wanted.celsius:
        raise UnitError(f"the formula does not give {text or 'a number'} with the units that were read")
    value = nearest(term.value / wanted.factor)
    if not math.isfinite(value):
        raise UnitError("the value is too large for a number of 64 bits")
    facts: dict[str, Any] = {"formula": formula.text, "inputs": found.shown}
    budget = _budget(term, wanted, found, spec, value) if found.complete else None
    if budget is not None:
        facts["budget"] = [
            {"input": part.name, "sensitivity": part.sensitivity, "u": part.u}
            for part in budget.contributions
        ]
    if budget is None:
        return Computed(value, text, None, facts=facts)
    return Computed(value, text, budget.u, _degrees(budget, found, spec.correlation), facts)


def _degrees(budget: Budget, found: _Leaves, correlation: float) -> float:
    """Effective degrees of freedom; readings correlated with one another count as one input."""
    groups: dict[str, list[str]] = {}
    us = {part.name: part.u for part in budget.contributions}
    for label, source in found.sources.items():
        groups.setdefault(source.owner if correlation and source.owner else label, []).append(label)
    parts = list[tuple[float, float]]()
    for labels in groups.values():
        variance = math.fsum(us[label] ** 2 for label in labels)
        variance += 2 * correlation * math.fsum(us[a] * us[b] for a, b in combinations(labels, 2))
        degrees = min(found.sources[label].degrees for label in labels)
        parts.append((math.sqrt(max(variance, 0.0)), degrees))
    return effective_degrees(budget.u, parts)


def _unit(text: str, result: str) -> Unit:
    """Read a unit; one that the table has not passes as a number where the result is in the same."""
    try:
        return unit(text)
    except UnitError:
        if text == result:
            return unit("1")
        raise


def _add_series(found: _Leaves, function: str, series: SeriesProgress, inputs: Inputs, result: str) -> None:
    if series.units > 1:
        raise UnitError(f"{series.target} changed its unit during the work")
    own = unit_of(function, _unit(series.unit, result))
    value = value_of(series, function)
    if value is None:
        raise MissingError(f"{function}({series.input})")
    name = f"{function}({series.input})"
    found.shown[name] = nearest(value)
    if function == "net":
        parts = [_reading(found, part, series, inputs, own) for part in ("gross", "tare")]
        gradient = {f"gross({series.input})": Fraction(1), f"tare({series.input})": Fraction(-1)}
        net = Term(parts[0].value - parts[1].value, own.dimension, gradient=gradient)
        found.terms[function, series.input] = net
    else:
        found.terms[function, series.input] = _reading(found, function, series, inputs, own)


def _reading(found: _Leaves, function: str, series: SeriesProgress, inputs: Inputs, own: Unit) -> Term:
    """Give a function of readings as a term, and note the sources of its uncertainty."""
    name = f"{function}({series.input})"
    value = value_of(series, function) or Fraction(0)
    found.shown[name] = nearest(value)
    term = leaf(name, value, own)
    if function in {"count", "sd"} or (function == "tare" and "tare" not in series.readings):
        return term  # a number of readings, a scatter and an empty pan that was not weighed carry no u
    stated, corrected = inputs.sources.get(series.target, Source()).stated(*shown_span(series, function))
    if stated is None:
        found.complete = False
        return term
    scale = _unit(stated.unit or series.unit, series.unit)
    u = exact(stated.expanded) / exact(stated.k) * scale.factor / own.factor
    label = f"{name}: correction" if corrected else name
    found.sources[label] = _Uncertain(name, series.target, value, u, own.factor, stated.degrees)
    scatter = scatter_of(series, function)
    if scatter:
        label, degrees = f"{name}: scatter", float(count_of(series, function) - 1)
        found.sources[label] = _Uncertain(name, "", value, square_root(scatter), own.factor, degrees)
    return term


def _add_value(found: _Leaves, name: str, formula: Formula, inputs: Inputs, result: str) -> None:
    for constant in formula.constants:
        if constant.name == name:
            own = unit(constant.unit)
            term = leaf(name, exact(constant.value), own)
            u = exact(constant.u)
            found.sources[name] = _Uncertain(name, name, exact(constant.value), u, own.factor)
            found.terms["", name], found.shown[name] = term, constant.value
            return
    wanted = next((one.certified for one in formula.inputs if one.name == name), None)
    for certified in inputs.certified:
        if wanted in {ANY_CERTIFIED, certified.quantity}:
            own = _unit(certified.unit, result)
            term = leaf(name, exact(certified.value), own)
            found.terms["", name], found.shown[name] = term, certified.value
            if certified.uncertainty is None or not certified.k:
                found.complete = False
                return
            u = exact(certified.uncertainty) / exact(certified.k)
            found.sources[name] = _Uncertain(name, name, exact(certified.value), u, own.factor)
            return
    raise MissingError(f"certified value {wanted}")


def _budget(term: Term, wanted: Unit, found: _Leaves, spec: ResultSpec, value: float) -> Budget:
    """Propagate: u of every source in its unit, sensitivities from the formula's own derivatives."""
    quantities, sensitivities = [], {}
    for label, source in found.sources.items():
        quantities.append(Quantity(label, nearest(source.value), nearest(source.u)))
        slope = term.gradient.get(source.leaf, Fraction(0)) * source.factor / wanted.factor
        sensitivities[label] = nearest(slope)
    owners = {label: source.owner for label, source in found.sources.items() if source.owner}
    correlations = {
        (one, other): spec.correlation
        for one, other in combinations(owners, 2)
        if spec.correlation and owners[one] == owners[other]
    }
    return propagate(lambda *_: value, quantities, sensitivities=sensitivities, correlations=correlations)


def state_conformity(value: float, expanded: float | None, rule: DecisionRule | None) -> Conformity | None:
    """State conformity by the method's rule; None without a rule.

    Raises:
        DecisionError: the guard band leaves nothing to accept, or needs a U that is not known.
    """
    if rule is None or (rule.low is None and rule.high is None):
        return None
    width = rule.guard_band if rule.rule == "guard-band" else 0.0
    if rule.rule == "guard-band" and rule.guard_factor is not None:
        if expanded is None:
            raise DecisionError("the guard band is a part of U, and U is not known")
        width = nearest(exact(rule.guard_factor) * exact(expanded))
    try:
        decision = decide(value, low=rule.low, high=rule.high, guard_band=width)
    except ValueError as error:
        raise DecisionError(str(error)) from error
    return Conformity("pass" if decision == "accept" else "fail", rule.rule, rule.low, rule.high, width)
