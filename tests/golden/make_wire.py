"""Make the golden wire recording of the present format: once for each format, never again.

    python -m tests.golden.make_wire wire-2 /var/tmp/golden

Runs the daemon on simulators over TCP and a serial line, with faults on the wire and in the values.
Writes tests/golden/wire/NAME.tar.gz: the site file, the journal of the run, and its recording.
"""

from __future__ import annotations

import asyncio
import sys
import tarfile
from pathlib import Path
from typing import Any

from drivers.transport.recording import join_parts
from gateway.demo.site import REGISTRY
from gateway.door.client import DoorClient
from gateway.edge.wire_recording import recordings
from pipeline.elements import read_registry
from simulators import ScenarioRunner
from tests.support.bench import until
from tests.support.daemon import ADMINISTRATOR, PIN, running
from tests.support.simulated import PRESSURE, ROOM, scenario_of

FOLDER = Path(__file__).parent / "wire"
FAULTS = [
    {"instrument": "p-2", "kind": "no_answer", "from_s": 2.0, "to_s": 2.5, "every_s": 10.0},
    {"instrument": "p-2", "kind": "late", "delay_s": 0.35, "from_s": 4.0, "to_s": 4.6, "every_s": 10.0},
    {"instrument": "p-2", "kind": "exception", "code": 4, "from_s": 6.0, "to_s": 6.4, "every_s": 10.0},
    {"instrument": "p-2", "kind": "truncated", "from_s": 7.0, "to_s": 7.3, "every_s": 10.0},
    {"instrument": "p-2", "kind": "disconnect", "from_s": 8.0, "to_s": 8.8, "every_s": 10.0},
    {"instrument": "th-9", "kind": "bad_crc", "from_s": 3.0, "to_s": 3.6, "every_s": 10.0},
    {"instrument": "th-9", "kind": "late", "delay_s": 0.35, "from_s": 5.0, "to_s": 5.6, "every_s": 10.0},
    {"instrument": "th-9", "kind": "garbage", "from_s": 7.0, "to_s": 7.5, "every_s": 10.0},
    *(
        {"instrument": "p-2", "kind": "spike", "channel": "pressure", "from_s": at, "to_s": at + 0.4,
         "every_s": 10.0, "magnitude": 5.0, "count": 1}
        for at in (1.2, 3.2, 9.2)
    ),
]  # fmt: skip
TABLES = """
[recording]
enabled = true
keep_days = 0.0005

[[instrument]]
id = "p-2"
driver = "modbus-tcp"
source = "simulated"
host = "127.0.0.1"
port = {port}
poll_interval_s = 0.1
timeout_s = 0.2
connect_timeout_s = 0.3

[[instrument.channels]]
name = "pressure"
address = 0
table = "input"
type = "float32"
unit = "MPa"
qc.spike = {{ suspect = 1.0, max_gap_s = 2.0 }}
qc.flat_line = {{ suspect_s = 3.0 }}

[[instrument.channels]]
name = "raw_code"
address = 2
table = "input"
type = "int32"
poll_interval_s = 0.3

[[instrument]]
id = "th-9"
driver = "modbus-rtu"
source = "simulated"
port = "{path}"
poll_interval_s = 0.2
timeout_s = 0.2

[[instrument.channels]]
name = "temperature"
address = 1
table = "input"
type = "int16"
scale = 0.1
unit = "degC"
qc.range = {{ fail_low = 10.0, fail_high = 40.0 }}

[[instrument.channels]]
name = "humidity"
address = 2
table = "input"
type = "uint16"
scale = 0.1
unit = "%"
"""


async def work(door: DoorClient) -> None:
    """A task, once the rules can be evaluated, until every fault has come."""

    async def p_2_rows() -> int:
        known = await door.get("status")
        rows = {one["id"]: one.get("rows") for one in known.get("instruments", ())}
        return rows.get("p-2") or 0 if known.get("kernels") == "ready" else 0

    async def order(name: str, person: str, args: dict[str, Any]) -> Any:
        answer = await door.command(name, args, {"person": person, "pin": PIN, "station": "test"})
        assert answer["ok"], answer
        return answer["result"]

    content = read_registry(REGISTRY)
    records = {"records": content.records, "directory": content.directory}
    await order("registry.import", ADMINISTRATOR, records)
    await until(p_2_rows, "the rules are ready")
    started = {"sample": "V-0001", "method": "pressure-hold", "instruments": ["p-1"]}
    task = (await order("task.start", "p-0002", started))["task"]
    begun = await p_2_rows()

    async def enough() -> bool:
        return await p_2_rows() >= begun + 160

    await until(enough, "every fault has come", wait_s=120.0)
    await order("task.stop", "p-0002", {"task": task})


async def make(name: str, folder: Path) -> None:
    """Record, and pack what came of it."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    pressure = {**PRESSURE, "id": "p-2", "serial": "SIM-P-0002"}
    scenario = scenario_of(pressure, {**ROOM, "id": "th-9"}, fault=FAULTS)
    async with ScenarioRunner(scenario, folder / "lines") as simulators:
        ends = simulators.endpoints
        tables = TABLES.format(port=ends["p-2"].port, path=ends["th-9"].path)
        async with running(folder, tables=tables) as site, DoorClient(site.state.socket("door")) as door:
            await work(door)
    join_parts(recordings(site.state.wire), folder / "bug.wire")
    await asyncio.to_thread(FOLDER.mkdir, exist_ok=True)
    with tarfile.open(FOLDER / f"{name}.tar.gz", "x:gz") as whole:
        whole.add(folder / "gateway.toml", "gateway.toml")
        whole.add(folder / "bug.wire", "bug.wire")
        whole.add(site.state.journal, "state/journal", filter=_needed)


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out the room that is held back, and who made the file."""
    if entry.name.endswith("/reserve"):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    asyncio.run(make(sys.argv[1], Path(sys.argv[2])))
