"""Rows to lines, compiled: from columns and printed floats to the bytes of line protocol, row after row.

A row costs no Python object. What the tables hold that `lines` hands over is copied as it is; integers are
printed here. Pointers are not checked: `lines` makes room for the longest rows there can be.
"""
# ruff: noqa: PLR0913, PLR0917 - a kernel has no keywords

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numba import types

from pipeline.compiled.jit import Slots, compiled, entry_of, kernel, pointer_to

if TYPE_CHECKING:
    from collections.abc import Callable

Words: TypeAlias = Any
"""Pointers to bytes and to the place behind each word, the first one at 1: as a tuple."""

_COMMA, _CLOSE, _SPACE, _DOT, _MINUS, _EQUALS, _QUOTE, _LINE_END, _ZERO = (ord(mark) for mark in ',] .-="\n0')
_C, _I, _N, _Q, _R, _S = (ord(mark) for mark in "cinqrs")
_PAIRS = np.frombuffer("".join(f"{number:02}" for number in range(100)).encode(), dtype=np.uint8).copy()
_POWERS = np.array([10**digits for digits in range(20)], dtype=np.uint64)
_ONE, _TEN, _HUNDRED, _INT64_MAX = np.uint64(1), np.uint64(10), np.uint64(100), np.uint64(2**63 - 1)
_DIGITS_MAX = 20
_PASS = 1

FLOATS, INTEGERS, NATURALS, TEXTS = range(4)
"""Places in `counts`."""
HEAD, SEQ, ORDINAL = range(3)
"""Columns of `frames`."""


def _bytes(dimensions: int = 1) -> Any:
    return types.Array(types.uint8, dimensions, "C", readonly=True)


def _integers(dimensions: int = 1) -> Any:
    return types.Array(types.int64, dimensions, "C", readonly=True)


SIGNATURE = types.int64(
    types.uint8[::1],  # out, written
    types.int64,  # where the first line begins in it
    types.int64[::1],  # ends[rows], written: where each line's end mark is
    _bytes(),  # heads, one after the other: each a line up to its seq
    _integers(),  # where each head ends; a 0 before
    _integers(2),  # frames[k, 3]: head, seq, first ordinal
    _integers(2),  # t_store_ns[k, n]
    _bytes(),  # names: of each channel the value's field as it begins, then of each channel its name
    _integers(),  # where each name ends; a 0 before
    _integers(),  # positions[c]: floats first, then integers, naturals, texts
    _integers(),  # counts[4] of these
    _bytes(),  # printed floats of all rows, row by row: "[1.5,null]"
    _integers(3),  # i8[k, channels, n]
    types.Array(types.uint64, 3, "C", readonly=True),  # u8[k, channels, n]
    _bytes(),  # quoted texts of all rows, row by row
    _integers(),  # where each text ends; a 0 before
    _integers(),  # positions of channels with corrected values
    _bytes(),  # printed corrected values of all rows, row by row
    _bytes(3),  # there[k, c, n]: whether the value is stored; [0, c, n]: all are
    _bytes(3),  # flag[k, c, n]; [0, c, n]: all pass
    _integers(3),  # reason[k, c, n]; [0, c, n]: none
)


@kernel
def word(out: Slots, at: Any, words: Words, number: int) -> Any:
    """Copy a word; return the place behind it."""
    characters, ends = words
    first = ends[number]
    length = ends[number + 1] - first
    for index in range(length):
        out[at + index] = characters[first + index]
    return at + length


@kernel
def token(out: Slots, at: int, tokens: Slots, first: int) -> int:
    """Copy a printed float; return its length."""
    length = 0
    character = tokens[first]
    while character not in (_COMMA, _CLOSE):
        out[at + length] = character
        length += 1
        character = tokens[first + length]
    return length


@kernel
def natural(out: Slots, at: int, value: Any) -> int:
    """Print a uint64; return the place behind it."""
    digits = 1
    while digits < _DIGITS_MAX and value >= _POWERS[digits]:
        digits += 1
    stop = at + digits
    place = stop
    while value >= _HUNDRED:
        pair = np.int64(value % _HUNDRED) * 2
        value //= _HUNDRED
        place -= 2
        out[place] = _PAIRS[pair]
        out[place + 1] = _PAIRS[pair + 1]
    pair = np.int64(value) * 2
    if value >= _TEN:
        out[at] = _PAIRS[pair]
    out[place - 1] = _PAIRS[pair + 1]
    return stop


@kernel
def integer(out: Slots, at: int, value: int) -> int:
    """Print an int64; return the place behind it."""
    if value >= 0:
        return natural(out, at, np.uint64(value))
    out[at] = _MINUS
    # The least integer has no positive twin in int64.
    return natural(out, at + 1, np.uint64(-(value + 1)) + _ONE)


@kernel
def integer_value(out: Slots, at: int, value: int) -> int:
    """Print an integer field's value; return the place behind it."""
    at = integer(out, at, value)
    out[at] = _I
    return at + 1


@kernel
def part(out: Slots, at: int, names: Words, name: int, letter: int) -> int:
    """Begin the field of a channel's part; return the place behind."""
    at = word(out, at, names, name)
    out[at] = _DOT
    out[at + 1] = letter
    out[at + 2] = _EQUALS
    return at + 3


@kernel
def natural_field(out: Slots, at: int, names: Words, field: int, name: int, value: Any) -> int:
    """Write a uint64: as an integer, or as text beyond int64; return the place behind."""
    if value <= _INT64_MAX:
        return integer_value(out, word(out, at, names, field), int(np.int64(value)))
    at = part(out, at, names, name, _S)
    out[at] = _QUOTE
    at = natural(out, at + 1, value)
    out[at] = _QUOTE
    return at + 1


