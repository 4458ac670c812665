"""From the drivers' items to journal records: ordinals, QC, frames, gaps.

Every method is called on the event loop's thread. Nothing is dropped: when the journal has no room, `take`
waits, the driver's stream stalls, and the deadlines that it misses become a gap. A record that finds the
journal full is appended later: state changes only once the record that tells of it is taken.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import msgpack

from pipeline.corrections import Plan, reading_body
from pipeline.intake.frames import FRAME_DELAY_NS, LateFlags, OpenFrame, pieces_of
from pipeline.intake.state import InstrumentState, ended_at_stop, polls_between
from pipeline.intake.unjudged import unjudged
from pipeline.journal import JournalFullError
from pipeline.records import Block, DeviceEvent, Gap, Reading
from pipeline.records.envelope import By
from pipeline.records.events import event_body, told
from pipeline.records.frame import decode_flags, decode_frame, encode_flags, encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipeline.intake.state import Sink
    from pipeline.qc import Decision, QcEngine, QcResult
    from pipeline.records import Clock, Item, Record
    from pipeline.records.envelope import Body
    from pipeline.records.pieces import Pieces

LOG = logging.getLogger(__name__)
FULL_PAUSE_S = 0.1
"""Between two tries to append to a journal that is full."""
VERSION = 2
"""Version of the snapshot and of the derived `flags` records."""


class Intake:
    """Checks and numbers what drivers hand out and appends it as `data`, `flags`, `gap`, `event`, `reading`.

    Args:
        engine: the QC engine.
        sink: where records go.
        clock: gateway time.
        service_state: the service state of an instrument now.
        corrections: in force for an instrument at an instant of UTC; while they stay, one object.
        frame_delay_ns: a frame is closed at the latest this long after its oldest row was taken; 0: at once.
    """

    def __init__(
        self, engine: QcEngine, sink: Sink, clock: Clock, service_state: Callable[[str], str],
        corrections: Callable[[str, int], Plan | None] = lambda _instrument, _t_utc_ns: None,
        frame_delay_ns: int = FRAME_DELAY_NS,
    ) -> None:  # fmt: skip
        self._engine, self._sink, self._clock = engine, sink, clock
        self._service_state, self._corrections = service_state, corrections
        self._frame_delay_ns = frame_delay_ns
        self._instruments: dict[str, InstrumentState] = {}
        self._periods_ns: dict[str, int] = {}
        self._vouched = True
        """Whether a clock vouched for the downtime before the start that is being replayed."""
        self.readings = 0
        """Values and missing values taken since the start: rows times channels."""
        self.rows = 0
        self.recorded_readings = 0
        """Those of them in records that were appended."""
        self.recorded_rows = 0

    async def take(self, item: Item) -> None:
        """Take one item of a driver's stream; waits while the journal has no room."""
        for piece in pieces_of(item):
            while True:
                await self._sink.room()
                try:
                    self._take(piece)
                    break
                except JournalFullError:
                    await asyncio.sleep(FULL_PAUSE_S)

    def _take(self, item: Item) -> None:
        match item:
            case Block():
                self._take_block(item)
            case Gap():
                self._take_gap(item)
            case DeviceEvent():
                self._sink.append("event", told(item), instrument=item.instrument)
            case Reading():
                plan = self._corrections(item.instrument, item.t_utc_ns)
                self._sink.append("reading", reading_body(item, plan), instrument=item.instrument)

    def _of(self, instrument: str) -> InstrumentState:
        known = self._instruments.get(instrument)
        if known is None:
            known = self._instruments[instrument] = InstrumentState(LateFlags(instrument))
        return known

    def _take_block(self, block: Block) -> None:
        if not len(block):
            return
        state, service = self._of(block.instrument), self._service_state(block.instrument)
        early_ns = max(0, int(block.t_run_ns[0] - block.t_request_ns[0]))  # a stamp may lie in mid-sleep
        self._end_down_gap(state, int(block.t_run_ns[0]) - early_ns, int(block.t_utc_ns[0]) - early_ns)
        plan = self._corrections(block.instrument, int(block.t_utc_ns[0]))
        if state.frame is not None and not state.frame.fits(block, service, plan):
            self._close(block.instrument, state)
        result = self._judge(block, state)
        if state.frame is None:
            state.frame = OpenFrame(state.n_next, service, plan, self._clock.run_ns())
        state.frame.add(block, result)
        self._decided(result.decisions)
        state.n_next += len(block)
        state.see_rows(block)
        self.rows += len(block)
        self.readings += len(block) * len(block.layout.channels)
        if state.frame.full or not self._frame_delay_ns:
            try:
                self._close(block.instrument, state)
            except JournalFullError:
                LOG.warning("a frame of %s waits for room in the journal", block.instrument)

    def _decided(self, decisions: Iterable[Decision]) -> None:
        """Keep later verdicts for the instrument whose rows they are about."""
        for decision in decisions:
            self._of(decision.instrument).late.add(decision)

    def _judge(self, block: Block, state: InstrumentState) -> QcResult:
        """Ask the rules; should they fail, the rows are still rows, and not evaluated."""
        try:
            result = self._engine.process(block, state.n_next)
        except Exception as error:
            LOG.exception("the rules of %s failed", block.instrument)
            text = f"{type(error).__name__}: {error}"
            if text != state.qc_error:
                state.qc_error = text
                body = event_body("qc-failed", instrument=block.instrument, n=state.n_next, error=text)
                self._tell(body, block.instrument)
            return unjudged(block)
        state.qc_error = ""
        return result

    def _take_gap(self, gap: Gap) -> None:
        state = self._of(gap.instrument)
        self._close(gap.instrument, state)
        self._end_down_gap(state, gap.from_run_ns, gap.from_utc_ns)
        if state.gap is None or state.gap.from_run_ns != gap.from_run_ns:
            self._decided(self._engine.gap(gap.instrument))
        record = self._sink.append("gap", asdict(gap), instrument=gap.instrument)
        state.see_gap(gap)
        self._say(state, record, force=True)

    def close_due(self) -> None:
        """Close every frame whose oldest row has waited its time; called every few tens of milliseconds.

        A frame that cannot be closed does not keep those of other instruments; its error is raised then.
        """
        now_ns = self._clock.run_ns()
        failures: list[Exception] = []
        for instrument, state in self._instruments.items():
            try:
                if state.frame is None:
                    self._say(state, None, force=False)
                elif state.frame.opened_ns <= now_ns - self._frame_delay_ns:
                    self._close(instrument, state)
            except JournalFullError:
                return  # they stay open until there is room
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)
        if failures:
            raise failures[0]

    def close_all(self) -> None:
        """Close every open frame, whatever its age."""
        for instrument, state in self._instruments.items():
            self._close(instrument, state)

    async def close_in_turn(self) -> None:
        """Close every open frame, other work between them: little is open then for `snapshot` to close.

        Raises:
            JournalFullError: a frame cannot be closed now.
        """
        for instrument, state in list(self._instruments.items()):
            if state.frame is not None:
                self._close(instrument, state)
                await asyncio.sleep(0)

    async def end(self) -> None:
        """Flush, waiting for room in the journal; may be cancelled, and then what waits is lost."""
        while True:
            await self._sink.room()
            try:
                self.flush()
            except JournalFullError:
                await asyncio.sleep(FULL_PAUSE_S)
            else:
                return

    def flush(self) -> None:
        """End of acquisition: close frames and let the rules that need the future decide what they can."""
        for instrument, state in self._instruments.items():
            self._close(instrument, state)
            self._decided(self._engine.flush(instrument))
            self._say(state, None, force=True)

    def _close(self, instrument: str, state: InstrumentState) -> None:
        if state.frame is None:
            return
        frame = state.frame.close(self._sink.stored_offsets)
        record = self._sink.append("data", encode_frame(frame), instrument=instrument)
        state.frame = None
        state.see_recorded(frame.block, frame.n_first)
        self.recorded_rows += len(frame.block)
        self.recorded_readings += frame.flag.size
        state.late.remember(frame)
        for body in state.onsets.of_frame(frame):
            self._tell(body, instrument)
        self._say(state, record, force=False)

    def _tell(self, body: Body, instrument: str) -> None:
        """Append an event about rows whose flags say the same: where there is no room, they must do."""
        try:
            self._sink.append("event", body, instrument=instrument)
        except JournalFullError as error:
            LOG.warning("event %s of %s is left out: %s", body["code"], instrument, error)

    def _say(self, state: InstrumentState, record: Record | None, *, force: bool) -> None:
        """Record late flags that are due, as following from `record` or else the last one before."""
        if record is not None:
            state.cause = record.seq, 0
        now_ns = self._clock.run_ns()
        for flags in state.late.due(now_ns, force=force):
            seq, index = state.cause
            by = By("qc", VERSION, seq, index) if seq >= 0 else None
            try:
                self._sink.append("flags", encode_flags(flags), instrument=flags.instrument, by=by)
            except JournalFullError:
                return  # they stay due
            state.cause = seq, index + 1
            unplaced = state.late.said(flags, now_ns)
            for body in state.onsets.of_flags(flags, now_ns):
                self._tell(body, flags.instrument)
            if unplaced:
                body = event_body(
                    "flags-unplaced", instrument=flags.instrument, rule=flags.rule, count=unplaced
                )
                self._tell(body, flags.instrument)

    def last_rows(self) -> dict[str, dict[str, int | str | None]]:
        """By instrument: rows in appended records, UTC of the last one, and the cause of an open gap.

        Rows of an open frame are not told: a power cut could still take them back.
        """
        return {
            name: {
                "rows": state.recorded[0],
                "last_utc_ns": state.recorded[1],
                "gap": None if state.gap is None else state.gap.cause,
            }
            for name, state in self._instruments.items()
        }

    # ------------------------------------------------------------------------------------------ restart
    def snapshot(self) -> Pieces:
        """State after every row taken so far; open frames are closed first: the journal then holds them.

        The rules' part of it is copied when its turn comes, instrument by instrument.

        Raises:
            JournalFullError: a frame cannot be closed now.
        """
        self.close_all()
        instruments = {name: known.save() for name, known in self._instruments.items()}
        head = msgpack.Packer().pack_array_header(2)
        return self._engine.snapshot().inside(head, msgpack.packb(instruments))

    def restore(self, state: bytes) -> None:
        """Take up a snapshot.

        Raises:
            ValueError, TypeError: it is none; nothing was taken up.
        """
        instruments, engine = msgpack.unpackb(state)
        restored = {name: InstrumentState(LateFlags(name)) for name in instruments}
        for name, known in restored.items():
            known.load(instruments[name])
        self._instruments = restored
        self._engine.restore(engine)

    def replay(self, record: Record) -> None:
        """Bring the state forward over a record after the snapshot, without appending anything."""
        match record.kind:
            case "data":
                frame = decode_frame(record.body)
                state = self._of(frame.block.instrument)
                state.n_next = frame.n_first
                try:
                    self._decided(self._engine.process(frame.block, frame.n_first).decisions)
                except Exception:
                    LOG.exception("the rules of %s failed at record %d", frame.block.instrument, record.seq)
                state.late.remember(frame)
                state.n_next = frame.n_first + len(frame.block)
                state.see_rows(frame.block)
                state.see_recorded(frame.block, frame.n_first)
                state.cause = record.seq, 0
            case "gap" if record.body.get("cause") != "shed":  # its rows were judged long ago
                gap = Gap(**record.body)
                state = self._of(gap.instrument)
                if state.gap is None or state.gap.from_run_ns != gap.from_run_ns:
                    known = gap.cause != "daemon-down" or self._vouched
                    self._decided(self._engine.gap(gap.instrument, duration_known=known))
                state.see_gap(gap)
                state.cause = record.seq, 0
            case "flags":
                flags = decode_flags(record.body)
                state = self._of(flags.instrument)
                state.late.already_said(flags)
                state.cause = state.cause[0], state.cause[1] + 1
            case "event" if record.body.get("code") == "daemon-start":
                self._vouched = record.body["args"].get("downtime_s") != "unknown"

    def go_on_from(self, ordinals: Mapping[str, int]) -> None:
        """Give no ordinal again: the journal remembers the next one of rows that are long gone."""
        for instrument, n_next in ordinals.items():
            self._of(instrument).go_on_from(n_next)

    def known(self) -> set[str]:
        """Instruments that were ever heard of, in this configuration or an earlier one."""
        return set(self._instruments)

    def begin(
        self, instrument: str, period_ns: int, stopped_run_ns: int, stopped_utc_ns: int, *, known: bool
    ) -> None:
        """Account for the time since the instrument's last row or gap, in which nobody polled it.

        Args:
            instrument: its id.
            period_ns: its poll interval; 0 for one that is not polled.
            stopped_run_ns: gateway time of the last durable record before this start.
            stopped_utc_ns: the same in UTC.
            known: whether a clock vouches for the length of the time; if none does, rules forget the past.
        """
        state = self._of(instrument)
        self._close(instrument, state)
        self._periods_ns[instrument] = period_ns
        self._end_open_gap(state, stopped_run_ns, stopped_utc_ns, period_ns)
        if state.accounted is None:
            return
        from_run_ns, from_utc_ns = state.accounted
        self._decided(self._engine.gap(instrument, duration_known=known))
        now_ns = max(from_run_ns, self._clock.run_ns())
        gap = Gap(
            instrument, from_run_ns, now_ns, from_utc_ns, self._clock.utc_ns(),
            polls_between(from_run_ns, now_ns, period_ns), "daemon-down", ended=False,
        )  # fmt: skip
        record = self._sink.append("gap", asdict(gap), instrument=instrument)
        state.gap = gap
        self._say(state, record, force=True)

    def interrupted(self, instrument: str, period_ns: int) -> None:
        """Account for the time until the next row of an instrument whose driver failed and starts again."""
        self.begin(instrument, period_ns, self._clock.run_ns(), self._clock.utc_ns(), known=True)

    def leave(self, instrument: str, stopped_run_ns: int, stopped_utc_ns: int) -> None:
        """End what is open of an instrument whose rows no longer come here: it is not polled from here on."""
        state = self._of(instrument)
        self._close(instrument, state)
        self._end_open_gap(state, stopped_run_ns, stopped_utc_ns, 0)
        self._decided(self._engine.flush(instrument))
        self._say(state, None, force=True)

    def _end_open_gap(
        self, state: InstrumentState, stopped_run_ns: int, stopped_utc_ns: int, period_ns: int
    ) -> None:
        gap = state.gap
        if gap is None:
            return
        now_ns = self._clock.run_ns()
        self._end(state, ended_at_stop(gap, stopped_run_ns, stopped_utc_ns, period_ns, now_ns))

    def _end_down_gap(self, state: InstrumentState, to_ns: int, to_utc_ns: int) -> None:
        """End the gap of a downtime, if one is open: the instrument is polled again."""
        gap = state.gap
        if gap is None or gap.cause != "daemon-down":
            return
        period_ns = self._periods_ns.get(gap.instrument, 0)
        # A gap that follows a row begins one period before the first poll left out.
        after_row = gap.from_run_ns == state.last_run_ns
        to_run_ns = max(gap.from_run_ns, to_ns)
        polls = max(0, polls_between(gap.from_run_ns, to_run_ns, period_ns) - after_row)
        self._end(state, replace(gap, to_run_ns=to_run_ns, to_utc_ns=to_utc_ns, polls=polls, ended=True))

    def _end(self, state: InstrumentState, ended: Gap) -> None:
        self._sink.append("gap", asdict(ended), instrument=ended.instrument)
        state.see_gap(ended)
