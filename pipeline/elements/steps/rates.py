"""How fast a value changes, taken over a window so that noise of neighbouring readings is no rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.steps.state import POINTS_MAX

if TYPE_CHECKING:
    from pipeline.elements.steps.state import Point

_SECOND_NS = 1_000_000_000
_SPACINGS = 10


def note_rate(points: list[Point], point: Point, window_ns: int) -> float | None:
    """Add a reading and give |Δv|/Δt in unit/s to the latest kept one that is at least the window old.

    Keeps at most `POINTS_MAX` readings, a tenth of the window apart; None while none is old enough.
    """
    old = None
    for candidate in points:
        if point.t_run_ns - candidate.t_run_ns < window_ns:
            break
        old = candidate
    if old is not None:
        del points[: points.index(old)]
    if not points or point.t_run_ns - points[-1].t_run_ns >= window_ns // _SPACINGS:
        points.append(point)
        del points[:-POINTS_MAX]
    if old is None or point.t_run_ns == old.t_run_ns:
        return None
    return abs(point.value - old.value) / ((point.t_run_ns - old.t_run_ns) / _SECOND_NS)
