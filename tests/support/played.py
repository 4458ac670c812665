"""A day of a scenario through the whole gateway, in memory and in virtual time.

Everything is the product's but for what cannot run in virtual time: the sockets between simulators and
drivers (bytes are handed over instead; `tests/contract/test_driver_simulators.py` has real ones), the socket
of the door, and the broker, which is away.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Self, cast
from unittest.mock import patch

import httpx
from argon2 import PasswordHasher
from async_solipsism.exceptions import ResolutionWarning

from drivers.compose import open_drivers
from drivers.errors import LinkDown
from drivers.transport import Inbox
from gateway.demo.day import Day
from gateway.demo.machine import change_a_byte
from gateway.demo.people import make_people
from gateway.demo.site import bench_of, write_site
from gateway.door.app import build_door
from gateway.door.client import DoorClient
from gateway.edge.daemon import EdgeDaemon
from gateway.edge.world import World
from gateway.persons import Directory
from gateway.site import load_site
from pipeline.elements import read_registry
from pipeline.elements.detectors.evidence import PREFIX
from pipeline.mqtt import LinkLostError
from simulators import Endpoint, ScenarioRunner, load_scenario
from simulators.clock import ScenarioClock
from tests.simulation.machines import MachineClock, VirtualLoop
from tests.support.bench import until
from tests.support.daemon import records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from drivers.door import Driver
    from drivers.settings import InstrumentSettings
    from gateway.site import LoadedSite
    from pipeline.records import Clock, Record
    from simulators import Scenario
    from simulators.days import DayEntry, Twin
    from simulators.link import Link, Session


class LoopClock(ScenarioClock):
    """Scenario time on the clock of the loop."""

    def __init__(self) -> None:
        self._start_ns = 0

    def now_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e9) - self._start_ns

    def rewind(self) -> None:
        self._start_ns = round(asyncio.get_running_loop().time() * 1e9)


class Cable:
    """A driver's wire and a simulator's link in one: bytes arrive in the loop's next turn."""

    def __init__(self, clock: Clock, open_session: Callable[[Link], Session]) -> None:
        self.inbox = Inbox(clock)
        self.gateway = _GatewayEnd(self)
        self._session: Session | None = open_session(cast("Link", self))

    def write(self, data: bytes) -> None:
        """Answer."""
        asyncio.get_running_loop().call_soon(self._arrive, bytes(data))

    def _arrive(self, data: bytes) -> None:
        if self.inbox.lost is None:
            self.inbox.feed(data)

    def pause(self) -> None:
        """Nobody here sends ahead."""

    def resume(self) -> None:
        """See `pause`."""

    def close(self) -> None:
        """Hang up."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
        self.inbox.fail(LinkDown("the connection is closed"))

    def ask(self, data: bytes) -> None:
        """Bring a request to the simulator."""
        asyncio.get_running_loop().call_soon(self._asked, bytes(data))

    def _asked(self, data: bytes) -> None:
        if self._session is not None:
            self._session.receive(data)


class _GatewayEnd:
    """What a driver has in hand."""

    def __init__(self, cable: Cable) -> None:
        self._cable = cable
        self.inbox = cable.inbox

    def write(self, data: bytes) -> None:
        self._cable.ask(data)

    def close(self) -> None:
        self._cable.close()


class Instruments(ScenarioRunner):
    """A scenario whose instruments are reached in memory."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        super().__init__(scenario, folder, clock=LoopClock())
        self._sessions: dict[int, Callable[[Link], Session]] = {}

    async def _wire_up(self) -> None:
        for port, entry in enumerate(self.scenario.instrument, start=1):
            self._sessions[port] = self._open_tcp(entry)
            self.endpoints[entry.id] = Endpoint(
                entry.id, entry.type, entry.serial, "127.0.0.1", port, None, None, None
            )

    def drivers(
        self, settings: Sequence[InstrumentSettings], clock: Clock, random: Random
    ) -> Sequence[Driver]:
        """Make the drivers of a site; see `World.drivers`."""
        ports = iter([each.endpoint.rpartition(":")[2] for each in settings])

        def in_memory(_connect: Any) -> Any:
            open_session = self._sessions[int(next(ports))]

            async def connect() -> Any:
                return Cable(clock, open_session).gateway

            return connect

        return open_drivers(settings, clock, random, wires=in_memory)


