"""Where the items of an instrument go: event by event, without a second journal on disk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from gateway.edge.recorder import Recorder
from gateway.edge.rehearsal import Routing
from gateway.edge.rehearsal.routing import shifted, span_of
from gateway.wire_audit import WireAudit
from pipeline.elements import Elements
from pipeline.intake import Intake
from pipeline.qc import QcEngine
from pipeline.records import Block, Channel, DeviceEvent, Gap, Layout
from pipeline.records.events import event_body
from pipeline.records.frame import decode_frame
from tests.unit.gateway.paper import RUN0, UTC0, HandClock, PaperJournal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.replay import Replay
    from gateway.edge.rehearsal import Beside
    from pipeline.journal import Journal
    from pipeline.records import Frame

LAYOUT = Layout((Channel("level"),))
SECOND = 10**9


class Paper(PaperJournal):
    """Durable at once, unless a test says otherwise, and with an id of its own."""

    id = bytes(range(16))
    synced: int | None = None
    """Last durable seq; None for all that there is."""

    @property
    def durable_seq(self) -> int:
        return self.head_seq - 1 if self.synced is None else self.synced

    async def wait_beyond(self, seq: int) -> None:
        self.synced = None

    def stored_offsets(self, _key: str, _t_utc_ns: Any) -> None:
        return None


class PaperServices:
    """A rehearsal journal on paper."""

    def __init__(self, clock: HandClock, offset_ns: int) -> None:
        self.journal = Paper(clock)
        self.journal.id = bytes(16)
        self.journal.start = type("Start", (), {"offset_ns": offset_ns})  # type: ignore[attr-defined]
        self.recorder = recorder_of(self.journal)
        self.intake = intake_of(self.recorder, clock)

    async def expect(self, _instrument: str) -> None:
        """Its configuration is no matter here."""

    async def depart(self, instrument: str) -> None:
        self.intake.leave(instrument, 0, 0)


class PaperBeside:
    """Gives the services, or says that there are none."""

    def __init__(self, services: PaperServices | None) -> None:
        self.services = services
        self.asked = 0

    async def opened(self) -> PaperServices | None:
        self.asked += 1
        return self.services


def recorder_of(journal: Paper) -> Recorder:
    return Recorder(cast("Journal", journal), Elements(), {}, "live")


def intake_of(recorder: Recorder, clock: HandClock) -> Intake:
    return Intake(QcEngine({}, {}), recorder, clock, lambda _name: "in-use", frame_delay_ns=0)


class Bench:
    """A routing with a journal on each side."""

    def __init__(self, *, available: bool = True, offset_ns: int = 0) -> None:
        self.clock = HandClock()
        self.production = Paper(self.clock)
        self.services = PaperServices(self.clock, offset_ns)
        self.beside = PaperBeside(self.services if available else None)
        self.start()

    def start(self) -> None:
        """Begin as after a restart: the elements have seen the record, nothing else is remembered."""
        self.recorder = recorder_of(self.production)
        for record in self.production.records:
            self.recorder.elements.consume(record)
        intake = intake_of(self.recorder, self.clock)
        self.routing = Routing(
            intake, self.recorder, cast("Beside", self.beside), self.clock, {"i": "tcp:host:1"}
        )

    async def say(self, code: str, **args: str) -> None:
        now = self.clock.now
        await self.routing.take(DeviceEvent("i", code, UTC0 + now, RUN0 + now, dict(args)))

    async def read(self, rows: int = 1, status: int = 0) -> None:
        self.clock.now += SECOND
        await self.routing.take(block(self.clock.now, rows, status))

    def codes(self) -> list[str]:
        return [r.body["code"] for r in self.production.records if r.kind == "event"]

    def rows(self) -> tuple[int, int]:
        """Rows in production and beside it."""
        here, there = (
            sum(record.body["rows"] for record in journal.records if record.kind == "data")
            for journal in (self.production, self.services.journal)
        )
        return here, there

    def gaps(self) -> list[dict[str, Any]]:
        found = {r.body["from_run_ns"]: r.body for r in self.production.records if r.kind == "gap"}
        return list(found.values())


def frames(journal: Paper) -> list[Frame]:
    return [decode_frame(record.body) for record in journal.records if record.kind == "data"]


def block(at_ns: int, rows: int = 1, status: int = 0) -> Block:
    """Rows of one exchange that took 1 ms up to an instant."""
    run = np.full(rows, RUN0 + at_ns)
    return Block(
        "i", LAYOUT, t_utc_ns=np.full(rows, UTC0 + at_ns), t_run_ns=run, t_request_ns=run - 10**6,
        t_response_ns=run, status=np.full((1, rows), status, np.uint8),
        f8=np.full((1, rows), np.nan if status else 1.5), i8=np.empty((0, rows), np.int64),
        u8=np.empty((0, rows), np.uint64),
    )  # fmt: skip


async def test_rows_go_aside_from_the_event_on_and_come_back_after_the_other() -> None:
    bench = Bench()
    await bench.read()
    await bench.say("source-simulator", endpoint="e")
    await bench.read(rows=3)
    await bench.read()
    await bench.say("source-live", endpoint="e")
    await bench.read()
    assert bench.rows() == (2, 4)
    (gap,) = bench.gaps()
    assert (gap["polls"], gap["ended"], gap["cause"]) == (2, True, "rehearsal")
    assert bench.codes() == [
        "source-simulator", "rows-to-rehearsal", "source-live", "rows-to-rehearsal-end"
    ]  # fmt: skip
    assert [frame.n_first for frame in frames(bench.production)] == [0, 1]


async def test_rows_do_not_wait_for_the_records_that_cite_and_those_only_cite_what_is_durable() -> None:
    bench = Bench()
    bench.production.synced = -1
    await bench.say("source-simulator", endpoint="e")
    await bench.read()
    assert bench.rows() == (0, 1)
    there = bench.services.journal
    assert not [r for r in there.records if r.kind == "event"]
    bench.production.synced, there.synced = None, -1
    bench.routing.close_due()
    (came,) = (r for r in there.records if r.kind == "event")
    assert came.body["args"] == {"of_journal": bench.production.id.hex(), "of_seq": 0}
    assert "rows-to-rehearsal" not in bench.codes()
    there.room_left = 0
    await bench.say("source-live", endpoint="e")
    await bench.read()
    assert bench.rows() == (1, 1)
    there.synced = None
    bench.routing.close_due()
    assert "rows-to-rehearsal" in bench.codes()
    assert "rows-to-rehearsal-end" not in bench.codes(), "the other has no room"
    there.give_room()
    await bench.routing.end()
    assert bench.codes()[-1] == "rows-to-rehearsal-end"


async def test_a_gap_that_goes_on_is_told_every_minute() -> None:
    bench = Bench()
    await bench.say("source-simulator", endpoint="e")
    for _ in range(150):
        await bench.read()
    told = [record.body["polls"] for record in bench.production.records if record.kind == "gap"]
    assert told == [1, 61, 121]
    (gap,) = bench.gaps()
    assert not gap["ended"]
    await bench.routing.end()
    (gap,) = bench.gaps()
    assert (gap["polls"], gap["ended"]) == (150, True)


@pytest.mark.parametrize(
    ("found", "then", "comes_back"),
    [
        ("source-pty", [("row", 0)], True),
        ("source-pty", [("row", 1)], False),
        ("source-pty", [("source-pty", 0), ("row", 0)], False),
        ("source-simulator", [("row", 0)], False),
        ("source-simulator", [("identity", 0), ("row", 0)], True),
        ("source-simulator", [("source-simulator", 0), ("identity", 0), ("row", 0)], False),
        ("source-simulator", [("in-use", 0), ("row", 0)], True),
        ("source-simulator", [("in-use", 0), ("row", 1)], False),
        ("source-simulator", [("maintenance", 0), ("row", 0)], False),
        ("source-simulator", [("in-use", 0), ("source-simulator", 0), ("row", 0)], False),
    ],
)
async def test_after_a_restart_it_has_to_show_anew_what_it_is(
    found: str, then: list[tuple[str, int]], comes_back: bool
) -> None:
    bench = Bench()
    await bench.say(found, endpoint="e")
    bench.start()
    for what, status in then:
        if what == "row":
            await bench.read(status=status)
        elif what in {"in-use", "maintenance"}:
            bench.recorder.append("event", event_body("service-state", instrument="i", state=what))
        else:
            await bench.say(what, serial="S", endpoint="e")
    assert bench.rows() == ((1, 0) if comes_back else (0, 1))
    assert ("source-live" in bench.codes()) == comes_back
    endpoints = [
        r.body["args"]["endpoint"] for r in bench.production.records if r.body.get("code") == "source-live"
    ]
    assert endpoints == (["tcp:host:1"] if comes_back else [])


async def test_rows_stay_where_no_rehearsal_journal_can_be_opened() -> None:
    bench = Bench(available=False)
    await bench.say("source-pty", endpoint="e")
    for _ in range(3):
        await bench.read()
    assert bench.rows() == (3, 0)
    assert bench.beside.asked == 1
    assert not bench.gaps()
    await bench.say("source-simulator", endpoint="e")
    await bench.read()
    assert bench.beside.asked == 2


async def test_a_driver_that_fails_and_starts_again_leaves_no_poll_uncounted() -> None:
    bench = Bench()
    await bench.say("source-simulator", endpoint="e")
    await bench.read()
    bench.clock.now += 5 * SECOND
    bench.routing.interrupted("i", SECOND)
    bench.clock.now += 2 * SECOND
    await bench.read()
    await bench.say("source-live", endpoint="e")
    assert bench.rows() == (0, 2)
    gaps = bench.gaps()
    assert [gap["cause"] for gap in gaps] == ["rehearsal", "daemon-down", "rehearsal"]
    assert all(gap["ended"] for gap in gaps)
    spans = [(gap["from_run_ns"], gap["to_run_ns"]) for gap in gaps]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert sum(gap["polls"] for gap in gaps) == pytest.approx(9, abs=1)


async def test_a_gap_of_the_driver_is_counted_once_for_production_and_kept_beside() -> None:
    bench = Bench()
    await bench.say("source-simulator", endpoint="e")
    await bench.read()
    first_ns = RUN0 + bench.clock.now + SECOND
    utc_ns = first_ns - RUN0 + UTC0
    begun = Gap("i", first_ns, first_ns, utc_ns, utc_ns, 1, "disconnected", ended=False)
    await bench.routing.take(begun)
    end_ns = first_ns + 4 * SECOND
    whole = Gap("i", first_ns, end_ns, utc_ns, utc_ns + 4 * SECOND, 4, "disconnected", ended=True)
    await bench.routing.take(whole)
    bench.clock.now += 6 * SECOND
    await bench.read()
    await bench.routing.end()
    (gap,) = bench.gaps()
    assert (gap["polls"], gap["ended"]) == (6, True)
    there = [r.body["polls"] for r in bench.services.journal.records if r.kind == "gap" and r.body["ended"]]
    assert there == [4]


async def test_rows_have_the_gateway_time_of_the_journal_that_they_are_in() -> None:
    bench = Bench(offset_ns=7 * SECOND)
    await bench.say("source-simulator", endpoint="e")
    await bench.read()
    (frame,) = frames(bench.services.journal)
    moved, read = frame.block, block(bench.clock.now)
    assert (moved.t_run_ns - read.t_run_ns).tolist() == [7 * SECOND]
    assert (moved.t_response_ns - moved.t_request_ns).tolist() == [10**6]
    assert moved.t_utc_ns.tolist() == read.t_utc_ns.tolist()
    event = DeviceEvent("i", "identity", 1, 2, {})
    assert shifted(event, 3) == DeviceEvent("i", "identity", 1, 5, {})
    assert shifted(event, 0) is event
    assert span_of(event) is None


@dataclass
class Played:
    """A recording of the line, played back."""

    blocks: list[Block]
    instruments: tuple[SimpleNamespace, ...] = (SimpleNamespace(id="i"),)

    async def items(self) -> AsyncIterator[Block]:
        for each in self.blocks:
            yield each


@pytest.mark.parametrize("cause", ["rehearsal", "disconnected"])
async def test_a_recording_of_the_line_is_borne_out_where_a_gap_says_that_rows_are_elsewhere(
    cause: str,
) -> None:
    bench = Bench()
    await bench.read()
    await bench.say("source-simulator", endpoint="e")
    await bench.read()
    await bench.read()
    await bench.say("source-live", endpoint="e")
    await bench.read()
    for record in bench.production.records:
        if record.kind == "gap":
            record.body["cause"] = cause
    played = Played([block(number * SECOND) for number in range(1, 5)])
    audit = WireAudit(cast("Replay", played), QcEngine({}, {}), Elements())
    report = await audit.run(bench.production.records)
    assert report.rows == 2
    assert len([one for one in report.differences if "is in no record" in one]) == (
        0 if cause == "rehearsal" else 2
    )
