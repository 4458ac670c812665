"""The fused kernel: all channels of a block in one call, the rules of the table in order.

The rules are joined into one function, which the compiler inlines: for each channel and each tile of rows one
rule after the other goes over the rows. Which of them run is data, one bit for each rule and channel. Numba's
disk cache looks only at the file of the function that it caches, so the driver carries a digest of every file
that goes into it: a changed kernel can never meet an old cached one.
"""
# ruff: noqa: ARG001, PLR0917 - the functions of the tree share one signature; a kernel has no keywords

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numba import types

from pipeline.compiled.jit import Slots, as_floats, compiled, digest_of, entry_of, kernel, pointer_to
from pipeline.qc import kernels, table
from pipeline.qc.memory import (
    ABSENT,
    ABSENT_STATUS,
    INFINITE,
    MISSING,
    OUT_CHANNEL,
    OUT_COUNT,
    OUT_KINDS,
    OUT_OLDEST,
    RUN_FIRST,
    RUN_PARAMETERS,
    RUN_RINGS,
    RUN_SHAPE,
    RUN_SLOTS,
    RUN_STATES,
    RUN_STOP,
    RUNS,
    SHAPE_ENABLED,
    SHAPE_PLACES,
    SHAPE_REQUIRED,
    SHAPE_TEXT,
    TEXT,
    TILE_CHANNELS,
    TILE_ROWS,
    VALID,
)
from pipeline.records import flags
from pipeline.records.flags import SEVERITY, Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.qc.rule import Rule

Tile: TypeAlias = Any
"""Channels of one run from, up to; rows from, up to; slot of the run: as a tuple."""
Rows: TypeAlias = Any
"""Pointers to values[c, n], status[c, n], gateway time[n], UTC[n], gateway time of arrival[n], ranks[c, n],
masks[2, c, n]; first ordinal, n, c * n: as a tuple."""

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
    types.Array(types.float64, 2, "A", readonly=True),  # values[c, n]
    types.Array(types.uint8, 2, "A", readonly=True),  # status[c, n]
    types.Array(types.int64, 1, "A", readonly=True),  # t_run_ns[n]
    types.Array(types.int64, 1, "A", readonly=True),  # t_utc_ns[n]
    types.Array(types.int64, 1, "A", readonly=True),  # t_response_ns[n]
    types.int64,  # ordinal of the first row
    types.int64[::1],  # memory
    types.uint8[:, ::1],  # flag[c, n], written
    types.int64[:, :, ::1],  # reason, unevaluated [2, c, n], written
    types.int64[::1],  # scratch, written
)
"""Explicit, so that one compilation serves all callers; read-only arrays (decoded frames) are accepted."""
NOT_CONTIGUOUS = -1
"""Returned instead of the number of decisions, before anything is done."""


@kernel
def _own(values: Slots, status: Slots, cell: int, partner: int, kind: int) -> tuple[float, int]:
    """Give value and kind of a row to a rule."""
    return values[cell], kind


@kernel
def _difference(values: Slots, status: Slots, cell: int, partner: int, kind: int) -> tuple[float, int]:
    """Give the difference from the partner's cell (-1: none) to a rule, and whether both are valid."""
    if partner < 0 or kind != VALID or status[partner] != 0 or not np.isfinite(values[partner]):
        return 0.0, MISSING
    return values[cell] - values[partner], VALID


@kernel
def _note(
    verdict: int, bit: int, unevaluated_rank: int, ranks: Slots, masks: Slots, cell: int, cells: int
) -> None:
    """Enter a verdict other than pass."""
    if verdict == _NOT_EVALUATED:
        masks[cells + cell] |= bit
        ranks[cell] = max(ranks[cell], unevaluated_rank)
    else:
        masks[cell] |= bit
        ranks[cell] = max(ranks[cell], _RANKS[verdict])


