"""Journal against SQLite with synchronous FULL: frames of 1,000 readings, one writer, the same disk.

python -m benchmarks.journal [--json] [--seconds 3] [--directory DIR]
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show, times
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


def measure(seconds: float, directory: Path | None) -> dict[str, Any]:
    """Measure both, one after the other, on the same file system."""
    bodies = [frame_body(number * ROWS) for number in range(64)]
    packed: list[bytes] = [msgpack.packb(body) for body in bodies]
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        journal = asyncio.run(measure_journal(Path(scratch) / "journal", seconds, bodies))
        sqlite = measure_sqlite(Path(scratch) / "records.sqlite", seconds, packed)
    return {"machine": describe_machine(), "seconds": seconds, "journal": journal, "sqlite_full": sqlite}


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    journal, sqlite = found["journal"], found["sqlite_full"]
    ratio = journal["readings_per_s"] / sqlite["readings_per_s"]
    rows = [
        (
            "readings/s",
            f"{journal['readings_per_s']:,.0f}",
            f"{sqlite['readings_per_s']:,.0f}",
            f"{ratio:.2f}",
        ),
        *(
            (f"commit {p}", f"{ours:.0f} ms", f"{theirs:.0f} ms", f"{ours / theirs:.2f}")
            for p in ("p50", "p99")
            if (ours := journal[f"commit_{p}_ms"]) and (theirs := sqlite[f"commit_{p}_ms"])
        ),
        ("event loop blocked, p99", f"{journal['loop_blocked_p99_ms']:.1f} ms", "not run on a loop", ""),
        ("open again", f"{journal['open_s']:.2f} s", "", ""),
    ]
    text = (
        f"Frames of {ROWS} readings, as fast as the disk takes them for {found['seconds']:.1f} s each. "
        "The journal packs, checksums, hashes (Merkle) and syncs beside a running loop; SQLite (WAL, "
        "synchronous FULL) is given bytes that are packed already and does nothing else. "
        f"What it means: while it does all that, the journal takes {times(ratio)} what SQLite takes."
    )
    return section_text("Journal", text, ("what", "journal", "SQLite FULL", "journal / SQLite"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each measurement")
    parser.add_argument("--directory", type=Path, help="where to write (default: the temporary directory)")
    options = parser.parse_args(arguments)
    found = measure(options.seconds, options.directory)
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
