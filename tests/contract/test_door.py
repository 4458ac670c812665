"""The daemon's door over a real Unix socket, with a real daemon behind it."""

from __future__ import annotations

import asyncio
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gateway.demo.site import REGISTRY
from gateway.door.actors import signed_hash
from gateway.door.client import DoorClient
from gateway.door.socket_server import SocketInUseError, bind
from gateway.edge.daemon import EdgeDaemon
from gateway.initialise import AlreadyInitialisedError, initialise
from gateway.persons import Directory
from gateway.site import load_site
from pipeline.elements import read_registry
from pipeline.journal import verify
from simulators import ScenarioRunner, load_scenario
from tests.support.bench import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.site import LoadedSite

PASSWORD, PIN = "correct horse", "482913"
SITE = """
[site]
lab = "lab"
gateway = "gw"
purpose = "rehearsal"
state_dir = "state"

[mqtt]
port = 1

[[instrument]]
id = "p-1"
driver = "modbus-tcp"
source = "simulated"
asset = "eq-p-1"
serial_number = "SIM-P-0001"
host = "127.0.0.1"
port = {port}
poll_interval_s = 0.05
channels = [
    {{ name = "pressure", address = 0, table = "input", type = "float32", unit = "MPa" }},
]
"""


class Running:
    """A daemon that runs in this process, and its people."""

    def __init__(self, site: LoadedSite, door: DoorClient) -> None:
        self.site, self.door = site, door

    async def command(self, name: str, person: str, args: dict[str, Any], **claim: Any) -> Any:
        return await self.door.command(name, args, {"person": person, "station": "test", **claim})

    async def events(self) -> list[str]:
        return [record["code"] for record in (await self.door.get("status"))["failing_parts"]]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    async with ScenarioRunner(load_scenario("single_tcp"), folder / "sim") as simulators:
        path = folder / "gateway.toml"
        path.write_text(SITE.format(port=simulators.endpoints["p-1"].port), encoding="utf-8")
        site = load_site(path)
        await initialise(site, "p-0003", "秦望舒", PASSWORD, PIN)
        directory = Directory(site.state.persons)
        for person in ("p-0001", "p-0002"):
            await asyncio.to_thread(directory.add, person, person, ("operator",), PASSWORD, PIN)
        stop = asyncio.Event()
        daemon = asyncio.create_task(EdgeDaemon(site).run(stop))
        async with DoorClient(site.state.socket("door")) as door:
            try:
                await until(lambda: rows(door), "the instrument has given rows")
                yield Running(site, door)
            finally:
                stop.set()
                await daemon
        assert verify(site.state.journal).sound


async def rows(door: DoorClient) -> bool:
    try:
        status = await door.get("status")
    except ConnectionError:
        return False
    return bool(status["instruments"][0].get("rows"))


