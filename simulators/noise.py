"""Seeded noise as a pure function of (stream key, index).

A counter-based generator has no state, so that a value can be asked for at any time and in any
order: the reading of second 40 is the same whether or not second 39 was ever read.
"""

from __future__ import annotations

import hashlib
import math

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def stream_key(seed: int, *names: str) -> int:
    """Return the 64-bit key of the noise stream `names` of a scenario with this seed."""
    text = "\x1f".join((str(seed), *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def bits(key: int, index: int) -> int:
    """Return 64 well-mixed bits (the splitmix64 finaliser of Steele, Lea and Flood, 2014)."""
    z = (key + (index + 1) * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniform(key: int, index: int) -> float:
    """Return a number in the half-open interval [0, 1)."""
    return (bits(key, index) >> 11) * 2.0**-53


def gauss(key: int, index: int) -> float:
    """Return a standard normal number (Box-Muller; the first uniform is kept above zero)."""
    radius = math.sqrt(-2.0 * math.log(((bits(key, 2 * index) >> 11) + 1) * 2.0**-53))
    return radius * math.cos(2.0 * math.pi * uniform(key, 2 * index + 1))


def noise_bytes(key: int, index: int, length: int) -> bytes:
    """Return `length` bytes of line noise."""
    words = (bits(key, (index << 10) + i).to_bytes(8, "big") for i in range(-(-length // 8)))
    return b"".join(words)[:length]
