"""The corrections in force for the channels of one instrument, applied to a block at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.corrections.curve import Curve
from pipeline.records.units import same_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.corrections.shapes import Correction, Uncorrected
    from pipeline.records.block import Block, Channel, Layout

    Corrected = dict[str, tuple[str, NDArray[np.float64]]]


def applied_id(entry_id: str, seq: int) -> str:
    """Name a correction as frames do: the entry and the registry record that says it."""
    return f"{entry_id}@{seq}"


def entry_of(applied: str) -> str:
    """Give the entry that `applied_id` names."""
    return applied.rpartition("@")[0] or applied


def seq_of(applied: str) -> int | None:
    """Give the registry record that `applied_id` names; None where the text names none."""
    entry, _, seq = applied.rpartition("@")
    return int(seq) if entry and seq.isdecimal() and seq.isascii() else None


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """What is to be done with one channel: a correction, or the reason why there is none to apply."""

    channel: str
    applied: str = ""
    """`applied_id` of the correction."""
    correction: Correction | None = None
    why: Uncorrected | None = None


class _Group(NamedTuple):
    """Channels whose curves are computed together."""

    plans: tuple[ChannelPlan, ...]
    curve: Curve
    positions: NDArray[np.intp]
    """Positions of the channels in the layout."""
    slots: NDArray[np.intp] | None
    """Rows of the block's matrix of floats; None where not all are floats."""


class Plan:
    """The corrections of one instrument. Never empty; equal plans have equal `channels`."""

    def __init__(self, channels: Sequence[ChannelPlan]) -> None:
        self.channels = tuple(channels)
        self._layout: Layout | None = None
        self._groups: tuple[_Group, ...] = ()
        self._why: dict[str, str] = {}

    def apply(self, block: Block) -> tuple[Corrected, dict[str, str]]:
        """Correct a block.

        Returns:
            Channel to (`applied_id`, float64[n]), NaN where there is no reading or one out of range; and
            channel to why nothing was corrected, of those that have a correction registered.
        """
        if block.layout is not self._layout:
            self._prepare(block.layout)
        corrected: Corrected = {}
        for group in self._groups:
            readings = block.f8[group.slots] if group.slots is not None else _floats(block, group.positions)
            values = group.curve.corrected(readings)
            for plan, row in zip(group.plans, values, strict=True):
                corrected[plan.channel] = plan.applied, row
        return corrected, dict(self._why)

    def _prepare(self, layout: Layout) -> None:
        self._layout, self._why = layout, {}
        tables, others = list[ChannelPlan](), list[ChannelPlan]()
        for plan in self.channels:
            position = layout.index.get(plan.channel)
            if position is None:
                continue
            why = plan.why or unfit(plan, layout.channels[position])
            if why is not None or plan.correction is None:
                self._why[plan.channel] = why or "unknown"
            else:
                (tables if plan.correction.kind == "table" else others).append(plan)
        self._groups = tuple(_group(plans, layout) for plans in (others, tables) if plans)


def _group(plans: Sequence[ChannelPlan], layout: Layout) -> _Group:
    positions = [layout.index[plan.channel] for plan in plans]
    floats = all(layout.channels[position].kind == "f8" for position in positions)
    return _Group(
        tuple(plans), Curve([plan.correction for plan in plans if plan.correction is not None]),
        np.array(positions, dtype=np.intp),
        np.array([layout.slots[position] for position in positions], dtype=np.intp) if floats else None,
    )  # fmt: skip


def _floats(block: Block, positions: NDArray[np.intp]) -> NDArray[np.float64]:
    values = np.empty((len(positions), len(block)))
    for row, position in enumerate(positions.tolist()):
        channel = block.layout.channels[position]
        values[row] = getattr(block, channel.kind)[block.layout.slots[position]]
    values[block.status[positions] != 0] = np.nan
    return values


def unfit(plan: ChannelPlan, channel: Channel) -> Uncorrected | None:
    """Say why a correction cannot speak of a channel as it is now."""
    if channel.kind == "text" or channel.labels:
        return "not-numeric"
    if plan.correction is None or same_unit(plan.correction.unit, channel.unit):
        return None
    # A balance switched to mg: it was calibrated in g, and its readings are not those of the certificate.
    return "unit"
