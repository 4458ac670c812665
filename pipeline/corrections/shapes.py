"""What a calibration certificate states of one channel of an instrument, as data of a `registry` record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

CorrectionKind = Literal["offset", "linear", "polynomial", "table"]
Uncorrected = Literal["unknown", "other", "withdrawn", "unit", "not-numeric"]
"""Why a registered correction gave no corrected values. Words of the record format: append, never rename."""
UNCORRECTED: tuple[Uncorrected, ...] = get_args(Uncorrected)

POINTS_MAX = 64
COEFFICIENTS_MAX = 10


@dataclass(frozen=True, slots=True)
class CorrectionPoint:
    """A calibration point: the correction to add to a reading."""

    reading: float
    correction: float
    """Reference value minus reading."""
    uncertainty: float | None = None
    """Expanded uncertainty U of the correction at this point."""


@dataclass(frozen=True, slots=True)
class Correction:
    """How readings of one channel become corrected values; all figures in `unit`."""

    equipment: str
    """Id of the asset."""
    channel: str
    certificate: str
    """Number of the certificate that states it."""
    kind: CorrectionKind
    low: float
    """Lower end of the range of readings over which it holds; likewise `high`. Both are included."""
    high: float
    unit: str = ""
    offset: float = 0.0
    """offset: x + offset; linear: gain x + offset."""
    gain: float = 1.0
    coefficients: tuple[float, ...] = ()
    """polynomial: the corrected value a0 + a1 x + a2 x² + ..."""
    points: tuple[CorrectionPoint, ...] = ()
    """table: between two points the correction is interpolated on a straight line."""
    uncertainty: float | None = None
    """Expanded uncertainty U over the whole range; a point's own takes its place."""
    k: float = 2.0
    """Coverage factor of every U."""
    degrees_of_freedom: float | None = None
    """Of U; None: not stated, so many that they do not count."""

    def problem(self) -> str | None:
        """Say what makes this no usable correction; None when nothing does."""
        if not all(math.isfinite(number) for number in self._numbers()):
            return "a figure is not a finite number"
        wrong = self._wrong_table() if self.kind == "table" else None
        if wrong is None and not self.low < self.high:
            wrong = f"low {self.low} is not below high {self.high}"
        return wrong or self._misplaced()

    def _numbers(self) -> tuple[float, ...]:
        given = self.low, self.high, self.offset, self.gain, self.k, *self.coefficients
        return given + tuple(number for point in self.points for number in (point.reading, point.correction))

    def _wrong_table(self) -> str | None:
        points = [point.reading for point in self.points]
        if not 2 <= len(points) <= POINTS_MAX:
            return f"a table has 2 to {POINTS_MAX} points, not {len(points)}"
        if any(after <= before for before, after in pairwise(points)):
            return "the points of a table are in rising order of the reading, each once"
        if self.low < points[0] or self.high > points[-1]:
            return f"the range {self.low} to {self.high} goes beyond the points: nothing is extrapolated"
        return None

    def _misplaced(self) -> str | None:
        """Find a figure that a correction of this kind has no use for, or a missing one."""
        given = {
            "points": bool(self.points), "coefficients": bool(self.coefficients),
            "offset": self.offset != 0.0, "gain": self.gain != 1.0,
        }  # fmt: skip
        unused = [name for name, there in given.items() if there and name not in _USES[self.kind]]
        if unused:
            return f"a correction of kind '{self.kind}' has no {unused[0]}"
        if self.kind == "polynomial" and not 0 < len(self.coefficients) <= COEFFICIENTS_MAX:
            return f"a polynomial has 1 to {COEFFICIENTS_MAX} coefficients"
        return None


_USES: dict[CorrectionKind, frozenset[str]] = {
    "offset": frozenset({"offset"}),
    "linear": frozenset({"offset", "gain"}),
    "polynomial": frozenset({"coefficients"}),
    "table": frozenset({"points"}),
}
