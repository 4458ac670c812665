"""Naive twins of the control rules: whole histories, plain loops, no state. Made from the definitions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import pairwise

SCOPES = ("within-run", "within-material", "across-materials")
BITS = {
    "missing": 0, "1-2s": 1, "1-3s": 2, "2-2s": 3, "2of3-2s": 4, "R-4s": 5, "3-1s": 6, "4-1s": 7, "6x": 8,
    "8x": 9, "9x": 10, "10x": 11, "12x": 12, "7T": 13, "nelson-1": 14, "nelson-2": 15, "nelson-3": 16,
    "nelson-4": 17, "nelson-5": 18, "nelson-6": 19, "nelson-7": 20, "nelson-8": 21, "western-electric-1": 22,
    "western-electric-2": 23, "western-electric-3": 24, "western-electric-4": 25,
}  # fmt: skip
_POINTS = [0, 1, 1, 2, 3, 2, 3, 4, 6, 8, 9, 10, 12, 7, 1, 9, 6, 14, 3, 5, 15, 8, 1, 3, 5, 8]
POINTS = dict(zip(BITS, _POINTS, strict=True))
_WIDE = Context(prec=1200)
"""Wide enough to hold any double next to any other without rounding."""


@dataclass(frozen=True)
class Point:
    """A valid observation with its chart's centre and SD."""

    x: float
    chart: int
    centre: float
    sd: float

    def line(self, k: int) -> float:
        step = _WIDE.multiply(Decimal(k), Decimal(repr(self.sd)))
        return float(_WIDE.add(Decimal(repr(self.centre)), step))

    def beyond(self, k: int) -> int:
        """+1 above the upper line at k SD, -1 below the lower one, else 0."""
        return (self.x > self.line(k)) - (self.x < self.line(-k))

    def inside(self, k: int) -> bool:
        return self.line(-k) < self.x < self.line(k)

    @property
    def z(self) -> float:
        return (self.x - self.centre) / self.sd

    @property
    def doubt(self) -> float:
        if math.isinf(self.z):
            return 0.0
        return 2.0**-52 * ((abs(self.x) + abs(self.centre)) / self.sd + 2.0 * abs(self.z))


def _step(a: Point, b: Point) -> int:
    if a.chart == b.chart:
        return (b.x > a.x) - (b.x < a.x)
    doubt = a.doubt + b.doubt
    return (b.z - a.z > doubt) - (a.z - b.z > doubt)


def _all_beyond(history: Sequence[Point], count: int, k: int) -> bool:
    sides = {point.beyond(k) for point in history[-count:]}
    return len(history) >= count and sides in ({1}, {-1})


def _some_beyond(history: Sequence[Point], some: int, of: int, k: int) -> bool:
    side = history[-1].beyond(k)
    return side != 0 and sum(point.beyond(k) == side for point in history[-of:]) >= some


def _trend(history: Sequence[Point], count: int) -> bool:
    window = history[-count:]
    steps = {_step(a, b) for a, b in pairwise(window)}
    return len(window) == count and steps in ({1}, {-1})


def _alternates(history: Sequence[Point]) -> bool:
    window = history[-14:]
    steps = [_step(a, b) for a, b in pairwise(window)]
    return len(window) == 14 and all(a * b == -1 for a, b in pairwise(steps))


def _both_sides_outside(history: Sequence[Point]) -> bool:
    window = [point.beyond(1) for point in history[-8:]]
    return len(window) == 8 and set(window) == {1, -1}


def _far_apart(history: Sequence[Point], reading: str) -> bool:
    new, earlier = history[-1], history[:-1]
    if reading == "opposite":
        return any(new.beyond(2) * old.beyond(2) == -1 for old in earlier)
    high = max(earlier, key=lambda point: point.z, default=None)
    low = min(earlier, key=lambda point: point.z, default=None)
    return (low is not None and new.z - low.z - 4.0 > new.doubt + low.doubt) or (
        high is not None and high.z - new.z - 4.0 > new.doubt + high.doubt
    )