class NoBroker:
    """A broker that is away."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        raise LinkLostError("nobody is there")

    async def __aexit__(self, *_: object) -> None:
        pass


async def _nobody_calls() -> None:
    """Stand where the socket of the door is served."""
    await asyncio.Event().wait()


class Gateway:
    """The daemon on a `gateway.demo.day.Machine`: its clock may be set, its disk changed."""

    def __init__(self, site: LoadedSite, instruments: Instruments) -> None:
        self.site = site
        self.clock = MachineClock(Random(1))
        self._instruments = instruments
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._daemon: EdgeDaemon | None = None

    async def start(self) -> None:
        """Start it and wait until every instrument has been read."""
        world = World(
            clock=self.clock, boot_id="boot", drivers=self._instruments.drivers, link=cast("Any", NoBroker),
            random=cast("Any", Random(1)),
        )  # fmt: skip
        self._stop = asyncio.Event()
        self._daemon = EdgeDaemon(self.site, world)
        self._running = asyncio.create_task(self._daemon.record(self._stop, _nobody_calls))
        async with self.door() as door:
            await until(lambda: self._all_read(door), "every instrument has been read")

    async def _all_read(self, door: DoorClient) -> bool:
        assert self._running is not None
        if self._running.done():
            self._running.result()
        if not hasattr(self._daemon, "services"):
            return False
        status = await door.get("status")
        return all(row.get("rows") for row in status.get("instruments", [{}]))

    async def stop(self) -> None:
        """Stop it in order."""
        self._stop.set()
        if self._running is not None:
            await self._running

    def door(self) -> DoorClient:
        """Make a client of its door."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert self._daemon is not None
            await build_door(self._daemon.services)(scope, receive, send)

        client = DoorClient(self.site.state.socket("door"))
        client._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door")
        return client

    def set_clock(self, by_s: float) -> str:
        self.clock.step(round(by_s * 1e9))
        return f"{by_s:+g} s"

    async def restart(self, *, change: bool) -> str:
        await self.stop()
        changed = change_a_byte(self.site.state.journal) if change else ""
        await self.start()
        return changed


@dataclass
class Told:
    """What a day has left."""

    records: list[Record]
    unexpected: list[str]
    evidence: set[tuple[str, str]] = field(default_factory=set)
    """Codes of the evidence in the record, with their cases."""

    def found(self) -> dict[str, tuple[str, ...]]:
        """Give the elements of the last task that are not ok in the end: status, codes of the reasons."""
        tasks = [
            one.body["task"] for one in self.records if one.kind == "task" and one.body["action"] == "start"
        ]
        newest = {one.body["element"]: one.body for one in self.records
                  if one.kind == "verdict" and one.body["task"] == tasks[-1]}  # fmt: skip
        assert {one["finality"] for one in newest.values()} == {"final"}
        return {
            element: (one["status"], *(reason["code"] for reason in one["reasons"]))
            for element, one in newest.items()
            if one["status"] != "ok"
        }


def quick_hasher() -> PasswordHasher:
    """Make a hasher without its costs: they are 0.2 s of every login."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def play(folder: Path, scenario: str, day: DayEntry, twin: Twin) -> Told:
    """Play one of the twins of a day, from a new gateway to its end."""
    with warnings.catch_warnings(), patch("gateway.persons.directory.PasswordHasher", quick_hasher):
        warnings.simplefilter("ignore", ResolutionWarning)  # a microsecond more or less decides nothing
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(_play(folder, scenario, day, twin))


async def _play(folder: Path, scenario: str, day: DayEntry, twin: Twin) -> Told:
    people = make_people()
    async with Instruments(load_scenario(scenario), folder / "simulators") as instruments:
        write_site(folder / "gateway.toml", instruments.endpoints, 1883, 8420, scenario)
        site = load_site(folder / "gateway.toml")
        site.state.root.mkdir(parents=True)
        directory = Directory(site.state.persons)
        for person in people.values():
            directory.add(person.id, person.name, person.roles, person.password, person.pin)
        gateway = Gateway(site, instruments)
        try:
            await gateway.start()
            async with gateway.door() as door:
                registry = read_registry(bench_of(scenario).registry)
                args = {"records": registry.records, "directory": registry.directory}
                answer = await door.command(
                    "registry.import", args, {"person": people["qin"].id, "pin": people["qin"].pin}
                )
                assert answer["ok"], answer
                playing = Day(door, people, instruments, lambda _: None, day.played(twin), gateway)
                await playing.play()
        finally:
            await gateway.stop()
    told = Told(records_of(site.state.journal), playing.unexpected)
    for record in told.records:
        code = str(record.body.get("code")) if record.kind == "event" else ""
        if code.startswith(PREFIX):
            told.evidence.add((code.removeprefix(PREFIX), record.body["args"]["case"]))
    return told
