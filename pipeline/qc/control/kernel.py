"""The kernel of the control rules: what the last observations were, one bit each, and nothing else.

Every stream of observations (each chart, the run at hand, all charts together) keeps one word for each thing
that an observation can be - above the centre line, beyond +1 SD, rising - with the newest observation in bit
0. A rule is then a mask on a word or two, so an observation costs the same after ten and after ten million.

Limits are lines that were computed once, exactly in decimals, so that a value which equals a limit on paper
equals it here. A difference of two z, of a range or across charts, counts as more than a limit only where it
exceeds the limit by more than the rounding of the numbers that it was made of.
"""
# ruff: noqa: PLR0913, PLR0917 - a kernel has no keywords

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from numba import types

from pipeline.compiled.jit import Slots, compiled, digest_of, kernel
from pipeline.qc.control import layout, table
from pipeline.qc.control.layout import (
    ABOVE,
    ABOVE_1,
    ABOVE_2,
    BELOW,
    BELOW_1,
    BELOW_2,
    CENTRE,
    COUNT,
    COUNT_MAX,
    ENABLED,
    FALLING,
    HIGH_1,
    HIGH_2,
    HIGH_3,
    INSIDE,
    LAST_CHART,
    LAST_E,
    LAST_X,
    LAST_Z,
    LOW_1,
    LOW_2,
    LOW_3,
    MAX_E,
    MAX_Z,
    MIN_E,
    MIN_Z,
    MISSING_SINCE,
    MISSING_TOTAL,
    RANGE,
    REJECT,
    REQUIRED,
    RISING,
    RUN,
    SD,
    SEEN_HIGH,
    SEEN_LOW,
    TOO_SHORT,
    WARN,
    WORDS,
)
from pipeline.qc.control.table import BY_NAME, MISSING_BIT
from pipeline.records import flags
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from collections.abc import Callable

_BIT = {name: rule.bit for name, rule in BY_NAME.items()}
_ONE_2S, _ONE_3S, _TWO_2S, _TWO_OF_THREE_2S = (_BIT[name] for name in ("1-2s", "1-3s", "2-2s", "2of3-2s"))
_R_4S, _THREE_1S, _FOUR_1S, _SEVEN_T = (_BIT[name] for name in ("R-4s", "3-1s", "4-1s", "7T"))
_X6, _X8, _X9, _X10, _X12 = (_BIT[name] for name in ("6x", "8x", "9x", "10x", "12x"))
_N1, _N2, _N3, _N4, _N5, _N6, _N7, _N8 = (_BIT[f"nelson-{k}"] for k in range(1, 9))
_WE1, _WE2, _WE3, _WE4 = (_BIT[f"western-electric-{k}"] for k in range(1, 5))
_MISSING = 1 << MISSING_BIT
_KEPT = (1 << 16) - 1
_ODD, _EVEN = 0b1010101010101, 0b0101010101010
"""Thirteen steps that alternate, for the fourteen points of Nelson 4."""
_EPSILON = 2.0**-52
_PASS, _NOT_EVALUATED, _SUSPECT, _FAIL, _NO_VALUE = (
    int(flag) for flag in (Flag.PASS, Flag.NOT_EVALUATED, Flag.SUSPECT, Flag.FAIL, Flag.MISSING)
)


@kernel
def last(word: int, count: int) -> bool:
    """Tell whether the last `count` observations all have their bit set."""
    mask = (1 << count) - 1
    return word & mask == mask


@kernel
def earlier(word: int, count: int) -> int:
    """Count the set bits of the `count` (at most 4) observations before the newest."""
    found = 0
    for k in range(1, count + 1):
        found += word >> k & 1
    return found


@kernel
def some(word: int, count: int, of: int) -> bool:
    """Tell whether the newest observation is the one that makes it `count` of the last `of`."""
    return word & 1 == 1 and earlier(word, of - 1) >= count - 1


