"""Commands of people: each is checked against the state and becomes drafts, or is refused with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.alarms.commands import ALARM_COMMANDS
from pipeline.elements.batches import chart_commands as charts
from pipeline.elements.batches import commands as batches
from pipeline.elements.commands import corrections, entries, holds, others, procedure, tasks
from pipeline.elements.commands.request import Planned, Request
from pipeline.elements.hand import commands as hand
from pipeline.elements.lookback import commands as lookback
from pipeline.elements.risk import commands as risk
from pipeline.elements.triggers import commands as windows

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS: dict[str, Callable[[Request], Planned]] = {
    "task.start": tasks.start,
    "task.handover": tasks.handover,
    "task.bind": tasks.bind,
    "task.stop": tasks.stop,
    "task.abort": tasks.abort,
    "task.link": tasks.link,
    "task.amend": corrections.amend,
    "task.step": procedure.step,
    "task.enter": hand.enter,
    "task.correct": hand.correct,
    "hold.release": holds.release,
    "instrument.state": others.set_state,
    "registry.import": others.import_registry,
    "registry.preview": others.preview_registry,
    "material.handover": entries.hand_over,
    "material.open": entries.open_material,
    "certificate.withdraw": entries.withdraw_certificate,
    "batch.open": batches.open_batch,
    "batch.close": batches.close_batch,
    "control.assess": batches.assess,
    "chart.propose": charts.propose_chart,
    "chart.approve": charts.approve_chart,
    "lookback.close": lookback.close,
    **ALARM_COMMANDS,
    "risk.class": risk.import_class,
    "risk.table": risk.import_table,
    "window.read": windows.read,
}
"""The literal table of commands."""

__all__ = ["COMMANDS", "Planned", "Request"]
