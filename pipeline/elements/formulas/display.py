"""Results as reports show them: rounded once, from the exact decimal, for display only."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from pipeline.qc.control.decimals import exact

if TYPE_CHECKING:
    from pipeline.elements.shapes import Result


def shown_value(result: Result) -> str:
    """Write the value of a result by the method's digits and rounding rule."""
    return shown(result.value, result.decimals, str(result.facts.get("rounding", "half-even")))


def shown_uncertainty(expanded: float) -> str:
    """Write U with two significant digits, the last one rounded up (JCGM 100:2008, 7.2.6)."""
    if expanded <= 0:
        return repr(expanded)
    decimals, scaled = 0, exact(expanded)
    while scaled < 10:
        scaled *= 10
        decimals += 1
    while scaled >= 100:
        scaled /= 10
        decimals -= 1
    # A hair above two digits (0.30000000000000004) is those two digits.
    whole = round(scaled) if abs(scaled - round(scaled)) < Fraction(1, 10**9) else -(-scaled // 1)
    number = Fraction(int(whole)) / Fraction(10) ** decimals
    return shown(float(number), max(decimals, 0), "half-even")


def shown(value: float, decimals: int | None, rounding: str) -> str:
    """Write a value as on a report: rounded once, from the exact decimal, by the method's rule.

    `half-even` is 四舍六入五成双 of GB/T 8170-2008, 3.2; `half-up` rounds a half away from 0.
    """
    if decimals is None:
        return repr(value)
    scaled = abs(exact(value)) * 10**decimals
    whole, rest = divmod(scaled, 1)
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and (rounding == "half-up" or whole % 2 == 1))
    digits = str(int(whole) + up).rjust(decimals + 1, "0")
    text = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    return f"-{text}" if value < 0 and int(digits) else text