async def test_status_tells_how_it_stands_and_nothing_that_is_not_durable(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        status = await run.door.get("status")
        assert status["state"] == "ok"
        assert status["purpose"] == "rehearsal"
        assert status["journal"]["durable_seq"] >= 0
        assert not status["publisher"]["link"]["connected"]
        assert status["publisher"]["link"]["since_utc_ns"] > 0
        assert status["journal"]["backlog_records"] > 0
        assert stat.S_IMODE(run.site.state.socket("door").stat().st_mode) == 0o660


async def test_only_one_daemon_serves_a_state_folder(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        with pytest.raises(SocketInUseError, match="yaosu status"):
            bind(run.site.state.socket("door"))
        with pytest.raises(AlreadyInitialisedError, match="in use already"):
            await initialise(run.site, "p-0009", "x", PASSWORD, PIN)


async def test_nobody_acts_without_saying_who(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        answer = await run.door.command("task.stop", {"task": "x"}, {"station": "test"})
        assert answer["code"] == "nobody"
        answer = await run.door.command("task.stop", {"task": "x"}, {"badge": "no-such-badge"})
        assert answer["code"] == "unknown-badge"


async def test_a_wrong_secret_locks_after_five_times(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        for _ in range(5):
            answer = await run.command("config.apply", "p-0003", {"sha256": "0" * 64}, pin="000000")
            assert answer["code"] == "wrong-secret"
        answer = await run.command("config.apply", "p-0003", {"sha256": "0" * 64}, pin=PIN)
        assert answer["code"] == "locked"


async def test_a_signature_covers_exactly_what_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        other = signed_hash("config.apply", {"sha256": "1" * 64})
        answer = await run.command("config.apply", "p-0003", {"sha256": "0" * 64}, pin=PIN, signed_hash=other)
        assert answer["code"] == "signature"
        answer = await run.command("config.apply", "p-0003", {"sha256": "0" * 64}, pin=PIN)
        assert answer["ok"]


async def test_a_session_signs_only_with_the_secret_again_and_only_for_its_owner(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        login = await run.door.login("p-0003", PASSWORD)
        args = {"sha256": "0" * 64}
        answer = await run.door.command("config.apply", args, {}, token=login["token"])
        assert answer["code"] == "signature"
        answer = await run.door.command(
            "config.apply", args, {"person": "p-0001", "password": PASSWORD}, token=login["token"]
        )
        assert answer["code"] == "signature"
        answer = await run.door.command("config.apply", args, {"password": PASSWORD}, token=login["token"])
        assert answer["ok"]
        await run.door.logout(login["token"])
        answer = await run.door.command("config.apply", args, {"password": PASSWORD}, token=login["token"])
        assert answer["code"] == "session-ended"


async def test_a_disabled_person_has_no_session_any_more(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        login = await run.door.login("p-0002", PASSWORD)
        answer = await run.command("person.disable", "p-0003", {"person": "p-0002"}, pin=PIN)
        assert answer["ok"]
        answer = await run.door.command("task.stop", {"task": "x"}, {}, token=login["token"])
        assert answer["code"] == "session-ended"
        assert not (await run.door.login("p-0002", PASSWORD))["ok"]


async def test_only_an_administrator_changes_people_and_configuration(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        args = {"person": "p-0009", "name": "x", "roles": ["operator"], "password": PASSWORD}
        assert (await run.command("person.add", "p-0002", args, pin=PIN))["code"] == "not-authorised"
        assert (await run.command("config.apply", "p-0002", {"sha256": "0" * 64}, pin=PIN))[
            "code"
        ] == "not-authorised"
        assert (
            await run.command("person.passwd", "p-0002", {"person": "p-0001", "password": PASSWORD}, pin=PIN)
        )["code"] == "not-authorised"
        assert (await run.command("person.add", "p-0003", args, pin=PIN))["ok"]
        assert (
            await run.command("person.passwd", "p-0002", {"person": "p-0002", "password": PASSWORD}, pin=PIN)
        )["ok"]


async def test_the_same_key_is_answered_the_same_and_done_once(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        args = {"sha256": "0" * 64}
        actor = {"person": "p-0003", "pin": PIN}
        first = await run.door.command("config.apply", args, actor, key="k-1")
        again = await run.door.command("config.apply", args, actor, key="k-1")
        assert first == again
        assert first["ok"]


async def test_names_are_for_the_laboratorys_own_people(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        assert (await run.door.get("persons"))["code"] == "not-authenticated"
        login = await run.door.login("p-0003", PASSWORD)
        assert (await run.door.get("persons", token=login["token"]))["p-0003"] == "秦望舒"


async def test_what_is_not_there_and_what_is_not_json_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        assert (await run.door.get("tasks/none"))["code"] == "not-found"
        assert (await run.door.get("nonsense"))["code"] == "not-found"
        assert (await run.command("no.such", "p-0003", {}, pin=PIN))["code"] == "unknown-command"


class TestRelease:
    """Who may let a held result out: an authenticated signatory who did not work on it, and nobody else."""

    async def held_task(self, run: Running) -> str:
        registry = read_registry(REGISTRY)
        args = {"records": registry.records, "directory": registry.directory}
        assert (await run.command("registry.import", "p-0003", args, pin=PIN))["ok"]
        started = await run.command(
            "task.start",
            "p-0002",
            {"sample": "V-0001", "method": "pressure-hold", "instruments": ["p-1"]},
            pin=PIN,
        )
        assert started["ok"], started
        task: str = started["result"]["task"]
        assert (await run.command("task.stop", "p-0002", {"task": task}, pin=PIN))["ok"]

        async def final() -> bool:
            shown = await run.door.get(f"tasks/{task}")
            return bool(shown["final"])

        await until(final, "the task's verdicts are final")
        return task

    async def release(self, run: Running, task: str, person: str, **claim: Any) -> Any:
        seen = await run.door.get(f"tasks/{task}")
        args = {"task": task, "disposition": "release", "reason": "looked at", "signed_hash": seen["to_sign"]}
        return await run.command("hold.release", person, args, **claim)

    async def test_only_the_right_person_releases(self, tmp_path: Path) -> None:
        async with running(tmp_path) as run:
            task = await self.held_task(run)
            assert [hold["task"] for hold in await run.door.get("holds")] == [task]
            assert (await self.release(run, task, "p-0002", pin=PIN))["code"] == "own-task"
            assert (await self.release(run, task, "p-0001", pin=PIN))["code"] == "not-signatory"
            assert (await self.release(run, task, "p-0003"))["code"] == "not-authenticated"
            assert (await self.release(run, task, "p-0003", pin="999999"))["code"] == "wrong-secret"
            assert (await self.release(run, task, "p-0003", badge="B-1003"))["code"] in {
                "not-authenticated", "unknown-badge",
            }  # fmt: skip
            answer = await self.release(run, task, "p-0003", pin=PIN)
            assert answer["ok"], answer
            assert await run.door.get("holds") == []
