"""A simulator that is declared live in a production gateway: told, an alarm, and nothing of it goes out."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import pytest
from async_solipsism.exceptions import ResolutionWarning

from gateway.cli.status import find
from gateway.demo.people import make_people
from gateway.demo.site import bench_of, write_site
from gateway.persons import Directory
from gateway.site import load_site
from pipeline.elements import read_registry
from pipeline.journal import verify
from simulators import load_scenario
from tests.simulation.machines import VirtualLoop
from tests.support.bench import until
from tests.support.daemon import records_of
from tests.support.played import Gateway, Instruments, quick_hasher

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.door.client import DoorClient
    from pipeline.journal.offline import Verification
    from pipeline.records import Record

SCENARIO = "detectors"


class Worked(NamedTuple):
    """What the work has left."""

    task: dict[str, Any]
    alarms: list[dict[str, Any]]
    status: dict[str, Any]
    production: list[Record]
    rehearsal: list[Record]
    verified: Verification


class Production(Gateway):
    """A gateway whose instruments are read when their rows have come into either journal."""

    async def _all_read(self, door: DoorClient) -> bool:
        if not hasattr(self._daemon, "services"):
            return False
        status = await door.get("status")
        return all(row.get("gap") == "rehearsal" for row in status.get("instruments", [{}]))


async def worked(folder: Path) -> Worked:
    """Weigh once in a production gateway that reads simulators."""
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
        gateway = Production(site, instruments)
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
                alarms, status = await door.get("alarms"), await door.get("status")
        finally:
            await gateway.stop()
    beside = site.state.beside.journal
    return Worked(shown, alarms, status, records_of(site.state.journal), records_of(beside), verify(beside))


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Worked:
    with warnings.catch_warnings(), patch("gateway.persons.directory.PasswordHasher", quick_hasher):
        warnings.simplefilter("ignore", ResolutionWarning)
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(worked(tmp_path_factory.mktemp("sources")))


def rows_of(records: list[Record], instrument: str) -> int:
    return sum(r.body["rows"] for r in records if r.kind == "data" and r.body["instrument"] == instrument)


def events(records: list[Record], code: str) -> dict[str, Record]:
    told = [record for record in records if record.kind == "event" and record.body["code"] == code]
    return {record.body["instrument"]: record for record in told}


def test_a_simulator_declared_live_in_production_holds_the_equipment_and_calls_people(left: Worked) -> None:
    found = events(left.production, "source-simulator")
    assert set(found) == {"bal-1", "bal-2", "th-room", "p-1"}
    assert left.task["overall"] == "held"
    equipment = next(one for one in left.task["verdicts"] if one["element"] == "equipment")
    reasons = {one["subject"]: one for one in equipment["reasons"] if one["code"] == "source-not-of-purpose"}
    assert set(reasons) == {"bal-1", "th-room"}, "the thermometer of the room counts too"
    assert reasons["bal-1"]["seqs"][0] == found["bal-1"].seq
    told = {one["instrument"] for one in left.alarms if one["code"] == "source-simulator"}
    assert told >= {"bal-1", "p-1"}


def test_its_rows_are_in_the_rehearsal_journal_and_none_in_production(left: Worked) -> None:
    assert not [record for record in left.production if record.kind == "data"]
    assert {record.source for record in left.production} == {"live"}
    for name in ("bal-1", "bal-2", "th-room", "p-1"):
        assert rows_of(left.rehearsal, name) > 0
    assert {record.source for record in left.rehearsal} == {"simulated"}
    assert left.verified.sound
    assert {record.journal for record in left.production}.isdisjoint(r.journal for r in left.rehearsal)


def test_each_journal_cites_the_record_of_the_other(left: Worked) -> None:
    found = events(left.production, "source-simulator")
    sent, came = events(left.production, "rows-to-rehearsal"), events(left.rehearsal, "rows-from-production")
    assert set(sent) == set(came) == set(found)
    for name, record in came.items():
        here, there = record.body["args"], sent[name].body["args"]
        assert (here["of_journal"], here["of_seq"]) == (found[name].journal.hex(), found[name].seq)
        assert (there["of_journal"], there["of_seq"]) == (record.journal.hex(), record.seq)


def test_a_gap_of_production_counts_every_row_that_went_aside(left: Worked) -> None:
    for name in ("bal-1", "p-1"):
        gaps = {
            record.body["from_run_ns"]: record.body
            for record in left.production
            if record.kind == "gap" and record.body["instrument"] == name
        }
        assert {gap["cause"] for gap in gaps.values()} == {"rehearsal"}
        there = [record.body for record in left.rehearsal if record.kind == "gap"]
        lost = sum(gap["polls"] for gap in there if gap["instrument"] == name and gap["ended"])
        assert sum(gap["polls"] for gap in gaps.values()) == rows_of(left.rehearsal, name) + lost
        assert all(gap["ended"] for gap in gaps.values())


def test_the_site_of_the_rehearsal_journal_says_what_it_is(left: Worked) -> None:
    sites = [record.body["site"] for record in left.rehearsal if record.kind == "config"]
    assert {site["purpose"] for site in sites} == {"rehearsal"}
    assert sites[-1]["gateway"].endswith("-rehearsal")
    assert {one["id"]: one["source"] for one in sites[-1]["instruments"]} == dict.fromkeys(
        ["bal-1", "bal-2", "th-room", "p-1"], "simulated"
    )


def test_the_status_shows_both_journals(left: Worked) -> None:
    shown = left.status["rehearsal"]
    assert shown["journal_id"] == left.rehearsal[0].journal.hex() != left.status["journal_id"]
    assert shown["rows"] > 0 == left.status["readings"]
    told = find(left.status, None, expects_daemon=True)
    assert any(one.startswith("bal-1: found to be simulated") for one in told)
