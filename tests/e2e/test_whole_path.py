"""Simulators, gateway, mosquitto, collector, InfluxDB: what the instruments answered is what is stored."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiomqtt
import pytest

from pipeline.records import Flag
from pipeline.records.envelope import decode, split
from pipeline.store import open_store
from tests.support.bench import Bench, until
from tests.support.oracle import compare, good_answers
from tests.support.simulated import answers_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.store.door import LedgerRow, Row
    from tests.support.services import InfluxDatabase, Mosquitto

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

EVER = 2**62
ACCEPT_NS = 500_000_000
"""What the gateway promises: an answer older than this before a kill is not lost."""


@asynccontextmanager
async def bench_of(
    folder: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase, scenario: str = "clean"
) -> AsyncIterator[Bench]:
    bench = Bench(folder, mosquitto.port, influxdb, scenario)
    try:
        await bench.prepare()
        yield bench
    finally:
        await bench.end_all()


async def answered(bench: Bench, seconds: float) -> None:
    """Wait until the simulators' log spans so many seconds more than now."""
    begin_ns = time.time_ns()

    async def long_enough() -> bool:
        lines = answers_of(bench.answers)
        return bool(lines) and lines[-1]["t_utc_ns"] - begin_ns >= seconds * 1e9

    await until(long_enough, f"the simulators have answered for {seconds:g} s more")


async def stored(bench: Bench) -> tuple[dict[str, list[Row]], dict[str, list[LedgerRow]]]:
    """Everything in InfluxDB, once the collector has written what the stopped gateway left."""
    site, origin = bench.site, bench.origin
    async with open_store(site.store) as store:
        rows = {i.id: await store.rows(origin, i.id, n_from=0, n_to=EVER) for i in site.settings.instrument}
        kinds = ("gap", "event", "verdict", "config", "task", "result", "checkpoint", "review", "registry")
        ledger = {
            kind: await store.ledger(origin, kind, limit=100_000, newest_first=False) for kind in kinds
        }  # fmt: skip
    return rows, ledger


async def stop_in_order(bench: Bench) -> None:
    """End acquisition, and wait until everything that it left is receipted, without the clock deciding."""
    assert await bench.end("run") == 0, bench.log("run")


def channels_of(bench: Bench) -> dict[str, set[str]]:
    return {i.id: {c.name for c in i.channels} for i in bench.site.settings.instrument}


def assert_all_there(
    bench: Bench, rows: dict[str, list[Row]], exempt: list[tuple[int, int]] | None = None
) -> None:
    log = good_answers(bench.answers, channels_of(bench))
    for instrument, answers in log.items():
        findings = compare(answers, rows[instrument], exempt)
        assert not findings, (
            f"{instrument}: {findings.matched} matched, {findings.lost[:5]}, {findings.invented[:5]}"
        )
        assert findings.matched > 3, instrument
        ordinals = [row.n for row in rows[instrument]]
        assert ordinals == list(range(len(ordinals))), f"{instrument}: ordinals are not contiguous"


async def test_every_answer_is_stored_bit_for_bit_with_its_flags(
    tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase
) -> None:
    async with bench_of(tmp_path, mosquitto, influxdb, "two_benches") as bench:
        await bench.start("collect")
        await bench.start("run")
        await bench.running()
        await answered(bench, 22.0)
        await stop_in_order(bench)
        rows, ledger = await stored(bench)
        assert_all_there(bench, rows)
        for row in rows["th-fridge"]:
            value = row.values["temperature"]
            assert isinstance(value, float)
            expected = (
                Flag.FAIL
                if not 0.0 <= value <= 8.0
                else Flag.SUSPECT
                if not 2.0 <= value <= 6.5
                else Flag.PASS
            )
            assert row.flags["temperature"] == expected, row
        assert any(row.flags["temperature"] == Flag.FAIL for row in rows["th-fridge"])
        spiked = {
            answer.values["pressure"]
            for answer in good_answers(bench.answers, channels_of(bench))["p-1"]
            if answer.fault == "spike"
        }
        flagged = {
            row.values["pressure"]
            for row in rows["p-1"]
            if row.flags["pressure"] in {Flag.SUSPECT, Flag.FAIL} and not row.reasons["pressure"]
        }
        assert spiked == flagged
        assert any(row.flags["raw_code"] == Flag.FAIL for row in rows["p-2"])
        codes = {row.body["code"] for row in ledger["event"]}
        assert {"daemon-start", "daemon-stop", "qc-onset", "instrument-lost", "identity"} <= codes


