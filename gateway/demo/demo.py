"""Bring a demonstration up, play its day, take it down, count."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.broker import EmbeddedBroker
from gateway.demo.day import Day
from gateway.demo.machine import DemoMachine
from gateway.demo.people import make_people
from gateway.demo.processes import SETTABLE, RoleFailedError, Roles
from gateway.demo.report import count
from gateway.demo.site import bench_of, write_site
from gateway.demo.witness import write_witness
from gateway.door.client import DoorClient, DoorClosedError
from gateway.initialise import initialise
from gateway.persons import Directory
from gateway.site import load_site
from gateway.trust import TrustedKeys
from pipeline.elements import read_registry
from pipeline.records.signing import SigningKey
from pipeline.store import open_store
from pipeline.store.door import Origin
from simulators import ScenarioRunner
from simulators.days import SetClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from gateway.demo.people import DemoPerson
    from gateway.demo.plays import Play
    from gateway.site import LoadedSite
    from pipeline.store import Store
    from simulators.days import Step

READY_S = 600.0
"""Every role is ready within this time; one that has ended is noticed at once."""
DAY_S = 30.0
"""About how long the day takes; a demonstration that is to last so long ends when the day is over."""
SETTLE_S = 20.0
"""At the end, when nothing more has come into the store for so long, what is not there counts as lost."""
FIRST_EVENT_NS = 2_500_000_000
"""Scenario time up to which nothing happens in the simulated benches."""


class Ends(NamedTuple):
    """What ends a demonstration."""

    stop: asyncio.Event
    """At once."""
    enough: asyncio.Event
    """When the day is over."""


def programs_of(steps: Sequence[Step]) -> dict[str, str]:
    """Tell which roles are not the installed program: a gateway whose clock is set has one that can be."""
    return {"run": SETTABLE} if any(isinstance(step, SetClock) for step in steps) else {}


@contextlib.asynccontextmanager
async def _in_time(what: str) -> AsyncIterator[None]:
    """Wait for at most READY_S. Raises RoleFailedError: it took longer."""
    try:
        async with asyncio.timeout(READY_S):
            yield
    except TimeoutError:
        raise RoleFailedError(
            f"waited {READY_S:g} s in vain until {what}; is this machine too busy?"
        ) from None


class Demo:
    """One demonstration in a folder of its own."""

    def __init__(self, play: Play, folder: Path, web_port: int, say: Callable[[str], None]) -> None:
        self._play_of = play
        self._bench = bench_of(play.scenario.scenario.name)
        self._folder = folder
        self._web_port = web_port
        self._say = say
        self.people = make_people()
        self.url = f"http://127.0.0.1:{web_port}/"

    async def run(self, ends: Ends, ready: Callable[[], None]) -> dict[str, Any]:
        """Run until the end; `ready` is called when the pages can be opened. Returns the report."""
        scenario = self._play_of.scenario
        simulators = ScenarioRunner(scenario, self._folder / "simulators")
        async with EmbeddedBroker() as broker, simulators:
            path, ports = self._folder / "gateway.toml", (broker.port, self._web_port)
            write_site(path, simulators.endpoints, *ports, scenario.scenario.name)
            site = load_site(path)
            await self._prepare(site)
            witness = write_witness(self._folder / "witness.toml", site, broker.port)
            roles = Roles(self._folder / "logs", programs_of(self._play_of.steps))
            all_read = partial(self._wait_for_rows, site, roles, simulators, again=True)
            machine = DemoMachine(site, roles, all_read)
            try:
                await self._start(roles, site, simulators)
                await roles.start("witness", witness)
                simulators.rewind()
                ready()
                day = await self._play(site, roles, simulators, machine, ends)
                return await self._finish(site, machine, day)
            finally:
                await roles.stop_all()

    async def _prepare(self, site: LoadedSite) -> None:
        """Enrol the people, trust the collector's key."""
        first, *others = self.people.values()
        await initialise(site, first.id, first.name, first.password, first.pin)
        directory = Directory(site.state.persons)
        for person in others:
            await asyncio.to_thread(
                directory.add, person.id, person.name, person.roles, person.password, person.pin
            )
        collector = SigningKey.load_or_create(site.state.collector_key)
        TrustedKeys(site.state.trusted_keys).trust(collector.public)

    async def _start(self, roles: Roles, site: LoadedSite, simulators: ScenarioRunner) -> None:
        for role in ("collect", "run", "web"):
            await roles.start(role, site.path)
        await self._wait_for_rows(site, roles, simulators)
        async with DoorClient(site.state.socket("door")) as door:
            registry = read_registry(self._bench.registry)
            args = {"records": registry.records, "directory": registry.directory}
            answer = await door.command("registry.import", args, self._actor("qin"))
            if not answer["ok"]:
                raise RuntimeError(f"the demonstration's registry was refused: {answer['en']}")
        await self._wait_for_web(roles)

    def _actor(self, name: str) -> dict[str, str]:
        person: DemoPerson = self.people[name]
        return {"person": person.id, "pin": person.pin, "station": "demo"}

    async def _wait_for_rows(
        self, site: LoadedSite, roles: Roles, simulators: ScenarioRunner, *, again: bool = False
    ) -> None:
        """Wait until the gateway has had a row of every instrument; until then the day does not begin.

        `again`: the day has begun, and goes on meanwhile.
        """
        async with (
            DoorClient(site.state.socket("door")) as door,
            _in_time("the gateway reads its instruments"),
        ):
            while True:
                roles.check()
                with contextlib.suppress(DoorClosedError):
                    status = await door.get("status")
                    heard = [row["id"] for row in status["instruments"] if row.get("rows")]
                    if len(heard) == len(simulators.endpoints):
                        return
                if not again and simulators.clock.now_ns() > FIRST_EVENT_NS:
                    simulators.rewind()
                await asyncio.sleep(0.1)

    async def _wait_for_web(self, roles: Roles) -> None:
        async with _in_time("the pages are served"):
            while True:
                roles.check()
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._web_port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.1)

    async def _play(
        self,
        site: LoadedSite,
        roles: Roles,
        simulators: ScenarioRunner,
        machine: DemoMachine,
        ends: Ends,
    ) -> Day:
        """Play the day until the first of `ends` is set, or the second is and the day is over."""
        async with DoorClient(site.state.socket("door")) as door:
            day = Day(door, self.people, simulators, self._say, self._play_of.steps, machine)
            playing = asyncio.create_task(day.play(), name="day")
            stopping = asyncio.create_task(ends.stop.wait(), name="stop")
            try:
                while not stopping.done() and not (ends.enough.is_set() and playing.done()):
                    await asyncio.wait({stopping}, timeout=1.0)
                    roles.check()
                    if playing.done():
                        playing.result()
            finally:
                for task in (playing, stopping):
                    task.cancel()
                await asyncio.gather(playing, stopping, return_exceptions=True)
        return day

    async def _finish(self, site: LoadedSite, machine: DemoMachine, day: Day) -> dict[str, Any]:
        """Stop the gateway in order, let the collector catch up, count in the store."""
        acquired = await machine.stop()
        settings = site.settings
        origin = Origin(settings.site.lab, settings.site.gateway)
        async with (
            DoorClient(site.state.socket("collect")) as collector,
            open_store(site.store, credentials=site.path.parent) as store,
        ):
            counted = await self._count_until(store, origin, acquired["readings"])
            health = await collector.get("status")
        return {
            "scenario": self._play_of.name,
            "instruments": len(settings.instrument),
            "channels": acquired["channels"],
            "readings_acquired": acquired["readings"],
            "readings_stored": counted["readings_stored"],
            "lost": acquired["readings"] - counted["readings_stored"],
            **{key: counted[key] for key in ("duplicated", "flags", "rules", "elements", "evidence")},
            "records": acquired["records"],
            # Reckoned with the gateway's UTC; once that was set, it says nothing.
            "latency_ms": None if machine.was_set else health["latency_ms"],
            "dashboard": self.url,
            "unexpected": day.unexpected,
            "day": day.steps,
        }

    @staticmethod
    async def _count_until(store: Store, origin: Origin, readings: int) -> dict[str, Any]:
        """Count in the store until everything is there, or nothing more comes."""
        loop = asyncio.get_running_loop()
        stored, until_s = -1, 0.0
        while True:
            counted = await count(store, origin)
            if counted["readings_stored"] > stored:
                stored, until_s = counted["readings_stored"], loop.time() + SETTLE_S
            if stored >= readings or loop.time() >= until_s:
                return counted
            await asyncio.sleep(0.25)
