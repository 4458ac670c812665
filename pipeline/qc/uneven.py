"""Instruments some of whose channels are read more rarely: their rows beside the layout of all channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.qc.memory import ABSENT_STATUS
from pipeline.records.block import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.records.block import Channel


def is_uneven(layout: Layout) -> bool:
    """Tell whether a channel is missing in some rows."""
    return any(channel.every > 1 for channel in layout.channels)


def united(before: tuple[Channel, ...], row: Layout) -> Layout:
    """Return the channels known so far and those of a row together; the row's where both have one."""
    kept = tuple(row.channels[row.index[c.name]] if c.name in row.index else c for c in before)
    names = {channel.name for channel in before}
    all_of_them = (*kept, *(channel for channel in row.channels if channel.name not in names))
    return row if all_of_them == row.channels else Layout(all_of_them)


def widened(
    channels: int, places: NDArray[np.intp], values: NDArray[np.float64], status: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Give values and status to all channels of an instrument; those that a row does not have are absent."""
    wide = np.full((channels, values.shape[1]), np.nan)
    wide_status = np.full(wide.shape, ABSENT_STATUS, dtype=np.uint8)
    wide[places], wide_status[places] = values, status
    return wide, wide_status
