"""Measurement uncertainty by the law of propagation, and the decision that it leads to.

JCGM 100:2008 (GUM), 5.1 and 5.2; JCGM 106:2012 and ILAC-G8:09/2019 for the guard band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from pipeline.qc.control.decimals import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Decision: TypeAlias = Literal["accept", "reject"]

STEP_RELATIVE = 2.0**-17
"""Step of a central difference relative to an input without uncertainty: the cube root of 2^-52, nearly."""
VARIANCE_TOLERANCE = 1e-12
"""A variance this much below 0, relative to the sum of its terms' sizes, is rounding and means 0."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """An input quantity: estimate and standard uncertainty u, in one unit."""

    name: str
    value: float
    u: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and 0 <= self.u < math.inf):
            raise ValueError(f"'{self.name}' needs a finite value and u of 0 or more: {self.value}, {self.u}")


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one input contributes."""

    name: str
    sensitivity: float
    """c = ∂f/∂x, unit of the result per unit of the input."""
    u: float
    """c u(x) with its sign, unit of the result."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A result with its combined standard uncertainty and where it comes from."""

    value: float
    u: float
    contributions: tuple[Contribution, ...]

    def expanded(self, k: float = 2.0) -> float:
        """Return U = k u.

        Raises:
            ValueError: k is not finite and above 0.
        """
        if not 0 < k < math.inf:
            raise ValueError(f"a coverage factor is above 0, not {k}")
        return k * self.u


def propagate(
    model: Callable[..., float],
    inputs: Sequence[Quantity],
    *,
    sensitivities: Mapping[str, float] | None = None,
    correlations: Mapping[tuple[str, str], float] | None = None,
) -> Budget:
    """Propagate standard uncertainties through a model.

    u² = Σ (c u)² + 2 Σ Σ c_i u_i c_j u_j r_ij. A sensitivity that is not given is a central difference over
    x ± u, as in 5.1.3 note 2; for u = 0, over a small step.

    Args:
        model: f, called with one float for each input in order.
        inputs: the input quantities; names differ.
        sensitivities: c of the inputs for which it is known.
        correlations: r of pairs of inputs, -1 to 1, each pair once in either order; others are 0.

    Raises:
        ValueError: names clash or are unknown, a correlation is out of range or the set of them cannot be,
            or the model gives no finite value near the inputs.
    """
    names = [quantity.name for quantity in inputs]
    given = dict(sensitivities or {})
    if len(set(names)) != len(names) or not set(given) <= set(names):
        raise ValueError(f"give each input a name, and sensitivities by name: {names}, {sorted(given)}")
    values = [quantity.value for quantity in inputs]
    value = _value(model, values)
    contributions = []
    for position, quantity in enumerate(inputs):
        known = given.get(quantity.name)
        c = _sensitivity(model, values, position, quantity.u) if known is None else float(known)
        if not math.isfinite(c):
            raise ValueError(f"the sensitivity to '{quantity.name}' is not finite: {c}")
        contributions.append(Contribution(quantity.name, c, c * quantity.u))
    variance = _variance(contributions, _checked(correlations or {}, names))
    return Budget(value, math.sqrt(variance), tuple(contributions))


def _value(model: Callable[..., float], values: Sequence[float]) -> float:
    try:
        value = float(model(*values))
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"the model has no value at {list(values)}: {error}") from error
    if not math.isfinite(value):
        raise ValueError(f"the model has no finite value at {list(values)}")
    return value


def _sensitivity(model: Callable[..., float], values: Sequence[float], position: int, u: float) -> float:
    x = values[position]
    step = u or STEP_RELATIVE * max(abs(x), 1.0)
    above, below = x + step, x - step
    if above == below:
        raise ValueError(f"u = {u} is lost in the last place of {x}: give the sensitivity")
    sides = [_value(model, [*values[:position], at, *values[position + 1 :]]) for at in (above, below)]
    return (sides[0] - sides[1]) / (above - below)


def _checked(
    correlations: Mapping[tuple[str, str], float], names: Sequence[str]
) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    for (a, b), r in correlations.items():
        if a == b or a not in names or b not in names:
            raise ValueError(f"a correlation is between two inputs, not '{a}' and '{b}'")
        i, j = sorted((names.index(a), names.index(b)))
        if not -1 <= r <= 1 or (i, j) in found:
            raise ValueError(f"r('{a}', '{b}') = {r}: give each pair once, -1 to 1")
        found[i, j] = float(r)
    return found


def _variance(parts: Sequence[Contribution], correlations: Mapping[tuple[int, int], float]) -> float:
    terms = [part.u * part.u for part in parts]
    terms += [2 * parts[i].u * parts[j].u * r for (i, j), r in correlations.items()]
    variance = math.fsum(terms)
    if variance < -VARIANCE_TOLERANCE * math.fsum(abs(term) for term in terms):
        raise ValueError("these correlations cannot hold together: the variance would be negative")
    return max(variance, 0.0)


def decide(
    value: float, *, low: float | None = None, high: float | None = None, guard_band: float = 0.0
) -> Decision | None:
    """Decide with a guard band w: accept up to limit - w (JCGM 106:2012, 8.3.2; ILAC-G8, w = U or r U).

    The acceptance limit itself is accepted, reckoned in decimals; w = 0 is simple acceptance; a negative w
    (guarded rejection) widens. None where the value is missing: nothing is decided.

    Args:
        value: the measured value.
        low: lower tolerance limit.
        high: upper tolerance limit; 0 is a limit.
        guard_band: w, unit of the value.

    Raises:
        ValueError: there is no limit, a number is not finite, or nothing could ever be accepted.
    """
    given = [number for number in (low, high, guard_band) if number is not None]
    if (low is None and high is None) or not all(math.isfinite(number) for number in given):
        raise ValueError("a decision needs a limit, and finite numbers")
    w = exact(guard_band)
    lower = None if low is None else exact(low) + w
    upper = None if high is None else exact(high) - w
    if lower is not None and upper is not None and lower > upper:
        raise ValueError(f"a guard band of {guard_band} leaves nothing between {low} and {high} to accept")
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "accept" if (upper if value > 0 else lower) is None else "reject"
    found = exact(value)
    outside = (lower is not None and found < lower) or (upper is not None and found > upper)
    return "reject" if outside else "accept"
