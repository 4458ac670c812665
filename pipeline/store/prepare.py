"""The first half of every write: decode each record once, set aside what no store can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.records import FlagSet, Frame
from pipeline.records.frame import decode_flags, decode_frame
from pipeline.records.ranges import RangeSet
from pipeline.store import schema
from pipeline.store.door import DeadLetter, WriteReport
from pipeline.store.plans import plan_of
from pipeline.store.schema import LedgerPoint, Unstorable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.records import Record
    from pipeline.store.door import Origin


_DAMAGE = (
    AssertionError, AttributeError, IndexError, KeyError, MemoryError, OverflowError, TypeError, ValueError,
)  # fmt: skip
"""What decoding raises over a body that is none: anybody may publish one."""


class Prepared(NamedTuple):
    """A record with its decoded content; None for kinds that stores do not show."""

    record: Record
    content: Frame | FlagSet | LedgerPoint | None


def prepare(origin: Origin, records: Sequence[Record]) -> tuple[list[Prepared], list[DeadLetter]]:
    """Decode and check records; those that make no point in any store come back as dead letters."""
    ready, dead = [], []
    for record in records:
        try:
            schema.check_record(origin, record)
            ready.append(Prepared(record, _content(record)))
        except Unstorable as error:
            dead.append(DeadLetter(record.journal, record.seq, record.data.hex(), str(error)))
    return ready, dead


def _content(record: Record) -> Frame | FlagSet | LedgerPoint | None:
    try:
        if record.kind == "data":
            frame = decode_frame(record.body)
            schema.check_frame(frame)
            plan_of(frame.block.layout)
            return frame
        if record.kind == "flags":
            flags = decode_flags(record.body)
            schema.check_flags(flags)
            return flags
        return schema.ledger_point(record) if record.kind in schema.LEDGER_KEYS else None
    except Unstorable:
        raise
    except _DAMAGE as error:
        raise Unstorable(f"body of kind {record.kind} is damaged: {error!r}") from error


def report(records: Iterable[Record], dead: list[DeadLetter]) -> WriteReport:
    """Report every record as stored but those with a dead line."""
    lost = {(letter.journal, letter.seq) for letter in dead}
    stored: dict[bytes, RangeSet] = {}
    for record in records:
        if (record.journal, record.seq) not in lost:
            stored.setdefault(record.journal, RangeSet()).add(record.seq)
    return WriteReport(stored, dead)
