"""The first half of every write: decode records, many frames at a time, set aside what no store can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.records.frame import decode_flags
from pipeline.records.ranges import RangeSet
from pipeline.records.stack import decode_stack, stack_key
from pipeline.store import schema
from pipeline.store.door import DeadLetter, WriteReport
from pipeline.store.plans import plan_of
from pipeline.store.schema import Unstorable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records import FlagSet, Record
    from pipeline.records.block import Layout
    from pipeline.records.ranges import Range
    from pipeline.records.stack import Stack
    from pipeline.store.door import Origin
    from pipeline.store.schema import LedgerPoint


DAMAGE = (
    AssertionError, AttributeError, IndexError, KeyError, MemoryError, OverflowError, TypeError, ValueError,
)  # fmt: skip
"""What decoding raises over a body that is none: anybody may publish one."""


class Stacked(NamedTuple):
    """`data` records and, in their order, their frames."""

    records: list[Record]
    stack: Stack


@dataclass(slots=True)
class Prepared:
    """Records with their decoded content; those of kinds that stores do not show are left out."""

    frames: list[Stacked] = field(default_factory=list)
    flags: list[tuple[Record, FlagSet]] = field(default_factory=list)
    ledger: list[tuple[Record, LedgerPoint]] = field(default_factory=list)


def prepare(origin: Origin, records: Sequence[Record]) -> tuple[Prepared, list[DeadLetter]]:
    """Decode and check records; those that make no point in any store come back as dead letters."""
    ready, dead = Prepared(), list[DeadLetter]()
    try:
        schema.check_origin(origin)
    except Unstorable as error:
        return ready, [_dead(record, error) for record in records]
    # By identity: a layout of 500 channels is not hashed for every frame of it.
    groups: dict[tuple[int, int], tuple[Layout, list[Record]]] = {}
    for record in records:
        try:
            schema.check_record(record)
            if record.kind == "data":
                layout, rows = _key(record)
                key = id(layout), rows
                if key not in groups:
                    plan_of(layout)
                    groups[key] = (layout, [])
                groups[key][1].append(record)
            else:
                _prepare_other(record, ready)
        except Unstorable as error:
            dead.append(_dead(record, error))
    for (_, rows), (layout, group) in groups.items():
        _prepare_frames(layout, rows, group, ready, dead)
    return ready, dead


def _dead(record: Record, error: Unstorable) -> DeadLetter:
    return DeadLetter(record.journal, record.seq, record.data.hex(), str(error))


def _damaged(kind: str, error: Exception) -> Unstorable:
    return Unstorable(f"body of kind {kind} is damaged: {error!r}")


def _key(record: Record) -> tuple[Layout, int]:
    try:
        layout, rows = stack_key(record.body)
    except DAMAGE as error:
        raise _damaged(record.kind, error) from error
    if type(rows) is not int or rows < 0:
        raise Unstorable(f"body of kind data is damaged: {rows!r} is no number of rows")
    return layout, rows


def _prepare_frames(
    layout: Layout, rows: int, records: list[Record], ready: Prepared, dead: list[DeadLetter]
) -> None:
    """Decode frames together; over a damaged one, halve until it is alone."""
    try:
        try:
            stack = decode_stack(layout, rows, [record.body for record in records])
            schema.check_stack(stack)
        except Unstorable:
            raise
        except DAMAGE as error:
            raise _damaged("data", error) from error
    except Unstorable as error:
        if len(records) == 1:
            dead.append(_dead(records[0], error))
            return
        middle = len(records) // 2
        _prepare_frames(layout, rows, records[:middle], ready, dead)
        _prepare_frames(layout, rows, records[middle:], ready, dead)
    else:
        ready.frames.append(Stacked(records, stack))


def _prepare_other(record: Record, ready: Prepared) -> None:
    try:
        if record.kind == "flags":
            flags = decode_flags(record.body)
            schema.check_flags(flags)
            ready.flags.append((record, flags))
        elif record.kind in schema.LEDGER_KEYS:
            ready.ledger.append((record, schema.ledger_point(record)))
    except Unstorable:
        raise
    except DAMAGE as error:
        raise _damaged(record.kind, error) from error


def report(records: Sequence[Record], dead: list[DeadLetter]) -> WriteReport:
    """Report every record as stored but those with a dead line; dead letters in order of seq."""
    lost = {(letter.journal, letter.seq) for letter in dead}
    if lost:
        records = [record for record in records if (record.journal, record.seq) not in lost]
    journals = [record.journal for record in records]
    if len(set(journals)) == 1:
        seqs = {journals[0]: [record.seq for record in records]}
    else:
        seqs = {}
        for journal, record in zip(journals, records, strict=True):
            seqs.setdefault(journal, []).append(record.seq)
    stored = {journal: RangeSet(_ranges(found)) for journal, found in seqs.items()}
    return WriteReport(stored, sorted(dead, key=lambda letter: (letter.journal, letter.seq)))


def _ranges(seqs: list[int]) -> list[Range]:
    """Put seqs of any order together."""
    ordered = np.sort(np.array(seqs, dtype=np.uint64))
    breaks = np.flatnonzero(np.diff(ordered) > 1)
    return list(zip(
        ordered[np.concatenate(([0], breaks + 1))].tolist(),
        ordered[np.append(breaks, len(ordered) - 1)].tolist(),
        strict=True,
    ))  # fmt: skip
