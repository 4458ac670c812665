"""A line of a method's QC plan, as the registry knows it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.elements.vocabulary import QcKind, Score


@dataclass(frozen=True, slots=True)
class QcItem:
    """One line of a method's QC plan: which control, how often, and what it is judged by."""

    kind: QcKind
    quantity: str | None = None
    """Result that it is about; None: every one."""
    per_batch: int | None = None
    """At least so many in each batch."""
    every: int | None = None
    """At most so many samples of a batch between two of them."""
    interval_s: float | None = None
    """At most this long between two of them by the method on the instrument, batches or not."""
    opening: bool = False
    """The first sample of a batch comes after one."""
    closing: bool = False
    """The last sample of a batch comes before one."""
    score: Score | None = None
    """What is judged; None: what is usual for the kind."""
    low: float | None = None
    high: float | None = None
    """Limits of the figure, in the unit of the result or in %; None: what is usual for the kind."""
    sigma: float | None = None
    """Standard deviation for proficiency assessment, σ_pt, for z and z'."""
    warn: tuple[str, ...] = ("1-2s",)
    """Control rules after which a QC sample is marked; likewise `reject`."""
    reject: tuple[str, ...] = ("1-3s", "2-2s", "R-4s", "4-1s", "10x")
