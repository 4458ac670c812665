"""The fused kernel: all channels of a block in one call, the rules of the table in order.

The rules are joined into one function, which the compiler inlines: for each channel and each tile of rows one
rule after the other goes over the rows. Which of them run is data, one bit for each rule and channel. Numba's
disk cache looks only at the file of the function that it caches, so the driver carries a digest of every file
that goes into it: a changed kernel can never meet an old cached one.
"""
# ruff: noqa: ARG001, PLR0913, PLR0917 - the functions of the tree share one signature; a kernel has no keywords

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numba import types

from pipeline.qc import kernels, table
from pipeline.qc.jit import Slots, compiled, kernel
from pipeline.qc.memory import (
    HEAD_BLOCKS,
    HEAD_ENABLED,
    HEAD_REQUIRED,
    HEAD_TEXT,
    INFINITE,
    MISSING,
    OUT_CHANNEL,
    OUT_COUNT,
    OUT_KINDS,
    OUT_OLDEST,
    TEXT,
    TILE_ROWS,
    VALID,
)
from pipeline.records import flags
from pipeline.records.flags import SEVERITY, Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.qc.rule import Rule

Rows: TypeAlias = Any
"""Values, status, gateway time, UTC, gateway time of arrival, first ordinal, ranks, masks: as a tuple."""

_PASS = int(Flag.PASS)
_NOT_EVALUATED = int(Flag.NOT_EVALUATED)
_RANKS = SEVERITY.copy()
"""uint8[10]: rank of each flag; 0, a state that holds, has none."""
_RANK_PASS = int(SEVERITY[_PASS])
_RANK_UNEVALUATED = int(SEVERITY[_NOT_EVALUATED])
_FLAG_OF_RANK = np.zeros(len(Flag) + 1, dtype=np.uint8)
for _flag in Flag:
    _FLAG_OF_RANK[SEVERITY[_flag]] = _flag

SIGNATURE = types.int64(
    types.Array(types.float64, 2, "C", readonly=True),  # values[c, n]
    types.Array(types.uint8, 2, "C", readonly=True),  # status[c, n]
    types.Array(types.int64, 1, "C", readonly=True),  # t_run_ns[n]
    types.Array(types.int64, 1, "C", readonly=True),  # t_utc_ns[n]
    types.Array(types.int64, 1, "C", readonly=True),  # t_response_ns[n]
    types.int64,  # ordinal of the first row
    types.float64[::1],  # memory, as float64
    types.int64[::1],  # the same memory, as int64
    types.int64[::1],  # slot of each channel's head [c]
    types.uint8[:, ::1],  # flag[c, n], written
    types.int64[:, :, ::1],  # reason, unevaluated [2, c, n], written
    types.int64[::1],  # scratch, written
)
"""Explicit, so that one compilation serves all callers; read-only arrays (decoded frames) are accepted."""


@kernel
def _own(
    values: Slots, kinds: Slots, c: int, row: int, at: int, partner: int, status: Slots
) -> tuple[float, int]:
    """Give value and kind of a row to a rule."""
    return values[c, row], kinds[at]


@kernel
def _difference(
    values: Slots, kinds: Slots, c: int, row: int, at: int, partner: int, status: Slots
) -> tuple[float, int]:
    """Give the difference from the partner to a rule, and whether both are valid."""
    beside = partner >= 0 and status[partner, row] == 0 and np.isfinite(values[partner, row])
    if not beside or kinds[at] != VALID:
        return 0.0, MISSING
    return values[c, row] - values[partner, row], VALID


def _leaf(rule: Rule) -> Callable[..., Any]:
    """Return the function that applies one rule to a tile of rows."""
    judge, reading_of = getattr(kernels, rule.kernel), _difference if rule.partner else _own
    bit, slot, parameters = 1 << rule.bit, HEAD_BLOCKS + rule.bit, rule.parameters

    @kernel
    def leaf(rows: Rows, c: int, start: int, stop: int, f: Slots, i: Slots, head: int, out: Slots) -> None:
        if i[head + HEAD_ENABLED] & bit:
            values, status, t_run_ns, t_utc_ns, t_in_ns, n_first, ranks, masks = rows
            block = i[head + slot]
            unevaluated_rank = _RANK_UNEVALUATED if i[head + HEAD_REQUIRED] & bit else 0
            for row in range(start, stop):
                x, kind = reading_of(values, out, c, row, OUT_KINDS + row - start, i[block], status)
                verdict = judge(
                    x, kind, t_run_ns[row], t_utc_ns[row], t_in_ns[row], n_first + row, f, i, block,
                    block + parameters, out,
                )  # fmt: skip
                if verdict == _PASS:
                    continue
                if verdict == _NOT_EVALUATED:
                    masks[1, c, row] |= bit
                    ranks[c, row] = max(ranks[c, row], unevaluated_rank)
                else:
                    masks[0, c, row] |= bit
                    ranks[c, row] = max(ranks[c, row], _RANKS[verdict])

    return leaf


