"""The tables of InfluxDB 3, which limits a table's columns: rows to tables by their channels. Pure.

Instruments with the same channels (names and kinds, in their order) share the tables `reading_<profile>`,
`reading_<profile>_2` and so on. A profile follows from a record's bytes alone, so that a record that is sent
again writes the same points whoever sends it. A configuration that changes the channels makes other tables;
nothing is moved.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from pipeline.records.block import Layout
from pipeline.store.plans import PLANS_KEPT, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from pipeline.records.block import Kind
    from pipeline.store.influx.lines import Columns
    from pipeline.store.plans import Plan

_T = TypeVar("_T", bound=np.generic)

CHANNELS_MAX = 100
"""Of a table."""
COLUMNS_MAX = 500
"""Of a table, by the documentation of InfluxDB 3 Core, *Manage databases*."""
OWN_COLUMNS = 10
"""Time, the five tags, seq, n, channels, service."""
_COLUMNS_OF_CHANNEL: dict[Kind, int] = {"f8": 4, "i8": 4, "u8": 5, "text": 4}
"""Value, q, r, c; an unsigned integer's value stands in either of two."""

FLAGS = "reading_flags"
"""The table of later verdicts: tags instrument, channel, rule; integers n (ordinal), f (flag)."""
PROFILE_DIGITS = 12
_ROWS = re.compile(rf"reading_[0-9a-f]{{{PROFILE_DIGITS}}}(?:_[0-9]+)?\Z")


def has_rows(table: str) -> bool:
    """Tell whether a table is one of rows."""
    return _ROWS.match(table) is not None


class Part(NamedTuple):
    """Channels of a layout that stand in one table: in the layout from..to, and so within each kind."""

    table: str
    plan: Plan
    """Of the layout that has these channels alone."""
    all: slice
    f8: slice
    i8: slice
    u8: slice
    text: slice


class Profiles:
    """The tables of the layouts that a store gets; for one batch at a time."""

    def __init__(self) -> None:
        # By identity, as `plans`: an entry holds its layout.
        self._parts: OrderedDict[int, tuple[Layout, list[Part]]] = OrderedDict()

    def split(self, whole: Iterable[Columns]) -> Iterator[Columns]:
        """Cut columns into those of each table."""
        for columns in whole:
            parts = self._parts_of(columns.plan.layout)
            if len(parts) == 1:
                yield columns._replace(measurement=parts[0].table)
            else:
                yield from (_cut(columns, part) for part in parts)

    def _parts_of(self, layout: Layout) -> list[Part]:
        known = self._parts.get(id(layout))
        if known is not None:
            return known[1]
        parts = parts_of(layout)
        self._parts[id(layout)] = (layout, parts)
        while len(self._parts) > PLANS_KEPT:
            self._parts.popitem(last=False)
        return parts


def profile_of(layout: Layout) -> str:
    """Name a profile: the first digits of SHA-256 over the names and kinds of its channels."""
    listed = "".join(f"{channel.name} {channel.kind}\n" for channel in layout.channels)
    return sha256(listed.encode()).hexdigest()[:PROFILE_DIGITS]


def parts_of(layout: Layout) -> list[Part]:
    """Divide the channels of a layout, in their order, among tables that can never have too many columns."""
    name = f"reading_{profile_of(layout)}"
    parts = list[Part]()
    done: dict[Kind, int] = dict.fromkeys(_COLUMNS_OF_CHANNEL, 0)
    for number, channels in enumerate(_ranges(layout), 1):
        some = Layout(layout.channels[channels])
        slots = {kind: slice(done[kind], done[kind] + count) for kind, count in some.counts.items()}
        done = {kind: slots[kind].stop for kind in done}
        table = name if number == 1 else f"{name}_{number}"
        parts.append(
            Part(table, plan_of(some), channels, slots["f8"], slots["i8"], slots["u8"], slots["text"])
        )
    return parts


def _ranges(layout: Layout) -> list[slice]:
    ranges, start, columns = list[slice](), 0, OWN_COLUMNS
    for position, channel in enumerate(layout.channels):
        more = _COLUMNS_OF_CHANNEL[channel.kind]
        if position - start == CHANNELS_MAX or columns + more > COLUMNS_MAX:
            ranges.append(slice(start, position))
            start, columns = position, OWN_COLUMNS
        columns += more
    return [*ranges, slice(start, len(layout.channels))]


def _cut(columns: Columns, part: Part) -> Columns:
    corrected = [name for name in columns.corrected if name in part.plan.layout.index]
    return columns._replace(
        measurement=part.table, plan=part.plan,
        f8=columns.f8[:, :, part.f8], i8=_rows_of(columns.i8, part.i8), u8=_rows_of(columns.u8, part.u8),
        texts=_texts_of(columns, part.text), corrected=corrected,
        corrected_f8=columns.corrected_f8[:, :, [columns.corrected.index(name) for name in corrected]],
        there=None if columns.there is None else _rows_of(columns.there, part.all),
        flag=None if columns.flag is None else _rows_of(columns.flag, part.all),
        reason=None if columns.reason is None else _rows_of(columns.reason, part.all),
    )  # fmt: skip


def _rows_of(matrices: NDArray[_T], some: slice) -> NDArray[_T]:
    return np.ascontiguousarray(matrices[:, some])


def _texts_of(columns: Columns, some: slice) -> Sequence[str]:
    """Return the texts of some channels of kind text, row by row, of those of all."""
    width = columns.plan.layout.counts["text"]
    if some.start == some.stop:
        return ()
    return [
        text
        for first in range(0, len(columns.texts), width)
        for text in columns.texts[first + some.start : first + some.stop]
    ]
