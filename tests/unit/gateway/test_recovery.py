"""A start after a crash on a real journal: ordinals, late flags and gaps go on as if nothing had happened."""

from __future__ import annotations

from collections import defaultdict
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.edge.config_history import ConfigHistory
from gateway.edge.pulse import Pulse
from gateway.edge.recorder import Recorder
from gateway.edge.recovery import Recovery
from gateway.edge.rhythm import Rhythm
from gateway.site import load_site
from pipeline.elements import VERSION as ELEMENTS_VERSION
from pipeline.elements import Elements
from pipeline.intake import Intake
from pipeline.journal import Journal, JournalSettings
from pipeline.qc import QcEngine
from pipeline.records import Block, Channel, Gap, Layout
from pipeline.records.frame import decode_flags, decode_frame
from tests.crash.models import ManualClock
from tests.unit.elements.test_charts_wired import charted
from tests.unit.journal.journals import read_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.site import LoadedSite
    from pipeline.records import Record

LAYOUT = Layout((Channel("pressure", unit="MPa"),))
PERIOD_NS = 100_000_000
SITE = """
[site]
lab = "lab"
gateway = "gw"
purpose = "rehearsal"

[mqtt]
port = 1

[[instrument]]
id = "p-1"
driver = "modbus-tcp"
source = "simulated"
asset = "eq-p-1"
serial_number = "SIM-P-0001"
host = "127.0.0.1"
poll_interval_s = 0.1

[[instrument.channels]]
name = "pressure"
address = 0
table = "input"
type = "float32"
unit = "MPa"
qc.spike = { suspect = 1.0 }
"""
OTHER = SITE.replace('id = "p-1"', 'id = "p-2"')


class Run:
    """The parts of one run of the daemon that keep state."""

    def __init__(self, journal: Journal, site: LoadedSite, clock: ManualClock) -> None:
        self.journal, self.clock = journal, clock
        self.engine = QcEngine(site.qc(), site.intervals_s())
        self.engine.warm()
        self.elements = Elements()
        self.recorder = Recorder(journal, self.elements, {"p-1": "simulated"}, "simulated")
        self.intake = Intake(self.engine, self.recorder, journal.clock, self.elements.service_state)
        self.history = ConfigHistory()
        parts = (journal, self.recorder, self.intake, self.elements, self.history)
        self.waited_at = list[int]()
        """Records that the journal had whenever the control rules were waited for."""
        self.recovery = Recovery(*parts, self.charting)
        self.rhythm = Rhythm(*parts, Pulse(journal, journal.clock))

    async def charting(self) -> None:
        self.waited_at.append(self.journal.head_seq)

    async def rows(self, *values: float) -> None:
        for value in values:
            self.clock.advance(PERIOD_NS)
            t_run = np.array([self.journal.clock.run_ns()], np.int64)
            t_utc = np.array([self.journal.clock.utc_ns()], np.int64)
            await self.intake.take(Block(
                instrument="p-1", layout=LAYOUT, t_utc_ns=t_utc, t_run_ns=t_run, t_request_ns=t_run,
                t_response_ns=t_run, status=np.zeros((1, 1), np.uint8), f8=np.array([[value]]),
                i8=np.empty((0, 1), np.int64), u8=np.empty((0, 1), np.uint64),
            ))  # fmt: skip
            self.clock.advance(1)
            self.intake.close_all()

    async def silence(self, periods: int) -> None:
        """The line is down for so many polls."""
        clock = self.journal.clock
        run, utc = clock.run_ns() + PERIOD_NS, clock.utc_ns() + PERIOD_NS
        self.clock.advance(PERIOD_NS)
        await self.intake.take(Gap("p-1", run, run, utc, utc, 1, "disconnected", ended=False))
        self.clock.advance(periods * PERIOD_NS - PERIOD_NS)
        end = clock.run_ns(), clock.utc_ns()
        await self.intake.take(Gap("p-1", run, end[0], utc, end[1], periods, "disconnected", ended=True))