async def test_a_broker_that_stops_in_mid_run_loses_nothing(
    tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase
) -> None:
    async with bench_of(tmp_path, mosquitto, influxdb) as bench:
        await bench.start("collect")
        await bench.start("run")
        await bench.running()
        mosquitto.stop()
        await answered(bench, 4.0)
        status = await bench.status()
        assert not status["publisher"]["link"]["connected"]
        assert status["publisher"]["link"]["since_utc_ns"] > 0
        assert status["journal"]["backlog_records"] > 0
        mosquitto.start()
        await bench.drained()
        await stop_in_order(bench)
        rows, _ = await stored(bench)
        assert_all_there(bench, rows)


class Witness:
    """Somebody outside who keeps every record that the broker delivers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seen: dict[int, tuple[str, dict[str, object]]] = {}

    async def watch(self) -> None:
        """Collect for ever."""
        async with aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe("yaosu/v1/+/+/rec/#", qos=1)
            async for message in client.messages:
                for data in split(bytes(message.payload)):
                    record = decode(data)
                    self.seen[record.seq] = (record.kind, record.body)


async def test_a_killed_gateway_keeps_what_it_accepted_and_accounts_for_the_rest(
    tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase
) -> None:
    async with bench_of(tmp_path, mosquitto, influxdb) as bench:
        outside = Witness(mosquitto.port)
        watching = asyncio.create_task(outside.watch())
        try:
            await bench.start("collect")
            await bench.start("run")
            await bench.running()
            await answered(bench, 3.0)
            status = await bench.status()
            killed_ns = time.time_ns()
            await bench.end("run", signal.SIGKILL)
            await answered_or_silent(bench)
            await bench.start("run")
            await bench.running()
            await answered(bench, 3.0)
            await bench.drained()
            await stop_in_order(bench)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        rows, ledger = await stored(bench)
        assert_all_there(bench, rows, [(killed_ns - ACCEPT_NS, killed_ns + ACCEPT_NS)])
        assert_seen_is_stored(outside, rows, ledger)
        for known in status["instruments"]:
            assert len(rows[known["id"]]) >= known["rows"], (
                "the status page had shown rows that are not stored"
            )
        assert_gap_covers_the_downtime(bench, rows, ledger, killed_ns)


async def answered_or_silent(bench: Bench) -> None:
    """Let the instruments be without a gateway for a moment: until the simulators have noticed."""
    before = len(answers_of(bench.answers))

    async def quiet() -> bool:
        nonlocal before
        now = len(answers_of(bench.answers))
        still, before = now == before, now
        return still

    await until(quiet, "nobody asks the instruments any more")


def assert_seen_is_stored(
    outside: Witness, rows: dict[str, list[Row]], ledger: dict[str, list[LedgerRow]]
) -> None:
    stored_seqs = {row.seq for some in rows.values() for row in some} | {
        row.seq for some in ledger.values() for row in some
    }
    for seq, (kind, _) in outside.seen.items():
        if kind in {"data", "gap", "event", "config", "checkpoint"}:
            assert seq in stored_seqs, f"{kind} {seq} was published and is not stored"
    assert len(outside.seen) > 50


def assert_gap_covers_the_downtime(
    bench: Bench, rows: dict[str, list[Row]], ledger: dict[str, list[LedgerRow]], killed_ns: int
) -> None:
    """Between the last row before and the first row after the kill there is one gap that counts the polls."""
    for instrument in bench.site.settings.instrument:
        before = max(row.t_utc_ns for row in rows[instrument.id] if row.t_utc_ns < killed_ns)
        after = min(row.t_utc_ns for row in rows[instrument.id] if row.t_utc_ns > killed_ns)
        gaps = [
            row.body for row in ledger["gap"]
            if row.body["instrument"] == instrument.id
            and row.body["cause"] == "daemon-down"
            and row.body["ended"]
        ]  # fmt: skip
        assert len(gaps) == 1, f"{instrument.id}: {gaps}"
        gap = gaps[0]
        period_ns = instrument.poll_interval_s * 1e9
        assert gap["from_utc_ns"] <= before + period_ns
        assert gap["to_utc_ns"] >= after - period_ns
        assert abs(gap["polls"] - ((after - before) / period_ns - 1)) <= 2, f"{instrument.id}: {gap}"
