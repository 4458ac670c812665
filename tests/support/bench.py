"""The whole path as processes: simulators, gateway and collector around real servers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.demo.people import make_people
from gateway.demo.site import REGISTRY, write_site
from gateway.door.client import DoorClient, DoorClosedError
from gateway.initialise import initialise
from gateway.persons import Directory
from gateway.site import load_site
from gateway.trust import TrustedKeys
from pipeline.elements import read_registry
from pipeline.records.signing import SigningKey
from pipeline.store.door import Origin
from simulators import Endpoint
from tests.support.services import free_port

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from gateway.site import LoadedSite
    from tests.support.services import InfluxDatabase

WAIT_S = 60.0
PAUSE_S = 0.05
MAIN = "from gateway.cli.main import main; main()"


async def until(condition: Callable[[], Awaitable[object]], what: str, wait_s: float = WAIT_S) -> Any:
    """Ask again and again, every 50 ms, until the answer is true; fails by name when the time is up."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + wait_s
    while True:
        answer = await condition()
        if answer:
            return answer
        if loop.time() > end_s:
            raise AssertionError(f"waited {wait_s:g} s in vain until {what}")
        # The answer comes from another process: there is no event to wait for.
        await asyncio.sleep(PAUSE_S)


@dataclass
class Bench:
    """Processes and files of one run."""

    folder: Path
    broker_port: int
    influx: InfluxDatabase
    scenario: str = "two_benches"
    extra: str = ""
    """Further tables of the site file."""
    environment: dict[str, str] = field(default_factory=dict)
    """Of the gateway's process, beside this one's."""
    people: dict[str, Any] = field(default_factory=make_people)
    processes: dict[str, Process] = field(default_factory=dict)
    web_port: int = field(default_factory=free_port)

    @property
    def answers(self) -> Path:
        return self.folder / "answers.jsonl"

    @property
    def config(self) -> Path:
        return self.folder / "gateway.toml"

    @property
    def site(self) -> LoadedSite:
        return load_site(self.config)

    @property
    def origin(self) -> Origin:
        return Origin(self.site.settings.site.lab, self.site.settings.site.gateway)

    def door(self, role: str = "door") -> DoorClient:
        return DoorClient(self.site.state.socket(role))

    async def start(self, role: str, *arguments: str) -> None:
        """Start a role; its output goes to `ROLE.log`."""
        with (self.folder / f"{role}.log").open("ab") as log:
            self.processes[role] = await asyncio.create_subprocess_exec(
                sys.executable, "-c", MAIN, *(arguments or (role, "-c", str(self.config))),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, **(self.environment if role == "run" else {})},
            )  # fmt: skip

    async def end(self, role: str, number: int = signal.SIGTERM) -> int:
        """Send a signal to a role and wait for its end."""
        process = self.processes.pop(role)
        if process.returncode is None:
            process.send_signal(number)
        return await asyncio.wait_for(process.wait(), WAIT_S)

    async def end_all(self) -> None:
        for role in list(self.processes):
            await self.end(role, signal.SIGKILL if role == "run" else signal.SIGTERM)

    def log(self, role: str) -> str:
        path = self.folder / f"{role}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    async def start_simulators(self) -> None:
        directory = self.folder / "simulators"
        await self.start(
            "sim", "sim", "run", self.scenario, "--port", "0", "--dir", str(directory),
            "--answer-log", str(self.answers),
        )  # fmt: skip
        endpoints = directory / "endpoints.json"

        async def there() -> bool:
            assert self.processes["sim"].returncode is None, self.log("sim")
            return endpoints.exists()

        await until(there, "the simulators say where they are")
        content = json.loads(endpoints.read_text(encoding="utf-8"))["instruments"]
        found = {name: Endpoint(**entry) for name, entry in content.items()}
        write_site(self.config, found, self.broker_port, self.web_port)
        store = (
            f'\n[store]\nkind = "influxdb"\ngeneration = "1"\nurl = "{self.influx.url}"\n'
            f'database = "{self.influx.database}"\n'
        )
        self.config.write_text(self.config.read_text(encoding="utf-8") + store + self.extra, encoding="utf-8")

    async def prepare(self) -> None:
        """Simulators, site file, people, trust."""
        await self.start_simulators()
        site = self.site
        first, *others = self.people.values()
        await initialise(site, first.id, first.name, first.password, first.pin)
        directory = Directory(site.state.persons)
        for person in others:
            directory.add(person.id, person.name, person.roles, person.password, person.pin)
        TrustedKeys(site.state.trusted_keys).trust(SigningKey.load_or_create(site.state.collector_key).public)

    async def status(self, role: str = "door") -> Any:
        """Health of a role; None while nobody answers."""
        try:
            async with self.door(role) as door:
                return await door.get("status")
        except DoorClosedError:
            return None

    async def running(self) -> None:
        """Wait until every instrument has given a row."""

        async def all_there() -> bool:
            assert self.processes["run"].returncode is None, self.log("run")
            status = await self.status()
            rows = (status or {}).get("instruments", ())
            return bool(rows) and all(row.get("rows") for row in rows)

        await until(all_there, f"every instrument has given a row; {self.log('run')[-2000:]}")

    async def acting(self, name: str, command: str, **args: Any) -> Any:
        """Give a command as a person with PIN."""
        person = self.people[name]
        async with self.door() as door:
            return await door.command(
                command, args, {"person": person.id, "pin": person.pin, "station": "test"}
            )

    async def import_registry(self) -> None:
        content = read_registry(REGISTRY)
        answer = await self.acting(
            "qin", "registry.import", records=content.records, directory=content.directory
        )
        assert answer["ok"], answer

    async def drained(self, wait_s: float = WAIT_S) -> None:
        """Wait until the gateway, still running, has a receipt for all but the newest records."""

        async def receipted() -> bool:
            status = await self.status()
            return bool(status) and status["journal"]["backlog_records"] < 50

        await until(receipted, "the backlog is receipted", wait_s)
