"""Intake: rows are numbered, checked and framed; gaps accounted for; a restart goes on where it ended."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.intake import FRAME_DELAY_NS, Intake
from pipeline.intake.frames import FRAME_ROWS_MAX
from pipeline.journal import JournalFullError
from pipeline.qc import ChannelQc, QcEngine
from pipeline.records import Block, Channel, ClockState, DeviceEvent, Flag, Gap, Layout, Reading, Record
from pipeline.records.envelope import encode
from pipeline.records.frame import decode_flags, decode_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.records.envelope import Body, By

LAYOUT = Layout((Channel("pressure", unit="MPa"),))
QC = ChannelQc.model_validate({
    "range": {"suspect_high": 40.0, "fail_high": 70.0},
    "spike": {"suspect": 1.0},
})  # fmt: skip
SECOND = 1_000_000_000


@dataclass
class FakeClock:
    now_ns: int = SECOND

    def utc_ns(self) -> int:
        return self.now_ns + 1_700_000_000 * SECOND

    def run_ns(self) -> int:
        return self.now_ns

    def state(self) -> ClockState:
        return ClockState(synchronised=True, error_ns=0)


@dataclass
class FakeSink:
    """Keeps records in memory, as a journal without a disk."""

    clock: FakeClock
    records: list[Record] = field(default_factory=list)

    def append(self, kind: str, body: Body, *, instrument: str | None = None, by: By | None = None) -> Record:
        record = encode(
            kind=kind, source="simulated", journal=bytes(16), epoch=0, boot=1, seq=len(self.records),
            t_utc_ns=self.clock.utc_ns(), t_run_ns=self.clock.run_ns(), clock=self.clock.state(), by=by,
            body=body,
        )  # fmt: skip
        self.records.append(record)
        return record

    async def room(self) -> None:
        return

    def stored_offsets(self, instrument: str, t_utc_ns: NDArray[Any]) -> NDArray[Any] | None:
        return None

    def of(self, kind: str) -> list[Record]:
        return [record for record in self.records if record.kind == kind]


class Rig:
    def __init__(self, service: str = "in-use") -> None:
        self.clock = FakeClock()
        self.sink = FakeSink(self.clock)
        self.service = service
        self.engine = QcEngine({"p-1": {"pressure": QC}}, {"p-1": 0.1})
        self.engine.warm()
        self.intake = Intake(self.engine, self.sink, self.clock, lambda _instrument: self.service)

    def block(self, *values: float, layout: Layout = LAYOUT, step_ns: int = 20_000_000) -> Block:
        n = len(values)
        times = self.clock.now_ns + step_ns * np.arange(n, dtype=np.int64)
        self.clock.now_ns += step_ns * n
        return Block(
            instrument="p-1", layout=layout, t_utc_ns=times + 1_700_000_000 * SECOND, t_run_ns=times,
            t_request_ns=times, t_response_ns=times, status=np.zeros((1, n), np.uint8),
            f8=np.array([values], dtype=np.float64), i8=np.empty((0, n), np.int64),
            u8=np.empty((0, n), np.uint64),
        )  # fmt: skip

    def gap(self, *, ended: bool, polls: int = 1, from_ns: int | None = None) -> Gap:
        begin = self.clock.now_ns if from_ns is None else from_ns
        return Gap("p-1", begin, self.clock.now_ns, begin, self.clock.now_ns, polls, "disconnected", ended)


async def test_rows_are_numbered_without_a_hole_and_framed_by_age() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0, 35.1))
    rig.intake.close_due()
    assert rig.sink.of("data") == []
    rig.clock.now_ns += FRAME_DELAY_NS
    rig.intake.close_due()
    await rig.intake.take(rig.block(35.2))
    rig.intake.close_all()
    frames = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert [(frame.n_first, len(frame.block)) for frame in frames] == [(0, 2), (2, 1)]
    assert frames[0].block.f8.tolist() == [[35.0, 35.1]]


async def test_rows_of_an_open_frame_are_not_told() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0, 35.1))
    assert rig.intake.last_rows()["p-1"]["rows"] == 0
    assert (rig.intake.recorded_rows, rig.intake.rows) == (0, 2)
    rig.intake.close_all()
    assert rig.intake.last_rows()["p-1"]["rows"] == 2
    assert (rig.intake.recorded_rows, rig.intake.recorded_readings) == (2, 2)


async def test_a_frame_never_holds_more_than_its_limit() -> None:
    rig = Rig()
    for _ in range(3):
        await rig.intake.take(rig.block(*[35.0] * 400, step_ns=1000))
    rig.intake.close_all()
    frames = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert [len(frame.block) for frame in frames] == [800, 400]
    assert all(len(frame.block) <= FRAME_ROWS_MAX for frame in frames)


async def test_a_new_layout_or_service_state_begins_a_frame() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0))
    await rig.intake.take(rig.block(35.0, layout=Layout((Channel("pressure", unit="bar"),))))
    rig.service = "maintenance"
    await rig.intake.take(rig.block(35.0, layout=Layout((Channel("pressure", unit="bar"),))))
    rig.intake.close_all()
    frames = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert [(f.block.layout.channels[0].unit, f.service) for f in frames] == [
        ("MPa", "in-use"), ("bar", "in-use"), ("bar", "maintenance"),
    ]  # fmt: skip


async def test_a_spike_is_flagged_by_a_later_record_and_told_once() -> None:
    rig = Rig()
    for value in (35.0, 35.0, 38.0, 35.0, 35.0):
        await rig.intake.take(rig.block(value))
        rig.intake.close_all()
    rig.intake.flush()
    flags = [decode_flags(record.body) for record in rig.sink.of("flags")]
    suspect = [
        (int(n), int(flag))
        for f in flags
        for n, flag in zip(f.n, f.flag, strict=True)
        if flag == Flag.SUSPECT
    ]
    assert (2, 3) in suspect
    stored = {int(n): int(t) for f in flags for n, t in zip(f.n, f.t_store_ns, strict=True)}
    rows = {f.n_first: int(f.t_store_ns[0]) for f in (decode_frame(r.body) for r in rig.sink.of("data"))}
    assert stored[2] == rows[2]
    assert max(f.decided_through_n for f in flags) >= 3
    told = [record.body for record in rig.sink.of("event")]
    assert [body["args"]["rule"] for body in told] == ["spike"]


async def test_a_limit_that_is_passed_is_told_at_its_onset_and_not_at_every_row() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0, 71.0, 71.5, 72.0))
    rig.intake.close_all()
    await rig.intake.take(rig.block(71.0))
    rig.intake.close_all()
    told = [record.body for record in rig.sink.of("event") if record.body["args"]["rule"] == "range"]
    assert [(body["code"], body["args"]["n"]) for body in told] == [("qc-onset", 1)]
    assert told[0]["args"]["value"] == 71.0
    assert told[0]["args"]["flag"] == "fail"


async def test_a_gap_follows_the_rows_before_it_and_closes_what_waits() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0, 35.0))
    begin = rig.clock.now_ns
    await rig.intake.take(rig.gap(ended=False))
    rig.clock.now_ns += SECOND
    await rig.intake.take(rig.gap(ended=True, polls=10, from_ns=begin))
    kinds = [record.kind for record in rig.sink.records]
    assert kinds.index("data") < kinds.index("gap")
    gaps = [record.body for record in rig.sink.of("gap")]
    assert [(gap["polls"], gap["ended"]) for gap in gaps] == [(1, False), (10, True)]
    assert rig.intake.last_rows()["p-1"]["gap"] is None


async def test_events_and_one_off_results_are_recorded_as_they_are() -> None:
    rig = Rig()
    await rig.intake.take(DeviceEvent("p-1", "instrument-lost", 1, 1, {"error": "no answer", "hint": "look"}))
    await rig.intake.take(Reading("p-1", Channel("x"), 7.32, 1, 1, sample="S-1"))
    assert rig.sink.of("event")[0].body["args"]["error"] == "no answer"
    assert rig.sink.of("reading")[0].body["value"] == 7.32


async def test_frames_are_closed_one_by_one_with_other_work_between() -> None:
    rig = Rig()
    names = [f"p-{k}" for k in range(4)]
    for name in names:
        await rig.intake.take(dataclasses.replace(rig.block(35.0), instrument=name))
    closing = asyncio.create_task(rig.intake.close_in_turn())
    seen = []
    while not closing.done():
        await asyncio.sleep(0)
        seen.append(len(rig.sink.of("data")))
    assert seen == [1, 2, 3, 4, 4]
    assert [decode_frame(record.body).block.instrument for record in rig.sink.of("data")] == names


@pytest.mark.parametrize("snapshot_after", [0, 1, 3, 5])
async def test_a_restart_goes_on_as_if_it_had_never_been(snapshot_after: int) -> None:
    values = (35.0, 35.0, 38.0, 35.0, 35.0, 41.0, 35.0)
    whole, first = Rig(), Rig()
    state, covered = bytes(first.intake.snapshot()), -1
    for rig in (whole, first):
        for position, value in enumerate(values[:5]):
            if position == snapshot_after:
                state, covered = bytes(rig.intake.snapshot()), len(rig.sink.records) - 1
            await rig.intake.take(rig.block(value))
            rig.intake.close_all()
        if snapshot_after == 5:
            state, covered = bytes(rig.intake.snapshot()), len(rig.sink.records) - 1
    second = Rig()
    second.clock.now_ns = first.clock.now_ns
    second.sink.records = list(first.sink.records)
    second.intake.restore(state)
    for record in first.sink.records[covered + 1 :]:
        second.intake.replay(record)
    for rig in (whole, second):
        for value in values[5:]:
            await rig.intake.take(rig.block(value))
            rig.intake.close_all()
        rig.intake.flush()
    assert judged(second) == judged(whole)


def judged(rig: Rig) -> tuple[list[Any], set[Any]]:
    frames = [decode_frame(record.body) for record in rig.sink.of("data")]
    rows = [(f.n_first, f.flag.tolist(), f.reason.tolist()) for f in frames]
    flags = [decode_flags(record.body) for record in rig.sink.of("flags")]
    return rows, {(int(n), int(q)) for f in flags for n, q in zip(f.n, f.flag, strict=True)}


async def test_the_time_in_which_the_daemon_was_down_is_a_gap_until_the_first_row() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0, 35.0))
    last_ns = rig.clock.now_ns - 20_000_000
    rig.intake.close_all()
    rig.clock.now_ns += 2 * SECOND
    rig.intake.begin("p-1", 100_000_000, last_ns, last_ns, known=True)
    await rig.intake.take(rig.block(35.0))
    gaps = [record.body for record in rig.sink.of("gap")]
    assert [gap["ended"] for gap in gaps] == [False, True]
    assert gaps[1]["cause"] == "daemon-down"
    assert gaps[1]["from_run_ns"] == last_ns
    assert gaps[1]["polls"] == 19


async def test_a_gap_that_was_open_at_a_crash_is_closed_before_the_downtime() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0))
    begin = rig.clock.now_ns
    await rig.intake.take(rig.gap(ended=False))
    died = begin + SECOND
    rig.clock.now_ns = died + 5 * SECOND
    rig.intake.begin("p-1", 100_000_000, died, died, known=True)
    causes = [(r.body["cause"], r.body["ended"], r.body["polls"]) for r in rig.sink.of("gap")]
    assert causes == [("disconnected", False, 1), ("disconnected", True, 10), ("daemon-down", False, 50)]


async def test_rules_that_fail_cost_a_flag_of_2_and_never_a_row() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0))
    process = rig.engine.process

    def fail(*_args: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    rig.engine.process = fail  # type: ignore[assignment, method-assign]
    await rig.intake.take(rig.block(35.0, float("nan")))
    await rig.intake.take(rig.block(35.0))
    rig.engine.process = process  # type: ignore[method-assign]
    await rig.intake.take(rig.block(35.0))
    rig.intake.close_all()
    frames = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert [frame.n_first for frame in frames] == [0]
    assert frames[0].flag.tolist() == [
        [Flag.PASS, Flag.NOT_EVALUATED, Flag.MISSING, Flag.NOT_EVALUATED, Flag.PASS]
    ]
    told = [r.body["args"] for r in rig.sink.of("event") if r.body["code"] == "qc-failed"]
    assert [args["n"] for args in told] == [1]


class FullSink(FakeSink):
    """Takes so many records and then none until there is room."""

    room_left = 0
    waited = 0

    def append(self, kind: str, body: Body, *, instrument: str | None = None, by: By | None = None) -> Record:
        if self.room_left == 0:
            raise JournalFullError("full", hint="wait")
        self.room_left -= 1
        return super().append(kind, body, instrument=instrument, by=by)

    async def room(self) -> None:
        if self.room_left == 0:
            self.waited += 1
            self.room_left = 2


@pytest.mark.virtual_time
async def test_a_full_journal_makes_drivers_wait_and_loses_no_row_and_no_verdict() -> None:
    free, tight = Rig(), Rig()
    tight.sink = FullSink(tight.clock)
    tight.intake = Intake(tight.engine, tight.sink, tight.clock, lambda _instrument: "in-use")
    for rig in (free, tight):
        for value in (35.0, 38.0, 35.0, 71.0, 35.0, 39.0, 35.0):
            await rig.intake.take(rig.block(value))
            await rig.intake.take(rig.gap(ended=True)) if value == 71.0 else None
            rig.clock.now_ns += FRAME_DELAY_NS
            rig.intake.close_due()
        await rig.intake.end()
    assert tight.sink.waited
    assert judged(tight) == judged(free)
    assert len(tight.sink.of("gap")) == 1


async def test_a_wide_block_is_cut_into_frames_that_the_journal_takes() -> None:
    rig = Rig()
    layout = Layout(tuple(Channel(f"c{number}") for number in range(500)))
    times = rig.clock.now_ns + np.arange(900, dtype=np.int64)
    block = Block(
        instrument="wide", layout=layout, t_utc_ns=times, t_run_ns=times, t_request_ns=times,
        t_response_ns=times, status=np.zeros((500, 900), np.uint8), f8=np.ones((500, 900)),
        i8=np.empty((0, 900), np.int64), u8=np.empty((0, 900), np.uint64),
    )  # fmt: skip
    await rig.intake.take(block)
    rig.intake.close_all()
    frames = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert [(frame.n_first, len(frame.block)) for frame in frames] == [(0, 400), (400, 400), (800, 100)]
    assert max(len(record.data) for record in rig.sink.records) < 8 * 2**20


async def test_a_frame_that_cannot_be_closed_does_not_keep_those_of_others() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0))
    await rig.intake.take(dataclasses.replace(rig.block(35.0), instrument="p-2"))
    offsets = rig.sink.stored_offsets

    def refuse(instrument: str, t_utc_ns: NDArray[Any]) -> NDArray[Any] | None:
        if instrument == "p-1":
            raise ValueError("no")
        return offsets(instrument, t_utc_ns)

    rig.sink.stored_offsets = refuse  # type: ignore[method-assign]
    rig.clock.now_ns += FRAME_DELAY_NS
    with pytest.raises(ValueError, match="no"):
        rig.intake.close_due()
    assert [record.body["instrument"] for record in rig.sink.of("data")] == ["p-2"]
    rig.sink.stored_offsets = offsets  # type: ignore[method-assign]
    rig.intake.close_due()
    assert [record.body["instrument"] for record in rig.sink.of("data")] == ["p-2", "p-1"]


async def test_a_driver_that_failed_and_starts_again_leaves_a_gap_and_no_hole() -> None:
    rig = Rig()
    await rig.intake.take(rig.block(35.0))
    rig.clock.now_ns += SECOND
    rig.intake.interrupted("p-1", 100_000_000)
    rig.clock.now_ns += SECOND
    await rig.intake.take(rig.block(35.0))
    rig.intake.close_all()
    gaps = [Gap(**record.body) for record in rig.sink.of("gap")]
    assert [(gap.polls, gap.ended) for gap in gaps] == [(10, False), (19, True)]
    assert [decode_frame(record.body).n_first for record in rig.sink.of("data")] == [0, 1]


async def test_progress_of_a_rule_is_said_even_when_no_further_row_comes() -> None:
    rig = Rig()
    for _ in range(6):
        await rig.intake.take(rig.block(35.0))
        rig.intake.close_all()
    assert decode_flags(rig.sink.of("flags")[-1].body).decided_through_n < 4
    rig.clock.now_ns += SECOND
    rig.intake.close_due()
    last = rig.sink.of("flags")[-1]
    assert decode_flags(last.body).decided_through_n == 4
    assert len({record.by for record in rig.sink.of("flags")}) == len(rig.sink.of("flags"))
    rig.clock.now_ns += SECOND
    before = len(rig.sink.records)
    rig.intake.close_due()
    assert len(rig.sink.records) == before
