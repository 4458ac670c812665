"""The overview as JSON: can this be trusted, how are the six elements, what do the instruments do.

Pure functions from a view to plain values in the reader's language. For the role regulator no value of any
reading is ever put in. Times are ms of UTC, for display only; ages grow in the browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard.events import event_rows
from dashboard.language import value_text
from dashboard.tasks import fold_tasks, gather
from dashboard.trust import trust_items
from dashboard.verdicts import reason_text
from pipeline.elements.vocabulary import ELEMENTS, STATUS_RANK
from pipeline.records.flags import Flag, worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboard.language import Messages
    from dashboard.sessions import Role
    from dashboard.tasks import Required, TaskView
    from dashboard.watch import View
    from pipeline.store.door import LatestRow

Json = dict[str, Any]
EVENTS_SHOWN = 8
REASONS_SHOWN = 3


class Overviews:
    """The overviews of one view, built once for each role and language, however many pages show them."""

    def __init__(self) -> None:
        self._view: View | None = None
        self._built: dict[tuple[Role, str, bool], Json] = {}

    def get(
        self, view: View, role: Role, text: Messages, names: Mapping[str, str], required: Required
    ) -> Json:  # fmt: skip
        """Return the overview of a view; names are the same for everybody who may know them."""
        if view is not self._view:
            self._view, self._built = view, {}
        key = (role, text.language, bool(names))
        if key not in self._built:
            self._built[key] = build_overview(view, role, text, names, required)
        return self._built[key]


def flag_name(flag: int) -> str:
    """Name a flag as the style sheets and messages do; a code of a newer writer is not evaluated."""
    return Flag(flag).name.lower() if flag in set(Flag) else "not_evaluated"


def build_overview(
    view: View, role: Role, text: Messages, names: Mapping[str, str], required: Required
) -> Json:  # fmt: skip
    """Build the overview for one role in one language."""
    tasks = fold_tasks(gather(view.ledger), required)
    return {
        "now_ms": view.at_utc_ns / 1e6,
        "seq": view.seq,
        "rehearsal": view.rehearsal,
        "store_error": view.store_error and text("trust.store_away"),
        "trust": trust_items(view, text),
        "elements": element_tiles(tasks, role, text),
        "instruments": [_instrument(name, view, role, text) for name in instrument_names(view)],
        "events": event_rows(view.ledger.get("event", ()), role, text, names)[:EVENTS_SHOWN],
        "tasks": _task_counts(tasks),
    }


def instrument_names(view: View) -> list[str]:
    """Return configured instruments and those that only have rows, sorted."""
    return sorted({*view.site.instruments, *view.latest})


def element_tiles(tasks: Mapping[str, TaskView], role: Role, text: Messages) -> list[Json]:
    """Sum up each element over the tasks that are open: the worst verdict, and why."""
    opened = [task for task in tasks.values() if task.open]
    return [_tile(element, opened, role, text) for element in ELEMENTS]


def _tile(element: Any, tasks: list[TaskView], role: Role, text: Messages) -> Json:
    judged = [(task, task.in_force()[element]) for task in tasks if element in task.in_force()]
    if not judged:
        return {"element": element, "status": "none", "tasks": [], "reasons": [], "at_ms": None}
    judged.sort(key=lambda pair: STATUS_RANK[pair[1].verdict.status], reverse=True)
    status = judged[0][1].verdict.status
    worst_ones = [(task, posted) for task, posted in judged if posted.verdict.status == status]
    reasons = [
        {"task": task.id, "text": reason_text(reason, text.language, role)}
        for task, posted in worst_ones
        for reason in posted.verdict.reasons
        if reason.status == status
    ]
    return {
        "element": element,
        "status": status,
        "tasks": [task.id for task, _ in worst_ones],
        "judged": len(judged),
        "reasons": reasons[:REASONS_SHOWN],
        "more": max(len(reasons) - REASONS_SHOWN, 0),
        "at_ms": max(posted.t_utc_ns for _, posted in worst_ones) / 1e6,
    }


def _instrument(name: str, view: View, role: Role, text: Messages) -> Json:
    row = view.latest.get(name)
    info = view.site.instrument(name)
    channels = sorted({*info.channels, *(row.flags if row else ())}, key=_order(list(info.channels)))
    counts = view.counts.get(name)
    service = row.service if row else ""
    return {
        "id": name,
        "driver": info.driver,
        "service": service,
        "service_text": text.word("service", service) if service else "",
        "t_ms": row.t_utc_ns / 1e6 if row else None,
        "stale_after_s": info.stale_after_s,
        "flag": flag_name(worst(row.flags.values())) if row else "none",
        "source": row.source if row else "",
        "channels": [_channel(name, channel, row, view, role) for channel in channels],
        "counts": {flag_name(flag): number for flag, number in counts.flags.items()} if counts else {},
    }


def _order(configured: list[str]) -> Any:
    return lambda channel: (configured.index(channel) if channel in configured else len(configured), channel)


def _channel(instrument: str, channel: str, row: LatestRow | None, view: View, role: Role) -> Json:
    info = view.site.instrument(instrument).channels.get(channel)
    unit = (row.units.get(channel) if row else None) or (info.unit if info else "")
    shown: Json = {
        "name": channel,
        "unit": unit,
        "flag": flag_name(row.flags.get(channel, Flag.NOT_EVALUATED)) if row else "none",
    }
    read_ns = view.earlier.get(instrument, {}).get(channel)
    if read_ns is not None:
        # Not of the newest row: its own age is shown, and whether it is late by its own interval.
        shown["t_ms"] = read_ns / 1e6
        shown["stale_after_s"] = view.site.instrument(instrument).channel_stale_after_s(channel)
    if role == "lab" and row is not None:
        decimals = info.decimals if info else None
        shown["value"] = value_text(row.values.get(channel), decimals)
        if channel in row.corrected:  # one digit more: a correction is smaller than the last one shown
            finer = None if decimals is None else decimals + 1
            shown["corrected"] = value_text(row.corrected[channel], finer)
    return shown


def _task_counts(tasks: Mapping[str, TaskView]) -> Json:
    return {
        "running": sum(task.phase == "running" for task in tasks.values()),
        "held": sum(task.overall in {"held", "released-under-look-back"} for task in tasks.values()),
        "all": len(tasks),
    }
