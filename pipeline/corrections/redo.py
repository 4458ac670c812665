"""Corrected values computed again from readings and registry records, and compared bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.corrections.plan import ChannelPlan, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.corrections.shapes import Correction
    from pipeline.records.frame import Frame


def redo_frame(frame: Frame, registered: Callable[[str], Correction | None]) -> list[str]:
    """Compute a frame's corrected values again.

    Args:
        frame: as it was recorded.
        registered: gives the correction that `applied_id` names; None where it is not at hand.

    Returns:
        What is not as recorded, a sentence for each channel; nothing where every bit is the same.
    """
    problems = list[str]()
    instrument = frame.block.instrument
    for channel, (applied, recorded) in frame.corrected.items():
        correction = registered(applied)
        if correction is None:
            problems.append(f"{instrument}.{channel}: the correction {applied} is not at hand")
            continue
        again, why = Plan([ChannelPlan(channel, applied, correction)]).apply(frame.block)
        if channel not in again:
            told = why.get(channel, "there is no such channel")
            problems.append(f"{instrument}.{channel}: {applied} does not fit the readings: {told}")
        elif again[channel][1].tobytes() != recorded.tobytes():
            problems.append(f"{instrument}.{channel}: {applied} gives other values than are recorded")
    return problems
