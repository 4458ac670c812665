"""A simulator declared live in production, over a real socket, broker, collector and store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from config import Exit
from dashboard.watch import Watcher
from gateway.door.client import DoorClient
from gateway.edge.daemon import EdgeDaemon
from gateway.site import load_site
from gateway.trust import TrustedKeys
from pipeline.journal.start import KEY_NAME
from pipeline.mqtt import MqttSettings
from pipeline.records.signing import next_key_path
from pipeline.store import Origin
from simulators import ScenarioRunner, load_scenario
from tests.support.bench import until
from tests.support.collecting import collecting, embedded_store, key_of
from tests.support.commanding import log_untouched, yaosu
from tests.support.daemon import SITE, records_of, rows

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.site import LoadedSite
    from tests.support.services import Mosquitto

__all__ = ["log_untouched"]

ROWS_MIN = 10


async def beside_of(door: DoorClient) -> dict[str, Any] | None:
    """Status of the rehearsal journal once all that it holds is receipted; None before."""
    try:
        found = (await door.get("status")).get("rehearsal")
    except ConnectionError:
        return None
    done = found is not None and found["rows"] >= ROWS_MIN and found["publisher"]["receipts"] > 0
    return found if done else None


def production_site(tmp_path: Path, simulated: int | None, broker: int) -> LoadedSite:
    """Declare a simulator live in the site file of a production gateway."""
    text = SITE.format(port=simulated, broker=broker, tables="")
    live = text.replace('"rehearsal"', '"production"').replace('source = "simulated"\n', "")
    path = tmp_path / "gateway.toml"
    path.write_text(live, encoding="utf-8")
    site = load_site(path)
    site.state.root.mkdir()
    return site


def told_by_commands(site: LoadedSite, journal_id: str) -> None:
    """Look at the rehearsal journal as a person does: `--rehearsal` never touches the journal beside it."""
    path = site.path
    assert yaosu("journal", "verify", "-c", path, "--rehearsal").code == 0
    shown = yaosu("journal", "stat", "-c", path, "--rehearsal", "--json").json
    assert shown["purpose"] == "rehearsal"
    assert shown["id"] == journal_id != records_of(site.state.journal)[0].journal.hex()
    codes = [one["code"] for one in yaosu("events", "-c", path, "--rehearsal", "--json").json]
    assert set(codes) == {"rehearsal-opened", "rows-from-production"}, "and nothing of the laboratory's own"
    made = yaosu("keys", "rotate", "log", "-c", path, "--rehearsal", "--json").json
    assert made["next_key_file"] == str(next_key_path(site.state.beside.journal / KEY_NAME))
    assert not next_key_path(site.state.journal / KEY_NAME).exists(), "the own log's key stays"
    path.write_text(SITE.format(port=1, broker=1, tables=""), encoding="utf-8")
    outcome = yaosu("journal", "stat", "-c", path, "--rehearsal")
    assert outcome.code == Exit.USAGE
    assert "leave --rehearsal out" in outcome.err


async def test_what_is_found_to_be_simulated_is_another_gateway_on_the_wire_in_the_store_and_on_the_pages(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    stop = asyncio.Event()
    async with (
        ScenarioRunner(load_scenario("single_tcp"), tmp_path / "sim") as simulators,
        embedded_store(tmp_path) as store,
    ):
        site = production_site(tmp_path, simulators.endpoints["p-1"].port, mosquitto.port)
        TrustedKeys(site.state.trusted_keys).trust(key_of(tmp_path / "centre").public)
        mqtt = MqttSettings(host=mosquitto.host, port=mosquitto.port)
        async with collecting(mqtt, tmp_path / "centre", store):
            daemon = asyncio.create_task(EdgeDaemon(site).run(stop))
            try:
                async with DoorClient(site.state.socket("door")) as door:
                    told = await until(lambda: beside_of(door), "rows of the rehearsal journal are stored")
            finally:
                stop.set()
                await daemon
            here, there = Origin("lab", "gw"), Origin("lab", told["gateway"])
            assert await store.rows(here, "p-1", n_from=0, n_to=2**62) == []
            stored = await store.rows(there, "p-1", n_from=0, n_to=2**62)
            assert [row.n for row in stored] == list(range(len(stored)))
            assert len(stored) >= ROWS_MIN
            views = [await Watcher(store, None, origin).view() for origin in (here, there)]
            assert [view.rehearsal for view in views] == [False, True], "the mark is on its pages alone"
            assert [set(view.latest) for view in views] == [set(), {"p-1"}]
    told_by_commands(site, told["journal_id"])


async def test_where_no_rehearsal_journal_can_be_opened_the_rows_stay_and_an_alarm_says_so(
    tmp_path: Path,
) -> None:
    stop = asyncio.Event()
    async with ScenarioRunner(load_scenario("single_tcp"), tmp_path / "sim") as simulators:
        site = production_site(tmp_path, simulators.endpoints["p-1"].port, 1)
        site.state.beside.root.write_text("a file stands where the folder should be")
        daemon = asyncio.create_task(EdgeDaemon(site).run(stop))
        try:
            async with DoorClient(site.state.socket("door")) as door:
                await until(lambda: rows(door), "rows stay in production")
                alarms = {one["code"] for one in await door.get("alarms")}
                status = await door.get("status")
        finally:
            stop.set()
            await daemon
    assert {"source-simulator", "rehearsal-unavailable"} <= alarms
    assert status["rehearsal"] is None
    told = [r.body for r in records_of(site.state.journal) if r.body.get("code") == "rehearsal-unavailable"]
    events = [body for body in told if "args" in body]
    assert len(events) == 1, "once, and not for every row"
    assert str(site.state.beside.root) in events[0]["args"]["error"]
