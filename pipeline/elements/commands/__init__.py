"""Commands of people: each is checked against the state and becomes drafts, or is refused with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.batches import chart_commands as charts
from pipeline.elements.batches import commands as batches
from pipeline.elements.commands import holds, others, tasks
from pipeline.elements.commands.request import Planned, Request
from pipeline.elements.risk import commands as risk

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS: dict[str, Callable[[Request], Planned]] = {
    "task.start": tasks.start,
    "task.handover": tasks.handover,
    "task.bind": tasks.bind,
    "task.stop": tasks.stop,
    "task.abort": tasks.abort,
    "task.link": tasks.link,
    "hold.release": holds.release,
    "instrument.state": others.set_state,
    "registry.import": others.import_registry,
    "batch.open": batches.open_batch,
    "batch.close": batches.close_batch,
    "control.assess": batches.assess,
    "chart.propose": charts.propose_chart,
    "chart.approve": charts.approve_chart,
    "risk.class": risk.import_class,
    "risk.table": risk.import_table,
}
"""The literal table of commands."""

__all__ = ["COMMANDS", "Planned", "Request"]
