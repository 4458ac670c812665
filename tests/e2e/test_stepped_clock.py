"""The gateway as a process whose clocks step and sleep: nothing lost, no point overwritten, seq in order."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.archive import Archive
from pipeline.records.envelope import decode
from pipeline.store import open_store
from tests.support.bench import Bench, until
from tests.support.oracle import good_answers, same
from tests.support.services import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.records import Record
    from pipeline.store.door import Row
    from tests.support.services import InfluxDatabase, Mosquitto

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SOURCE = Path(__file__).with_name("stepped_clock.c")
S_NS = 1_000_000_000
YEAR_NS = 31_556_952 * S_NS
SLEEP_S = 30
EVER = 2**62


class Clocks:
    """What the gateway's clocks show beyond this machine's."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "clocks"
        self.path.write_bytes(bytes(24))
        with self.path.open("r+b") as file:
            self._shift = mmap.mmap(file.fileno(), 24)
        self._realtime_ns = self._boottime_ns = 0

    def set(self, *, step_ns: int = 0, sleep_ns: int = 0, synchronised: bool = True) -> None:
        """Step UTC; let the machine sleep, through which both clocks run."""
        self._realtime_ns += step_ns + sleep_ns
        self._boottime_ns += sleep_ns
        self._shift[:] = struct.pack("=3q", self._realtime_ns, self._boottime_ns, not synchronised)

    def close(self) -> None:
        self._shift.close()


@pytest.fixture
def clocks(tmp_path: Path) -> Iterator[Clocks]:
    made = Clocks(tmp_path)
    yield made
    made.close()


@pytest.fixture
def preloaded(tmp_path: Path) -> Path:
    target = tmp_path / "stepped_clock.so"
    command = [
        program("gcc"),
        "-Wall",
        "-Werror",
        "-O1",
        "-shared",
        "-fPIC",
        "-o",
        str(target),
        str(SOURCE),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return target


async def rows_more(bench: Bench, count: int = 2) -> None:
    """Wait until every instrument has given so many rows more."""

    async def rows() -> list[int]:
        return [row.get("rows") or 0 for row in ((await bench.status()) or {}).get("instruments", ())]

    before = await rows()

    async def grown() -> bool:
        now = await rows()
        return len(now) == len(before) and all(n >= b + count for n, b in zip(now, before, strict=True))

    await until(grown, f"every instrument has given {count} rows more; {bench.log('run')[-2000:]}")


async def archived(bench: Bench) -> list[Record]:
    """Every record, by seq, as the stopped collector keeps it."""
    archive = await Archive.open(bench.site.state.archive, bytes(16))
    try:
        (journal,) = await archive.journals()
        return [decode(one.data) for one in await archive.records(journal, 0, 1_000_000)]
    finally:
        await archive.close()


async def stored(bench: Bench) -> tuple[dict[str, list[Row]], list[dict[str, Any]]]:
    """Rows of each instrument, and bodies of gaps, from InfluxDB."""
    async with open_store(bench.site.store) as store:
        rows = {
            one.id: await store.rows(bench.origin, one.id, n_from=0, n_to=EVER)
            for one in bench.site.settings.instrument
        }
        gaps = await store.ledger(bench.origin, "gap", limit=100_000, newest_first=False)
    return rows, [gap.body for gap in gaps]


def lost(answers: list[tuple[int, Any]], kept: list[Any]) -> list[int]:
    """Return when those answers (t_utc_ns, value) came that are not among the kept values."""
    waiting, times = list(reversed(kept)), list[int]()
    for t_utc_ns, value in answers:
        if waiting and same(waiting[-1], value):
            waiting.pop()
        else:
            times.append(t_utc_ns)
    assert not waiting, "values are stored that nobody answered, or in another order"
    return times


def assert_each_answer_is_a_row(bench: Bench, rows: dict[str, list[Row]], slept_utc_ns: int) -> None:
    """In the order of ordinals the values are those of the simulators' log, one for one, whatever UTC did.

    But an answer that was under way when the machine fell asleep has come too late: its row says so.
    """
    channels = {one.id: {channel.name for channel in one.channels} for one in bench.site.settings.instrument}
    for instrument, answers in good_answers(bench.answers, channels).items():
        found = rows[instrument]
        assert [row.n for row in found] == list(range(len(found))), f"{instrument}: rows lost or overwritten"
        for channel in {name for answer in answers for name in answer.values}:
            answered = [(a.t_utc_ns, a.values[channel]) for a in answers if channel in a.values]
            kept = [row.values[channel] for row in found if row.values.get(channel) is not None]
            times = lost(answered, kept)
            assert len(times) <= 1, (instrument, channel)
            assert all(abs(t_utc_ns - slept_utc_ns) < S_NS // 2 for t_utc_ns in times), (instrument, channel)


def assert_the_sleep_is_a_gap(bench: Bench, gaps: list[dict[str, Any]]) -> None:
    """Each instrument has one gap as long as the sleep, with every poll that was due in it."""
    for one in bench.site.settings.instrument:
        spans_s = [
            ((gap["to_run_ns"] - gap["from_run_ns"]) / S_NS, gap["polls"])
            for gap in gaps
            if gap["instrument"] == one.id and gap["ended"]
        ]
        ((span_s, polls),) = [pair for pair in spans_s if pair[0] > SLEEP_S / 2]
        assert abs(span_s - SLEEP_S) < 2 * one.poll_interval_s + 1.0, one.id
        assert polls == round(span_s / one.poll_interval_s), one.id


async def test_steps_sleep_and_a_start_without_time_cost_no_reading_and_overwrite_no_point(
    tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase, clocks: Clocks, preloaded: Path
) -> None:
    bench = Bench(tmp_path, mosquitto.port, influxdb, "clean")
    bench.environment = {"LD_PRELOAD": str(preloaded), "CLOCK_TEST": str(clocks.path)}
    try:
        await bench.prepare()
        await bench.start("collect")
        clocks.set(step_ns=-5 * YEAR_NS, synchronised=False)  # no battery, no network
        await bench.start("run")
        await bench.running()
        clocks.set(step_ns=5 * YEAR_NS)  # the time server answers
        await rows_more(bench)
        for step_ns in (-3600 * S_NS, 3600 * S_NS, -5_000_000):
            clocks.set(step_ns=step_ns)
            await rows_more(bench)
        slept_utc_ns = time.time_ns()
        clocks.set(sleep_ns=SLEEP_S * S_NS)
        await rows_more(bench)
        assert await bench.end("run") == 0, bench.log("run")
        rows, gaps = await stored(bench)
        assert await bench.end("collect") == 0, bench.log("collect")
        records = await archived(bench)
    finally:
        await bench.end_all()
    assert_each_answer_is_a_row(bench, rows, slept_utc_ns)
    assert_the_sleep_is_a_gap(bench, gaps)
    assert [record.seq for record in records] == list(range(len(records)))
    epochs = [record.epoch for record in records]
    assert epochs == sorted(epochs)
    assert set(epochs) == {0, 1, 2, 3}  # the journal was made before the clock was wrong
    trusted = [record.clock.synchronised for record in records]
    assert trusted == sorted(trusted), "first nobody vouched for the clock, then somebody did"
    assert set(trusted) == {False, True}
    for found in rows.values():
        assert {int(row.era.partition("-")[2]) for row in found} == {1, 2, 3}
        for epoch in (1, 2, 3):
            times = [row.t_utc_ns for row in found if row.era.endswith(f"-{epoch}")]
            assert all(one < other for one, other in pairwise(times))
