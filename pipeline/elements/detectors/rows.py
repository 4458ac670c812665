"""Rows that the detectors see: the readings of measurand channels, for their fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.detectors.prints import feed
from pipeline.elements.detectors.state import RunningPrint

if TYPE_CHECKING:
    from pipeline.elements.detectors.settings import DetectorSettings
    from pipeline.elements.detectors.state import DetectorState
    from pipeline.elements.rows import Batch
    from pipeline.elements.state import TaskState


def observe_prints(memory: DetectorState, task: TaskState, batch: Batch, settings: DetectorSettings) -> None:
    """Add the rows that belong to a task's measurand windows.

    Readings that failed QC are in: data that is not what it says it is may have failed for that very reason.
    """
    instrument = batch.frame.block.instrument
    for facts in task.channels:
        if facts.role != "measurand" or facts.instrument != instrument:
            continue
        position = batch.position(facts.channel)
        # Counters and codes repeat themselves by nature; only what is measured on a scale is compared.
        if position is None or batch.frame.block.layout.channels[position].kind != "f8":
            continue
        cut = batch.cut(facts.from_run_ns, facts.to_run_ns)
        values, good = batch.values[position][cut], batch.good[position][cut]
        running = memory.running.setdefault(task.id, {}).setdefault(facts.target, RunningPrint())
        feed(running, values if good.all() else values[good], settings)
