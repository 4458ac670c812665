"""What a check is given and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.elements.hand.values import whole_channels
from pipeline.elements.registry_shapes import Method
from pipeline.elements.shapes import Reason
from pipeline.elements.vocabulary import STATUS_RANK

if TYPE_CHECKING:
    from pipeline.elements.registry import Registry
    from pipeline.elements.settings import ElementsSettings
    from pipeline.elements.shapes import Result
    from pipeline.elements.state import ChannelFacts, State, TaskState
    from pipeline.elements.vocabulary import VerdictStatus

DAY_NS = 86_400_000_000_000
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """One task at one instant, with all that a check may look at. Checks read it and change nothing."""

    task: TaskState
    state: State
    registry: Registry
    settings: ElementsSettings
    now_run_ns: int
    closing: bool
    """All rows have arrived and are decided: what is missing now stays missing."""
    results: tuple[Result, ...] = ()
    """The results of the task; computed when closing."""

    @property
    def end_run_ns(self) -> int:
        """End of the task's window, or now while it runs."""
        return self.now_run_ns if self.task.end_run_ns is None else self.task.end_run_ns

    @property
    def from_utc_ns(self) -> int:
        """UTC of the start of the window."""
        return self.task.start.at_utc_ns

    @property
    def to_utc_ns(self) -> int:
        """UTC of the end of the window, or of now."""
        return self.task.utc_at(self.end_run_ns)

    @property
    def method(self) -> Method | None:
        """The method as it was when the task began."""
        found = self.registry.at(Method, self.task.start.method, self.from_utc_ns)
        return None if found is None else found[0]

    @property
    def channels(self) -> list[ChannelFacts]:
        """The bound channels with what was read by the gateway and what was entered by hand."""
        return whole_channels(self.task)

    def window(self) -> dict[str, int]:
        """Facts of the window that was judged."""
        return {"from_run_ns": self.task.start.at_run_ns, "to_run_ns": self.end_run_ns}


@dataclass(slots=True)
class Finding:
    """The reasons that a check found and the facts that it used. No reason at all means ok."""

    facts: dict[str, Any] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)

    def add(self, status: VerdictStatus, code: str, subject: str, *seqs: int, **args: Any) -> None:
        """Note a reason, once for each code and subject: the first is the one that is cited."""
        if not any(reason.code == code and reason.subject == subject for reason in self.reasons):
            evidence = tuple(sorted({seq for seq in seqs if seq >= 0}))
            self.reasons.append(Reason(code, status, subject, dict(args), evidence))

    @property
    def status(self) -> VerdictStatus:
        """Worst of the reasons."""
        return max((reason.status for reason in self.reasons), key=STATUS_RANK.__getitem__, default="ok")
