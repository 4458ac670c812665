"""Claims made in UTC about a task's past, resolved to gateway time once, when they are made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.elements.refusal import Refused
from pipeline.elements.timeline import occurrences

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request
    from pipeline.elements.state import TaskState

WHICH = ("first", "second")
"""Words for which of two occurrences is meant; of more, the second is the one after the first."""


def claimed_run_ns(request: Request, task: TaskState, name: str) -> int | None:
    """Resolve the claim `NAME_utc` (ISO 8601) or `NAME_utc_ns` to gateway time; None where none is made.

    `occurrence` says which is meant of an instant that the clock showed twice.

    Raises:
        Refused: it is outside the task's window, was never shown, or was shown twice and nobody said which.
    """
    written, counted = request.instant(f"{name}_utc"), request.integer(f"{name}_utc_ns")
    if written is not None and counted is not None:
        problem = f"{name}_utc is given too: give one of the two"
        raise Refused("wrong-argument", argument=f"{name}_utc_ns", problem=problem)
    utc_ns = counted if written is None else written
    if utc_ns is None:
        return None
    argument = f"{name}_utc" if counted is None else f"{name}_utc_ns"
    begin_ns = task.start.at_run_ns
    end_ns = request.t_run_ns if task.end_run_ns is None else task.end_run_ns
    timeline = request.state.timeline
    if not timeline.stretches or timeline.stretches[0].from_run_ns > begin_ns:
        # From before what is remembered of the clock: by the stamps of the start.
        found: tuple[int, ...] = (begin_ns + utc_ns - task.start.at_utc_ns,)
    else:
        found = occurrences(timeline, utc_ns, request.t_run_ns).run_ns
    if not found and task.start.at_utc_ns <= utc_ns <= request.t_utc_ns:
        raise Refused("clock-skipped", argument=argument, instant=_shown(utc_ns))
    inside = [run_ns for run_ns in found if begin_ns <= run_ns <= end_ns]
    if not inside:
        raise Refused("wrong-argument", argument=argument, problem="it is outside the task's window")
    return inside[0] if len(inside) == 1 else _chosen(request, task, argument, utc_ns, inside)


def _chosen(request: Request, task: TaskState, argument: str, utc_ns: int, inside: list[int]) -> int:
    which = request.optional_text("occurrence")
    if which is None:
        after = ", ".join(f"{(run_ns - task.start.at_run_ns) / 1e9:.0f} s" for run_ns in inside)
        raise Refused("clock-ambiguous", argument=argument, instant=_shown(utc_ns), after=after)
    position = WHICH.index(request.choice("occurrence", WHICH))
    return inside[min(position, len(inside) - 1)]


def _shown(utc_ns: int) -> str:
    return datetime.fromtimestamp(utc_ns / 1e9, UTC).isoformat(timespec="seconds")
