"""Bodies of `task`, `result`, `verdict` and `review` records, and the drafts and actors around them.

Every shape goes to its body by `codec.to_body` and back by `codec.from_body`. Persons are opaque ids. Texts
for people are never in a body: it carries codes and arguments that `texts` renders in either language.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.elements.registry_shapes import CertifiedValue
from pipeline.elements.vocabulary import (
    Disposition,
    Element,
    Finality,
    How,
    Purpose,
    QcKind,
    Role,
    VerdictStatus,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """A record to be: the daemon appends it, the journal gives it its seq and stamps."""

    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, how that is known, and what was meant by it."""

    person: str
    """Opaque id; of a service, its name."""
    role: str
    how: How
    station: str
    meaning: str
    reason: str
    signed_at_ns: int
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Binding:
    """A time-bounded part in a task, in gateway time, `from_run_ns` up to, not including, `to_run_ns`."""

    role: Role
    target: str
    """Person, `instrument.channel`, material or environment, by id."""
    from_run_ns: int
    to_run_ns: int | None = None
    """None: until the task stops, or, for an operator, until the next hand-over."""
    late: bool = False
    """Claimed afterwards."""


@dataclass(frozen=True, slots=True)
class Control:
    """What makes a task a quality control, with the facts of its material as registered when it began."""

    kind: QcKind
    of: str | None = None
    """The task whose result it is compared with: of a duplicate, spike, comparison or retained sample."""
    added: float | None = None
    """What was added to a matrix spike, in the unit of the result."""
    material: str | None = None
    lot: str = ""
    level: str = ""
    certified: tuple[CertifiedValue, ...] = ()
    expiry_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TaskStart:
    """The work on one sample for one test item by one method clause begins."""

    task: str
    purpose: Purpose
    method: str
    edition: str
    """Edition in force when the task began."""
    instruments: tuple[str, ...]
    bindings: tuple[Binding, ...]
    actor: Actor
    sample: str | None = None
    item: str = ""
    clause: str = ""
    batch: str | None = None
    attempt: int = 1
    """1 for the first attempt at this sample, item and method; aborted attempts count."""
    at_run_ns: int = 0
    at_utc_ns: int = 0
    action: Literal["start"] = "start"
    place: int | None = None
    """Place in the batch, from 1; None outside of one."""
    control: Control | None = None
    """None: the task is no quality control of the method's plan."""


@dataclass(frozen=True, slots=True)
class TaskBind:
    """A further binding of a running or stopped task."""

    task: str
    binding: Binding
    actor: Actor
    action: Literal["bind"] = "bind"


@dataclass(frozen=True, slots=True)
class TaskHandover:
    """The operators up to now leave, another takes over at this instant."""

    task: str
    operator: str
    at_run_ns: int
    actor: Actor
    action: Literal["handover"] = "handover"


@dataclass(frozen=True, slots=True)
class TaskStop:
    """The work is done: the window of the task closes at this instant."""

    task: str
    at_run_ns: int
    at_utc_ns: int
    actor: Actor
    action: Literal["stop"] = "stop"


@dataclass(frozen=True, slots=True)
class TaskAbort:
    """The attempt is given up; it stays visible with its reason."""

    task: str
    at_run_ns: int
    at_utc_ns: int
    reason: str
    actor: Actor
    action: Literal["abort"] = "abort"


@dataclass(frozen=True, slots=True)
class TaskStep:
    """A person marks where a step of the procedure, or the next replicate, begins."""

    task: str
    name: str
    """Step of the method; "" ends the step under way."""
    at_run_ns: int
    actor: Actor
    mark: Literal["step", "replicate"] = "step"
    action: Literal["step"] = "step"


@dataclass(frozen=True, slots=True)
class TaskLink:
    """An id of another system: order, report, LIMS."""

    task: str
    system: str
    external_id: str
    actor: Actor
    action: Literal["link"] = "link"


@dataclass(frozen=True, slots=True)
class TaskAmend:
    """Something that was said at the start is corrected; what it was stays readable."""

    task: str
    reason: str
    actor: Actor
    sample: str | None = None
    """The right one; None: it was right. Likewise `item` and `clause`."""
    item: str | None = None
    clause: str | None = None
    attempt: int = 1
    """Number of the attempt at what it is now."""
    was: dict[str, str] = field(default_factory=dict)
    """What was corrected, as it stood before."""
    action: Literal["amend"] = "amend"


TaskAction = TaskStart | TaskBind | TaskHandover | TaskStop | TaskAbort | TaskLink | TaskStep | TaskAmend
TASK_ACTIONS: dict[str, type[TaskAction]] = {
    "start": TaskStart,
    "bind": TaskBind,
    "handover": TaskHandover,
    "stop": TaskStop,
    "abort": TaskAbort,
    "link": TaskLink,
    "step": TaskStep,
    "amend": TaskAmend,
}


@dataclass(frozen=True, slots=True)
class Conformity:
    """Statement of conformity with the rule that it was made by."""

    decision: Literal["pass", "fail"]
    rule: str
    low: float | None
    high: float | None
    guard_band: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """A result, recomputable from the records that it names.

    Values are never rounded; `decimals` is for display.
    """

    task: str
    quantity: str
    value: float
    unit: str
    decimals: int | None
    uncertainty: float | None
    """Expanded uncertainty U in `unit`, as the certificate of the instrument states it; None: not stated."""
    k: float | None
    conformity: Conformity | None
    seqs: tuple[int, ...]
    """The data records whose readings were used, ascending."""
    algorithm: str
    version: int
    facts: dict[str, Any] = field(default_factory=dict)
    """Intermediate values by name, so that a person can follow the calculation."""
    supersedes: int | None = None
    """Seq of the result that this one replaces, after an entry by hand was corrected or came late."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an element is not plainly ok."""

    code: str
    """Key of `texts.REASONS`."""
    status: VerdictStatus
    """What this reason alone would make of the element."""
    subject: str
    """The person, instrument, channel, material or method that it is about, by id."""
    args: dict[str, Any] = field(default_factory=dict)
    seqs: tuple[int, ...] = ()
    """Evidence: records that show it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Judgement of one element of a task from the records up to `cause_seq`."""

    task: str
    element: Element
    status: VerdictStatus
    finality: Finality
    supersedes: int | None
    """Seq of the verdict that this one replaces."""
    cause: str
    """Kind of the record that led to it; for a task record, the action."""
    cause_seq: int
    late: bool
    """The fact that makes it better than an earlier hold came afterwards: the hold waits for a person."""
    reasons: tuple[Reason, ...]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Review:
    """A person's disposition of a task."""

    task: str
    disposition: Disposition
    reason: str
    verdicts: tuple[int, ...]
    """Seqs of the verdicts in force that were signed, ascending."""
    results: tuple[int, ...]
    """Seqs of the results that were signed, ascending."""
    signed_hash: str
    """SHA-256 of what was signed, see `signing.signing_hash`."""
    actor: Actor
    limitation: str = ""