@asynccontextmanager
async def running(folder: Path, clock: ManualClock, text: str = SITE) -> AsyncIterator[Run]:
    """Open, recover, and leave without a word, as a crash does once all is durable."""
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    settings = JournalSettings(commit_delay_ms=1)
    journal = await Journal.open(
        folder / "journal", settings, purpose="rehearsal", base_clock=clock, boot_id="boot-a"
    )
    try:
        site = load_site(path)
        run = Run(journal, site, clock)
        await run.recovery.run(site)
        yield run
    finally:
        await journal.close()


async def first_run(folder: Path, clock: ManualClock) -> list[Record]:
    async with running(folder, clock) as run:
        await run.rows(35.0, 35.0, 38.0, 35.0)
        await run.silence(4)
        await run.rows(35.0, 39.0, 35.0, 35.0)
        await run.journal.wait_durable(run.journal.head_seq - 1)
        return await read_all(run.journal)


async def lay_down(folder: Path, records: list[Record], clock: ManualClock) -> None:
    """Make a journal of just these records."""
    journal = await Journal.open(
        folder / "journal", JournalSettings(commit_delay_ms=1), purpose="rehearsal", base_clock=clock,
        boot_id="boot-a",
    )  # fmt: skip
    for record in records:
        journal.append(
            record.kind, record.body, by=record.by, source=record.source, t_utc_ns=record.t_utc_ns,
            t_run_ns=record.t_run_ns,
        )  # fmt: skip
    await journal.close()


def told_of(record: Record, code: str) -> bool:
    """Whether a record is the event of that code; its alarm names the code too."""
    return record.kind == "event" and record.body["code"] == code


def assert_sound(records: list[Record]) -> None:
    """Ordinals without a hole, verdicts once, progress never backwards, gaps that end, no poll twice."""
    ordinals, rows = list[int](), list[int]()
    verdicts: dict[tuple[str, str, int], int] = defaultdict(int)
    through: dict[str, int] = {}
    ended: list[tuple[int, int, int]] = []
    begun: dict[int, str] = {}
    for record in records:
        if record.kind == "data":
            frame = decode_frame(record.body)
            ordinals += range(frame.n_first, frame.n_first + len(frame.block))
            rows += frame.block.t_run_ns.tolist()
        elif record.kind == "flags":
            flags = decode_flags(record.body)
            assert flags.decided_through_n >= through.get(flags.rule, -1)
            through[flags.rule] = flags.decided_through_n
            for n, channel in zip(flags.n.tolist(), flags.channel, strict=True):
                verdicts[flags.rule, channel, n] += 1
        elif record.kind == "gap":
            gap = Gap(**record.body)
            if gap.ended:
                begun.pop(gap.from_run_ns, None)
                ended.append((gap.from_run_ns, gap.to_run_ns, gap.polls))
            else:
                begun[gap.from_run_ns] = gap.cause
    assert ordinals == list(range(len(ordinals)))
    assert set(verdicts.values()) <= {1}
    assert not begun
    assert len({begin for begin, _, _ in ended}) == len(ended)
    for (_, end, _), (begin, _, _) in pairwise(ended):
        assert end <= begin
    assert not any(begin < row < end for row in rows for begin, end, _ in ended)
    # Every deadline since the first row is a row or counted in a gap.
    polls = sum(polls for _, _, polls in ended)
    assert abs(len(rows) + polls - ((rows[-1] - rows[0]) / PERIOD_NS + 1)) <= len(ended) / 2


async def test_cut_after_any_record_the_second_run_goes_on_without_a_seam(tmp_path: Path) -> None:
    clock = ManualClock()
    records = await first_run(tmp_path, clock)
    data = [at for at, record in enumerate(records) if record.kind == "data"]
    for cut in range(data[0] + 1, len(records) + 1):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        clock = ManualClock()
        await lay_down(folder, records[:cut], clock)
        clock.run = max(clock.run, records[cut - 1].t_run_ns)
        clock.utc = max(clock.utc, records[cut - 1].t_utc_ns)
        clock.advance(20 * PERIOD_NS)
        async with running(folder, clock) as run:
            await run.rows(35.0, 35.0, 41.0, 35.0, 35.0)
            await run.journal.wait_durable(run.journal.head_seq - 1)
            found = await read_all(run.journal)
        assert [r.kind for r in found[:cut]] == [r.kind for r in records[:cut]]
        assert_sound(found)


