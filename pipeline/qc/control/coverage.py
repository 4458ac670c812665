"""Effective degrees of freedom, and the coverage factor that goes with them (JCGM 100:2008, annex G)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

COVERAGE_T: tuple[tuple[int, float], ...] = (
    (1, 13.97), (2, 4.53), (3, 3.31), (4, 2.87), (5, 2.65), (6, 2.52), (7, 2.43), (8, 2.37), (9, 2.32),
    (10, 2.28), (11, 2.25), (12, 2.23), (13, 2.21), (14, 2.20), (15, 2.18), (16, 2.17), (17, 2.16),
    (18, 2.15), (19, 2.14), (20, 2.13), (25, 2.11), (30, 2.09), (35, 2.07), (40, 2.06), (45, 2.06),
    (50, 2.05), (100, 2.025),
)  # fmt: skip
"""Degrees of freedom to t of p = 95.45 %, as NIST TN 1297, table B.1 prints it (the GUM's table G.2)."""
COVERAGE_NORMAL = 2.0


def effective_degrees(u: float, contributions: Iterable[tuple[float, float]]) -> float:
    """Give ν_eff = u⁴ / Σ u_i⁴/ν_i (Welch-Satterthwaite, JCGM 100:2008, G.4.1), for independent inputs.

    Args:
        u: combined standard uncertainty.
        contributions: |c_i| u(x_i), with the degrees of freedom of u(x_i); inf where they do not count.

    Returns:
        ν_eff, inf where no contribution with finite degrees of freedom counts.
    """
    # Ratios first: the fourth power of a small uncertainty is no number any more.
    parts = [(own / u) ** 4 / degrees for own, degrees in contributions if u > 0 and degrees < math.inf]
    total = math.fsum(parts)
    return 1.0 / total if total > 0 else math.inf


def coverage_factor(degrees: float) -> float:
    """Give k for about 95 %: t of ν_eff, truncated to the next lower entry of the table (G.6.4).

    Raises:
        ValueError: fewer than 1 degree of freedom: no factor covers anything.
    """
    if not degrees >= 1.0:
        raise ValueError(f"{degrees} effective degrees of freedom give no coverage factor")
    if degrees == math.inf:
        return COVERAGE_NORMAL
    return next(t for known, t in reversed(COVERAGE_T) if known <= degrees)
