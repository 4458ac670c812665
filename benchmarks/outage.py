"""A week without a broker, in virtual time: how much memory and disk the gateway takes.

The whole daemon of the reference site runs on a clock that jumps: 64 instruments of 16 channels that hand
over a minute of rows at a time, 1,024 readings a second, rules, elements, journal, publisher and all. Nobody
answers at the broker's address. Differences to the real thing, which only save time: syncs are left out,
frames are looked at once a second and commits are a second apart.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import random
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import psutil
from async_solipsism.exceptions import ResolutionWarning

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from drivers.door import Description
from drivers.poller import Outcome, Poller
from gateway.edge.daemon import EdgeDaemon
from gateway.edge.world import World
from gateway.site import load_site
from pipeline.journal.disk import RealDisk
from pipeline.mqtt import LinkLostError
from pipeline.records import Block, Channel, Layout
from tests.simulation.machines import MachineClock, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drivers.door import Driver
    from drivers.settings import InstrumentSettings
    from pipeline.records import Clock, Item

INSTRUMENTS, CHANNELS, PERIOD_S = 64, 16, 60
DAY_S = 86_400
MIB = 2**20
SEGMENT_BYTES = 64 * MIB
LAYOUT = Layout(tuple(Channel(f"ch{number}") for number in range(CHANNELS)))
SITE = """
[site]
lab = "lab"
gateway = "outage"
purpose = "rehearsal"
state_dir = "state"

[journal]
size_max_bytes = {size_max_bytes}
commit_delay_ms = 1000
"""
INSTRUMENT = """
[[instrument]]
id = "i-{number}"
driver = "modbus-tcp"
source = "simulated"
host = "127.0.0.1"
port = {port}
poll_interval_s = {period_s}
"""
CHANNEL = """
[[instrument.channels]]
name = "ch{channel}"
address = {address}
type = "float32"
qc.range = {{ fail_high = 1000.0 }}
qc.spike = {{ suspect = 50.0 }}
"""


class UnsyncedDisk(RealDisk):
    """Nobody cuts the power here."""

    def sync(self, path: Path) -> None:
        """Return at once."""


@dataclass
class Logger:
    """An instrument that hands over its memory once a minute."""

    name: str
    clock: Clock
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def describe(self) -> Description:
        """See `Polled`."""
        return Description(self.name, "benchmark", "simulated", "memory", LAYOUT, None, PERIOD_S)

    async def open(self, wake: Callable[[], None]) -> None:
        """See `Polled`."""

    async def close(self) -> None:
        """See `Polled`."""

    def unsolicited(self) -> Sequence[Item]:
        """See `Polled`."""
        return ()

    async def poll(self, until_run_ns: int) -> Outcome:  # noqa: ARG002 - it never has to wait for a line
        """Hand over the last minute's rows."""
        back_ns = np.arange(PERIOD_S - 1, -1, -1, dtype=np.int64) * 1_000_000_000
        t_run, t_utc = self.clock.run_ns() - back_ns, self.clock.utc_ns() - back_ns
        values = self.generator.normal(20.0, 1.0, (CHANNELS, PERIOD_S))
        return Outcome([Block(
            instrument=self.name, layout=LAYOUT, t_utc_ns=t_utc, t_run_ns=t_run, t_request_ns=t_run,
            t_response_ns=t_run, status=np.zeros((CHANNELS, PERIOD_S), np.uint8), f8=values,
            i8=np.empty((0, PERIOD_S), np.int64), u8=np.empty((0, PERIOD_S), np.uint64),
        )])  # fmt: skip


class Nobody:
    """A connection that cannot be made."""

    async def __aenter__(self) -> None:
        """Find nobody there."""
        await asyncio.sleep(0.001)
        raise LinkLostError("nobody answers at the broker's address")

    async def __aexit__(self, *_: object) -> None:
        """Nothing was opened."""


def drivers_of(settings: Sequence[InstrumentSettings], clock: Clock, rng: random.Random) -> list[Driver]:
    """Make the loggers."""
    return [Poller(Logger(each.id, clock), clock, rng) for each in settings]