@pytest.mark.parametrize("snapshots", [0, 1, 2])
async def test_restarts_in_order_and_restarts_without_rows_keep_one_account(
    tmp_path: Path, snapshots: int
) -> None:
    clock = ManualClock()
    for turn, values in enumerate([(35.0, 38.0, 35.0), (), (35.0, 35.0), (), (36.0, 36.0)]):
        async with running(tmp_path, clock) as run:
            await run.rows(*values)
            if turn < snapshots:
                await run.rhythm.last()
        clock.advance(7 * PERIOD_NS)
    async with running(tmp_path, clock) as run:
        await run.rows(35.0)
        await run.journal.wait_durable(run.journal.head_seq - 1)
        assert_sound(await read_all(run.journal))


async def test_a_gap_that_ended_before_a_stop_is_not_counted_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as run:
        await run.rows(35.0, 35.0)
        await run.silence(30)
        await run.rhythm.last()
    clock.advance(5 * PERIOD_NS)
    async with running(tmp_path, clock) as run:
        await run.rows(35.0)
        await run.journal.wait_durable(run.journal.head_seq - 1)
        found = await read_all(run.journal)
    gaps = [Gap(**r.body) for r in found if r.kind == "gap" and r.body["ended"]]
    assert [(gap.cause, gap.polls) for gap in gaps] == [("disconnected", 30), ("daemon-down", 6)]
    assert gaps[1].from_run_ns == gaps[0].to_run_ns


async def test_an_instrument_taken_out_of_the_configuration_leaves_no_open_gap(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as run:
        await run.rows(35.0)
        run_ns, utc_ns = run.journal.clock.run_ns(), run.journal.clock.utc_ns()
        await run.intake.take(Gap("p-1", run_ns, run_ns, utc_ns, utc_ns, 1, "disconnected", ended=False))
    clock.advance(5 * PERIOD_NS)
    async with running(tmp_path, clock, OTHER) as run:
        found = await read_all(run.journal, durable=False)
    gaps = [record.body for record in found if record.kind == "gap"]
    assert [(gap["cause"], gap["ended"]) for gap in gaps] == [("disconnected", False), ("disconnected", True)]


async def test_a_snapshot_that_cannot_be_taken_up_costs_a_replay_and_an_event(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as run:
        await run.rows(35.0, 38.0, 35.0)
        for name, version in (("elements", ELEMENTS_VERSION), ("intake", 2), ("config-history", 3)):
            run.journal.save_snapshot(name, run.journal.head_seq - 1, b"\x93\x01\x02\x03", version)
        await run.journal.wait_durable(run.journal.head_seq - 1)
    clock.advance(5 * PERIOD_NS)
    async with running(tmp_path, clock) as run:
        await run.rows(35.0)
        await run.journal.wait_durable(run.journal.head_seq - 1)
        found = await read_all(run.journal)
    assert_sound(found)
    told = [r.body["args"]["consumer"] for r in found if told_of(r, "snapshot-unreadable")]
    assert set(told) == {"elements", "intake", "config-history"}


async def test_only_a_gateway_with_charts_waits_for_the_control_rules(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as run:
        await run.rows(35.0)
        assert run.waited_at == []
        head = run.journal.head_seq
        run.journal.save_snapshot("elements", head - 1, charted().elements.snapshot(), ELEMENTS_VERSION)
        await run.journal.wait_durable(head - 1)
    async with running(tmp_path, clock) as run:
        assert run.waited_at == [head], "before anything is replayed or said"


async def test_an_unapplied_configuration_is_told_and_an_applied_one_is_not(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as run:
        sha256 = run.history.birth.sha256 if run.history.birth else ""
        body = {"action": "apply", "sha256": sha256, "path_name": "site.toml", "actor": {"person": "p-1"}}
        run.history.see(run.recorder.append("config", body))
    clock.advance(PERIOD_NS)
    async with running(tmp_path, clock) as run:
        found = await read_all(run.journal, durable=False)
    assert sum(told_of(record, "unattributed-change") for record in found) == 1
    starts = [record.body for record in found if record.body.get("action") == "start"]
    assert [body["actor"] for body in starts] == [None, {"person": "p-1"}]
