"""What follows from a layout alone, worked out once: names checked, formats of lines, positions by kind."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.store import schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.records import Layout
    from pipeline.records.stack import Stack

PLANS_KEPT = 1024
"""Plans that are remembered; the one made first goes first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the frames of one layout are stored."""

    layout: Layout
    names: tuple[str, ...]
    positions: tuple[int, ...]
    """Positions c: floats first, then integers, naturals, texts; `formats` has the same order."""
    formats: tuple[str, ...]
    """printf format of each channel's value field, a comma before it; of naturals and texts the whole field
    is the argument."""
    template: str
    """A whole line: what comes before the ordinal, the ordinal, all formats, further fields, stored time."""
    marks: dict[str, tuple[str, ...]]
    """By part (q, r, c) each channel's sparse field as it begins, a comma before it."""
    floats: tuple[int, ...]
    naturals: tuple[int, ...]
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


def _make(layout: Layout) -> Plan:
    schema.check_channels(layout.index)
    floats, integers = layout.of_kind("f8"), layout.of_kind("i8")
    naturals, texts = layout.of_kind("u8"), layout.of_kind("text")
    names = tuple(channel.name for channel in layout.channels)
    formats = (
        *(f",{schema.field_name(names[position], 'f8')}=%s" for position in floats),
        *(f",{schema.field_name(names[position], 'i8')}=%si" for position in integers),
        *(",%s" for _ in [*naturals, *texts]),
    )
    return Plan(
        layout=layout,
        names=names,
        positions=(*floats, *integers, *naturals, *texts),
        formats=formats,
        template=f"%s%si{''.join(formats)}%s %s",
        marks={part: tuple(f",{name}.{part}=" for name in names) for part in ("q", "r", "c")},
        floats=tuple(floats),
        naturals=tuple(naturals),
        texts=tuple(texts),
    )


def present(stack: Stack) -> NDArray[np.bool_] | None:
    """bool[k, c, n]: which readings have a value that is stored: status GOOD and a finite number or a text.

    None when all have.
    """
    plan = plan_of(stack.layout)
    finite = np.isfinite(stack.f8)
    if stack.status is None and not plan.texts and finite.all():
        return None
    if stack.status is None:
        there = np.ones((len(stack), len(plan.names), stack.rows), dtype=np.bool_)
    else:
        there = stack.status == 0
    there[:, list(plan.floats)] &= finite
    for slot, position in enumerate(plan.texts):
        there[:, position] &= [[text is not None for text in frame[slot]] for frame in stack.text]
    return there
