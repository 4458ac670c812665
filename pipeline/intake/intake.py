"""From the drivers' items to journal records: ordinals, QC, frames, gaps.

Every method is called on the event loop's thread. Nothing is dropped: when the journal has no room, `take`
waits, the driver's stream stalls, and the deadlines that it misses become a gap.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgpack

from pipeline.intake.frames import FRAME_DELAY_NS, FRAME_ROWS_MAX, LateFlags, OpenFrame
from pipeline.intake.onsets import Onsets
from pipeline.records import Block, DeviceEvent, Gap, Reading
from pipeline.records.envelope import By
from pipeline.records.events import event_body, told
from pipeline.records.frame import decode_flags, decode_frame, encode_flags, encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.qc import QcEngine
    from pipeline.records import Clock, Item, Record
    from pipeline.records.envelope import Body

VERSION = 1
"""Version of the snapshot and of the derived `flags` records."""


class Sink(Protocol):
    """Where records go: the gateway's recorder."""

    def append(self, kind: str, body: Body, *, instrument: str | None = None, by: By | None = None) -> Record:
        """Append one record; `instrument` decides its source."""
        ...

    async def room(self) -> None:
        """Wait until the journal can take more."""
        ...

    def stored_offsets(self, instrument: str, t_utc_ns: NDArray[Any]) -> NDArray[Any] | None:
        """Offsets that make the stored times of an instrument strictly increase; None when all are zero."""
        ...


@dataclass(slots=True)
class _Instrument:
    """What intake knows of one instrument."""

    late: LateFlags
    onsets: Onsets = field(default_factory=Onsets)
    n_next: int = 0
    last_run_ns: int | None = None
    """Gateway time of the last row."""
    last_utc_ns: int | None = None
    gap: Gap | None = None
    """The gap that has begun and not ended."""
    frame: OpenFrame | None = None


