"""Units of readings and results: an exact table, and the dimension of every product of its entries.

A unit is written as on instruments and reports: `g`, `mg/L`, `kPa`, `m3`, `g/cm3`, `K/h`, `µg/kg`, `%`, `1`.
Products are written with `.` or `·`, one `/` or several, whole exponents after the symbol (`m2`, `m^2`, `m²`,
`s-1`). Factors are fractions, so that a conversion adds no rounding. A units library would bring floats and
hundreds of units that differ by context (a `pint` among them); a laboratory declares a score of them.

Factors: SI brochure, 9th edition (tables 1, 4, 7 and 8); bar, psi, mmHg and cal as in ISO 80000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

BASES = ("m", "kg", "s", "A", "K", "mol", "cd")
"""Base units, in the order of a dimension's exponents."""
Dimension = tuple[int, ...]
"""Exponents of the base units."""
NUMBER: Dimension = (0,) * len(BASES)
UNIT_LENGTH_MAX = 64
EXPONENT_MAX = 12


class UnitError(ValueError):
    """A unit that is not in the table, or units that do not go together; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as a factor to coherent SI units of its dimension."""

    factor: Fraction
    dimension: Dimension = NUMBER
    celsius: bool = False
    """A temperature on the Celsius scale: a point, not a difference. `factor` is 1."""
    kind: str = ""
    """What is measured in it, where another quantity has units of the same factor and dimension."""


def _dimension(**exponents: int) -> Dimension:
    return tuple(exponents.get(base, 0) for base in BASES)


