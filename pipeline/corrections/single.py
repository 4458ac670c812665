"""One reading at a time: one-off results of analysers, and readings entered by hand."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from pipeline.corrections.curve import Curve
from pipeline.corrections.plan import unfit

if TYPE_CHECKING:
    from pipeline.corrections.plan import ChannelPlan, Plan
    from pipeline.corrections.shapes import Uncorrected
    from pipeline.records.block import Channel, Reading
    from pipeline.records.envelope import Body


class Corrected(NamedTuple):
    """What a registered correction makes of one reading, as its record says it."""

    correction: str
    """`applied_id`; "": none was applied."""
    corrected: float | None
    """None: none was applied, or the reading is outside its range."""
    uncorrected: Uncorrected | Literal[""]
    """Why none was applied."""


def reading_body(reading: Reading, plan: Plan | None) -> Body:
    """Make the body of a `reading` record: what the instrument gave, and its corrected value beside.

    Args:
        reading: the one-off result.
        plan: corrections in force for its instrument at its stamp; None: nothing is registered.
    """
    body = asdict(reading)
    for one in () if plan is None else plan.channels:
        if one.channel == reading.channel.name:
            body |= correct_value(one, reading.channel, reading.value)._asdict()
    return body


def correct_value(plan: ChannelPlan, channel: Channel, value: float | str) -> Corrected:
    """Correct a value of a channel for which a correction is registered."""
    why = plan.why or unfit(plan, channel)
    if why is not None or plan.correction is None or isinstance(value, str):
        return Corrected("", None, why or ("not-numeric" if isinstance(value, str) else "unknown"))
    found = float(Curve([plan.correction]).corrected(np.array([[float(value)]]))[0, 0])
    return Corrected(plan.applied, found if math.isfinite(found) else None, "")
