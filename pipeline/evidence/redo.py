"""Corrected values of an evidence file computed again from its readings and its registry records."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.corrections import redo_record
from pipeline.elements.codec import MalformedBody
from pipeline.elements.corrected import correction_applied
from pipeline.elements.registry import Registry
from pipeline.evidence.findings import Refused
from pipeline.evidence.show import records_in
from pipeline.evidence.verify import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.records import Record

PROBLEMS_MAX = 20


@dataclass(slots=True)
class Redone:
    """What came of it."""

    values: int = 0
    """Corrected values, of readings and of missing ones, that were computed again."""
    problems: list[str] = field(default_factory=list)
    """Where the file holds other bits, or lacks the record of a correction; the first ones."""


def redo_file(path: Path) -> Redone:
    """Compute every corrected value of a file again; it must be one whose seals hold.

    Raises:
        Refused: a record of it cannot be read.
        OSError: the file cannot be read.
    """
    redone, registry = Redone(), Registry()
    with path.open("rb") as stream:
        header = read_header(stream, path.stat().st_size)
        for seq, record in records_in(stream, header):
            try:
                if record.kind == "registry" and record.body.get("type") == "correction":
                    _register(registry, seq, record)
                else:
                    found = redo_record(record, lambda name: correction_applied(registry, name))
                    redone.values += found.values
                    redone.problems += [f"seq {seq}: {told}" for told in found.problems]
                    del redone.problems[PROBLEMS_MAX:]
            except (ValueError, TypeError, LookupError) as error:
                raise Refused(f"this record cannot be read: {error}", seq) from error
    return redone


def _register(registry: Registry, seq: int, record: Record) -> None:
    with suppress(MalformedBody):  # what rests on it is told: its correction is not at hand
        registry.add(seq, record.body)
