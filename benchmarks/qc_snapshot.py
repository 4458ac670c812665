"""State of the rules at 100,000 channels: `python -m benchmarks.qc_snapshot [--json]`.

200 instruments of 500 float32 channels, each with range, rate and flat line, a row of each a second: the
memory of their rules, what a snapshot of it holds up and takes beside, and a restart from it. The snapshot
is written as the daemon writes it, a step at a time by a thread, while blocks go on. CPU time of the event
loop's thread: a busy machine does not lengthen it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from benchmarks.load_site import CHANNELS, QC
from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from pipeline.journal.disk import RealDisk
from pipeline.journal.snapshots import SNAPSHOT_DIRECTORY, Snapshot, SnapshotWriter, load_snapshot, steps
from pipeline.qc import ChannelQc, QcEngine
from pipeline.records import Block, Channel, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

INSTRUMENTS = 200
ROWS = 20
NAME = "qc"
SEED = 20261122
PEAK = Path("/proc/self/clear_refs")
"""Writing 5 begins the peak of the resident memory anew (proc(5))."""


def new_engine() -> QcEngine:
    """Make a warm engine for all instruments, which share their settings."""
    qc = ChannelQc.model_validate(QC)
    channels = {f"c{k}": qc for k in range(CHANNELS)}
    instruments = [f"d{k}" for k in range(INSTRUMENTS)]
    made = QcEngine(dict.fromkeys(instruments, channels), dict.fromkeys(instruments, 1.0))
    made.warm()
    return made


class Load:
    """Rows of all instruments, one a second each."""

    def __init__(self) -> None:
        """Draw the values of one instrument; all have the same."""
        self._layout = Layout(tuple(Channel(f"c{k}", unit="V") for k in range(CHANNELS)))
        self._values = np.random.default_rng(SEED).normal(50, 0.3, (ROWS, CHANNELS, 1)).astype(np.float32)

    def block(self, instrument: int, row: int) -> Block:
        """Make one row."""
        at = np.array([row * 10**9 + instrument * 5_000_000], dtype=np.int64)
        values = self._values[row % ROWS].astype(np.float64)
        return Block(
            f"d{instrument}", self._layout, at, at, at, at, np.zeros((CHANNELS, 1), np.uint8), values,
            np.zeros((0, 1), np.int64), np.zeros((0, 1), np.uint64),
        )  # fmt: skip

    def feed(self, engine: QcEngine, row: int) -> float:
        """Give one row of every instrument to an engine; CPU time of the longest call, seconds."""
        longest_s = 0.0
        for instrument in range(INSTRUMENTS):
            block = self.block(instrument, row)
            start_s = time.thread_time()
            engine.process(block, row)
            longest_s = max(longest_s, time.thread_time() - start_s)
        return longest_s


def resident() -> int:
    """Return the resident memory, bytes."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def forget_peak() -> None:
    """Begin the peak of the resident memory anew."""
    PEAK.write_text("5", encoding="ascii")


def peak() -> int:
    """Return the highest resident memory since `forget_peak`, bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def step_times_s(engine: QcEngine) -> list[float]:
    """Take a snapshot and its pieces; CPU time of each turn of the loop that this takes, seconds."""
    start_s = time.thread_time()
    pieces = steps(engine.snapshot())
    found = []
    for _ in pieces:
        found.append(time.thread_time() - start_s)
        start_s = time.thread_time()
    return found


async def written_beside(engine: QcEngine, load: Load, folder: Path) -> dict[str, int]:
    """Write a snapshot as the daemon does, while every instrument gets a row; what it takes, bytes."""
    disk = RealDisk()

    async def durable(_seq: int) -> None:
        await asyncio.sleep(0)

    disk.make_directory(folder / SNAPSHOT_DIRECTORY)
    before = resident()
    forget_peak()
    with ThreadPoolExecutor(1) as executor:
        state = engine.snapshot()
        writer = SnapshotWriter(disk, folder, executor, durable)
        writer.save(NAME, Snapshot(1, 0, state))
        for instrument in range(INSTRUMENTS):
            engine.process(load.block(instrument, ROWS), ROWS)
            await asyncio.sleep(0)
        await writer.close(written=True)
    return {"snapshot_bytes": state.nbytes, "transient_bytes": max(0, peak() - before)}


def restarted(load: Load, folder: Path) -> dict[str, float]:
    """Take up the snapshot in a new engine; CPU time of it and of the longest first block, seconds."""
    found = load_snapshot(RealDisk(), folder, NAME, 1, 0)
    assert found is not None
    engine, state = new_engine(), bytes(found.state)
    start_s = time.thread_time()
    taken_up = engine.restore(state)
    restore_s = time.thread_time() - start_s
    assert taken_up
    return {"restore_s": restore_s, "first_block_s": load.feed(engine, ROWS)}


def measure(repeats: int) -> dict[str, Any]:
    """Measure everything; times are medians of the repeats, of each the longest turn."""
    load, engine = Load(), new_engine()
    new_engine().process(load.block(0, 0), 0)  # whatever the first call of all takes
    before = resident()
    first_s = load.feed(engine, 0)
    found: dict[str, Any] = {
        "machine": describe_machine(), "repeats": repeats, "plans_rss_bytes": resident() - before,
        "plans_bytes": engine.memory_bytes(), "first_block_s": first_s,
    }  # fmt: skip
    for row in range(1, ROWS):
        load.feed(engine, row)
    stops = [step_times_s(engine) for _ in range(repeats)]
    found["steps"] = len(stops[0])
    found["longest_step_s"] = statistics.median(max(one) for one in stops)
    found["all_steps_s"] = statistics.median(sum(one) for one in stops)
    with tempfile.TemporaryDirectory() as folder:
        found |= asyncio.run(written_beside(engine, load, Path(folder)))
        found["restart"] = restarted(load, Path(folder))
    return found


def results_section(found: dict[str, Any]) -> str:
    """Write the section of RESULTS.md."""
    channels, mib = INSTRUMENTS * CHANNELS, 2**20
    restart = found["restart"]
    rows = [
        ("memory of the rules, resident", f"{found['plans_rss_bytes'] / mib:.1f} MiB"),
        ("of it parameters, states and windows", f"{found['plans_bytes'] / channels:.0f} B a channel"),
        ("first block of an instrument: its memory laid out", f"{found['first_block_s'] * 1e3:.1f} ms"),
        ("a snapshot", f"{found['snapshot_bytes'] / mib:.1f} MiB"),
        ("longest turn of the event loop for it", f"{found['longest_step_s'] * 1e3:.2f} ms"),
        (f"all its {found['steps']} turns", f"{found['all_steps_s'] * 1e3:.1f} ms"),
        ("memory beside while it is written", f"{found['transient_bytes'] / mib:.1f} MiB"),
        ("restart: state taken up", f"{restart['restore_s'] * 1e3:.0f} ms"),
        ("restart: longest first block", f"{restart['first_block_s'] * 1e3:.1f} ms"),
    ]
    text = (
        f"{INSTRUMENTS} instruments of {CHANNELS} channels, each with range, rate and flat line, one row of "
        f"each a second. CPU time of the loop's thread, medians of {found['repeats']}. What it means: a "
        f"snapshot of {channels:,} channels holds the event loop up for "
        f"{found['longest_step_s'] * 1e3:.2f} ms at a time."
    )
    return section_text("State of the rules at 100,000 channels", text, ("what", "measured"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each measurement (default 5)")
    options = parser.parse_args(arguments)
    show(measure(options.repeats), results_section, as_json=options.json)


if __name__ == "__main__":
    main()
