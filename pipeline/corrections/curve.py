"""Curves of several channels at once: arrays of readings in, arrays of corrected values out.

Every step is one rounding of float64 in a fixed order: a sum, a product or a comparison of NumPy, never a
fused or library interpolation, so that another machine computes the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.corrections.shapes import Correction

    Matrix = NDArray[np.float64]


class Curve:
    """Corrections of the same family for c channels.

    Args:
        corrections: all tables, or none of them one; each without a `problem`.
    """

    def __init__(self, corrections: Sequence[Correction]) -> None:
        self._low = np.array([[one.low] for one in corrections])
        self._high = np.array([[one.high] for one in corrections])
        tables = corrections[0].kind == "table"
        self._family = _Segments(corrections) if tables else _Polynomials(corrections)

    def corrected(self, readings: Matrix) -> Matrix:
        """Give corrected values.

        Args:
            readings: float64[c, n], NaN where there is none.

        Returns:
            float64[c, n]: NaN where there is no reading, one outside the range, or a value that is too large.
        """
        inside = (readings >= self._low) & (readings <= self._high)
        x = np.where(inside, readings, np.nan)
        with np.errstate(over="ignore", invalid="ignore"):  # a polynomial may leave the numbers: no value
            value = self._family.corrected(x)
        return np.where(inside & np.isfinite(value), value, np.nan)


class _Polynomials:
    """Offsets, straight lines and polynomials: a0 + a1 x + a2 x² + ..., by Horner's rule."""

    def __init__(self, corrections: Sequence[Correction]) -> None:
        listed = [
            one.coefficients if one.kind == "polynomial" else (one.offset, one.gain) for one in corrections
        ]
        # float64[powers, c, 1]: one of lower degree has zeros above, which change no bit of its values.
        self._coefficients = np.zeros((max(map(len, listed)), len(listed), 1))
        for column, coefficients in enumerate(listed):
            self._coefficients[: len(coefficients), column, 0] = coefficients
        self._coefficients += 0.0  # no negative zero

    def corrected(self, x: Matrix) -> Matrix:
        value = np.broadcast_to(self._coefficients[-1], x.shape)
        for coefficient in self._coefficients[-2::-1]:
            value = np.add(np.multiply(value, x), coefficient)
        return np.asarray(value)


class _Segments:
    """Tables: the correction runs straight from each point to the next, and is exact at the points."""

    def __init__(self, tables: Sequence[Correction]) -> None:
        count = max(len(one.points) for one in tables)
        self._from = np.full((len(tables), count), np.inf)
        self._correction = np.zeros((len(tables), count))
        self._slope = np.zeros((len(tables), count))
        for row, one in enumerate(tables):
            x = np.array([point.reading for point in one.points])
            y = np.array([point.correction for point in one.points])
            self._from[row, : len(x)], self._correction[row, : len(x)] = x, y
            self._slope[row, : len(x) - 1] = np.divide(np.diff(y), np.diff(x))
        self._rows = np.arange(len(tables))[:, np.newaxis]

    def corrected(self, x: Matrix) -> Matrix:
        at = np.zeros(x.shape, dtype=np.intp)
        for column in range(1, self._from.shape[1]):
            at += x >= self._from[:, column : column + 1]
        beyond = np.subtract(x, self._from[self._rows, at])
        step = np.multiply(beyond, self._slope[self._rows, at])
        return np.asarray(np.add(x, np.add(self._correction[self._rows, at], step)))


def expanded_over(correction: Correction, low: float, high: float) -> float | None:
    """Give the largest U that the certificate states for readings of a span; None where it states none.

    Between two points the larger U of the two counts.

    Args:
        correction: the correction.
        low: least reading.
        high: greatest reading.
    """
    readings = [point.reading for point in correction.points]
    if not readings:
        return correction.uncertainty
    first = max((at for at, reading in enumerate(readings) if reading <= low), default=0)
    last = min((at for at, reading in enumerate(readings) if reading >= high), default=len(readings) - 1)
    found = list[float]()
    for point in correction.points[first : last + 1]:
        stated = correction.uncertainty if point.uncertainty is None else point.uncertainty
        if stated is None:
            return None
        found.append(stated)
    return max(found)
