"""What a quality control is judged by: one literal table of kinds, one of figures.

The formulas and their sources are in `pipeline.qc.control.scores`; here they get their inputs and limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline.qc.control import scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.elements.vocabulary import ControlStatus, QcKind, Score


class Usual(NamedTuple):
    """How a kind of control is judged where the plan says nothing else."""

    score: Score
    low: float | None
    high: float | None
    """None: there is no usual limit, the plan must state one."""
    paired: bool
    """Compared with another task's result."""
    revealed: bool = False
    """Compared with a value that becomes known afterwards."""


KINDS: dict[QcKind, Usual] = {
    "blank": Usual("limit", None, None, paired=False),
    "duplicate": Usual("difference", None, None, paired=True),
    "matrix-spike": Usual("recovery", 80.0, 120.0, paired=True),
    "qc-sample": Usual("chart", None, None, paired=False),
    "blind-sample": Usual("e-n", None, 1.0, paired=False, revealed=True),
    "retained-sample": Usual("difference", None, None, paired=True),
    "person-comparison": Usual("e-n", None, 1.0, paired=True),
    "instrument-comparison": Usual("e-n", None, 1.0, paired=True),
    "proficiency": Usual("z", None, None, paired=False, revealed=True),
}
"""The literal table of kinds of quality control."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a figure is made of; None: not known."""

    value: float
    uncertainty: float | None
    k: float | None
    reference: float | None
    """The other result, or the assigned or certified value."""
    reference_uncertainty: float | None
    reference_k: float | None
    added: float | None
    sigma: float | None
    low: float | None
    high: float | None


class Figure(NamedTuple):
    """A figure with its judgement."""

    name: str
    value: float | None
    status: ControlStatus
    why: str = ""


def _judged(name: str, value: float, passes: bool | None) -> Figure:  # noqa: FBT001 - a verdict
    if passes is None or math.isnan(value):
        return Figure(name, None, "not-evaluated", "no-figure")
    return Figure(name, value, "pass" if passes else "fail")


def _missing(name: str, why: str) -> Figure:
    return Figure(name, None, "not-evaluated", why)


def _limit(x: Inputs) -> Figure:
    """Judge a blank: strictly below its upper limit, at or above a lower one."""
    if x.high is None:
        return _missing("value", "no-limit")
    low_passes = x.low is None or x.value >= x.low
    return _judged("value", x.value, scores.blank_passes(x.value, x.high) and low_passes)


def _difference(x: Inputs) -> Figure:
    name = "difference-percent"
    if x.reference is None:
        return _missing(name, "no-counterpart")
    if x.high is None:
        return _missing(name, "no-limit")
    figure = scores.duplicate_difference_percent(x.value, x.reference)
    return _judged(name, figure, scores.within(figure, None, x.high))


def _recovery(x: Inputs) -> Figure:
    """Recovery of a spike; of a material with an assigned value, the share of it that was found."""
    name = "recovery-percent"
    if x.reference is None:
        return _missing(name, "no-counterpart")
    if x.low is None and x.high is None:
        return _missing(name, "no-limit")
    if x.added is None:
        figure = scores.recovery_percent(x.value, 0.0, abs(x.reference))
    else:
        figure = scores.recovery_percent(x.value, x.reference, x.added)
    return _judged(name, figure, scores.within(figure, x.low, x.high))


def _twofold(uncertainty: float, k: float) -> float:
    """Expanded uncertainty with k = 2, as E_n asks for (ISO 13528:2015, 9.7)."""
    return uncertainty if k == 2.0 else uncertainty / k * 2.0


def _e_n(x: Inputs) -> Figure:
    if x.reference is None:
        return _missing("e-n", "no-reference")
    if x.uncertainty is None or not x.k or x.reference_uncertainty is None or not x.reference_k:
        return _missing("e-n", "no-uncertainty")
    own, other = _twofold(x.uncertainty, x.k), _twofold(x.reference_uncertainty, x.reference_k)
    figure = scores.e_n(x.value, own, x.reference, other)
    return _judged("e-n", figure, scores.e_n_passes(figure))


def _graded(name: str, figure: float) -> Figure:
    grade = scores.grade_z(figure)
    if grade is None:
        return _missing(name, "no-figure")
    statuses: dict[str, ControlStatus] = {
        "satisfactory": "pass", "questionable": "warn", "unsatisfactory": "fail",
    }  # fmt: skip
    return Figure(name, figure, statuses[grade])


def _z(x: Inputs) -> Figure:
    if x.reference is None:
        return _missing("z", "no-reference")
    if x.sigma is None:
        return _missing("z", "no-sigma")
    return _graded("z", scores.z_score(x.value, x.reference, x.sigma))


def _z_prime(x: Inputs) -> Figure:
    if x.reference is None:
        return _missing("z-prime", "no-reference")
    if x.sigma is None:
        return _missing("z-prime", "no-sigma")
    if x.reference_uncertainty is None or not x.reference_k:
        return _missing("z-prime", "no-uncertainty")
    standard = x.reference_uncertainty / x.reference_k
    return _graded("z-prime", scores.z_prime(x.value, x.reference, x.sigma, standard))


FIGURES: dict[Score, Callable[[Inputs], Figure]] = {
    "limit": _limit,
    "difference": _difference,
    "recovery": _recovery,
    "chart": _e_n,  # of a QC sample for which no chart is in force: its certificate
    "e-n": _e_n,
    "z": _z,
    "z-prime": _z_prime,
}
"""The literal table of figures."""
