"""From the start of `yaosu run` to the first durable row: `python -m benchmarks.cold_start [--repeats N]`.

A new site each time: six simulated instruments, no broker, so that nothing but the gateway counts. Each
repeat starts once with an empty cache of compiled kernels and once with the cache that this filled. The
clock runs from the call that starts the process. A row counts when the record that holds it is covered by a
`durable_seq` that the daemon has told at its door: that is when somebody outside can know it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.demo import YAOSU
from benchmarks.machine import describe_machine
from benchmarks.results import medians, section_text, show
from gateway.demo.people import make_people
from gateway.demo.site import free_port, write_site
from gateway.door.client import DoorClient, DoorClosedError
from gateway.initialise import initialise
from gateway.site import load_site
from pipeline.journal import Journal
from pipeline.records.frame import decode_frame
from simulators import ScenarioRunner, load_scenario

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence

    from gateway.site import LoadedSite

SCENARIO = "two_benches"
LOOK_S = 0.01
START_S_MAX = 300.0
BYTES_MAX = 64 * 2**20
STAGES = {
    "door_s": "the door answers",
    "answer_s": "first answer of an instrument",
    "durable_s": "**first durable row**",
    "all_durable_s": "a durable row of every instrument",
    "kernels_s": "kernels ready, QC evaluates",
}
MEMORY = {
    "rss_mib": "memory (RSS) of the gateway with its kernels",
    "peak_mib": "memory of the gateway and of the process that compiles, largest",
}
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Look:
    """What the daemon told at its door, and when, in seconds since the start."""

    at_s: float
    durable_seq: int
    kernels_ready: bool
    instruments: int
    """Of which a row was taken."""
    rss_mib: float
    """Of the gateway."""
    all_mib: float
    """Of the gateway and its children."""


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and with that of its children."""
    process = psutil.Process(pid)
    own = together = process.memory_info().rss
    for child in process.children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            together += child.memory_info().rss
    return own / MIB, together / MIB


async def follow(process: Process, site: LoadedSite, began_s: float) -> list[Look]:
    """Ask the door again and again until the kernels are ready and every instrument has a durable row."""
    looks: list[Look] = []
    expected, enough = len(site.settings.instrument), 0
    async with asyncio.timeout(START_S_MAX), DoorClient(site.state.socket("door")) as door:
        while enough < 2:
            if process.returncode is not None:
                raise RuntimeError(f"yaosu run ended with {process.returncode}")
            try:
                status = await door.get("status")
            except DoorClosedError:
                await asyncio.sleep(LOOK_S)
                continue
            heard = sum(bool(row.get("rows")) for row in status.get("instruments", ()))
            ready = status.get("kernels") == "ready"
            durable_seq, at_s = status["journal"]["durable_seq"], time.monotonic() - began_s
            looks.append(Look(at_s, durable_seq, ready, heard, *memory_mib(process.pid)))
            # A row that was just taken is durable only after its frame closes and a commit ends.
            enough += ready and heard == expected
            await asyncio.sleep(LOOK_S if enough == 0 else 0.5)
    return looks


async def first_rows(site: LoadedSite) -> dict[str, tuple[int, int]]:
    """Read from the journal, by instrument: seq of the first data record, UTC of its first row in ns."""
    settings, found = site.settings, dict[str, tuple[int, int]]()
    journal = await Journal.open(site.state.journal, settings.journal, purpose=settings.site.purpose)
    try:
        for record in await journal.read(0, bytes_max=BYTES_MAX):
            if record.kind == "data":
                block = decode_frame(record.body).block
                found.setdefault(block.instrument, (record.seq, int(block.t_utc_ns[0])))
    finally:
        await journal.close()
    return found


async def start_once(simulators: ScenarioRunner, folder: Path, cache: Path) -> dict[str, float]:
    """Start a new gateway, follow it, end it; the stages in seconds since its start."""
    config, log = folder / "gateway.toml", folder / "run.log"
    write_site(config, simulators.endpoints, free_port(), free_port())
    site = load_site(config)
    person = make_people()["qin"]
    await initialise(site, person.id, person.name, person.password, person.pin)
    simulators.rewind()
    began_s, began_utc_ns = time.monotonic(), time.time_ns()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            YAOSU, "run", "-c", config, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        )  # fmt: skip
    try:
        looks = await follow(process, site, began_s)
    except RuntimeError as error:
        error.add_note(await asyncio.to_thread(log.read_text, "utf-8"))
        raise
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    rows = await first_rows(site)
    durable_s = [next(look.at_s for look in looks if look.durable_seq >= seq) for seq, _ in rows.values()]
    return {
        "door_s": looks[0].at_s,
        "answer_s": (min(t_utc_ns for _, t_utc_ns in rows.values()) - began_utc_ns) / 1e9,
        "durable_s": min(durable_s),
        "all_durable_s": max(durable_s),
        "kernels_s": next(look.at_s for look in looks if look.kernels_ready),
        "rss_mib": looks[-1].rss_mib,
        "peak_mib": max(look.all_mib for look in looks),
    }


async def measure(repeats: int) -> dict[str, Any]:
    """Start `repeats` times with an empty cache of kernels, and as often with a filled one, in turn."""
    cold: list[dict[str, float]] = []
    warm: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="yaosu-bench-") as scratch:
        root = Path(scratch)
        async with ScenarioRunner(load_scenario(SCENARIO), root / "simulators") as simulators:
            for repeat in range(repeats):
                cache = root / f"kernels-{repeat}"
                for name, runs in (("cold", cold), ("warm", warm)):
                    folder = root / f"{name}-{repeat}"
                    folder.mkdir()
                    runs.append(await start_once(simulators, folder, cache))
    spread = {
        name: [min(run["durable_s"] for run in runs), max(run["durable_s"] for run in runs)]
        for name, runs in (("empty", cold), ("filled", warm))
    }
    return {"repeats": repeats, "empty": medians(cold), "filled": medians(warm), "durable_s_range": spread}


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    empty, filled, spread = found["empty"], found["filled"], found["durable_s_range"]
    rows = [
        (stage, f"{filled[key]:.2f} s", f"{empty[key]:.2f} s", f"{empty[key] / filled[key]:.2f}")
        for key, stage in STAGES.items()
    ] + [
        (what, f"{filled[key]:.0f} MiB", f"{empty[key]:.0f} MiB", f"{empty[key] / filled[key]:.2f}")
        for key, what in MEMORY.items()
    ]
    text = (
        "From the start of `yaosu run` on a new site of six simulated instruments, no broker there. "
        "The cache is that of the compiled QC kernels (`NUMBA_CACHE_DIR`); medians of "
        f"{found['repeats']} starts each. Python's byte code is compiled already, and the files are in the "
        f"operating system's page cache. What it means: {filled['durable_s']:.1f} s after its start the "
        f"gateway has a row on disk ({spread['filled'][0]:.1f} to {spread['filled'][1]:.1f} s), and "
        f"{empty['durable_s']:.1f} s ({spread['empty'][0]:.1f} to {spread['empty'][1]:.1f} s) where the "
        "kernels have to be compiled: it does not wait for that, and until they are ready the rules on "
        "values are recorded as not evaluated. A process of its own compiles them and ends, so that the "
        f"gateway takes {empty['rss_mib'] - filled['rss_mib']:+.0f} MiB of memory after a cold start."
    )
    header = ("since the start", "cache filled", "cache empty", "empty / filled")
    return section_text("Cold start to first sample", text, header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=5, help="starts with each cache (default 5)")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    found = {"machine": machine, **asyncio.run(measure(options.repeats))}
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
