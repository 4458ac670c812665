"""The fused kernel: all channels of a block in one call, the rules of the table in order.

The rules are chained into one function, which the compiler inlines; which of them run is data, one bit for
each rule and channel. Numba's disk cache looks only at the file of the function that it caches, so the driver
carries a digest of every file that goes into it: a changed kernel can never meet an old cached one.
"""
# ruff: noqa: ARG001, PLR0917 - the links of the chain share one signature; a kernel has no keywords

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
    OUT_OLDEST,
    TEXT,
    VALID,
)
from pipeline.records import flags
from pipeline.records.flags import SEVERITY, Flag

if TYPE_CHECKING:
    from collections.abc import Callable

Found: TypeAlias = tuple[int, int, int]
"""Rank of the worst verdict, reason bits, unevaluated bits."""

_PASS = int(Flag.PASS)
_NOT_EVALUATED = int(Flag.NOT_EVALUATED)
_RANKS = SEVERITY.astype(np.int64)
"""int64[10]: rank of each flag."""
_FLAG_OF_RANK = np.zeros(len(Flag) + 1, dtype=np.uint8)
for _flag in Flag:
    _FLAG_OF_RANK[SEVERITY[_flag]] = _flag

SIGNATURE = types.int64(
    types.Array(types.float64, 2, "C", readonly=True),  # values[c, n]
    types.Array(types.uint8, 2, "C", readonly=True),  # status[c, n]
    types.Array(types.int64, 1, "C", readonly=True),  # t_run_ns[n]
    types.Array(types.int64, 1, "C", readonly=True),  # t_utc_ns[n]
    types.int64,  # ordinal of the first row
    types.float64[::1],  # memory, as float64
    types.int64[::1],  # the same memory, as int64
    types.int64[::1],  # slot of each channel's head [c]
    types.uint8[:, ::1],  # flag[c, n], written
    types.int64[:, :, ::1],  # reason, unevaluated [2, c, n], written
    types.int64[::1],  # scratch, written
)
"""Explicit, so that one compilation serves all callers; read-only arrays (decoded frames) are accepted."""


def _end() -> Callable[..., Any]:
    @kernel
    def end(  # noqa: PLR0913 - the links share one signature
        x: float,
        kind: int,
        t_run: int,
        t_utc: int,
        n: int,
        f: Slots,
        i: Slots,
        head: int,
        out: Slots,
        rank: int,
        reason: int,
        unevaluated: int,
    ) -> Found:
        return rank, reason, unevaluated

    return end


def _link(rule: table.Rule, rest: Callable[..., Any]) -> Callable[..., Any]:
    """Put one rule in front of the others."""
    judge = getattr(kernels, rule.kernel)
    bit, slot, parameters = 1 << rule.bit, HEAD_BLOCKS + rule.bit, rule.parameters

    @kernel
    def link(  # noqa: PLR0913 - the links share one signature
        x: float,
        kind: int,
        t_run: int,
        t_utc: int,
        n: int,
        f: Slots,
        i: Slots,
        head: int,
        out: Slots,
        rank: int,
        reason: int,
        unevaluated: int,
    ) -> Found:
        if i[head + HEAD_ENABLED] & bit:
            block = i[head + slot]
            verdict = judge(x, kind, t_run, t_utc, n, f, i, block, block + parameters, out)
            if verdict == _NOT_EVALUATED:
                unevaluated |= bit
                if i[head + HEAD_REQUIRED] & bit:
                    rank = max(rank, _RANKS[_NOT_EVALUATED])
            elif verdict != _PASS:
                reason |= bit
                rank = max(rank, _RANKS[verdict])
        found: Found = rest(x, kind, t_run, t_utc, n, f, i, head, out, rank, reason, unevaluated)
        return found

    return link


def _chain() -> Callable[..., Any]:
    chain = _end()
    for rule in reversed(table.RULES):
        chain = _link(rule, chain)
    return chain


_apply_rules = _chain()
_FUTURE_BITS = np.array([rule.bit for rule in table.FUTURE], dtype=np.int64)
_FUTURE_STATES = np.array([rule.parameters for rule in table.FUTURE], dtype=np.int64)
_RANK_PASS = int(_RANKS[_PASS])


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
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(flags.__file__)]
    content = b"".join(file.read_bytes() for file in files)
    return int(hashlib.sha256(content).hexdigest()[:15], 16)


@cache
def compile_driver() -> Callable[..., int]:
    """Compile the driver, or load it from the disk cache (NUMBA_CACHE_DIR); once a process.

    The driver returns the number of decisions that it wrote to the scratch.
    """
    digest = _digest()

    def drive(  # noqa: PLR0913 - one call a block
        values: Slots,
        status: Slots,
        t_run_ns: Slots,
        t_utc_ns: Slots,
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
        for c in range(values.shape[0]):
            head = heads[c]
            out[OUT_CHANNEL] = c
            for row in range(values.shape[1]):
                kind = _kind_of(values[c, row], status[c, row], i[head + HEAD_TEXT])
                rank, reason, unevaluated = _apply_rules(
                    values[c, row], kind, t_run_ns[row], t_utc_ns[row], n_first + row,
                    f, i, head, out, _RANK_PASS, 0, 0,
                )  # fmt: skip
                flag[c, row] = _FLAG_OF_RANK[rank]
                masks[0, c, row] = reason
                masks[1, c, row] = unevaluated
            _note_oldest(i, head, out)
        return int(out[OUT_COUNT])

    return compiled(SIGNATURE, drive)
