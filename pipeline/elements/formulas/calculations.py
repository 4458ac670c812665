"""The results of a task: what is prepared at its start, fed with its rows and computed at its end."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pipeline.elements.corrected import correction_applied
from pipeline.elements.formulas.evaluate import square_root
from pipeline.elements.formulas.language import FormulaError, leaves, parse
from pipeline.elements.formulas.named import formula_of
from pipeline.elements.formulas.progress import Calculation, Refusal, SeriesProgress
from pipeline.elements.formulas.results import (
    DecisionError,
    Inputs,
    MissingError,
    Source,
    compute,
    state_conformity,
)  # fmt: skip
from pipeline.elements.formulas.series import SELECTING, used_readings
from pipeline.elements.hand.values import MixedReadingsError, whole_calculations
from pipeline.elements.registry_shapes import Material, Method
from pipeline.elements.shapes import Result
from pipeline.qc.control.coverage import coverage_factor, effective_degrees
from pipeline.qc.control.decimals import exact, nearest
from pipeline.records.units import UnitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.elements.formulas.named import Formula
    from pipeline.elements.formulas.progress import UsedReading
    from pipeline.elements.formulas.results import Computed
    from pipeline.elements.registry import Registry
    from pipeline.elements.registry_shapes import ResultSpec
    from pipeline.elements.state import TaskState

REPLICATES_MAX = 1000


def prepare(task: TaskState, registry: Registry, from_run_ns: int, replicate: int = 1) -> None:
    """Begin the calculations of a task, or of its next replicate."""
    found = registry.at(Method, task.start.method, task.start.at_utc_ns)
    for position, spec in enumerate(() if found is None else found[0].results):
        formula = formula_of(spec)
        if found is None or formula is None or task.start.purpose not in spec.purposes:
            continue
        series = _series(task, formula)
        if series:
            min_load = found[0].min_load
            task.calculations.append(Calculation(position, series, min_load, replicate, from_run_ns))


def _series(task: TaskState, formula: Formula) -> list[SeriesProgress]:
    """Give a series for each input from a channel; none at all where one has no channel."""
    try:
        needed = list(leaves(parse(formula.text)))
    except FormulaError:
        return []
    series = []
    for one in formula.inputs:
        if one.channel is None:
            continue
        functions = [function for function, name in needed if name == one.name and function]
        functions += ["gross", "tare"] if "net" in functions else []
        channels = [facts for facts in task.channels if facts.channel == one.channel]
        channels.sort(key=lambda facts: facts.role != "measurand")
        if not channels:
            return []
        stable_only = one.stable_only or bool(SELECTING & set(functions))
        facts = channels[0]
        series.append(SeriesProgress(one.name, facts.instrument, facts.channel, functions, stable_only))
    return series


def next_replicate(task: TaskState, registry: Registry, at_run_ns: int) -> int:
    """Close the replicate under way and begin the next one. Returns its number."""
    number = 1
    for calculation in task.calculations:
        number = max(number, calculation.replicate)
        if calculation.to_run_ns is None:
            calculation.to_run_ns = at_run_ns
    if number < REPLICATES_MAX:
        prepare(task, registry, at_run_ns, number + 1)
    return number + 1


def used_by(calculation: Calculation) -> list[UsedReading]:
    """List the single readings that a calculation rests on."""
    return [reading for series in calculation.series for reading in used_readings(series)]


def selects(series: SeriesProgress) -> bool:
    """Tell whether a series rests on readings that it picks; otherwise on its whole window."""
    return set(series.functions) <= SELECTING


def compared_with_reference(spec: ResultSpec) -> bool:
    """Tell whether a result is a comparison with a certified value."""
    formula = formula_of(spec)
    return formula is not None and any(one.certified is not None for one in formula.inputs)


def spread_pct(values: Sequence[float]) -> float | None:
    """Give RPD of two values, RSD (n - 1) of more, in per cent of their mean; None where that is 0."""
    numbers = [exact(value) for value in values]
    n = len(numbers)
    mean = sum(numbers, Fraction(0)) / n
    if n < 2 or mean == 0:
        return None
    if n == 2:
        return nearest(100 * abs(numbers[0] - numbers[1]) / abs(mean))
    squares = sum(((number - mean) ** 2 for number in numbers), Fraction(0))
    return nearest(100 * square_root(squares / (n - 1)) / abs(mean))


def compute_results(task: TaskState, registry: Registry) -> tuple[list[Result], list[Refusal]]:
    """Compute the results that the method promises for the task's purpose, replicates taken together."""
    found = registry.at(Method, task.start.method, task.start.at_utc_ns)
    results: list[Result] = []
    refusals: list[Refusal] = []
    if found is None or task.phase == "aborted":
        return results, refusals
    for position, spec in enumerate(found[0].results):
        formula = formula_of(spec)
        if formula is None or not any(known.spec == position for known in task.calculations):
            continue
        try:
            parts = whole_calculations(task, position)
            results.append(_result(task, registry, spec, formula, parts))
        except MissingError as error:
            refusals.append(Refusal(spec.quantity, str(error), missing=True))
        except (FormulaError, UnitError, MixedReadingsError) as error:
            refusals.append(Refusal(spec.quantity, str(error), missing=False))
    return results, refusals