_F = Fraction
_FORCE = _dimension(kg=1, m=1, s=-2)
_PRESSURE = _dimension(kg=1, m=-1, s=-2)
_ENERGY = _dimension(kg=1, m=2, s=-2)
_POWER = _dimension(kg=1, m=2, s=-3)
_VOLTAGE = _dimension(kg=1, m=2, s=-3, A=-1)
_PREFIXABLE: dict[str, Unit] = {
    "m": Unit(_F(1), _dimension(m=1)),
    "g": Unit(_F(1, 1000), _dimension(kg=1)),
    "s": Unit(_F(1), _dimension(s=1)),
    "A": Unit(_F(1), _dimension(A=1)),
    "K": Unit(_F(1), _dimension(K=1)),
    "mol": Unit(_F(1), _dimension(mol=1)),
    "cd": Unit(_F(1), _dimension(cd=1)),
    "Hz": Unit(_F(1), _dimension(s=-1)),
    "N": Unit(_F(1), _FORCE),
    "Pa": Unit(_F(1), _PRESSURE),
    "bar": Unit(_F(100_000), _PRESSURE),
    "J": Unit(_F(1), _ENERGY),
    "Wh": Unit(_F(3600), _ENERGY),
    "W": Unit(_F(1), _POWER),
    "VA": Unit(_F(1), _POWER, kind="apparent power"),
    "var": Unit(_F(1), _POWER, kind="reactive power"),
    "V": Unit(_F(1), _VOLTAGE),
    "C": Unit(_F(1), _dimension(A=1, s=1)),
    "Ah": Unit(_F(3600), _dimension(A=1, s=1)),
    "F": Unit(_F(1), _dimension(kg=-1, m=-2, s=4, A=2)),
    "Ω": Unit(_F(1), _dimension(kg=1, m=2, s=-3, A=-2)),
    "S": Unit(_F(1), _dimension(kg=-1, m=-2, s=3, A=2)),
    "L": Unit(_F(1, 1000), _dimension(m=3)),
    "l": Unit(_F(1, 1000), _dimension(m=3)),
    "eq": Unit(_F(1), _dimension(mol=1)),
}
_PREFIXES: dict[str, Fraction] = {
    "G": _F(10**9), "M": _F(10**6), "k": _F(1000), "h": _F(100), "d": _F(1, 10), "c": _F(1, 100),
    "m": _F(1, 1000), "µ": _F(1, 10**6), "u": _F(1, 10**6), "n": _F(1, 10**9), "p": _F(1, 10**12),
}  # fmt: skip
_PLAIN: dict[str, Unit] = {
    "": Unit(_F(1)),
    "1": Unit(_F(1)),
    "%": Unit(_F(1, 100)),
    "%RH": Unit(_F(1, 100)),
    "‰": Unit(_F(1, 1000)),
    "ppm": Unit(_F(1, 10**6), kind="parts"),
    "ppb": Unit(_F(1, 10**9), kind="parts"),
    "pH": Unit(_F(1), kind="pH"),
    "min": Unit(_F(60), _dimension(s=1)),
    "h": Unit(_F(3600), _dimension(s=1)),
    "d": Unit(_F(86_400), _dimension(s=1)),
    "t": Unit(_F(1000), _dimension(kg=1)),
    "°C": Unit(_F(1), _dimension(K=1), celsius=True),
    "degC": Unit(_F(1), _dimension(K=1), celsius=True),
    "℃": Unit(_F(1), _dimension(K=1), celsius=True),
    "Cel": Unit(_F(1), _dimension(K=1), celsius=True),
    "mmHg": Unit(_F("133.322387415"), _PRESSURE),
    "psi": Unit(_F("4.4482216152605") / _F("0.00064516"), _PRESSURE),
    "cal": Unit(_F("4.184"), _ENERGY),
    "ohm": _PREFIXABLE["Ω"],
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_FACTOR = re.compile(r"^(?P<symbol>.*?)\^?(?P<exponent>-?\d+)?$")


@lru_cache(maxsize=1024)
def unit(text: str) -> Unit:
    """Read a unit; "" and "1" are plain numbers.

    Raises:
        UnitError: the text is not made of units of the table.
    """
    if len(text) > UNIT_LENGTH_MAX:
        raise UnitError(f"a unit has up to {UNIT_LENGTH_MAX} characters")
    plain = _PLAIN.get(text.strip())
    if plain is not None:
        return plain
    factor, dimension, sign, kind = Fraction(1), NUMBER, 1, ""
    for part in re.split(r"([/.·*])", text.strip().translate(_SUPERSCRIPTS)):
        if part in {".", "·", "*"}:
            continue
        if part == "/":
            sign = -1
            continue
        one, exponent = _power(part, text)
        factor *= one.factor ** (sign * exponent)
        kind += one.kind
        dimension = tuple(a + sign * exponent * b for a, b in zip(dimension, one.dimension, strict=True))
    return Unit(factor, dimension, kind=kind)


def same_unit(one: str, other: str) -> bool:
    """Tell whether two texts name the same unit, so that figures in one are figures in the other.

    `°C`, `degC` and `Cel` do, and `L` and `dm3`; `kPa` and `hPa`, or `°C` and `K`, do not. Texts that are not
    made of units of the table are compared as they stand.
    """
    if one.strip() == other.strip():
        return True
    try:
        return unit(one) == unit(other)
    except UnitError:
        return False


def _power(part: str, text: str) -> tuple[Unit, int]:
    if part == "1":
        return _PLAIN["1"], 1
    match = _FACTOR.match(part.strip())
    symbol, exponent = ("", None) if match is None else match.group("symbol", "exponent")
    found = _symbol(symbol) if symbol else None
    if found is None or found.celsius or abs(int(exponent or 1)) > EXPONENT_MAX:
        hint = "write differences of temperature as K" if found is not None else "see docs/results.md"
        raise UnitError(f"'{part}' in '{text}' is no unit that can be reckoned with; {hint}")
    return found, int(exponent or 1)


def _symbol(symbol: str) -> Unit | None:
    known = _PLAIN.get(symbol) or _PREFIXABLE.get(symbol)
    if known is not None:
        return known
    prefix, rest = symbol[:1].replace("μ", "µ"), symbol[1:]
    scale, base = _PREFIXES.get(prefix), _PREFIXABLE.get(rest)
    return (
        None if scale is None or base is None else Unit(scale * base.factor, base.dimension, kind=base.kind)
    )


def name_of(dimension: Dimension) -> str:
    """Write a dimension in base units, for messages: `kg·m-3`; `1` for a number."""
    parts = [
        base if exponent == 1 else f"{base}{exponent}"
        for base, exponent in zip(BASES, dimension, strict=True)
        if exponent
    ]
    return "·".join(parts) or "1"
