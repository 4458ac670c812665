"""Journal against SQLite with synchronous FULL: frames of 1,000 readings, one writer, the same disk.

python -m benchmarks.journal [--json] [--seconds 3] [--directory DIR]
"""

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from benchmarks.machine import describe_machine, machine_line
from pipeline.journal import Journal, JournalFullError, JournalSettings
from pipeline.records import Block, Channel, Frame, Layout
from pipeline.records.frame import encode_frame

ROWS = 1000
LOOP_TICK_S = 0.001


def frame_body(n_first: int) -> dict[str, Any]:
    """One frame: 1,000 rows of one float64 channel."""
    times = 1_800_000_000 * 10**9 + 1_000_000 * np.arange(n_first, n_first + ROWS, dtype=np.int64)
    block = Block(
        instrument="meter", layout=Layout((Channel("v", unit="V"),)), t_utc_ns=times, t_run_ns=times,
        t_request_ns=times, t_response_ns=times, status=np.zeros((1, ROWS), np.uint8),
        f8=np.random.default_rng(n_first).normal(size=(1, ROWS)), i8=np.empty((0, ROWS), np.int64),
        u8=np.empty((0, ROWS), np.uint64),
    )  # fmt: skip
    flag, masks = np.ones((1, ROWS), np.uint8), np.zeros((1, ROWS), np.int64)
    return encode_frame(Frame(block, n_first, flag, masks, masks))


async def watch_loop(blocked_s: list[float]) -> None:
    """Measure how late a short sleep wakes: what else runs on the loop, and what blocks it."""
    while True:
        began_s = time.perf_counter()
        await asyncio.sleep(LOOP_TICK_S)
        blocked_s.append(time.perf_counter() - began_s - LOOP_TICK_S)


async def measure_journal(directory: Path, seconds: float, bodies: list[dict[str, Any]]) -> dict[str, float]:
    """Append as fast as the disk takes it, giving way to the loop after each frame."""
    journal = await Journal.open(directory, JournalSettings(), purpose="rehearsal")
    blocked_s: list[float] = []
    watcher = asyncio.create_task(watch_loop(blocked_s))
    began_s, frames = time.perf_counter(), 0
    while time.perf_counter() - began_s < seconds:
        try:
            journal.append("data", bodies[frames % len(bodies)], source="simulated")
            frames += 1
        except JournalFullError:
            await journal.room()
        await asyncio.sleep(0)
    await journal.wait_durable(journal.head_seq - 1)
    elapsed_s = time.perf_counter() - began_s
    watcher.cancel()
    stats = journal.stats()
    await journal.close()
    assert stats.durable_seq == frames - 1
    began_open_s = time.perf_counter()
    again = await Journal.open(directory, JournalSettings(), purpose="rehearsal")
    open_s = time.perf_counter() - began_open_s
    await again.close()
    return {
        "readings_per_s": frames * ROWS / elapsed_s,
        "commit_p50_ms": stats.commit_p50_ms or 0.0,
        "commit_p99_ms": stats.commit_p99_ms or 0.0,
        "loop_blocked_p99_ms": 1000 * float(np.percentile(blocked_s, 99)),
        "open_s": open_s,
        "bytes": stats.bytes,
    }


def measure_sqlite(path: Path, seconds: float, bodies: list[bytes]) -> dict[str, float]:
    """Insert bodies that are packed already, a commit every 100 ms, as the journal does.

    SQLite is given less to do: no packing, no checksum of its own, no Merkle tree, and the loop is not there.
    """
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE record (seq INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    began_s, frames, commits_s = time.perf_counter(), 0, []
    while time.perf_counter() - began_s < seconds:
        database.execute("BEGIN")
        group_s = time.perf_counter()
        while time.perf_counter() - group_s < 0.1:
            database.execute("INSERT INTO record VALUES (?, ?)", (frames, bodies[frames % len(bodies)]))
            frames += 1
        commit_s = time.perf_counter()
        database.execute("COMMIT")
        commits_s.append(time.perf_counter() - commit_s)
    elapsed_s = time.perf_counter() - began_s
    database.close()
    return {
        "readings_per_s": frames * ROWS / elapsed_s,
        "commit_p50_ms": 1000 * float(np.percentile(commits_s, 50)),
        "commit_p99_ms": 1000 * float(np.percentile(commits_s, 99)),
    }


def main() -> None:
    """Measure both and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each measurement")
    parser.add_argument(
        "--directory", type=Path, help="where to write; the default is the temporary directory"
    )
    options = parser.parse_args()
    bodies = [frame_body(number * ROWS) for number in range(64)]
    packed: list[bytes] = [msgpack.packb(body) for body in bodies]
    with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
        journal = asyncio.run(measure_journal(Path(scratch) / "journal", options.seconds, bodies))
        sqlite = measure_sqlite(Path(scratch) / "records.sqlite", options.seconds, packed)
    figures: dict[str, Any] = {"journal": journal, "sqlite_full": sqlite}
    if options.json:
        print(json.dumps({"machine": describe_machine(), **figures}))
        return
    print(machine_line(describe_machine()))
    for name, values in figures.items():
        print(name, *(f"{key}={value:,.3f}" for key, value in values.items()), sep="\n  ")


if __name__ == "__main__":
    main()