def _result(
    task: TaskState, registry: Registry, spec: ResultSpec, formula: Formula, parts: Sequence[Calculation]
) -> Result:
    computed = [compute(formula, spec, _inputs(task, registry, part)) for part in parts]
    whole = computed[0] if len(computed) == 1 else _together(computed)
    facts: dict[str, Any] = {}
    k = _coverage(spec, whole, facts)
    expanded = None if whole.u is None or k is None else nearest(exact(k) * exact(whole.u))
    first = parts[0].series[0]
    decimals = first.decimals if spec.decimals is None else spec.decimals
    facts |= {"instrument": first.instrument, "channel": first.channel, "rounding": spec.rounding}
    facts |= whole.facts | _picked(parts)
    conformity = None
    try:
        conformity = state_conformity(whole.value, expanded, spec.decision)
    except DecisionError as error:
        facts["undecided"] = str(error)
    return Result(
        task=task.id, quantity=spec.quantity, value=whole.value, unit=whole.unit, decimals=decimals,
        uncertainty=expanded, k=None if expanded is None else k,
        conformity=conformity,
        seqs=_seqs(parts), algorithm=spec.algorithm, version=formula.version, facts=facts,
    )  # fmt: skip


def _coverage(spec: ResultSpec, whole: Computed, facts: dict[str, Any]) -> float | None:
    """Give k; None where u has too few degrees of freedom for any."""
    if spec.coverage == "factor" or whole.u is None:
        return spec.coverage_factor
    facts["degrees_of_freedom"] = whole.degrees if whole.degrees < math.inf else None
    return None if whole.degrees < 1.0 else coverage_factor(whole.degrees)


def _inputs(task: TaskState, registry: Registry, calculation: Calculation) -> Inputs:
    sources = {series.target: _source(task, registry, series) for series in calculation.series}
    certified: list[Any] = []
    for binding in task.bound("reference"):
        found = registry.at(Material, binding.target, task.start.at_utc_ns)
        certified += () if found is None else found[0].certified
    return Inputs(calculation.series, sources, certified)


def _source(task: TaskState, registry: Registry, series: SeriesProgress) -> Source:
    found = registry.equipment_of(series.instrument, task.start.at_utc_ns)
    metrology = None if found is None else found[1].metrology
    carried = (correction_applied(registry, one.applied) for one in series.corrections if one.applied)
    corrections = tuple(one for one in carried if one is not None)
    for one in () if metrology is None else metrology.channels:
        if one.channel == series.channel:
            return Source(one.uncertainty, one.k, one.unit, corrections)
    return Source(corrections=corrections)


def _together(computed: Sequence[Computed]) -> Computed:
    """Take the mean of replicates: u² is the mean u² of one, which they share, plus s²/n (GUM 4.2.3)."""
    values = [exact(one.value) for one in computed]
    n = len(values)
    mean = sum(values, Fraction(0)) / n
    scatter = sum(((value - mean) ** 2 for value in values), Fraction(0)) / (n - 1) / n
    us = [one.u for one in computed]
    known = [exact(u) ** 2 for u in us if u is not None]
    last = computed[-1]
    facts = {**last.facts, "replicates": [one.value for one in computed], "u_of_each": us}
    if len(known) != n:
        return type(last)(nearest(mean), last.unit, None, facts=facts)
    shared = sum(known, Fraction(0)) / n
    u = nearest(square_root(shared + scatter))
    parts = (
        (nearest(square_root(shared)), min(one.degrees for one in computed)),
        (nearest(square_root(scatter)), float(n - 1)),
    )
    return type(last)(nearest(mean), last.unit, u, effective_degrees(u, parts), facts)


def _picked(parts: Sequence[Calculation]) -> dict[str, Any]:
    """Say which readings were picked, so that a person finds them."""
    last = parts[-1].series
    picked: dict[str, Any] = {}
    for series in last:
        if SELECTING & set(series.functions):
            picked["stability"] = "instrument" if series.stability_told else "not-told"
        if {"net", "tare"} & set(series.functions):
            picked["tare_basis"] = "empty-pan" if "tare" in series.readings else "none"
        carried = [one.applied for one in series.corrections if one.applied]
        if carried:
            picked.setdefault("corrections", {})[series.target] = ", ".join(carried)
        lacked = [one.why for one in series.corrections if one.why]
        if lacked:
            picked.setdefault("uncorrected", {})[series.target] = ", ".join(lacked)
    every = [series for part in parts for series in part.series]
    count = sum(series.moments.count or len(used_readings(series)) for series in every)
    return {**picked, "readings": count}


def _seqs(parts: Sequence[Calculation]) -> tuple[int, ...]:
    """Give the records of the readings picked; of a whole window, its first and last one."""
    seqs = {reading.seq for part in parts for reading in used_by(part)}
    for part in parts:
        for series in part.series:
            if series.moments.count:
                seqs |= {series.seq_first, series.seq_last}
    return tuple(sorted(seqs))
