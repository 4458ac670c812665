"""What the store puts into an InfluxDB 1.x a second, beside what it takes of lines that were made before.

Both go through the same threads, in the same requests, with the same number of batches under way; they
differ in what comes before: decoded records are prepared and encoded, lines are there. They take turns, each
first as often as second, into a database each, so that server and machine are the same to both.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from gateway.collector.collector import BATCHES_MAX
from pipeline.store import Origin, WriteReport
from pipeline.store.influx import InfluxCore
from pipeline.store.influx.batches import write_lines
from pipeline.store.influx.http import InfluxHttp
from pipeline.store.influx.lines import encode_lines
from pipeline.store.influx.settings import InfluxStoreSettings
from pipeline.store.influx.text import Memory
from pipeline.store.prepare import prepare
from pipeline.store.shell import StoreShell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.records import Record
    from pipeline.store.influx.text import Lines

Batches = list[list["Record"]]

PAIRS = 1
"""Of turns in both orders: records and lines, then lines and records. `make bench` repeats the benchmark."""


class PremadeCore(InfluxCore):
    """Sends lines that were made before, as they are."""

    def __init__(self, settings: InfluxStoreSettings, made: dict[int, Lines]) -> None:
        super().__init__(settings, None)
        self._made = made
        self._http_of_lines = InfluxHttp(settings, None)

    def encode(self, _origin: Origin, records: Sequence[Record]) -> Any:
        """Find the lines of a batch."""
        return self._made[id(records)]

    def send(self, encoded: Any) -> WriteReport:
        """Send them."""
        assert not write_lines(self._http_of_lines, encoded)
        return WriteReport({}, [])

    def close(self) -> None:
        """Close the connections."""
        self._http_of_lines.close()
        super().close()


class Turn(NamedTuple):
    """What one turn took."""

    elapsed_s: float
    cpu_s: float
    server_cpu_s: float


async def write_batches(core: InfluxCore, origin: Origin, batches: Batches) -> None:
    """Write batches through the store, as many beside each other as the collector has under way."""
    room, shell = asyncio.Semaphore(BATCHES_MAX), StoreShell(core)

    async def write(batch: list[Record]) -> None:
        assert not (await shell.write(origin, batch)).dead
        room.release()

    async with asyncio.TaskGroup() as tasks:
        for batch in batches:
            await room.acquire()
            tasks.create_task(write(batch))
    await shell.close()


def cpu_s(process: psutil.Process) -> float:
    """Processor time of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def apart(server: psutil.Process) -> Iterator[None]:
    """Give the server the machine's last core, and this process the first."""
    cores = sorted(os.sched_getaffinity(0))
    for thread in server.threads():
        os.sched_setaffinity(thread.id, cores[-1:])
    os.sched_setaffinity(0, cores[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for thread in server.threads():
            os.sched_setaffinity(thread.id, cores)


def measure_influx(
    url: str, server: psutil.Process, origin: Origin, batches: Batches, readings: int
) -> dict[str, float]:
    """Write batches as records and as lines in turn, on all cores and then each on its own; medians."""
    lines = {id(batch): encode_lines(origin, prepare(origin, batch)[0], Memory()) for batch in batches}
    shared = _take_turns(url, server, origin, batches, lines)
    with apart(server):
        split = _take_turns(url, server, origin, batches, lines)

    def median(turns: Sequence[Turn], part: Callable[[Turn], float]) -> float:
        return statistics.median(map(part, turns))

    def share(turns: dict[str, list[Turn]]) -> float:
        return statistics.median(
            of_lines.elapsed_s / of_records.elapsed_s
            for of_lines, of_records in zip(turns["lines"], turns["records"], strict=True)
        )

    return {
        "influx_readings_per_s": readings / median(shared["records"], lambda turn: turn.elapsed_s),
        "influx_lines_readings_per_s": readings / median(shared["lines"], lambda turn: turn.elapsed_s),
        "influx_share": share(shared),
        "influx_share_apart": share(split),
        "writing_cpu_us_per_reading": median(shared["records"], lambda turn: turn.cpu_s) / readings * 1e6,
        "lines_cpu_us_per_reading": median(shared["lines"], lambda turn: turn.cpu_s) / readings * 1e6,
        "influxd_cpu_us_per_reading": median(shared["records"], lambda turn: turn.server_cpu_s)
        / readings
        * 1e6,
    }


def _take_turns(
    url: str, server: psutil.Process, origin: Origin, batches: Batches, lines: dict[int, Lines]
) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {"records": [], "lines": []}
    for number in range(2 * PAIRS):
        # ABBA
        for kind in ("records", "lines") if number % 2 == 0 else ("lines", "records"):
            database = f"bench_{time.monotonic_ns()}"
            settings = InfluxStoreSettings(kind="influxdb", url=url, database=database)
            core = InfluxCore(settings, None) if kind == "records" else PremadeCore(settings, lines)
            before = time.perf_counter(), time.process_time(), cpu_s(server)
            asyncio.run(write_batches(core, origin, batches))
            after = time.perf_counter(), time.process_time(), cpu_s(server)
            turns[kind].append(Turn(*(end - begin for begin, end in zip(before, after, strict=True))))
            _drop(settings)
    return turns


def _drop(settings: InfluxStoreSettings) -> None:
    http = InfluxHttp(settings, None)
    for _ in http.query(f'DROP DATABASE "{settings.database}"'):
        pass  # the statement answers nothing
    http.close()