def _leaf(rule: Rule) -> Callable[..., Any]:
    """Return the function that applies one rule to a tile of rows."""
    judge, reading_of = getattr(kernels, rule.kernel), _difference if rule.partner else _own
    bit, place = 1 << rule.bit, SHAPE_PLACES + 3 * rule.bit

    future, partner, state_slots = rule.future, rule.partner, rule.state

    @kernel
    def leaf(rows: Rows, tile: Tile, f: Slots, i: Slots, out: Slots) -> None:
        values, status, t_run_ns, t_utc_ns, t_in_ns, ranks, masks, n_first, count, cells = rows
        c_start, c_stop, start, stop, run = tile
        shape, skipped = i[run + RUN_SHAPE], c_start - i[run + RUN_FIRST]
        if i[shape + SHAPE_ENABLED] & bit == 0:
            return
        channels = i[run + RUN_STOP] - i[run + RUN_FIRST]
        p_step, r_step = i[run + RUN_PARAMETERS + 1], i[run + RUN_RINGS + 1]
        p = i[run + RUN_PARAMETERS] + i[shape + place] + skipped * p_step
        s = i[run + RUN_STATES] + i[shape + place + 1] * channels + skipped * state_slots
        r = i[run + RUN_RINGS] + i[shape + place + 2] + skipped * r_step
        unevaluated_rank = _RANK_UNEVALUATED if i[shape + SHAPE_REQUIRED] & bit else 0
        kinds = OUT_KINDS - start
        for c in range(c_start, c_stop):
            if future:
                out[OUT_CHANNEL] = c
            for row in range(start, stop):
                if out[kinds + row] == ABSENT:
                    continue
                cell = c * count + row
                beside = i[p] * count + row if partner and i[p] >= 0 else -1
                x, kind = reading_of(values, status, cell, beside, out[kinds + row])
                verdict = judge(
                    x, kind, t_run_ns[row], t_utc_ns[row], t_in_ns[row], n_first + row, f, i, p, s, r, out
                )
                if verdict != _PASS:
                    _note(verdict, bit, unevaluated_rank, ranks, masks, cell, cells)
            kinds += stop - start
            p, s, r = p + p_step, s + state_slots, r + r_step

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
    def both(rows: Rows, tile: Tile, f: Slots, i: Slots, out: Slots) -> None:
        enabled = i[i[tile[4] + RUN_SHAPE] + SHAPE_ENABLED]
        if enabled & first_bits:
            first(rows, tile, f, i, out)
        if enabled & second_bits:
            second(rows, tile, f, i, out)

    return both


_apply_rules = _tree(table.RULES)
_FUTURE_BITS = np.array([rule.bit for rule in table.FUTURE], dtype=np.int64)
_FUTURE_STATES = np.array([rule.state for rule in table.FUTURE], dtype=np.int64)


@kernel
def _kind_of(value: float, status: int, text: int) -> int:
    if status != 0:
        return ABSENT if status == ABSENT_STATUS else MISSING
    if text != 0:
        return TEXT
    if np.isnan(value):
        return MISSING
    return INFINITE if np.isinf(value) else VALID


@kernel
def _begin(rows: Rows, tile: Tile, i: Slots, out: Slots) -> None:
    """Prepare a tile: kinds of its rows, nothing said yet. Until its end a flag is the rank of a verdict."""
    values, status, _, _, _, ranks, masks, _, count, cells = rows
    c_start, c_stop, start, stop, run = tile
    at, text = OUT_KINDS, i[i[run + RUN_SHAPE] + SHAPE_TEXT]
    for c in range(c_start, c_stop):
        for row in range(start, stop):
            cell = c * count + row
            out[at] = _kind_of(values[cell], status[cell], text)
            at += 1
            ranks[cell] = _RANK_PASS
            masks[cell] = masks[cells + cell] = 0


@kernel
def _end(rows: Rows, tile: Tile) -> None:
    """Turn the ranks of a tile into flags."""
    c_start, c_stop, start, stop, _ = tile
    ranks, count = rows[5], rows[8]
    for c in range(c_start, c_stop):
        for row in range(start, stop):
            ranks[c * count + row] = _FLAG_OF_RANK[ranks[c * count + row]]


@kernel
def _lies_dense(strides: tuple[int, int], channels: int, count: int, itemsize: int) -> bool:
    """Tell whether the cells of a matrix follow one another; the step of a single row or channel is free."""
    if channels == 0 or count == 0:
        return True
    return (count <= 1 or strides[1] == itemsize) and (channels <= 1 or strides[0] == itemsize * count)


