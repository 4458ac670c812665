"""A wire recording against the journal of the same run: decode, rules and elements once more, bit for bit.

The bytes of the lines give the rows anew, the rules judge them anew, and the elements derive anew what the
journal says that they derived, given the commands and all other records of that time. Whatever is different
is told with its record.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from pipeline.elements import VERSION as ELEMENTS_VERSION
from pipeline.qc.memory import WARMING_BIT
from pipeline.records import Block, Flag, Frame
from pipeline.records.block import concatenate
from pipeline.records.frame import decode_flags, decode_frame, encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drivers.replay import Replay
    from pipeline.elements import Elements
    from pipeline.qc import Decision, QcEngine
    from pipeline.records import Record

DIFFERENCES_MAX = 100
"""Differences that are told; of more, how many there are."""
_CONSUMER = "elements"
_Late = set[tuple[str, str, int, str, int]]
"""(instrument, rule, ordinal, channel, flag)"""


@dataclass(slots=True)
class Report:
    """What was compared, and what differs."""

    rows: int = 0
    """Rows that the recording gave again."""
    other_rows: int = 0
    """Rows of the journal of which the recording has no bytes; they are taken as they stand."""
    late_flags: int = 0
    derived: int = 0
    """Records that the elements derived again."""
    different: int = 0
    differences: list[str] = field(default_factory=list)

    def differ(self, text: str) -> None:
        """Note a difference."""
        self.different += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(text)


class WireAudit:
    """Plays a recording back beside the records of its journal.

    Args:
        played: the recording.
        engine: the rules in force, ready; no block has been judged.
        elements: empty, with the settings in force.
    """

    def __init__(self, played: Replay, engine: QcEngine, elements: Elements) -> None:
        self._items = played.items()
        self._names = {one.id for one in played.instruments}
        self._engine = engine
        self._elements = elements
        self._rows: defaultdict[str, deque[Block]] = defaultdict(deque)
        self._gaps: dict[str, int] = {}
        self._aside: dict[str, list[tuple[int, int]]] = defaultdict(list)
        """By instrument, spans of gateway time whose rows are in the rehearsal journal."""
        self._vouched = True
        self._made: _Late = set()
        self._said: _Late = set()
        self._owed: dict[tuple[int, int], tuple[str, bytes]] = {}
        self.report = Report()

    async def run(self, records: Iterable[Record]) -> Report:
        """Go through all records of the journal, the first one included. Raises drivers.errors.Fatal."""
        last = -1
        for record in records:
            if record.seq != last + 1:
                self.report.differ(f"records {last + 1} to {record.seq - 1} are not in the journal any more")
            last = record.seq
            await self._take(record)
        for name, waiting in self._rows.items():
            for block in waiting:
                self._unrecorded(name, block)
        for (seq, index), (kind, _) in self._owed.items():
            if seq < last:
                self.report.differ(f"record {seq}: what follows from it ({kind}, {index}) is in no record")
        self._compare_late()
        return self.report

    async def _take(self, record: Record) -> None:
        match record.kind:
            case "data":
                await self._take_frame(record)
            case "gap" if record.body.get("cause") != "shed":
                self._take_gap(record.body)
            case "flags":
                flags = decode_flags(record.body)
                self._said |= {
                    (flags.instrument, flags.rule, int(n), channel, int(flag))
                    for n, channel, flag in zip(flags.n, flags.channel, flags.flag, strict=True)
                }
            case "event" if record.body.get("code") == "daemon-start":
                self._vouched = record.body["args"].get("downtime_s") != "unknown"
        self._derive(record)

    async def _take_frame(self, record: Record) -> None:
        frame = decode_frame(record.body)
        made = await self._played(frame.block) if frame.block.instrument in self._names else None
        if made is None:
            self.report.other_rows += len(frame.block)
            self._judge(frame.block, frame)
            return
        self.report.rows += len(made)
        again = self._judge(made, frame)
        if msgpack.packb(encode_frame(again)) != msgpack.packb(record.body):
            self.report.differ(f"record {record.seq}: {_difference(frame, again)}")

    async def _played(self, wanted: Block) -> Block | None:
        """Return the rows again as the bytes give them; None when the recording does not have them."""
        name, found = wanted.instrument, []
        for t_run_ns in wanted.t_run_ns.tolist():
            block = await self._row(name, t_run_ns)
            if block is not None:
                found.append(block)
        return concatenate(found) if len(found) == len(wanted) else None

    async def _row(self, name: str, t_run_ns: int) -> Block | None:
        waiting = self._rows[name]
        while True:
            while not waiting:
                item = await anext(self._items, None)
                if item is None:
                    return None
                if isinstance(item, Block):
                    self._rows[item.instrument].extend(item.rows(at, at + 1) for at in range(len(item)))
            first_ns = int(waiting[0].t_run_ns[0])
            if first_ns > t_run_ns:
                return None
            block = waiting.popleft()
            if first_ns == t_run_ns:
                return block
            self._unrecorded(name, block)

    def _unrecorded(self, name: str, block: Block) -> None:
        """Say that a row is in no record, unless a gap says that it is in the rehearsal journal."""
        t_run_ns = int(block.t_run_ns[0])
        if not any(first_ns <= t_run_ns <= last_ns for first_ns, last_ns in self._aside[name]):
            self.report.differ(f"{name}: the row at {int(block.t_utc_ns[0])} ns is in no record")

    def _judge(self, block: Block, frame: Frame) -> Frame:
        """Judge rows anew; what was recorded while the kernels were compiled stands as it is."""
        flag, masks = frame.flag.copy(), np.array([frame.reason, frame.unevaluated])
        warming = np.bitwise_or.reduce(frame.unevaluated, axis=0) >> WARMING_BIT & 1
        for at in range(len(block)):
            if warming[at]:
                self._engine.gap(block.instrument, duration_known=False)
                continue
            result = self._engine.process(block.rows(at, at + 1), frame.n_first + at)
            flag[:, at], masks[0][:, at], masks[1][:, at] = (
                result.flag[:, 0], result.reason[:, 0], result.unevaluated[:, 0],
            )  # fmt: skip
            self._decided(result.decisions)
        return Frame(
            block, frame.n_first, flag, masks[0], masks[1], frame.service, frame.t_store_off_ns,
            frame.corrected,
        )  # fmt: skip

    def _take_gap(self, body: dict[str, Any]) -> None:
        name = body["instrument"]
        if body["cause"] == "rehearsal" and body["ended"]:
            self._aside[name].append((body["from_run_ns"], body["to_run_ns"]))
        if self._gaps.get(name) != body["from_run_ns"]:
            self._gaps[name] = body["from_run_ns"]
            known = body["cause"] != "daemon-down" or self._vouched
            self._decided(self._engine.gap(name, duration_known=known))

    def _decided(self, decisions: Iterable[Decision]) -> None:
        self._made |= {
            (one.instrument, one.rule, int(n), channel, int(flag))
            for one in decisions
            for n, channel, flag, required in zip(one.n, one.channel, one.flag, one.required, strict=True)
            if flag != Flag.NOT_EVALUATED or required
        }

    def _compare_late(self) -> None:
        self.report.late_flags = len(self._made & self._said)
        missing = (self._made - self._said, "the journal"), (self._said - self._made, "the replay")
        for found, where in missing:
            for name, rule, n, channel, flag in sorted(found):
                self.report.differ(f"{name} row {n}, {channel}: flag {flag} of '{rule}' is not in {where}")

    def _derive(self, record: Record) -> None:
        """Compare a derived record with what the elements derive now, and let them take it in."""
        by = record.by
        if by is not None and by.consumer == _CONSUMER and by.version == ELEMENTS_VERSION:
            made = self._owed.pop((by.through_seq, by.index), None)
            if made != (record.kind, msgpack.packb(record.body)):
                told = "nothing" if made is None else f"another {made[0]}"
                self.report.differ(
                    f"record {record.seq}, a {record.kind}: {told} follows from record {by.through_seq}"
                )
            else:
                self.report.derived += 1
        for index, draft in enumerate(self._elements.consume(record)):
            self._owed[record.seq, index] = draft.kind, msgpack.packb(draft.body)


def _difference(recorded: Frame, again: Frame) -> str:
    """Name the first cell in which two frames differ."""
    ours, theirs = again.block, recorded.block
    if ours.layout != theirs.layout:
        return f"{theirs.instrument}: another layout of channels"
    for at, channel in enumerate(theirs.layout.channels):
        for row in range(len(theirs)):
            mine, was = (
                (block.column(channel.name)[row], int(block.status[at, row]), int(frame.flag[at, row]))
                for block, frame in ((ours, again), (theirs, recorded))
            )
            if repr(mine) != repr(was):
                place = f"{theirs.instrument} row {recorded.n_first + row}, {channel.name}"
                return (
                    f"{place}: the journal has {was[0]} "
                    f"(status {was[1]}, flag {was[2]}), the recording gives {mine[0]} ({mine[1]}, {mine[2]})"
                )
    return f"{theirs.instrument} row {recorded.n_first}: times, reasons or raw bytes differ"
