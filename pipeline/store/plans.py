"""What follows from a layout alone, worked out once: names checked, formats of lines, positions by kind."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from pipeline.store import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.records import Layout
    from pipeline.records.block import Kind
    from pipeline.records.stack import Stack

PLANS_KEPT = 1024
"""Plans that are remembered; the one made first goes first."""

_KINDS: tuple[Kind, ...] = ("f8", "i8", "u8", "text")
"""In the order of `Plan.positions`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the frames of one layout are stored."""

    layout: Layout
    words: NDArray[np.uint8]
    """Of each channel the value's field as it begins, a comma before it (of a uint64: for values up to
    2**63 - 1); then of each channel its name, a comma before it."""
    word_ends: NDArray[np.int64]
    """int64[2 c + 1]: where each of these ends; a 0 before."""
    positions: NDArray[np.int64]
    """int64[c]: floats first, then integers, naturals, texts."""
    counts: NDArray[np.int64]
    """int64[4]: how many of each there are."""
    floats: tuple[int, ...]
    texts: tuple[int, ...]


_plans: OrderedDict[int, Plan] = OrderedDict()


def plan_of(layout: Layout) -> Plan:
    """Return the plan of a layout, the same object for the same object. Raises schema.Unstorable."""
    plan = _plans.get(id(layout))
    if plan is not None and plan.layout is layout:
        return plan
    plan = _make(layout)
    # A plan holds its layout, so that no other one can have its id meanwhile.
    _plans[id(layout)] = plan
    while len(_plans) > PLANS_KEPT:
        _plans.popitem(last=False)
    return plan


def join_words(words: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Join words: uint8[all bytes], and int64[words + 1] where each ends, a 0 before."""
    encoded = [word.encode() for word in words]
    ends = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum(list(map(len, encoded)), out=ends[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), ends


def _make(layout: Layout) -> Plan:
    schema.check_channels(layout.index)
    by_kind = [layout.of_kind(kind) for kind in _KINDS]
    fields = [f",{schema.field_name(channel.name, channel.kind)}=" for channel in layout.channels]
    words, word_ends = join_words([*fields, *(f",{channel.name}" for channel in layout.channels)])
    return Plan(
        layout=layout,
        words=words,
        word_ends=word_ends,
        positions=np.array(list(chain(*by_kind)), dtype=np.int64),
        counts=np.array(list(map(len, by_kind)), dtype=np.int64),
        floats=tuple(by_kind[0]),
        texts=tuple(by_kind[-1]),
    )


def present(stack: Stack) -> NDArray[np.bool_] | None:
    """bool[k, c, n]: which readings have a value that is stored: status GOOD and a finite number or a text.

    None when all have.
    """
    plan = plan_of(stack.layout)
    there = measured(plan, stack.f8, stack.status)
    if not plan.texts:
        return there
    if there is None:
        there = np.ones((len(stack), len(plan.positions), stack.rows), dtype=np.bool_)
    for slot, position in enumerate(plan.texts):
        there[:, position] &= [[text is not None for text in frame[slot]] for frame in stack.text]
    return there


def measured(
    plan: Plan, f8: NDArray[np.float64], status: NDArray[np.uint8] | None
) -> NDArray[np.bool_] | None:
    """bool[k, c, n]: which readings have status GOOD and, of kind f8, a finite number; None when all have."""
    finite = np.isfinite(f8)
    if status is None and finite.all():
        return None
    if status is None:
        there = np.ones((len(f8), len(plan.positions), f8.shape[2]), dtype=np.bool_)
    else:
        there = status == 0
    there[:, list(plan.floats)] &= finite
    return there