@kernel
def history_rules(words: Slots, s: int) -> int:
    """Return the bits of the rules that the newest observation of stream `s` completes, R-4s apart."""
    above, below = words[s, ABOVE], words[s, BELOW]
    above_1, below_1 = words[s, ABOVE_1], words[s, BELOW_1]
    above_2, below_2 = words[s, ABOVE_2], words[s, BELOW_2]
    up, down = words[s, RISING], words[s, FALLING]
    fired = 0
    if (above_2 | below_2) & 1:
        fired |= (last(above_2, 2) or last(below_2, 2)) << _TWO_2S
        pair = int(some(above_2, 2, 3) or some(below_2, 2, 3))
        fired |= pair << _TWO_OF_THREE_2S | pair << _N5 | pair << _WE2
    if (above_1 | below_1) & 1:
        fired |= (last(above_1, 3) or last(below_1, 3)) << _THREE_1S
        fired |= (last(above_1, 4) or last(below_1, 4)) << _FOUR_1S
        four = int(some(above_1, 4, 5) or some(below_1, 4, 5))
        fired |= four << _N6 | four << _WE3
        fired |= (last(above_1 | below_1, 8) and above_1 & 0xFF != 0 and below_1 & 0xFF != 0) << _N8
    if last(above, 6) or last(below, 6):
        eight, nine = last(above, 8) or last(below, 8), last(above, 9) or last(below, 9)
        fired |= 1 << _X6 | eight << _X8 | eight << _WE4 | nine << _X9 | nine << _N2
        fired |= (last(above, 10) or last(below, 10)) << _X10 | (last(above, 12) or last(below, 12)) << _X12
    fired |= (last(up, 5) or last(down, 5)) << _N3 | (last(up, 6) or last(down, 6)) << _SEVEN_T
    steps = 0x1FFF
    if (up | down) & steps == steps:
        fired |= (up & steps == _ODD or up & steps == _EVEN) << _N4
    return fired | last(words[s, INSIDE], 15) << _N7


@kernel
def single_rules(x: float, lines: Slots, c: int) -> int:
    """Return the bits of the rules that look at one observation."""
    if lines[c, LOW_2] <= x <= lines[c, HIGH_2]:
        return 0
    fired = 1 << _ONE_2S
    if x < lines[c, LOW_3] or x > lines[c, HIGH_3]:
        fired |= 1 << _ONE_3S | 1 << _N1 | 1 << _WE1
    return fired


@kernel
def rounding(x: float, z: float, lines: Slots, c: int) -> float:
    """Bound the error of z: of its operands' last places and of the operations, in units of SD."""
    if math.isinf(z):
        return 0.0
    scaled: float = (abs(x) + abs(lines[c, CENTRE])) / lines[c, SD]
    return _EPSILON * (scaled + 2.0 * abs(z))


@kernel
def append(
    x: float, z: float, e: float, c: int, s: int, lines: Slots, words: Slots, numbers: Slots
) -> None:  # fmt: skip
    """Put a valid observation into stream `s`."""
    up, down = False, False
    if words[s, COUNT] > 0:
        if words[s, LAST_CHART] == c:
            up, down = x > numbers[s, LAST_X], x < numbers[s, LAST_X]
        else:
            step, doubt = z - numbers[s, LAST_Z], e + numbers[s, LAST_E]
            up, down = step > doubt, -step > doubt
    words[s, ABOVE] = (words[s, ABOVE] << 1 | (x > lines[c, CENTRE])) & _KEPT
    words[s, BELOW] = (words[s, BELOW] << 1 | (x < lines[c, CENTRE])) & _KEPT
    words[s, ABOVE_1] = (words[s, ABOVE_1] << 1 | (x > lines[c, HIGH_1])) & _KEPT
    words[s, BELOW_1] = (words[s, BELOW_1] << 1 | (x < lines[c, LOW_1])) & _KEPT
    words[s, ABOVE_2] = (words[s, ABOVE_2] << 1 | (x > lines[c, HIGH_2])) & _KEPT
    words[s, BELOW_2] = (words[s, BELOW_2] << 1 | (x < lines[c, LOW_2])) & _KEPT
    words[s, RISING] = (words[s, RISING] << 1 | up) & _KEPT
    words[s, FALLING] = (words[s, FALLING] << 1 | down) & _KEPT
    words[s, INSIDE] = (words[s, INSIDE] << 1 | (lines[c, LOW_1] < x < lines[c, HIGH_1])) & _KEPT
    words[s, COUNT] = min(words[s, COUNT] + 1, COUNT_MAX)
    words[s, LAST_CHART] = c
    numbers[s, LAST_X], numbers[s, LAST_Z], numbers[s, LAST_E] = x, z, e


@kernel
def range_rule(z: float, e: float, s: int, words: Slots, numbers: Slots, by_range: int) -> int:
    """Return the bit of R-4s if the newest observation of the run completes it.

    First reading: it lies beyond +2 SD and an earlier one of the run beyond -2 SD, or the other way round.
    Second reading: it lies more than 4 SD from an earlier one of the run.
    """
    high, low = words[s, ABOVE_2] & 1, words[s, BELOW_2] & 1
    first = words[s, COUNT] == 1
    apart = (high and words[s, SEEN_LOW]) or (low and words[s, SEEN_HIGH])
    if by_range and not first:
        apart = z - numbers[s, MIN_Z] - 4.0 > e + numbers[s, MIN_E]
        apart = apart or numbers[s, MAX_Z] - z - 4.0 > e + numbers[s, MAX_E]
    words[s, SEEN_HIGH] |= high
    words[s, SEEN_LOW] |= low
    if first or z > numbers[s, MAX_Z]:
        numbers[s, MAX_Z], numbers[s, MAX_E] = z, e
    if first or z < numbers[s, MIN_Z]:
        numbers[s, MIN_Z], numbers[s, MIN_E] = z, e
    return int(apart) << _R_4S