class Intake:
    """Checks and numbers what drivers hand out and appends it as `data`, `flags`, `gap`, `event`, `reading`.

    Args:
        engine: the QC engine.
        sink: where records go.
        clock: gateway time.
        service_state: the service state of an instrument now.
    """

    def __init__(
        self, engine: QcEngine, sink: Sink, clock: Clock, service_state: Callable[[str], str]
    ) -> None:  # fmt: skip
        self._engine = engine
        self._sink = sink
        self._clock = clock
        self._service_state = service_state
        self._instruments: dict[str, _Instrument] = {}
        self._periods_ns: dict[str, int] = {}
        self.readings = 0
        """Values and missing values taken since the start: rows times channels."""
        self.rows = 0

    async def take(self, item: Item) -> None:
        """Take one item of a driver's stream."""
        await self._sink.room()
        match item:
            case Block():
                self._take_block(item)
            case Gap():
                self._take_gap(item)
            case DeviceEvent():
                self._sink.append("event", told(item), instrument=item.instrument)
            case Reading():
                body = asdict(item)
                self._sink.append("reading", body, instrument=item.instrument)

    def _of(self, instrument: str) -> _Instrument:
        known = self._instruments.get(instrument)
        if known is None:
            known = self._instruments[instrument] = _Instrument(late=LateFlags(instrument))
        return known

    def _take_block(self, block: Block) -> None:
        if not len(block):
            return
        state, service = self._of(block.instrument), self._service_state(block.instrument)
        if state.gap is not None and state.gap.cause == "daemon-down":
            self._end_down_gap(state, int(block.t_run_ns[0]), int(block.t_utc_ns[0]))
        if state.frame is not None and not state.frame.fits(block, service):
            self._close(block.instrument, state)
        if state.frame is None:
            state.frame = OpenFrame(state.n_next, service, self._clock.run_ns())
        result = self._engine.process(block, state.n_next)
        state.frame.add(block, result)
        state.late.add(result.decisions)
        state.n_next += len(block)
        state.last_run_ns, state.last_utc_ns = int(block.t_run_ns[-1]), int(block.t_utc_ns[-1])
        self.rows += len(block)
        self.readings += len(block) * len(block.layout.channels)
        if state.frame.rows >= FRAME_ROWS_MAX:
            self._close(block.instrument, state)

    def _take_gap(self, gap: Gap) -> None:
        state = self._of(gap.instrument)
        self._close(gap.instrument, state)
        if state.gap is not None and state.gap.cause == "daemon-down":
            self._end_down_gap(state, gap.from_run_ns, gap.from_utc_ns)
        if state.gap is None or state.gap.from_run_ns != gap.from_run_ns:
            state.late.add(self._engine.gap(gap.instrument))
        state.gap = None if gap.ended else gap
        record = self._sink.append("gap", gap_body(gap), instrument=gap.instrument)
        self._say(state, record, force=True)

    def close_due(self) -> None:
        """Close every frame whose oldest row has waited its time; called every few tens of milliseconds."""
        due_ns = self._clock.run_ns() - FRAME_DELAY_NS
        for instrument, state in self._instruments.items():
            if state.frame is not None and state.frame.opened_ns <= due_ns:
                self._close(instrument, state)

    def close_all(self) -> None:
        """Close every open frame, whatever its age."""
        for instrument, state in self._instruments.items():
            self._close(instrument, state)

    def flush(self) -> None:
        """End of acquisition: close frames and let the rules that need the future decide what they can."""
        for instrument, state in self._instruments.items():
            self._close(instrument, state)
            state.late.add(self._engine.flush(instrument))
            for flags in state.late.due(self._clock.run_ns(), force=True):
                self._sink.append("flags", encode_flags(flags), instrument=instrument)

    def _close(self, instrument: str, state: _Instrument) -> None:
        if state.frame is None:
            return
        block = state.frame.joined()
        frame = state.frame.close(self._sink.stored_offsets(instrument, block.t_utc_ns), block)
        state.frame = None
        state.late.remember(frame)
        record = self._sink.append("data", encode_frame(frame), instrument=instrument)
        for body in state.onsets.of_frame(frame):
            self._sink.append("event", body, instrument=instrument)
        self._say(state, record, force=False)

    def _say(self, state: _Instrument, record: Record, *, force: bool) -> None:
        for index, flags in enumerate(state.late.due(self._clock.run_ns(), force=force)):
            by = By("qc", VERSION, record.seq, index)
            self._sink.append("flags", encode_flags(flags), instrument=flags.instrument, by=by)
            for body in state.onsets.of_flags(flags, self._clock.run_ns()):
                self._sink.append("event", body, instrument=flags.instrument)
            if state.late.unplaced:
                body = event_body(
                    "flags-unplaced", instrument=flags.instrument, rule=flags.rule, count=state.late.unplaced
                )
                self._sink.append("event", body, instrument=flags.instrument)
                state.late.unplaced = 0

    def last_rows(self) -> dict[str, dict[str, int | str | None]]:
        """By instrument: rows taken, UTC of the last one, and the cause of the gap that is open."""
        return {
            name: {
                "rows": state.n_next,
                "last_utc_ns": state.last_utc_ns,
                "gap": None if state.gap is None else state.gap.cause,
            }
            for name, state in self._instruments.items()
        }

    # ------------------------------------------------------------------------------------------ restart

    def snapshot(self) -> bytes:
        """State after every row taken so far; open frames are closed first: the journal then holds them."""
        self.close_all()
        instruments = {
            name: [
                known.n_next,
                known.last_run_ns,
                known.last_utc_ns,
                None if known.gap is None else asdict(known.gap),
                known.late.save(),
            ]
            for name, known in self._instruments.items()
        }
        packed: bytes = msgpack.packb([instruments, self._engine.snapshot()])
        return packed

    def restore(self, state: bytes) -> None:
        """Take up a snapshot."""
        instruments, engine = msgpack.unpackb(state)
        self._engine.restore(engine)
        for name, (n_next, last_run_ns, last_utc_ns, gap, late) in instruments.items():
            known = self._of(name)
            known.n_next, known.last_run_ns, known.last_utc_ns = n_next, last_run_ns, last_utc_ns
            known.gap = None if gap is None else Gap(**gap)
            known.late.load(late)

    def replay(self, record: Record) -> None:
        """Bring the state forward over a record that came after the snapshot, without appending anything."""
        if record.kind == "data":
            frame = decode_frame(record.body)
            state = self._of(frame.block.instrument)
            state.late.add(self._engine.process(frame.block, frame.n_first).decisions)
            state.late.remember(frame)
            state.n_next = frame.n_first + len(frame.block)
            state.last_run_ns, state.last_utc_ns = (
                int(frame.block.t_run_ns[-1]),
                int(frame.block.t_utc_ns[-1]),
            )
        elif record.kind == "gap":
            gap = Gap(**record.body)
            state = self._of(gap.instrument)
            if state.gap is None or state.gap.from_run_ns != gap.from_run_ns:
                state.late.add(self._engine.gap(gap.instrument))
            state.gap = None if gap.ended else gap
        elif record.kind == "flags":
            flags = decode_flags(record.body)
            self._of(flags.instrument).late.already_said(flags)

    def begin(
        self, instrument: str, period_ns: int, stopped_run_ns: int, stopped_utc_ns: int, *, known: bool
    ) -> None:
        """Account for the time since the instrument's last row, in which the daemon was down.

        Args:
            instrument: its id.
            period_ns: its poll interval; 0 for one that is not polled.
            stopped_run_ns: gateway time of the last durable record before this start.
            stopped_utc_ns: the same in UTC.
            known: whether a clock vouches for the downtime's length; if none does, rules forget the past.
        """
        state = self._of(instrument)
        if state.last_run_ns is None or state.last_utc_ns is None:
            return
        from_run_ns, from_utc_ns = state.last_run_ns, state.last_utc_ns
        if state.gap is not None:
            ended = max(stopped_run_ns, state.gap.to_run_ns)
            body = asdict(state.gap) | {
                "to_run_ns": ended,
                "to_utc_ns": max(stopped_utc_ns, state.gap.to_utc_ns),
                "polls": max(state.gap.polls, _polls(state.gap.from_run_ns, ended, period_ns)),
                "ended": True,
            }
            closing = Gap(**body)
            self._sink.append("gap", gap_body(closing), instrument=instrument)
            from_run_ns, from_utc_ns = closing.to_run_ns, closing.to_utc_ns
        state.late.add(self._engine.gap(instrument, duration_known=known))
        now_ns = self._clock.run_ns()
        gap = Gap(
            instrument, from_run_ns, now_ns, from_utc_ns, self._clock.utc_ns(),
            _polls(from_run_ns, now_ns, period_ns), "daemon-down", ended=False,
        )  # fmt: skip
        state.gap = gap
        self._say(state, self._sink.append("gap", gap_body(gap), instrument=instrument), force=True)
        self._periods_ns[instrument] = period_ns

    def _end_down_gap(self, state: _Instrument, to_ns: int, to_utc_ns: int) -> None:
        gap, state.gap = state.gap, None
        if gap is None:
            return
        period_ns = self._periods_ns.get(gap.instrument, 0)
        body = asdict(gap) | {
            "to_run_ns": to_ns,
            "to_utc_ns": to_utc_ns,
            "polls": max(0, _polls(gap.from_run_ns, to_ns, period_ns) - 1),
            "ended": True,
        }
        self._sink.append("gap", gap_body(Gap(**body)), instrument=gap.instrument)


def _polls(from_ns: int, to_ns: int, period_ns: int) -> int:
    return round((to_ns - from_ns) / period_ns) if period_ns else 0


def gap_body(gap: Gap) -> Body:
    """Body of a `gap` record."""
    return asdict(gap)