@kernel
def _lie_dense(values: Slots, status: Slots, times: tuple[Slots, Slots, Slots]) -> bool:
    """Tell whether the arrays of a block are C-contiguous."""
    channels, count = values.shape
    dense = _lies_dense(values.strides, channels, count, 8) and _lies_dense(
        status.strides, channels, count, 1
    )
    for stamps in times:
        dense = dense and _lies_dense((0, stamps.strides[0]), 1, count, 8)
    return dense


@kernel
def _clear(out: Slots) -> None:
    """Begin a call: no decision yet, no row pending."""
    out[OUT_COUNT] = 0
    for k in range(len(_FUTURE_BITS)):
        out[OUT_OLDEST + k] = 0


@kernel
def _note_oldest(i: Slots, run: int, out: Slots) -> None:
    """Carry over, for each future rule, the oldest pending row of the channels of a run."""
    shape = i[run + RUN_SHAPE]
    for k in range(len(_FUTURE_BITS)):
        bit = _FUTURE_BITS[k]
        if i[shape + SHAPE_ENABLED] >> bit & 1:
            channels = i[run + RUN_STOP] - i[run + RUN_FIRST]
            at = i[run + RUN_STATES] + i[shape + SHAPE_PLACES + 3 * bit + 1] * channels
            oldest = out[OUT_OLDEST + k]
            for _ in range(channels):
                if i[at] != 0 and (oldest == 0 or i[at] < oldest):
                    oldest = i[at]
                at += _FUTURE_STATES[k]
            out[OUT_OLDEST + k] = oldest


@kernel
def _judge_run(rows: Rows, run: int, f: Slots, i: Slots, out: Slots) -> None:
    """Judge the rows of the channels of one run.

    A tile is a stretch of one channel, or many channels where the rows are few: either way its readings stay
    close by while one rule after the other goes over them.
    """
    count, first, last = rows[8], i[run + RUN_FIRST], i[run + RUN_STOP]
    width = max(1, TILE_CHANNELS // max(1, count))
    for c_start in range(first, last, width):
        for start in range(0, count, TILE_ROWS):
            tile = c_start, min(c_start + width, last), start, min(start + TILE_ROWS, count), run
            _begin(rows, tile, i, out)
            _apply_rules(rows, tile, f, i, out)
            _end(rows, tile)
    _note_oldest(i, run, out)


def _files() -> list[Path]:
    """List every file whose code or constants the driver may contain."""
    here = Path(__file__).parent
    return [*sorted(here.glob("*.py")), *sorted(here.glob("kernels/*.py")), Path(flags.__file__)]


@cache
def compile_driver() -> Callable[..., int]:
    """Compile the driver, or load it from the disk cache (NUMBA_CACHE_DIR); once a process.

    The driver returns the number of decisions that it wrote to the scratch.
    """
    digest = digest_of(_files())

    def drive(
        values: Slots,
        status: Slots,
        t_run_ns: Slots,
        t_utc_ns: Slots,
        t_in_ns: Slots,
        n_first: int,
        memory: Slots,
        flag: Slots,
        masks: Slots,
        out: Slots,
    ) -> int:
        # Never true; it puts the digest into the closure, whose values are part of the key of Numba's cache.
        if digest == 0:
            return -1
        channels, count = values.shape
        if not _lie_dense(values, status, (t_run_ns, t_utc_ns, t_in_ns)):
            return NOT_CONTIGUOUS
        _clear(out)
        rows = (
            pointer_to(values), pointer_to(status), pointer_to(t_run_ns), pointer_to(t_utc_ns),
            pointer_to(t_in_ns), pointer_to(flag), pointer_to(masks), n_first, count, channels * count,
        )  # fmt: skip
        ints, scratch = pointer_to(memory), pointer_to(out)
        floats = as_floats(ints)
        for run in range(ints[0]):
            _judge_run(rows, RUNS + RUN_SLOTS * run, floats, ints, scratch)
        return int(out[OUT_COUNT])

    return entry_of(compiled(SIGNATURE, drive))
