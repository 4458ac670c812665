"""Simulators, gateway, mosquitto, collector, InfluxDB: what the instruments answered is what is stored."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiomqtt
import httpx
import pytest

from dashboard.language import value_text
from pipeline.records import Flag
from pipeline.records.envelope import decode, split
from pipeline.records.flags import SEVERITY
from pipeline.records.frame import decode_flags
from pipeline.store import open_store
from pipeline.store.schema import LEDGER_KEYS
from simulators.scenario import SCENARIO_DIRECTORY
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
SPIKES = """
[[fault]]
instrument = "p-1"
kind = "spike"
from_s = 0.0
to_s = 1.0
every_s = 1.0
magnitude = 2.0
"""
"""A wrong reading every second: what the rule that needs the future says of it comes in `flags` records."""


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
        ledger = {
            kind: await store.ledger(origin, kind, limit=100_000, newest_first=False) for kind in LEDGER_KEYS
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
            if row.flags["pressure"] in {Flag.SUSPECT, Flag.FAIL}
        }
        assert spiked
        assert spiked <= flagged
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
        self.seen: dict[int, tuple[str, dict[str, Any]]] = {}

    async def watch(self) -> None:
        """Collect for ever."""
        async with aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe("yaosu/v1/+/+/rec/#", qos=1)
            async for message in client.messages:
                for data in split(bytes(message.payload)):
                    record = decode(data)
                    self.seen[record.seq] = (record.kind, record.body)


async def shown(bench: Bench) -> dict[str, Any]:
    """What the overview shows to a visitor, once it shows a row of every instrument."""
    url = f"http://127.0.0.1:{bench.web_port}/api/overview"
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:

        async def complete() -> dict[str, Any] | None:
            assert bench.processes["web"].returncode is None, bench.log("web")
            try:
                answer = await client.get(url)
            except httpx.ConnectError:
                return None
            assert answer.status_code == httpx.codes.OK, answer.text
            content: dict[str, Any] = answer.json()
            rows = [one["t_ms"] for one in content["instruments"]]
            return content if len(rows) == len(bench.site.settings.instrument) and all(rows) else None

        content: dict[str, Any] = await until(complete, "the pages show a row of every instrument")
        return content


async def start_a_task(bench: Bench) -> None:
    """Let there be records of every kind that people and tasks make."""
    await bench.import_registry()
    started = await bench.acting(
        "lin", "task.start", sample="V-0001", method="pressure-hold", instruments=["p-1", "p-2"]
    )
    assert started["ok"], started


def spiking(folder: Path) -> str:
    """Write the scenario without faults, and with spikes, and return its path."""
    path = folder / "spiking.toml"
    clean = (SCENARIO_DIRECTORY / "clean.toml").read_text(encoding="utf-8")
    path.write_text(clean + SPIKES, encoding="utf-8")
    return str(path)


async def test_a_killed_gateway_keeps_what_it_accepted_and_accounts_for_the_rest(
    tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase
) -> None:
    async with bench_of(tmp_path, mosquitto, influxdb, spiking(tmp_path)) as bench:
        outside = Witness(mosquitto.port)
        watching = asyncio.create_task(outside.watch())
        try:
            for role in ("collect", "web", "run"):
                await bench.start(role)
            await bench.running()
            await start_a_task(bench)
            await answered(bench, 3.0)
            status, overview = await bench.status(), await shown(bench)
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
        assert_flags_are_reflected(outside, rows)
        assert_shown_is_stored(bench, overview, rows, ledger)
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
        if kind == "data" or kind in LEDGER_KEYS:
            assert seq in stored_seqs, f"{kind} {seq} was published and is not stored"
    assert len(outside.seen) > 50
    kinds = {kind for kind, _ in outside.seen.values()}
    assert {"data", "flags", "gap", "event", "config", "registry", "task", "verdict"} <= kinds


def assert_flags_are_reflected(outside: Witness, rows: dict[str, list[Row]]) -> None:
    """What a published `flags` record said of a reading is in the final flag of the stored row."""
    final = {(row.instrument, row.n): row.flags for some in rows.values() for row in some}
    failed = 0
    for seq, (kind, body) in outside.seen.items():
        if kind != "flags":
            continue
        said = decode_flags(body)
        for n, channel, flag in zip(said.n.tolist(), said.channel, said.flag.tolist(), strict=True):
            stored_flag = final[said.instrument, n][channel]
            assert SEVERITY[stored_flag] >= SEVERITY[flag], (
                f"flags {seq} said {flag} of {said.instrument}.{channel} {n}, stored is {stored_flag}"
            )
            failed += flag in {Flag.SUSPECT, Flag.FAIL}
    assert failed >= 3, "too few spikes for the comparison to say anything"


def assert_shown_is_stored(
    bench: Bench,
    overview: dict[str, Any],
    rows: dict[str, list[Row]],
    ledger: dict[str, list[LedgerRow]],
) -> None:
    """Whatever a visitor saw just before the kill is still there afterwards."""
    settings = {instrument.id: instrument for instrument in bench.site.settings.instrument}
    assert {one["id"] for one in overview["instruments"]} == set(settings)
    for one in overview["instruments"]:
        (row,) = [row for row in rows[one["id"]] if row.t_utc_ns / 1e6 == one["t_ms"]]
        decimals = {channel.name: channel.decimals for channel in settings[one["id"]].channels}
        values = {channel["name"]: channel["value"] for channel in one["channels"]}
        assert values == {name: value_text(row.values[name], decimals[name]) for name in decimals}, one["id"]
        assert any(value is not None for value in values.values()), one["id"]
    assert overview["events"]
    assert {event["seq"] for event in overview["events"]} <= {row.seq for row in ledger["event"]}


ROUND_TRIP_NS = 200_000_000
"""Half of the first exchange after a start, which asks for the identity too, on a busy machine."""


def assert_gap_covers_the_downtime(
    bench: Bench, rows: dict[str, list[Row]], ledger: dict[str, list[LedgerRow]], killed_ns: int
) -> None:
    """Between the last row before and the first row after the kill there is one gap that counts the polls."""
    for instrument in bench.site.settings.instrument:
        own = [row.body for row in ledger["gap"] if row.body["instrument"] == instrument.id]
        gaps = [body for body in own if body["cause"] == "daemon-down" and body["ended"]]
        # On a busy machine a poll beside the downtime may have been late: it is in a gap of its own.
        others = [body for body in own if body["cause"] != "daemon-down"]
        times = [row.t_utc_ns for row in rows[instrument.id]]
        before = max(t for t in (*times, *(body["to_utc_ns"] for body in others)) if t < killed_ns)
        after = min(t for t in (*times, *(body["from_utc_ns"] for body in others)) if t > killed_ns)
        assert len(gaps) == 1, f"{instrument.id}: {gaps}"
        gap = gaps[0]
        period_ns = instrument.poll_interval_s * 1e9
        assert gap["from_utc_ns"] <= before + period_ns
        # It ends at the first request, the row is stamped in the middle of its exchange.
        assert gap["to_utc_ns"] >= after - period_ns - ROUND_TRIP_NS
        assert abs(gap["polls"] - ((after - before) / period_ns - 1)) <= 2, f"{instrument.id}: {gap}"
