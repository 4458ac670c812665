"""The demonstration as a load: readings, latency, CPU by role, memory. `python -m benchmarks.demo [--json]`.

Runs `yaosu demo` as anybody would and looks at its processes from outside. The window opens when the pages
can be opened and closes before the demonstration winds down: the start of the interpreters is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from gateway.demo.processes import PROGRAM
from gateway.door.client import DoorClient

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence

YAOSU = Path(sys.executable).with_name("yaosu")
READY = b"The pages are at"
BROKER = "iotcore"
"""In the command line of the embedded broker."""
LOOK_S = 0.5
MARGIN_S = 1.0
"""The window closes this long before the demonstration ends."""
ROLES = {
    "run": "gateway (`yaosu run`): acquisition, QC, journal, elements, publishing",
    "collect": "collector (`yaosu collect`) with the embedded store",
    "web": "pages (`yaosu web`), nobody looking",
    "broker": "embedded broker",
    "demo": "simulators and the script of the day",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """What the processes of a demonstration have used up to one moment."""

    at_s: float
    cpu_s: dict[str, float]
    rss_bytes: dict[str, int]
    readings: int


def role_of(process: psutil.Process, demonstration: int) -> str:
    """Tell which part of the demonstration a process is; "" for one of no role: what compiles a kernel."""
    command = process.cmdline()
    if process.pid == demonstration:
        return "demo"
    if PROGRAM in command:
        return command[command.index(PROGRAM) + 1]
    return "broker" if any(BROKER in word for word in command) else ""


def processes(demonstration: int) -> dict[str, psutil.Process]:
    """Find the processes of a demonstration by role."""
    root = psutil.Process(demonstration)
    found = {role_of(process, demonstration): process for process in (root, *root.children(recursive=True))}
    return {role: process for role, process in found.items() if role}


async def sample(roles: dict[str, psutil.Process], door: DoorClient) -> Sample:
    """Read CPU time and memory of every role, and the number of readings that the drivers gave so far."""
    status = await door.get("status")
    spent = {role: process.cpu_times() for role, process in roles.items()}
    return Sample(
        time.monotonic(),
        {role: times.user + times.system for role, times in spent.items()},
        {role: process.memory_info().rss for role, process in roles.items()},
        status["readings"],
    )


async def watch(process: Process, folder: Path, duration_s: float) -> tuple[Sample, Sample, dict[str, int]]:
    """Sample at both ends of the window and look at the memory in between: first, last, peak memory."""
    assert process.stderr is not None
    told: list[bytes] = []
    while READY not in (line := await process.stderr.readline()):
        if not line:
            text = b"".join(told).decode(errors="replace")
            raise RuntimeError(f"yaosu demo ended with {await process.wait()}, never ready:\n{text}")
        told.append(line)
    draining = asyncio.create_task(process.stderr.read())
    roles = processes(process.pid)
    async with DoorClient(folder / "state" / "door.sock") as door:
        first = await sample(roles, door)
        peak = dict(first.rss_bytes)
        while time.monotonic() < first.at_s + duration_s - MARGIN_S:
            await asyncio.sleep(LOOK_S)
            peak = {role: max(peak[role], one.memory_info().rss) for role, one in roles.items()}
        last = await sample(roles, door)
    await draining
    return first, last, peak


async def demonstrate(duration_s: float) -> dict[str, Any]:
    """Run the demonstration once and put its report beside what its processes used."""
    with tempfile.TemporaryDirectory(prefix="yaosu-bench-") as scratch:
        folder = Path(scratch) / "demo"
        process = await asyncio.create_subprocess_exec(
            YAOSU, "demo", "--duration", str(duration_s), "--json", "--port", "0", "--keep", folder,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            printed = asyncio.create_task(process.stdout.read())
            first, last, peak = await watch(process, folder, duration_s)
            report = json.loads(await printed)
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    window_s, readings = last.at_s - first.at_s, last.readings - first.readings
    cpu_s = {role: last.cpu_s[role] - first.cpu_s[role] for role in first.cpu_s}
    return {
        "window_s": window_s,
        "readings_per_s": readings / window_s,
        "roles": {
            role: {
                "cpu_s": cpu_s[role],
                "cpu_share": cpu_s[role] / window_s,
                "cpu_us_per_reading": cpu_s[role] / readings * 1e6,
                "rss_bytes": last.rss_bytes[role],
                "rss_peak_bytes": peak[role],
            }
            for role in cpu_s
        },
        "report": {key: value for key, value in report.items() if key != "dashboard"},
    }


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    report, roles = found["report"], found["roles"]
    latency, gateway = report["latency_ms"], roles["run"]
    share = sum(role["cpu_share"] for role in roles.values())
    rows = [
        (
            ROLES[name], f"{role['cpu_s']:.2f} s", f"{100 * role['cpu_share']:.1f} %",
            f"{role['cpu_us_per_reading']:.0f} µs", f"{role['rss_bytes'] / 2**20:.0f} MiB",
            f"{role['rss_peak_bytes'] / 2**20:.0f} MiB",
        )
        for name in ROLES if (role := roles.get(name))
    ]  # fmt: skip
    text = (
        f"Scenario `{report['scenario']}`: {report['instruments']} instruments with {report['channels']} "
        "channels over Modbus TCP, Modbus RTU and MT-SICS, the demonstration's own broker and the embedded "
        f"store. The drivers gave {found['readings_per_s']:.0f} readings/s over {found['window_s']:.0f} s; "
        f"{report['readings_acquired']} readings in the whole run, of which {report['readings_stored']} are "
        f"in the store ({report['lost']} lost, {report['duplicated']} duplicated), in "
        f"{report['records']} records. From an instrument's answer to durable in the store: "
        f"p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms. "
        f"What it means: the gateway of two benches keeps {100 * gateway['cpu_share']:.0f} % of one core "
        f"busy, and everything together {100 * share:.0f} %. At this rate the fixed costs (polls, records, "
        "ticks) dominate: the CPU per reading says nothing about a large site."
    )
    header = ("role", "CPU in the window", "of one core", "CPU per reading", "memory", "peak")
    return section_text("Demonstration", text, header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of the demonstration")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    found = {"machine": machine, **asyncio.run(demonstrate(options.seconds))}
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
