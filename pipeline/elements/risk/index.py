"""The index of a subject at an instant, and its explanation: the same numbers, never two calculations.

    contribution = 100 · weight · 2^(-age / half-life) / max(work, minimum_tasks)
    work = sum over tasks done of 2^(-age / half-life)
    index = sum of the contributions

It reads as weighted events in 100 tasks. An exponentially decaying sum needs one number and one instant,
whatever it sums (an exponentially weighted count), so memory is bounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import DAY_NS, SECOND_NS
from pipeline.elements.risk.state import CODES_MAX, EVENTS_MAX, Earlier, RiskEvent

if TYPE_CHECKING:
    from pipeline.elements.risk.settings import RiskSettings
    from pipeline.elements.risk.state import Level, RiskState, RiskSubject

LAB = "lab"
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Contribution:
    """Points of the index, and what they come from."""

    code: str
    count: int
    seq_first: int
    seq_last: int
    weight: float
    """Weight; of summed-up events the decayed sum as of the last one's instant."""
    age_s: float
    """Age of the event; of summed-up ones, of the newest."""
    points: float
    task: str = ""


def decay(age_ns: int, settings: RiskSettings) -> float:
    """Share of a weight that is left after a time."""
    return float(2.0 ** (-max(age_ns, 0) / (settings.half_life_days * DAY_NS)))


def add_event(subject: RiskSubject, event: RiskEvent, settings: RiskSettings) -> None:
    """Add an event; the oldest beyond `EVENTS_MAX` is summed up under its code."""
    subject.events.append(event)
    if len(subject.events) <= EVENTS_MAX:
        return
    oldest = subject.events.pop(0)
    code = oldest.code if oldest.code in subject.earlier or len(subject.earlier) < CODES_MAX else _OTHER
    known = subject.earlier.setdefault(code, Earlier(0, oldest.seq, oldest.seq, 0.0, oldest.t_run_ns))
    at_ns = max(known.t_run_ns, oldest.t_run_ns)
    known.weight = known.weight * decay(at_ns - known.t_run_ns, settings) + oldest.weight * decay(
        at_ns - oldest.t_run_ns, settings
    )
    known.count, known.seq_last, known.t_run_ns = known.count + 1, oldest.seq, at_ns


def add_work(subject: RiskSubject, t_run_ns: int, settings: RiskSettings) -> None:
    """Add a task done."""
    subject.work = subject.work * decay(t_run_ns - subject.work_run_ns, settings) + 1.0
    subject.work_run_ns = max(t_run_ns, subject.work_run_ns)
    subject.tasks += 1


def work_now(subject: RiskSubject, now_run_ns: int, settings: RiskSettings) -> float:
    """Work done, decayed as of an instant."""
    return subject.work * decay(now_run_ns - subject.work_run_ns, settings)


def index_of(state: RiskState, name: str, settings: RiskSettings) -> float:
    """Index of a subject as of the last tick."""
    return math.fsum(each.points for each in explain(state, name, settings))


def explain(state: RiskState, name: str, settings: RiskSettings) -> list[Contribution]:
    """List what the index of a subject consists of, the most first."""
    subject, now_ns = state.subjects.get(name), state.now_run_ns
    work = 0.0 if subject is None else work_now(subject, now_ns, settings)
    scale = 100.0 / max(work, settings.minimum_tasks)
    found = _of_open_gaps(state, name, settings, scale)
    for event in () if subject is None else subject.events:
        age_ns = max(now_ns - event.t_run_ns, 0)
        points = scale * event.weight * decay(age_ns, settings)
        seq, age_s = event.seq, age_ns / SECOND_NS
        found.append(Contribution(event.code, 1, seq, seq, event.weight, age_s, points, event.task))
    for code, earlier in {} if subject is None else subject.earlier.items():
        age_ns = max(now_ns - earlier.t_run_ns, 0)
        points = scale * earlier.weight * decay(age_ns, settings)
        span, age_s = (earlier.seq_first, earlier.seq_last), age_ns / SECOND_NS
        found.append(Contribution(code, earlier.count, *span, earlier.weight, age_s, points))
    return sorted(found, key=lambda each: (-each.points, each.seq_first))


def _of_open_gaps(state: RiskState, name: str, settings: RiskSettings, scale: float) -> list[Contribution]:
    """Count gaps that last as long as they do: data that do not come raise the index tick by tick."""
    gaps = state.gaps.items() if name in {LAB, "element:measurement"} else [
        (instrument, gap) for instrument, gap in state.gaps.items() if name == f"instrument:{instrument}"
    ]  # fmt: skip
    found = []
    for _instrument, gap in gaps:
        lasted_ns = max(state.now_run_ns - gap.from_run_ns, 0)
        weight = settings.gap_hour_weight * lasted_ns / (3600 * SECOND_NS)
        found.append(
            Contribution("gap-open", 1, gap.seq, gap.seq, weight, lasted_ns / SECOND_NS, scale * weight)
        )
    return found


def level_of(index: float, before: Level, settings: RiskSettings) -> Level:
    """Give the level of an index: entered at its threshold, left only below a share of it."""
    if index >= settings.action_from:
        return "action"
    if before == "action" and index >= settings.leave_share * settings.action_from:
        return "action"
    if index >= settings.attention_from:
        return "attention"
    if before != "ordinary" and index >= settings.leave_share * settings.attention_from:
        return "attention"
    return "ordinary"