def fired(history: Sequence[Point], scope: str, reading: str) -> set[str]:
    """Name the rules that the last point of a history completes."""
    last = history[-1]
    two, four = _some_beyond(history, 2, 3, 2), _some_beyond(history, 4, 5, 1)
    single = scope == "within-material"
    found = {
        "1-2s": single and last.beyond(2) != 0,
        "1-3s": single and last.beyond(3) != 0,
        "nelson-1": single and last.beyond(3) != 0,
        "western-electric-1": single and last.beyond(3) != 0,
        "2-2s": _all_beyond(history, 2, 2),
        "2of3-2s": two,
        "nelson-5": two,
        "western-electric-2": two,
        "R-4s": scope == "within-run" and _far_apart(history, reading),
        "3-1s": _all_beyond(history, 3, 1),
        "4-1s": _all_beyond(history, 4, 1),
        **{f"{count}x": _all_beyond(history, count, 0) for count in (6, 8, 9, 10, 12)},
        "nelson-2": _all_beyond(history, 9, 0),
        "western-electric-4": _all_beyond(history, 8, 0),
        "nelson-6": four,
        "western-electric-3": four,
        "7T": _trend(history, 7),
        "nelson-3": _trend(history, 6),
        "nelson-4": _alternates(history),
        "nelson-7": len(history) >= 15 and all(point.inside(1) for point in history[-15:]),
        "nelson-8": _both_sides_outside(history),
    }
    return {name for name, is_so in found.items() if is_so}


@dataclass(frozen=True)
class Series:
    """Observations in order; `charts` gives centre and SD by position."""

    x: list[float]
    chart: list[int]
    run: list[int]
    charts: list[tuple[float, float]]

    def point(self, k: int) -> Point:
        return Point(self.x[k], self.chart[k], *self.charts[self.chart[k]])

    def history(self, k: int, scope: str) -> list[Point]:
        """All valid observations up to k that a scope takes for consecutive."""
        first = k
        while scope == "within-run" and first > 0 and self.run[first - 1] == self.run[k]:
            first -= 1
        first = first if scope == "within-run" else 0
        same = {self.chart[k]} if scope == "within-material" else set(self.chart)
        return [
            self.point(j) for j in range(first, k + 1) if self.chart[j] in same and not math.isnan(self.x[j])
        ]


def judge(
    series: Series, enabled: dict[str, set[str]], warn: set[str], reject: set[str], required: set[str],
    reading: str,
) -> list[tuple[int, list[set[str]], list[set[str]], int]]:  # fmt: skip
    """Give flag, rules fired and rules not evaluated by scope, and missing observations before, of each."""
    judged = []
    for k, x in enumerate(series.x):
        before = _missing_before(series, k)
        if math.isnan(x):
            judged.append((9, [set(), {"missing"}, set()], [enabled[scope] for scope in SCOPES], before))
            continue
        hits, short = [], []
        for scope in SCOPES:
            history = series.history(k, scope)
            hits.append(fired(history, scope, reading) & enabled[scope])
            short.append({name for name in enabled[scope] - hits[-1] if POINTS[name] > len(history)})
        evaluated = set().union(*(enabled[scope] - lack for scope, lack in zip(SCOPES, short, strict=True)))
        flag = 4 if set().union(*hits) & reject else 3 if set().union(*hits) & warn else 1
        if flag == 1 and (not evaluated or required - evaluated):
            flag = 2
        judged.append((flag, hits, short, before))
    return judged


def _missing_before(series: Series, k: int) -> int:
    count = 0
    for j in range(k - 1, -1, -1):
        if series.chart[j] == series.chart[k]:
            if not math.isnan(series.x[j]):
                break
            count += 1
    return count


def mask(names: set[str]) -> int:
    return sum(1 << BITS[name] for name in names)
