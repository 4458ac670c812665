"""What the index keeps of a task, and what a list of tasks may be asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.elements.vocabulary import ELEMENTS


class TaskRow(NamedTuple):
    """One task in brief, in the order of the table's columns. Times in ns; lists and maps as JSON text."""

    task: str
    start_seq: int
    purpose: str
    sample: str | None
    item: str
    clause: str
    method: str
    edition: str
    batch: str | None
    attempt: int
    instruments: str
    """JSON list of instrument ids."""
    operators: str
    """JSON list of person ids, in the order in which they worked."""
    phase: str
    overall: str
    final: int
    """1 once every verdict is final."""
    held: str
    """JSON list of elements whose hold nobody has disposed of."""
    elements: str
    """JSON map from element to [status, finality, seq] of the verdict in force."""
    results: str
    """JSON list of [quantity, value, unit, seq], of each result that stands."""
    links: str
    """JSON list of [system, id there]."""
    disposition: str
    """The latest; empty before the first."""
    abort_reason: str
    started_utc_ns: int
    started_run_ns: int
    ended_utc_ns: int | None
    ended_run_ns: int | None

    def brief(self) -> dict[str, Any]:
        """Give the row in the form of `elements.views`."""
        statuses = json.loads(self.elements)
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "instruments": json.loads(self.instruments),
            "operators": json.loads(self.operators),
            "final": bool(self.final),
            "held": json.loads(self.held),
            "elements": {name: statuses[name][0] for name in ELEMENTS if name in statuses},
        }


_PLAIN = (
    "task", "purpose", "sample", "item", "clause", "method", "edition", "batch", "attempt", "phase",
    "overall", "started_utc_ns", "ended_utc_ns", "abort_reason",
)  # fmt: skip


EQUAL = ("overall", "phase", "purpose", "sample", "method", "batch")
"""Columns that a filter compares."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are wanted; what is None is not asked for."""

    overall: str | None = None
    phase: str | None = None
    purpose: str | None = None
    sample: str | None = None
    method: str | None = None
    batch: str | None = None
    instrument: str | None = None
    operator: str | None = None
    system: str | None = None
    """With `external_id`: the other system."""
    external_id: str | None = None
    """An id that another system gave the task."""
    from_utc_ns: int | None = None
    """Started at or after."""
    to_utc_ns: int | None = None
    """Started before."""
    before: str | None = None
    """Started before this task was: the last of the page before."""
    limit: int = 100

    def matches(self, brief: dict[str, Any]) -> bool:
        """Tell whether a task in brief is wanted, as far as its brief tells."""
        started_ns = brief["started_utc_ns"]
        return (
            all(getattr(self, name) in {None, brief[name]} for name in EQUAL)
            and (self.instrument is None or self.instrument in brief["instruments"])
            and (self.operator is None or self.operator in brief["operators"])
            and (self.from_utc_ns is None or started_ns >= self.from_utc_ns)
            and (self.to_utc_ns is None or started_ns < self.to_utc_ns)
        )
