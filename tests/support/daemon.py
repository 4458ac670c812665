"""A real daemon in this process, with a simulated instrument and people, on a loop of its own thread."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from gateway.door import client
from gateway.door.client import DoorClient
from gateway.edge.daemon import EdgeDaemon
from gateway.edge.world import World
from gateway.initialise import initialise
from gateway.persons import Directory
from gateway.site import load_site
from pipeline.journal import verify
from pipeline.journal.disk import RealDisk
from pipeline.journal.framing import payload, scan
from pipeline.journal.segments import list_segments
from pipeline.records import Record
from pipeline.records.envelope import decode
from simulators import ScenarioRunner, load_scenario
from tests.support.bench import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway.site import LoadedSite
    from pipeline.journal.disk import Disk

PASSWORD, PIN = "correct horse", "482913"
ADMINISTRATOR = "p-0003"
OPERATORS = ("p-0001", "p-0002", "p-0004", "p-0005", "p-0006")
START_S = 60.0
SITE = """
[site]
lab = "lab"
gateway = "gw"
purpose = "rehearsal"
state_dir = "state"

[mqtt]
port = {broker}
{tables}
[[instrument]]
id = "p-1"
driver = "modbus-tcp"
source = "simulated"
asset = "eq-p-1"
serial_number = "SIM-P-0001"
host = "127.0.0.1"
port = {port}
poll_interval_s = 0.05
timeout_s = 20.0  # a busy machine is no reason to lose it

[[instrument.channels]]
name = "pressure"
address = 0
table = "input"
type = "float32"
unit = "MPa"
qc.range = {{ fail_high = 1000.0 }}
"""


async def rows(door: DoorClient) -> int:
    """Rows that the instrument has given; 0 while the daemon does not answer."""
    try:
        status = await door.get("status")
    except ConnectionError:
        return 0
    return int((status.get("instruments") or [{}])[0].get("rows") or 0)


def records_of(journal: Path) -> list[Record]:
    """Read the segments of a journal that may be open in another process, as far as they are written."""
    disk, found = RealDisk(), list[Record]()
    for segment in list_segments(disk, journal):
        data = disk.read(segment.path)
        found += [decode(payload(data, entry)) for entry in scan(data, segment.first_seq)[0]]
    return found


@asynccontextmanager
async def running(
    folder: Path, disk: Disk | None = None, *, broker: int = 1, tables: str = ""
) -> AsyncIterator[LoadedSite]:
    """Run a daemon until the block ends; its journal must then be whole.

    Args:
        folder: for its files; what another daemon left there is gone on with.
        disk: the journal's file system.
        broker: port of an MQTT broker; nobody is at the default.
        tables: more of the site file.
    """
    async with ScenarioRunner(load_scenario("single_tcp"), folder / "sim") as simulators:
        path = folder / "gateway.toml"
        port = simulators.endpoints["p-1"].port
        path.write_text(SITE.format(port=port, broker=broker, tables=tables), encoding="utf-8")
        site = load_site(path)
        if not site.state.persons.exists():
            await initialise(site, ADMINISTRATOR, "秦望舒", PASSWORD, PIN)
            directory = Directory(site.state.persons)
            for person in OPERATORS:
                await asyncio.to_thread(directory.add, person, person, ("operator",), PASSWORD, PIN)
        stop = asyncio.Event()
        patience = patch.object(client, "TIMEOUT_S", START_S)  # a busy machine is no reason to hang up
        daemon = asyncio.create_task(EdgeDaemon(site, World(disk=disk)).run(stop))
        try:
            with patience:
                async with DoorClient(site.state.socket("door")) as door:
                    await until(lambda: rows(door), "the instrument has given rows")
                yield site
        finally:
            stop.set()
            await daemon
    assert verify(site.state.journal).sound


@contextmanager
def in_background(folder: Path, **options: Any) -> Iterator[LoadedSite]:
    """Run a daemon in a thread, for many tests with loops of their own."""
    ready, found, failures = threading.Event(), list["LoadedSite"](), list[BaseException]()
    loop_and_stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        loop_and_stop.append((asyncio.get_running_loop(), stop))
        async with running(folder, **options) as site:
            found.append(site)
            ready.set()
            await stop.wait()

    def main() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main, name="daemon", daemon=True)
    thread.start()
    assert ready.wait(START_S), "the daemon does not start"
    try:
        if found:
            yield found[0]
    finally:
        if found and not failures:
            loop, stop = loop_and_stop[0]
            loop.call_soon_threadsafe(stop.set)
        thread.join(START_S)
    if failures:
        raise failures[0]
