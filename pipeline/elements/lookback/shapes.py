"""Bodies of `lookback` records. Words are part of the record format: append only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.elements.shapes import Actor
from pipeline.elements.vocabulary import Element, Overall

Cause = Literal["check-failed", "certificate-withdrawn", "control-failed"]


@dataclass(frozen=True, slots=True)
class AffectedResult:
    """A result of an affected task."""

    quantity: str
    value: float
    unit: str
    seq: int | None


@dataclass(frozen=True, slots=True)
class Affected:
    """A task that rests on what failed, as it stood when the look-back found it."""

    task: str
    sample: str | None
    item: str
    method: str
    instruments: tuple[str, ...]
    batch: str | None
    started_utc_ns: int
    overall: Overall
    moved: bool
    """To hold; a task that was void, recalled or to be repeated already stays as it was."""
    results: tuple[AffectedResult, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """Ids in other systems, such as reports: (system, id)."""


@dataclass(frozen=True, slots=True)
class LookBackOpen:
    """The impact report: what failed, since when nothing vouches for it, and which results rest on it."""

    lookback: str
    cause: Cause
    element: Element
    """The element that the affected tasks are held for."""
    subject: str
    """Instrument or material that is no longer vouched for."""
    role: Literal["instrument", "reference", "reagent"]
    """Part that the subject has in the affected tasks."""
    method: str | None
    """None: by every method."""
    from_run_ns: int | None
    """Gateway time of the last good check; None: there is none on record, everything is looked at."""
    from_utc_ns: int | None
    to_run_ns: int
    to_utc_ns: int
    last_good: str
    """Task of the last good check, or certificate; empty: none is known."""
    last_good_seq: int | None
    failed: str
    """Task of the failed check or control, or the certificate."""
    cause_seq: int
    """Record that led to the look-back."""
    affected: tuple[Affected, ...]
    older: bool
    """Tasks of this span have left the memory of the elements: the daemon adds them from the ledger."""
    action: Literal["open"] = "open"


@dataclass(frozen=True, slots=True)
class Reached:
    """A task of the span that had left memory, as the ledger tells it."""

    affected: Affected
    verdict: dict[str, Any] | None
    """Body of the element's verdict in force, of a task that is moved; None: there is none."""
    verdict_seq: int | None
    """Its record."""


@dataclass(frozen=True, slots=True)
class LookBackReach:
    """Tasks of the span that had left memory, in the order of their starts."""

    lookback: str
    tasks: tuple[dict[str, Any], ...]
    """Before version 4 of the fold: bodies of task states, in place of `reached`."""
    done: bool
    """All of them are told now."""
    beyond: int = 0
    """Tasks of the span that were not brought back; before version 3 of the fold, of more than 5,000."""
    through_start_seq: int = -1
    """Every task of the span that started at or before this record has been told."""
    reached: tuple[Reached, ...] = ()
    action: Literal["reach"] = "reach"


@dataclass(frozen=True, slots=True)
class LookBackClose:
    """A person has evaluated the impact; each held result has its own disposition."""

    lookback: str
    conclusion: str
    actor: Actor
    action: Literal["close"] = "close"


LOOKBACK_ACTIONS: dict[str, type[LookBackOpen | LookBackReach | LookBackClose]] = {
    "open": LookBackOpen,
    "reach": LookBackReach,
    "close": LookBackClose,
}
