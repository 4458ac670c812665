"""Numbers as they stand on paper: what is written 0.3 is three tenths, not the double beside it."""

from __future__ import annotations

import math
from fractions import Fraction


def exact(value: float) -> Fraction:
    """Take a finite number as the shortest decimal that reads back as it."""
    return Fraction(repr(float(value)))


def nearest(value: Fraction) -> float:
    """Return the double nearest to an exact number, infinite where none is large enough."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
