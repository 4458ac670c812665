"""SIGKILL at named points in gateway and collectors, and at named moments of the exchange in broker and
store, over a hostile network: nothing lost, nothing doubled.

CI kills at least 30 roles and each server 3 times; `make soak` at least YAOSU_SOAK_KILLS (1,000) roles and
each server a tenth as often, and says so as it goes.
"""

from __future__ import annotations

import json
import os
from random import Random
from typing import TYPE_CHECKING

import pytest

from pipeline.journal import verify
from pipeline.store import open_store
from tests.chaos.moments import BROKER_MOMENTS, STORE_MOMENTS, Aim, HttpWatch, MqttWatch
from tests.chaos.siege import Siege
from tests.support.bench import Bench
from tests.support.oracle import compare, good_answers
from tests.support.proxy import TcpProxy
from tests.support.services import InfluxDatabase
from tests.support.soak import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.services import Influxd, InfluxdFactory, Mosquitto

KILLS = 30
SERVER_KILLS = 3
DATABASE = "siege"
SOAK_KILLS = int(os.environ.get("YAOSU_SOAK_KILLS", "1000"))
EVER = 2**62
ANSWERS_MIN = 100


@pytest.fixture
def mortal_influxd(influxd_factory: InfluxdFactory) -> Iterator[Influxd]:
    """Give a server of its own, which may be killed."""
    server = influxd_factory()
    server.execute(f'CREATE DATABASE "{DATABASE}"')
    yield server
    server.stop()


async def besiege(
    folder: Path, mosquitto: Mosquitto, influxd: Influxd, seed: str, kills: tuple[int, int],
    say: Callable[[str], None],
) -> Siege:  # fmt: skip
    """Kill so many roles, and each server so often, make peace, and hold the store against the log."""
    random = Random(seed)
    broker, store = Aim(mosquitto), Aim(influxd)
    async with (
        TcpProxy(mosquitto.port, random, lambda: MqttWatch(broker)) as to_broker,
        TcpProxy(influxd.port, random, lambda: HttpWatch(store)) as to_store,
    ):
        database = InfluxDatabase(f"http://127.0.0.1:{to_store.port}", DATABASE)
        bench = Bench(folder, to_broker.port, database, "clean")
        aims = [(broker, BROKER_MOMENTS), (store, STORE_MOMENTS)]
        siege = Siege(bench, random, aims, [to_broker, to_store])
        try:
            await siege.prepare()
            await siege.rage(*kills, say)
            await siege.make_peace()
            await siege.end()
            await check(siege)
        finally:
            siege.abandon()
            await bench.end_all()
    return siege


async def check(siege: Siege) -> None:
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


def told(siege: Siege) -> dict[str, int]:
    """Count kills for the report, those of the servers by their moments."""
    return {
        "aimed kills of roles": siege.aimed, "points": len(siege.kills), **dict(sorted(siege.struck.items()))
    }  # fmt: skip


@pytest.mark.timeout(1500)  # a guard alone: two minutes on a quiet machine, longer on a busy one
async def test_thirty_kills_at_named_points_lose_and_double_nothing(
    tmp_path: Path, mosquitto: Mosquitto, mortal_influxd: Influxd, pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    seed = str(pytestconfig.getoption("--hypothesis-seed"))
    kills = KILLS, SERVER_KILLS
    siege = await besiege(tmp_path, mosquitto, mortal_influxd, seed, kills, lambda _text: None)
    record_property("kills", json.dumps(told(siege)))
    assert siege.aimed >= KILLS
    assert len(siege.kills) > 10, "too few different points"
    assert all(aim.struck.total() >= SERVER_KILLS for aim, _ in siege.aims), siege.struck


@pytest.mark.soak
async def test_a_thousand_kills_at_named_points_lose_and_double_nothing(
    tmp_path: Path, mosquitto: Mosquitto, mortal_influxd: Influxd, pytestconfig: pytest.Config
) -> None:
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    seed = str(pytestconfig.getoption("--hypothesis-seed"))
    kills = SOAK_KILLS, SOAK_KILLS // 10
    siege = await besiege(tmp_path, mosquitto, mortal_influxd, seed, kills, reporter.write_line)
    reporter.write_line(json.dumps(keep("SIGKILL at named points", seed, told(siege))))
