"""The parts of the fold beside tasks and verdicts: one literal tuple, one line for each room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.elements.alarms.part import watch
from pipeline.elements.batches.part import batches_part
from pipeline.elements.detectors.part import detect
from pipeline.elements.lookback.part import look_back
from pipeline.elements.risk.part import assess
from pipeline.elements.sources import note_found
from pipeline.elements.timeline import follow
from pipeline.elements.triggers.part import trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.elements.registry import Registry
    from pipeline.elements.settings import ElementsSettings
    from pipeline.elements.shapes import Draft
    from pipeline.elements.state import State
    from pipeline.records.envelope import Record


class Known(Protocol):
    """What views are told from: the fold, or what the ledger records tell (`pipeline.ledger.recorded`)."""

    settings: ElementsSettings
    state: State
    registry: Registry


@dataclass(frozen=True, slots=True)
class View:
    """What a part is given: it may change its own field of the state, and hold or touch tasks."""

    state: State
    registry: Registry
    settings: ElementsSettings


PARTS: tuple[Callable[[Record, View], list[Draft]], ...] = (
    note_found,
    batches_part,
    look_back,
    detect,
    trigger,
    assess,
    watch,
    follow,
)
"""Called in this order for every record that is not `data`, after the fold's own handler of its kind.

A part has no clock and no input or output; what it remembers is in its field of `State`. A record that it
cannot read is told as an event and stops no other part.
"""
