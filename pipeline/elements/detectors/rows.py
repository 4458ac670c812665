"""Rows that the detectors see: the readings of measurand channels, for their fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.elements.detectors.prints import feed
from pipeline.elements.detectors.state import RunningPrint
from pipeline.records.flags import Status

if TYPE_CHECKING:
    from pipeline.elements.detectors.settings import DetectorSettings
    from pipeline.elements.detectors.state import DetectorState
    from pipeline.elements.state import TaskState
    from pipeline.records.frame import Frame


def observe_prints(memory: DetectorState, task: TaskState, frame: Frame, settings: DetectorSettings) -> None:
    """Add the readings of a frame that belong to a task's measurand windows.

    Readings that failed QC are in: data that is not what it says it is may have failed for that very reason.
    """
    block = frame.block
    for facts in task.channels:
        position = block.layout.index.get(facts.channel) if facts.instrument == block.instrument else None
        if facts.role != "measurand" or position is None or block.layout.channels[position].kind != "f8":
            continue
        values = block.f8[block.layout.slots[position]]
        usable = (block.status[position] == Status.GOOD) & np.isfinite(values)
        usable &= block.t_run_ns >= facts.from_run_ns
        if facts.to_run_ns is not None:
            usable &= block.t_run_ns < facts.to_run_ns
        running = memory.running.setdefault(task.id, {}).setdefault(facts.target, RunningPrint())
        feed(running, values[usable], settings)
