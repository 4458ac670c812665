"""Figures of single quality controls: E_n, z, z', recovery, duplicates, blanks.

A figure that cannot be had - an input is missing (NaN) or infinite, a divisor is 0 where the dividend is
too - is NaN, and its judgement is None: not evaluated, never passed. A negative uncertainty is an error.
Numbers are taken as the decimals that they were written as, so a figure that equals its limit on paper
equals it here.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal, TypeAlias

from pipeline.qc.control.decimals import exact, nearest

Grade: TypeAlias = Literal["satisfactory", "questionable", "unsatisfactory"]


def _finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


def _not_negative(name: str, *values: float) -> None:
    if any(value < 0 for value in values):
        raise ValueError(f"{name} is 0 or more, not {min(values)}: check its sign")


def _ratio(dividend: Fraction, divisor: Fraction) -> float:
    """Divide; x / 0 is infinite with the sign of x, 0 / 0 is NaN."""
    if divisor:
        return nearest(dividend / divisor)
    if dividend:
        return math.inf if dividend > 0 else -math.inf
    return math.nan


def _root_ratio(deviation: Fraction, squares: Fraction) -> float:
    """Return deviation / sqrt(squares): exactly 1 where they are equal."""
    squared = _ratio(deviation * deviation, squares)
    root = squared if math.isnan(squared) else math.sqrt(squared)
    return -root if deviation < 0 else root


def e_n(value: float, uncertainty: float, reference: float, uncertainty_reference: float) -> float:
    """Return E_n = (x - x_ref) / sqrt(U² + U_ref²) with its sign (ISO 13528:2015, 9.7; ISO/IEC 17043).

    With both uncertainties 0 a deviation is infinitely many of them, and agreement is NaN: an E_n without any
    uncertainty says nothing.

    Args:
        value: the laboratory's value.
        uncertainty: its expanded uncertainty U (k = 2), unit of the value.
        reference: the reference value.
        uncertainty_reference: its expanded uncertainty.

    Raises:
        ValueError: an uncertainty is negative.
    """
    _not_negative("an expanded uncertainty", uncertainty, uncertainty_reference)
    if not _finite(value, uncertainty, reference, uncertainty_reference):
        return math.nan
    squares = exact(uncertainty) ** 2 + exact(uncertainty_reference) ** 2
    return _root_ratio(exact(value) - exact(reference), squares)


def e_n_passes(score: float) -> bool | None:
    """Tell whether |E_n| ≤ 1; None for NaN."""
    return None if math.isnan(score) else abs(score) <= 1.0


def z_score(value: float, assigned: float, sigma_pt: float) -> float:
    """Return z = (x - x_pt) / σ_pt (ISO 13528:2015, 9.4).

    Raises:
        ValueError: σ_pt is negative.
    """
    return z_prime(value, assigned, sigma_pt, 0.0)


def z_prime(value: float, assigned: float, sigma_pt: float, u_assigned: float) -> float:
    """Return z' = (x - x_pt) / sqrt(σ_pt² + u²(x_pt)) (ISO 13528:2015, 9.5).

    Args:
        value: the laboratory's value.
        assigned: the assigned value x_pt.
        sigma_pt: standard deviation for proficiency assessment.
        u_assigned: standard uncertainty of the assigned value.

    Raises:
        ValueError: σ_pt or u is negative.
    """
    _not_negative("σ_pt or u(x_pt)", sigma_pt, u_assigned)
    if not _finite(value, assigned, sigma_pt, u_assigned):
        return math.nan
    return _root_ratio(exact(value) - exact(assigned), exact(sigma_pt) ** 2 + exact(u_assigned) ** 2)


def grade_z(score: float) -> Grade | None:
    """Grade z or z': satisfactory to |z| = 2, unsatisfactory from 3 (ISO 13528:2015, 9.4.2); None for NaN."""
    if math.isnan(score):
        return None
    if abs(score) <= 2.0:
        return "satisfactory"
    return "questionable" if abs(score) < 3.0 else "unsatisfactory"


def recovery_percent(spiked: float, unspiked: float, added: float) -> float:
    """Return the matrix-spike recovery 100 (spiked - unspiked) / added, in %.

    IUPAC, Pure Appl. Chem. 71 (1999) 337. NaN where nothing was added: there is nothing to recover.

    Args:
        spiked: value found with the spike.
        unspiked: value found without it, same unit.
        added: what was added, same unit, 0 or more.

    Raises:
        ValueError: `added` is negative.
    """
    _not_negative("the amount that was added", added)
    if not _finite(spiked, unspiked, added) or added == 0:
        return math.nan
    return nearest(100 * (exact(spiked) - exact(unspiked)) / exact(added))


def within(value: float, low: float | None, high: float | None) -> bool | None:
    """Tell whether a figure lies in its band; the limits belong to it, 0 is a limit; None for NaN.

    Raises:
        ValueError: there is no limit, a limit is NaN, or they are the wrong way round.
    """
    limits = [limit for limit in (low, high) if limit is not None]
    if not limits or any(math.isnan(limit) for limit in limits) or limits != sorted(limits):
        raise ValueError(f"a band needs a limit, and the lower one first, not {low} and {high}")
    if math.isnan(value):
        return None
    return (low is None or value >= low) and (high is None or value <= high)


def duplicate_difference_percent(first: float, second: float) -> float:
    """Return the relative difference of duplicates, 100 |a - b| / |(a + b) / 2|, in % (ISO 5725-6, EPA RPD).

    NaN where both are 0; infinite where they differ and their mean is 0.
    """
    if not _finite(first, second):
        return math.nan
    a, b = exact(first), exact(second)
    return _ratio(100 * abs(a - b), abs(a + b) / 2)


def blank_passes(blank: float, limit: float) -> bool | None:
    """Tell whether a blank lies below its limit, strictly; 0 is a limit; None where the blank is missing.

    Raises:
        ValueError: the limit is NaN.
    """
    if math.isnan(limit):
        raise ValueError("the limit of a blank must be a number")
    return None if math.isnan(blank) else blank < limit
