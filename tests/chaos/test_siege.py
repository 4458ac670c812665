"""SIGKILL at named points in gateway and collectors, over a hostile network: nothing lost, nothing doubled.

CI kills at least 30 processes; `make soak` at least YAOSU_SOAK_KILLS (1,000), and says so as it goes.
"""

from __future__ import annotations

import json
import os
from random import Random
from typing import TYPE_CHECKING

import pytest

from pipeline.journal import verify
from pipeline.store import open_store
from tests.chaos.siege import Siege, influx_behind
from tests.support.bench import Bench
from tests.support.oracle import compare, good_answers
from tests.support.proxy import TcpProxy
from tests.support.soak import keep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.services import InfluxDatabase, Mosquitto

KILLS = 30
SOAK_KILLS = int(os.environ.get("YAOSU_SOAK_KILLS", "1000"))
EVER = 2**62
ANSWERS_MIN = 100


async def besiege(
    folder: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase, seed: str, kills: int,
    say: Callable[[str], None],
) -> Siege:  # fmt: skip
    """Kill so many times, make peace, and hold the store against the simulators' log."""
    random = Random(seed)
    async with (
        TcpProxy(mosquitto.port, random) as to_broker,
        TcpProxy(int(influxdb.url.rsplit(":", 1)[1]), random) as to_store,
    ):
        bench = Bench(folder, to_broker.port, influx_behind(to_store, influxdb), "clean")
        siege = Siege(bench, random, mosquitto, [to_broker, to_store])
        try:
            await siege.prepare()
            await siege.rage(kills, say)
            await siege.make_peace()
            await siege.end()
            await check(siege, influxdb)
        finally:
            siege.abandon()
            await bench.end_all()
    return siege


async def check(siege: Siege, influxdb: InfluxDatabase) -> None:
    """Every answer is stored once, bit for bit; the journal is whole without anybody's help."""
    bench = siege.bench
    site = bench.site
    matched = 0
    channels = {i.id: {c.name for c in i.channels} for i in site.settings.instrument}
    async with open_store(site.store) as store:
        for instrument, answers in good_answers(bench.answers, channels).items():
            rows = await store.rows(bench.origin, instrument, n_from=0, n_to=EVER)
            findings = compare(answers, rows, siege.exempt())
            assert not findings, f"{instrument}: {findings.lost} {findings.invented} {siege.exempt()}"
            matched += findings.matched
            assert [row.n for row in rows] == list(range(len(rows))), f"{instrument}: ordinals"
    assert matched > ANSWERS_MIN, "too little was answered to prove anything"
    result = verify(site.state.journal)
    assert result.sound, result.problems
    assert not list(bench.folder.rglob("dead-letters.jsonl"))


@pytest.mark.timeout(240)
async def test_thirty_kills_at_named_points_lose_and_double_nothing(
    tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase, pytestconfig: pytest.Config
) -> None:
    seed = str(pytestconfig.getoption("--hypothesis-seed"))
    siege = await besiege(tmp_path, mosquitto, influxdb, seed, KILLS, lambda _text: None)
    assert siege.aimed >= KILLS
    assert len(siege.kills) > 10, "too few different points"


@pytest.mark.soak
async def test_a_thousand_kills_at_named_points_lose_and_double_nothing(
    tmp_path: Path, mosquitto: Mosquitto, influxdb: InfluxDatabase, pytestconfig: pytest.Config
) -> None:
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    seed = str(pytestconfig.getoption("--hypothesis-seed"))
    siege = await besiege(tmp_path, mosquitto, influxdb, seed, SOAK_KILLS, reporter.write_line)
    counts = {"aimed kills": siege.aimed, "points": len(siege.kills)}
    reporter.write_line(json.dumps(keep("SIGKILL at named points", seed, counts)))