@kernel
def head(out: Slots, at: int, heads: Words, frame: Any, row: int) -> int:
    """Begin a line, up to its ordinal; return the place behind."""
    at = integer_value(out, word(out, at, heads, frame[HEAD]), frame[SEQ])
    out[at] = _COMMA
    out[at + 1] = _N
    out[at + 2] = _EQUALS
    return integer_value(out, at + 3, frame[ORDINAL] + row)


@kernel
def floats_of_row(
    out: Slots, at: int, names: Words, positions: Slots, tokens: Slots, cursor: int, there: Any, cell: Any
) -> Any:
    """Write the floats that are there; return the places behind and in the tokens."""
    frame, row, count = cell
    for slot in range(count):
        if len(there) == 0 or there[frame, positions[slot], row]:
            at = word(out, at, names, positions[slot])
        length = token(out, at, tokens, cursor)
        cursor += length + 1
        if len(there) == 0 or there[frame, positions[slot], row]:
            at += length
    return at, cursor


@kernel
def corrected_of_row(
    out: Slots, at: int, names: Words, positions: Any, tokens: Slots, cursor: int, channels: int
) -> Any:
    """Write the corrected values that are finite; return the places behind and in the tokens."""
    for slot in range(len(positions)):
        missing = tokens[cursor] == _N
        behind = part(out, at, names, channels + positions[slot], _C)
        length = token(out, behind, tokens, cursor)
        cursor += length + 1
        if not missing:
            at = behind + length
    return at, cursor


@kernel
def others_of_row(
    out: Slots, at: int, names: Words, positions: Slots, counts: Any, columns: Any, texts: Words,
    there: Any, cell: Any,
) -> int:  # fmt: skip
    """Write integers, naturals and texts that are there; return the place behind."""
    frame, row, rows = cell
    i8, u8 = columns
    of = counts[FLOATS]
    for slot in range(counts[INTEGERS]):
        if len(there) == 0 or there[frame, positions[of + slot], row]:
            at = integer_value(out, word(out, at, names, positions[of + slot]), i8[frame, slot, row])
    of += counts[INTEGERS]
    for slot in range(counts[NATURALS]):
        field = positions[of + slot]
        if len(there) == 0 or there[frame, field, row]:
            at = natural_field(out, at, names, field, counts.sum() + field, u8[frame, slot, row])
    of += counts[NATURALS]
    for slot in range(counts[TEXTS]):
        if len(there) == 0 or there[frame, positions[of + slot], row]:
            at = word(out, at, names, positions[of + slot])
            at = word(out, at, texts, (frame * rows + row) * counts[TEXTS] + slot)
    return at


@kernel
def remarks_of_row(
    out: Slots, at: int, names: Words, channels: int, there: Any, flag: Any, reason: Any, cell: Any
) -> int:
    """Write flags that are no pass, or have no value to stand for, and reasons; return the place behind."""
    frame, row = cell
    if len(there) or len(flag):
        for channel in range(channels):
            value = flag[frame, channel, row] if len(flag) else _PASS
            if value != _PASS or (len(there) and not there[frame, channel, row]):
                at = integer_value(out, part(out, at, names, channels + channel, _Q), value)
    if len(reason):
        for channel in range(channels):
            if reason[frame, channel, row]:
                at = part(out, at, names, channels + channel, _R)
                at = integer_value(out, at, reason[frame, channel, row])
    return at


@kernel
def end(out: Slots, at: int, t_store_ns: int) -> int:
    """End a line with its time and its end mark; return the place behind."""
    out[at] = _SPACE
    at = integer(out, at + 1, t_store_ns)
    out[at] = _LINE_END
    return at + 1


@cache
def writer() -> Callable[..., int]:
    """Compile the kernel, or load it from the disk cache; once a process.

    It takes what SIGNATURE says, nothing of which is checked but dimensions, and returns the place behind the
    last line.
    """

    def write(
        out: Any, at: int, ends: Any, head_text: Any, head_ends: Any, frames: Any, t_store_ns: Any,
        name_text: Any, name_ends: Any, positions: Any, counts: Any, float_text: Any, i8: Any, u8: Any,
        text_text: Any, text_ends: Any, corrected: Any, corrected_text: Any, there: Any, flag: Any,
        reason: Any,
    ) -> int:  # fmt: skip
        target, channels, (frame_count, rows) = pointer_to(out), len(positions), t_store_ns.shape
        heads = (pointer_to(head_text), pointer_to(head_ends))
        names = (pointer_to(name_text), pointer_to(name_ends))
        texts = (pointer_to(text_text), pointer_to(text_ends))
        places, floats, others = pointer_to(positions), pointer_to(float_text), pointer_to(corrected_text)
        cursor, corrected_cursor, line = 1, 1, 0
        for frame in range(frame_count):
            for row in range(rows):
                at = head(target, at, heads, frames[frame], row)
                at, cursor = floats_of_row(
                    target, at, names, places, floats, cursor, there, (frame, row, counts[FLOATS])
                )
                at = others_of_row(
                    target, at, names, places, counts, (i8, u8), texts, there, (frame, row, rows)
                )
                at = remarks_of_row(target, at, names, channels, there, flag, reason, (frame, row))
                at, corrected_cursor = corrected_of_row(
                    target, at, names, corrected, others, corrected_cursor, channels
                )
                at = end(target, at, t_store_ns[frame, row])
                ends[line] = at - 1
                line += 1
        return at

    return entry_of(compiled(SIGNATURE, write))
