"""Journal against SQLite with synchronous FULL: frames of 1,000 readings, one writer, the same disk.

python -m benchmarks.journal [--json] [--seconds 3] [--directory DIR]
"""

import argparse
import asyncio
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show, times
from gateway.tuning import tune
from pipeline.journal import Journal, JournalFullError, JournalSettings
from pipeline.journal.disk import RealDisk
from pipeline.journal.merkle import Tree, leaf_hash
from pipeline.journal.opening import LOCK_NAME, open_directory
from pipeline.journal.sealing import finish_segment
from pipeline.journal.writer import Writer
from pipeline.records import Block, Channel, Frame, Layout
from pipeline.records.clock import SystemClock
from pipeline.records.envelope import encode
from pipeline.records.frame import encode_frame

ROWS = 1000
RECORDS_OPEN = JournalSettings().segment_records - 1
"""As many records as the segment that is read whole at an open can have."""
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


def waited_s() -> float:
    """How long this thread was ready to run and got no processor (other processes had it); Linux's count."""
    text = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text(encoding="ascii")
    return int(text.split()[1]) / 1e9


async def watch_loop(blocked_s: list[float], late_s: list[float]) -> None:
    """Measure how late a short sleep wakes, and how much of that no other process is to blame for."""
    while True:
        began_s, before_s = time.perf_counter(), waited_s()
        await asyncio.sleep(LOOP_TICK_S)
        late_s.append(time.perf_counter() - began_s - LOOP_TICK_S)
        blocked_s.append(max(0.0, late_s[-1] - (waited_s() - before_s)))


async def measure_journal(directory: Path, seconds: float, bodies: list[dict[str, Any]]) -> dict[str, float]:
    """Append as fast as the disk takes it, giving way to the loop after each frame."""
    tune()  # as every role does
    journal = await Journal.open(directory, JournalSettings(), purpose="rehearsal")
    blocked_s: list[float] = []
    late_s: list[float] = []
    watcher = asyncio.create_task(watch_loop(blocked_s, late_s))
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
        "loop_late_p99_ms": 1000 * float(np.percentile(late_s, 99)),
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


class UnsyncedDisk(RealDisk):
    """Builds a journal quickly: the one that is measured opens it with the real one."""

    def sync(self, path: Path) -> None:
        """Leave it to the system."""

    def sync_directory(self, directory: Path) -> None:
        """Leave it to the system."""


def build(directory: Path, segments: int, tail: int) -> None:
    """Fill a journal with small sealed segments, finished as the production code does, and an open one."""
    disk, clock = UnsyncedDisk(), SystemClock()
    opened = open_directory(disk, directory, "rehearsal", clock, "bench", None)
    settings = JournalSettings.model_construct(segment_records=16)
    writer = Writer(disk, directory, opened.meta.id, settings, opened.found.fold, None)
    seq = 0
    for count in [16] * segments + [tail]:
        batch = [
            encode(
                kind="tick", source="simulated", journal=opened.meta.id, epoch=0, boot=1, seq=number,
                t_utc_ns=number, t_run_ns=number, clock=clock.state(), by=None, body={"x": bytes(1000)},
            )
            for number in range(seq, seq + count)
        ]  # fmt: skip
        seq += count
        for sealed in writer.commit(batch).sealed:
            finish_segment(disk, opened.meta.id, sealed)
    writer.close()
    disk.unlock(directory / LOCK_NAME)


def measure_open(scratch: Path, segments: int, tail: int = 16) -> dict[str, float]:
    """Time the blocking part of opening a journal; the best of three, and the processor's time of it."""
    directory = scratch / f"open-{segments}-{tail}"
    build(directory, segments, tail)
    took: list[tuple[float, float]] = []
    for _ in range(3):
        disk = RealDisk()
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        found = open_directory(disk, directory, "rehearsal", SystemClock(), "bench", None).found
        took.append((time.perf_counter() - began_s, time.process_time() - began_cpu_s))
        disk.unlock(directory / LOCK_NAME)
        assert len(found.segments) == segments
        assert found.open is not None
        assert len(found.open.index.entries) == tail
    return {"segments": segments, "tail": tail, "open_s": min(took)[0], "cpu_s": min(took)[1]}


def measure_tree() -> dict[str, float]:
    """Processor time of the Merkle tree beyond the leaf's SHA-256, for small records and for frames."""
    found = {}
    for size in (200, 9000):
        records = [secrets.token_bytes(size) for _ in range(5000)]
        began_s = time.process_time()
        for record in records:
            leaf_hash(record)
        leaves_s = time.process_time() - began_s
        tree = Tree()
        tree.tiles = []
        began_s = time.process_time()
        for record in records:
            tree.append(record)
        appended_s = time.process_time() - began_s
        found[f"append_beyond_leaf_us_{size}"] = 1e6 * max(0.0, appended_s - leaves_s) / len(records)
    return found


def measure(seconds: float, directory: Path | None, segments: int) -> dict[str, Any]:
    """Measure both, one after the other, on the same file system."""
    bodies = [frame_body(number * ROWS) for number in range(64)]
    packed: list[bytes] = [msgpack.packb(body) for body in bodies]
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        journal = asyncio.run(measure_journal(Path(scratch) / "journal", seconds, bodies))
        sqlite = measure_sqlite(Path(scratch) / "records.sqlite", seconds, packed)
        opening = [measure_open(Path(scratch), count) for count in (max(1, segments // 100), segments)]
        opening.append(measure_open(Path(scratch), 1, RECORDS_OPEN))
    return {
        "machine": describe_machine(), "seconds": seconds, "journal": journal, "sqlite_full": sqlite,
        "small": opening[0], "large": opening[1], "full": opening[2], "tree": measure_tree(),
    }  # fmt: skip


def own_rows(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Write the figures that SQLite has none beside."""
    journal = found["journal"]
    figures = {
        "event loop blocked, p99": f"{journal['loop_blocked_p99_ms']:.1f} ms",
        "event loop late, p99": f"{journal['loop_late_p99_ms']:.1f} ms",
        "open again, open segment read whole": f"{journal['open_s']:.2f} s",
    }
    for one in (found["small"], found["large"], found["full"]):
        what = f"open: {one['segments']:,} sealed segments, {one['tail']:,} open records"
        figures[what] = f"{one['open_s']:.2f} s ({one['cpu_s']:.2f} s of processor)"
    for size in (200, 9000):
        value = found["tree"][f"append_beyond_leaf_us_{size}"]
        figures[f"Merkle append beyond the leaf's SHA-256, {size} B"] = f"{value:.1f} µs"
    return [(what, figure, "", "") for what, figure in figures.items()]


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
        *own_rows(found),
    ]
    text = (
        f"Frames of {ROWS} readings, as fast as the disk takes them for {found['seconds']:.1f} s each. "
        "The journal packs, checksums, hashes (Merkle) and syncs beside a running loop; SQLite (WAL, "
        "synchronous FULL) is given bytes that are packed already and does nothing else. "
        "Blocked is late without the time for which other processes had the processor; sealed segments cost "
        "an open only their names, whatever is in them. "
        f"What it means: while it does all that, the journal takes {times(ratio)} what SQLite takes."
    )
    return section_text("Journal", text, ("what", "journal", "SQLite FULL", "journal / SQLite"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each measurement")
    parser.add_argument("--directory", type=Path, help="where to write (default: the temporary directory)")
    parser.add_argument("--segments", type=int, default=5000, help="of the journal whose opening is timed")
    options = parser.parse_args(arguments)
    found = measure(options.seconds, options.directory, options.segments)
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
