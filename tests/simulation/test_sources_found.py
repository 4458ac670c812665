"""A simulator that is declared live in a production gateway: told, an alarm, and nothing of it goes out."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from async_solipsism.exceptions import ResolutionWarning

from gateway.demo.people import make_people
from gateway.demo.site import bench_of, write_site
from gateway.persons import Directory
from gateway.site import load_site
from pipeline.elements import read_registry
from simulators import load_scenario
from tests.simulation.machines import VirtualLoop
from tests.support.bench import until
from tests.support.daemon import records_of
from tests.support.played import Gateway, Instruments, quick_hasher

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.records import Record

SCENARIO = "detectors"


async def worked(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[Record]]:
    """Weigh once in a production gateway that reads simulators; the task, the alarms, the records."""
    async with Instruments(load_scenario(SCENARIO), folder / "simulators") as instruments:
        path = folder / "gateway.toml"
        write_site(path, instruments.endpoints, 1883, 8420, SCENARIO)
        text = path.read_text(encoding="utf-8").replace('source = "simulated"\n', "")
        path.write_text(text.replace('"rehearsal"', '"production"'), encoding="utf-8")
        site = load_site(path)
        site.state.root.mkdir(parents=True)
        directory, people = Directory(site.state.persons), make_people()
        for person in people.values():
            directory.add(person.id, person.name, person.roles, person.password, person.pin)
        gateway = Gateway(site, instruments)
        await gateway.start()
        try:
            async with gateway.door() as door:
                registry = read_registry(bench_of(SCENARIO).registry)
                args = {"records": registry.records, "directory": registry.directory}
                administrator = {"person": people["qin"].id, "pin": people["qin"].pin}
                assert (await door.command("registry.import", args, administrator))["ok"]
                lin = {"person": people["lin"].id, "pin": people["lin"].pin}
                weighing = {"sample": "S-1", "item": "mass", "method": "weighing", "instruments": ["bal-1"]}
                started = await door.command("task.start", weighing, lin)
                task = started["result"]["task"]
                await asyncio.sleep(3.0)
                assert (await door.command("task.stop", {"task": task}, lin))["ok"]

                async def final() -> Any:
                    shown = await door.get(f"tasks/{task}")
                    return shown if shown["final"] else None

                shown = await until(final, "the task is final")
                return shown, await door.get("alarms"), records_of(site.state.journal)
        finally:
            await gateway.stop()


def test_a_simulator_declared_live_in_production_holds_the_equipment_and_calls_people(tmp_path: Path) -> None:
    with warnings.catch_warnings(), patch("gateway.persons.directory.PasswordHasher", quick_hasher):
        warnings.simplefilter("ignore", ResolutionWarning)
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            task, alarms, records = runner.run(worked(tmp_path))
    found = [record for record in records if record.body.get("code") == "source-simulator"]
    assert {record.body["instrument"] for record in found} == {"bal-1", "bal-2", "th-room", "p-1"}
    first_row = {
        name: next(r.seq for r in records if r.kind == "data" and r.body["instrument"] == name)
        for name in ("bal-1", "p-1")
    }
    assert all(record.seq < first_row.get(record.body["instrument"], 2**62) for record in found)
    assert task["overall"] == "held"
    equipment = next(one for one in task["verdicts"] if one["element"] == "equipment")
    reasons = {one["subject"]: one for one in equipment["reasons"] if one["code"] == "source-not-of-purpose"}
    assert set(reasons) == {"bal-1", "th-room"}, "the thermometer of the room counts too"
    assert reasons["bal-1"]["seqs"][0] in {record.seq for record in found}
    assert {one["instrument"] for one in alarms if one["code"] == "source-simulator"} >= {"bal-1", "p-1"}
