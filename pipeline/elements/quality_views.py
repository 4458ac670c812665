"""Views of batches, charts, look-backs, alarms and risk: for the door, and from stored records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.alarms import views as alarm_views
from pipeline.elements.batches import views as batch_views
from pipeline.elements.lookback import report
from pipeline.elements.risk import views as risk_views

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.elements.parts import Known
    from pipeline.records import Clock

LISTS: dict[str, Callable[[Known, Clock], Any]] = {
    "batches": lambda fold, _clock: batch_views.batches(fold),
    "qc-due": lambda fold, clock: batch_views.due(fold, clock.utc_ns(), clock.run_ns()),
    "charts": lambda fold, _clock: batch_views.charts(fold),
    "lookbacks": lambda fold, _clock: report.look_backs(fold.state),
    "alarms": lambda fold, _clock: alarm_views.alarms(fold.state),
    "risk": lambda fold, _clock: risk_views.overview(fold.state.risk, fold.settings.risk),
}
"""Name to the view of all."""

ITEMS: dict[str, Callable[[Known, str], dict[str, Any] | None]] = {
    "batches": batch_views.batch,
    "charts": batch_views.chart,
    "lookbacks": lambda fold, name: report.look_back_report(fold.state, name),
    "alarms": lambda fold, name: alarm_views.alarm(fold.state, name),
    "risk": lambda fold, name: risk_views.subject(fold.state.risk, name, fold.settings.risk),
}
"""Name to the view of one."""


def quality_view(fold: Known, clock: Clock, name: str, argument: str | None) -> Any:
    """Answer a view. Raises KeyError where there is none."""
    if argument is None:
        return LISTS[name](fold, clock)
    content = ITEMS[name](fold, argument)
    if content is None:
        raise KeyError(argument)
    return content
