"""What a task remembers of readings that were entered by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.elements.hand.shapes import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

ENTRIES_MAX = 500
"""Entries of one task, corrections among them; a further one is refused."""


@dataclass(slots=True)
class Entered:
    """An entry with its place in the record."""

    seq: int
    entry: Entry
    replaced_by: int | None = None
    """Seq of the entry that corrects it; None: it is in force."""
    after_verdict: bool = False
    """It came when the task had been measured and judged already."""


def in_force(entries: Iterable[Entered]) -> list[Entered]:
    """List the entries that nothing has replaced, in the order in which they were read."""
    known = [each for each in entries if each.replaced_by is None]
    return sorted(known, key=lambda each: (each.entry.at_run_ns, each.seq))


def counting(entries: Iterable[Entered]) -> list[Entered]:
    """List those in force that the method lets be entered by hand."""
    return [each for each in in_force(entries) if each.entry.foreseen]