def write_site(folder: Path, size_max_bytes: int) -> Path:
    """Write the reference site."""
    channels = "".join(CHANNEL.format(channel=c, address=2 * c) for c in range(CHANNELS))
    instruments = "".join(
        INSTRUMENT.format(number=n, port=10_000 + n, period_s=PERIOD_S) + channels for n in range(INSTRUMENTS)
    )
    path = folder / "gateway.toml"
    path.write_text(SITE.format(size_max_bytes=size_max_bytes) + instruments, encoding="utf-8")
    return path


def bytes_of(folder: Path) -> int:
    """Sum of what the files of a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


async def run(folder: Path, days: float, size_max_bytes: int) -> dict[str, Any]:
    """Let the days pass; look at memory and disk every hour."""
    site = load_site(write_site(folder, size_max_bytes))
    daemon = EdgeDaemon(site, World(
        disk=UnsyncedDisk(), clock=MachineClock(random.Random(1)), boot_id="one", drivers=drivers_of,
        link=lambda *_args: Nobody(),  # type: ignore[arg-type]  # all that is asked of it
    ))  # fmt: skip
    stop, own = asyncio.Event(), psutil.Process()
    running = asyncio.create_task(daemon.record(stop, asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(1.0)
    rss, anonymous, disk, began_s = [], [], [], time.process_time()
    for _ in range(max(1, round(days * 24))):
        await asyncio.sleep(min(3600.0, days * DAY_S))
        assert not running.done(), running.exception()
        memory = own.memory_info()
        rss.append(memory.rss / MIB)
        anonymous.append((memory.rss - memory.shared) / MIB)
        disk.append(bytes_of(site.state.journal) / MIB)
    readings, cpu_s = daemon.intake.recorded_readings, time.process_time() - began_s
    stats = daemon.recorder.journal.stats()
    stop.set()
    await running
    return {
        "days": days, "readings": readings, "rss_first_mib": rss[0], "rss_max_mib": max(rss),
        "rss_last_mib": rss[-1], "anonymous_max_mib": max(anonymous),
        "disk_max_mib": max(disk), "disk_bound_mib": size_max_bytes / MIB, "segments": stats.segments,
        "cpu_us_per_reading": cpu_s / readings * 1e6,
    }  # fmt: skip


def measure(days: float, size_max_mib: int) -> dict[str, Any]:
    """Measure in a folder of its own."""
    logging.disable(logging.CRITICAL)  # that nobody answers is meant
    gc.freeze()
    with (
        tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(),
        patch("gateway.edge.acquisition.CLOSE_PERIOD_S", 1.0),
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):  # fmt: skip
        warnings.simplefilter("ignore", ResolutionWarning)
        return runner.run(run(Path(folder), days, size_max_mib * MIB))


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    one = found["outage"]
    text = (
        f"The daemon of the reference site ({INSTRUMENTS} instruments, 1,024 readings/s) for {one['days']:g} "
        "days of virtual time without a broker, into a journal with a bound: how memory follows the length "
        "of the outage, and the disk its bound. Instruments hand over a minute of rows at a time and syncs "
        "are left out, to get through a week in minutes."
    )
    rows = [
        ("readings recorded", f"{one['readings']:,}"),
        ("memory (RSS) after the first hour", f"{one['rss_first_mib']:.0f} MiB"),
        ("memory (RSS), largest", f"{one['rss_max_mib']:.0f} MiB"),
        ("memory (RSS) after the last hour", f"{one['rss_last_mib']:.0f} MiB"),
        ("of it the program's own, not pages of files, largest", f"{one['anonymous_max_mib']:.0f} MiB"),
        ("disk, largest", f"{one['disk_max_mib']:,.0f} MiB"),
        ("disk, bound", f"{one['disk_bound_mib']:,.0f} MiB and a segment of {SEGMENT_BYTES // MIB} MiB"),
        ("CPU a reading, all of the daemon", f"{one['cpu_us_per_reading']:.2f} µs"),
    ]
    return section_text("Outage", text, ("", ""), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--size-max-mib", type=int, default=1024, help="bound of the journal")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    machine = describe_machine(("numpy", "numba"))
    found = {"machine": machine, "outage": measure(options.days, options.size_max_mib)}
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
