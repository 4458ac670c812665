"""Control charts as objects: frozen, versioned, in force only once a named person has approved them.

A chart stands for one quantity in one control material at one level. What may change in its life - lot,
centre line, SD, training period - makes a new version, which is `proposed` until somebody approves it. A
version never changes: approving gives a new object. Persons are opaque ids.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from pipeline.qc.control.estimate import EstimatorName, estimate
from pipeline.qc.control.limits import ShewhartLines, ewma_half_width, shewhart_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Basis: TypeAlias = EstimatorName | Literal["assigned"]
"""Where centre line and SD come from: an estimator over a training period, or a person (certificate)."""
_BASES = frozenset({"classical", "algorithm-a", "moving-range", "assigned"})


class ChartError(ValueError):
    """A chart cannot be made, approved or read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ChartId:
    """What a chart is about; the same through all its versions."""

    quantity: str
    """What is measured, by which method: as the lab names it."""
    material: str
    level: str
    """Level of the control material, such as "low" or "2"."""


@dataclass(frozen=True, slots=True)
class Certified:
    """What the certificate of the control material says of its value."""

    value: float
    uncertainty: float
    """Expanded uncertainty U, unit of the value."""
    k: float
    expires_utc_ns: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and 0 <= self.uncertainty < math.inf and 0 < self.k < math.inf):
            raise ChartError("a certified value needs a finite value, U of 0 or more and k above 0")


@dataclass(frozen=True, slots=True)
class Training:
    """The period that centre line and SD were estimated from."""

    from_utc_ns: int
    to_utc_ns: int
    n: int
    """Valid observations."""
    missing: int
    """Observations without a value."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Who put a version into force, and when."""

    person: str
    at_utc_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One version of a Levey-Jennings chart."""

    id: ChartId
    version: int
    """1 for the first, one more for each that follows."""
    lot: str
    unit: str
    centre: float
    sd: float
    basis: Basis
    training: Training | None
    """None where the values were assigned."""
    certified: Certified | None
    proposed_by: str
    reason: str
    """Why this version was made."""
    approval: Approval | None = None

    def __post_init__(self) -> None:
        try:
            shewhart_lines(self.centre, self.sd)
        except ValueError as error:
            raise ChartError(str(error)) from error
        named = (self.id.quantity, self.id.material, self.id.level, self.lot, self.proposed_by, self.reason)
        if not all(text.strip() for text in named):
            raise ChartError("a chart names its quantity, material, level, lot, proposer and reason")
        if self.basis not in _BASES:
            raise ChartError(f"no basis '{self.basis}': take one of {', '.join(sorted(_BASES))}")
        if self.version < 1 or (self.training is None) != (self.basis == "assigned"):
            raise ChartError("versions count from 1, and an estimate has a training period")

    @property
    def status(self) -> Literal["proposed", "approved"]:
        """Whether the version may judge observations."""
        return "proposed" if self.approval is None else "approved"

    def lines(self) -> ShewhartLines:
        """Return the Shewhart lines at 1, 2 and 3 SD."""
        return shewhart_lines(self.centre, self.sd)

    def ewma_limits(self, weight: float, width: float, t: int | None = None) -> tuple[float, float]:
        """Return lower and upper limit of an EWMA after `t` values, or after many (None)."""
        half = ewma_half_width(self.sd, weight, width, t)
        return self.centre - half, self.centre + half

    def cusum_limits(self, k: float, h: float) -> tuple[float, float]:
        """Return K and H of a CUSUM in the unit of the values, from k and h in SD."""
        return k * self.sd, h * self.sd

    def approve(self, person: str, at_utc_ns: int, reason: str) -> Chart:
        """Return this version approved.

        Raises:
            ChartError: it is approved already, or person or reason is empty.
        """
        if self.approval is not None:
            raise ChartError(f"version {self.version} was approved by {self.approval.person} already")
        if not person.strip() or not reason.strip():
            raise ChartError("an approval names a person and a reason")
        return replace(self, approval=Approval(person, at_utc_ns, reason))


def propose(  # noqa: PLR0913 - a version is made of this much
    about: ChartId, lot: str, unit: str, values: Sequence[float], estimator: EstimatorName, *,
    period_utc_ns: tuple[int, int], proposed_by: str, reason: str, previous: Chart | None = None,
    certified: Certified | None = None, n_min: int = 20,
) -> Chart:  # fmt: skip
    """Propose a version from a training period.

    Args:
        about: what the chart is about.
        lot: lot of the control material.
        unit: unit of the values.
        values: observations of the period in time order; NaN is missing.
        estimator: "classical", "algorithm-a" or "moving-range".
        period_utc_ns: first and last instant of the period.
        proposed_by: opaque id of the person, or name of the service.
        reason: why.
        previous: the version that this one is to follow.
        certified: what the certificate says.
        n_min: valid observations that are asked for.

    Raises:
        EstimateRefused: the values give no chart.
        ChartError: the chart does not follow `previous`, or a name is empty.
    """
    from_utc_ns, to_utc_ns = period_utc_ns
    if from_utc_ns > to_utc_ns:
        raise ChartError("the training period ends before it begins")
    found = estimate(values, estimator, n_min=n_min)
    training = Training(from_utc_ns, to_utc_ns, found.n, found.missing)
    return Chart(
        about, _follows(about, previous), lot, unit, found.centre, found.sd, estimator, training, certified,
        proposed_by, reason,
    )  # fmt: skip


def assign(
    about: ChartId, lot: str, unit: str, centre: float, sd: float, *, proposed_by: str, reason: str,
    previous: Chart | None = None, certified: Certified | None = None,
) -> Chart:  # fmt: skip
    """Propose a version whose centre line and SD a person gives; arguments and errors as of `propose`."""
    version = _follows(about, previous)
    return Chart(
        about, version, lot, unit, centre, sd, "assigned", None, certified, proposed_by, reason
    )  # fmt: skip


def _follows(about: ChartId, previous: Chart | None) -> int:
    if previous is None:
        return 1
    if previous.id != about:
        raise ChartError(f"a chart of {about} does not follow one of {previous.id}: leave 'previous' out")
    return previous.version + 1


def in_force(versions: Iterable[Chart], lot: str, at_utc_ns: int) -> Chart | None:
    """Return the version that judges an observation of a lot: the newest that was approved by then.

    None means that nothing may be judged yet: no version of that lot was approved.
    """
    approved = [
        chart
        for chart in versions
        if chart.lot == lot and chart.approval is not None and chart.approval.at_utc_ns <= at_utc_ns
    ]
    return max(approved, key=lambda chart: chart.version, default=None)
