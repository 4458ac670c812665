"""Frames without a delay: each poll is recorded at once, and kept where there is no room."""

from __future__ import annotations

from pipeline.intake import Intake
from pipeline.journal import JournalFullError
from pipeline.records import Record
from pipeline.records.frame import decode_frame
from tests.unit.intake.test_intake import Rig


async def test_without_a_frame_delay_each_poll_is_a_frame_at_once() -> None:
    rig = Rig()
    rig.intake = Intake(rig.engine, rig.sink, rig.clock, lambda _instrument: "in-use", frame_delay_ns=0)
    await rig.intake.take(rig.block(35.0, 35.1))
    await rig.intake.take(rig.block(35.2))
    frames = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert [(frame.n_first, len(frame.block)) for frame in frames] == [(0, 2), (2, 1)]


async def test_a_frame_that_finds_no_room_is_kept_without_a_delay_too() -> None:
    rig = Rig()
    rig.intake = Intake(rig.engine, rig.sink, rig.clock, lambda _instrument: "in-use", frame_delay_ns=0)
    append = rig.sink.append

    def full(*_args: object, **_options: object) -> Record:
        raise JournalFullError("no room", hint="wait")

    rig.sink.append = full  # type: ignore[method-assign]
    await rig.intake.take(rig.block(35.0))
    rig.sink.append = append  # type: ignore[method-assign]
    rig.intake.close_due()
    (frame,) = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert frame.block.f8.tolist() == [[35.0]]