def _tree(rules: Sequence[Rule]) -> Callable[..., Any]:
    """Return the function that applies some rules to a tile of rows, one after the other.

    Halves of halves: each rule is compiled into as many functions as the tree is deep, and a call passes over
    a half of which nothing is on.
    """
    if len(rules) == 1:
        return _leaf(rules[0])
    middle = len(rules) // 2
    first, second = _tree(rules[:middle]), _tree(rules[middle:])
    first_bits = sum(1 << rule.bit for rule in rules[:middle])
    second_bits = sum(1 << rule.bit for rule in rules[middle:])

    @kernel
    def both(rows: Rows, c: int, start: int, stop: int, f: Slots, i: Slots, head: int, out: Slots) -> None:
        if i[head + HEAD_ENABLED] & first_bits:
            first(rows, c, start, stop, f, i, head, out)
        if i[head + HEAD_ENABLED] & second_bits:
            second(rows, c, start, stop, f, i, head, out)

    return both


_apply_rules = _tree(table.RULES)
_FUTURE_BITS = np.array([rule.bit for rule in table.FUTURE], dtype=np.int64)
_FUTURE_STATES = np.array([rule.parameters for rule in table.FUTURE], dtype=np.int64)


@kernel
def _kind_of(value: float, status: int, text: int) -> int:
    if status != 0:
        return MISSING
    if text != 0:
        return TEXT
    if np.isnan(value):
        return MISSING
    return INFINITE if np.isinf(value) else VALID


@kernel
def _begin(rows: Rows, c: int, start: int, stop: int, text: int, out: Slots) -> None:
    """Prepare a tile: kinds of its rows, nothing said yet. Until its end a flag is the rank of a verdict."""
    values, status, _, _, _, _, ranks, masks = rows
    for row in range(start, stop):
        out[OUT_KINDS + row - start] = _kind_of(values[c, row], status[c, row], text)
        ranks[c, row] = _RANK_PASS
        masks[0, c, row] = masks[1, c, row] = 0


@kernel
def _clear(out: Slots) -> None:
    """Begin a call: no decision yet, no row pending."""
    out[OUT_COUNT] = 0
    for k in range(len(_FUTURE_BITS)):
        out[OUT_OLDEST + k] = 0


@kernel
def _note_oldest(i: Slots, head: int, out: Slots) -> None:
    """Carry over, for each future rule, the oldest pending row of this channel."""
    for k in range(len(_FUTURE_BITS)):
        bit = _FUTURE_BITS[k]
        if i[head + HEAD_ENABLED] >> bit & 1:
            pending = i[i[head + HEAD_BLOCKS + bit] + _FUTURE_STATES[k]]
            oldest = out[OUT_OLDEST + k]
            if pending != 0 and (oldest == 0 or pending < oldest):
                out[OUT_OLDEST + k] = pending


def _digest() -> int:
    """Return 60 bits of a hash over every file whose code or constants the driver may contain."""
    here = Path(__file__).parent
    files = [*sorted(here.glob("*.py")), *sorted(here.glob("kernels/*.py")), Path(flags.__file__)]
    content = b"".join(file.read_bytes() for file in files)
    return int(hashlib.sha256(content).hexdigest()[:15], 16)


@cache
def compile_driver() -> Callable[..., int]:
    """Compile the driver, or load it from the disk cache (NUMBA_CACHE_DIR); once a process.

    The driver returns the number of decisions that it wrote to the scratch.
    """
    digest = _digest()

    def drive(
        values: Slots,
        status: Slots,
        t_run_ns: Slots,
        t_utc_ns: Slots,
        t_in_ns: Slots,
        n_first: int,
        f: Slots,
        i: Slots,
        heads: Slots,
        flag: Slots,
        masks: Slots,
        out: Slots,
    ) -> int:
        # Never true; it puts the digest into the closure, whose values are part of the key of Numba's cache.
        if digest == 0:
            return -1
        _clear(out)
        rows = (values, status, t_run_ns, t_utc_ns, t_in_ns, n_first, flag, masks)
        for c in range(values.shape[0]):
            head = heads[c]
            out[OUT_CHANNEL] = c
            for start in range(0, values.shape[1], TILE_ROWS):
                stop = min(start + TILE_ROWS, values.shape[1])
                _begin(rows, c, start, stop, i[head + HEAD_TEXT], out)
                _apply_rules(rows, c, start, stop, f, i, head, out)
                for row in range(start, stop):
                    flag[c, row] = _FLAG_OF_RANK[flag[c, row]]
            _note_oldest(i, head, out)
        return int(out[OUT_COUNT])

    return compiled(SIGNATURE, drive)
