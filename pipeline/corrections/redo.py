"""Corrected values computed again from readings and registry records, and compared bit for bit."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pipeline.corrections.plan import ChannelPlan, Plan
from pipeline.corrections.single import correct_value
from pipeline.records.block import Channel
from pipeline.records.frame import decode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.corrections.shapes import Correction
    from pipeline.records.envelope import Body, Record
    from pipeline.records.frame import Frame


class Redone(NamedTuple):
    """What came of computing the corrected values of a record again."""

    values: int
    """Corrected values, of readings and of missing ones, that were computed again."""
    problems: list[str]
    """What is not as recorded, a sentence for each channel; nothing where every bit is the same."""


def redo_record(record: Record, registered: Callable[[str], Correction | None]) -> Redone:
    """Compute the corrected values of a record again, of whatever kind it is.

    Args:
        record: `data`, `reading` or `entry`; others have none.
        registered: gives the correction that `applied_id` names; None where it is not at hand.

    Raises:
        ValueError, TypeError, LookupError: the record cannot be read.
    """
    body = record.body
    if record.kind == "data" and body.get("corrected"):
        frame = decode_frame(body)
        values = sum(len(values) for _, values in frame.corrected.values())
        return Redone(values, redo_frame(frame, registered))
    if record.kind in {"reading", "entry"} and body.get("correction"):
        # The channel of a `reading` is its whole description, that of an `entry` its name.
        stated = body["channel"] if record.kind == "reading" else {"name": body["channel"], **_unit(body)}
        channel = Channel(**{name: stated[name] for name in ("name", "kind", "unit") if name in stated})
        told = _redo_value(body, channel, registered)
        return Redone(1, [] if told is None else [f"{body['instrument']}.{channel.name}: {told}"])
    return Redone(0, [])


def _unit(body: Body) -> dict[str, str]:
    return {"unit": str(body["unit"])}


def _redo_value(
    body: Body, channel: Channel, registered: Callable[[str], Correction | None]
) -> str | None:  # fmt: skip
    applied, recorded = str(body["correction"]), body["corrected"]
    correction = registered(applied)
    if correction is None:
        return f"the correction {applied} is not at hand"
    again = correct_value(ChannelPlan(channel.name, applied, correction), channel, body["value"])
    if again.uncorrected:
        return f"{applied} does not fit the readings: {again.uncorrected}"
    same = (
        recorded == again.corrected
        if None in {recorded, again.corrected}
        else _bits(recorded) == _bits(again.corrected or 0.0)
    )
    return None if same else f"{applied} gives another value than is recorded"


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)


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