@kernel
def begin_run(run: int, s: int, words: Slots) -> None:
    """Empty the stream of the run when another run begins."""
    if words[s, RUN] != run:
        for column in range(WORDS):
            words[s, column] = 0
        words[s, RUN] = run


@kernel
def verdict(fired: int, evaluated: int, options: Slots) -> int:
    """Return the flag: the worst of what fired, and never pass where nothing, or not all, was looked at."""
    if fired & options[REJECT]:
        return _FAIL
    if fired & options[WARN]:
        return _SUSPECT
    if evaluated == 0 or options[REQUIRED] & ~evaluated:
        return _NOT_EVALUATED
    return _PASS


@kernel
def judge_one(
    k: int, x: float, z: float, c: int, lines: Slots, words: Slots, numbers: Slots, options: Slots,
    masks: Slots,
) -> int:  # fmt: skip
    """Judge a valid observation in its three streams; write its masks and return its flag."""
    charts = lines.shape[0]
    e = rounding(x, z, lines, c)
    all_fired, evaluated = 0, 0
    for scope in range(3):
        s = c if scope == 1 else charts + scope // 2  # the run comes after the charts, then all together
        append(x, z, e, c, s, lines, words, numbers)
        fired = history_rules(words, s)
        if scope == 0:
            fired |= range_rule(z, e, s, words, numbers, options[RANGE])
        if scope == 1:
            fired |= single_rules(x, lines, c)
        enabled = options[ENABLED + scope]
        fired &= enabled
        short = enabled & options[TOO_SHORT + words[s, COUNT]] & ~fired
        masks[0, scope, k] = fired
        masks[1, scope, k] = short
        all_fired |= fired
        evaluated |= enabled & ~short
    return verdict(all_fired, evaluated, options)


SIGNATURE = types.void(
    types.Array(types.float64, 1, "C", readonly=True),  # value of each observation [n], NaN: missing
    types.Array(types.int64, 1, "C", readonly=True),  # position of its chart [n]
    types.Array(types.int64, 1, "C", readonly=True),  # its run [n]
    types.Array(types.float64, 2, "C", readonly=True),  # lines of the charts [c, 8]
    types.int64[:, ::1],  # words of the streams [c + 2, WORDS]: charts, run, all together
    types.float64[:, ::1],  # numbers of the streams [c + 2, NUMBERS]
    types.Array(types.int64, 1, "C", readonly=True),  # options [OPTIONS]
    types.uint8[::1],  # flag [n], written
    types.int64[:, :, ::1],  # reason, unevaluated [2, scopes, n], written
    types.float64[::1],  # z [n], written
    types.int64[::1],  # missing observations of the chart since its previous valid one [n], written
)
"""Explicit, so that one compilation serves all callers."""


@cache
def compiled_judge() -> Callable[..., Any]:
    """Return the kernel, compiled at the first call or loaded from the cache on disk.

    It judges observations in order; see `SIGNATURE` for the arrays.
    """
    digest = digest_of([layout.__file__, table.__file__, flags.__file__])

    def judge(
        values: Slots, charts: Slots, runs: Slots, lines: Slots, words: Slots, numbers: Slots, options: Slots,
        flag: Slots, masks: Slots, z_scores: Slots, missing_before: Slots,
    ) -> None:  # fmt: skip
        if digest == 0:  # never; see `digest_of`
            return
        run_stream = lines.shape[0]
        for k in range(values.shape[0]):
            x, c = values[k], charts[k]
            begin_run(runs[k], run_stream, words)
            missing_before[k] = words[c, MISSING_SINCE]
            if math.isnan(x):
                flag[k] = _NO_VALUE
                z_scores[k] = x
                words[c, MISSING_SINCE] += 1
                words[c, MISSING_TOTAL] += 1
                for scope in range(3):
                    masks[0, scope, k] = _MISSING if scope == 1 else 0
                    masks[1, scope, k] = options[ENABLED + scope]
                continue
            words[c, MISSING_SINCE] = 0
            z = (x - lines[c, CENTRE]) / lines[c, SD]
            z_scores[k] = z
            flag[k] = judge_one(k, x, z, c, lines, words, numbers, options, masks)

    return compiled(SIGNATURE, judge)
