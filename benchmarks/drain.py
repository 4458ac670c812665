"""A backlog drains through a real broker into a real InfluxDB, beside live load.

Journal and publisher run in this process, mosquitto, `yaosu collect` and InfluxDB 1.x in their own, on one
machine. The reference site: 64 instruments of 16 channels, a row a second each, one frame a row. A record
counts as drained when its receipt has come: it is then in InfluxDB and on the archive's medium.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from gateway.edge.state import StateFolder
from pipeline.journal import Journal, JournalSettings
from pipeline.mqtt import MqttSettings, Publisher, Topics
from pipeline.records import Block, Channel, Frame, Layout
from pipeline.records.frame import encode_frame
from pipeline.records.signing import SigningKey
from tests.support.services import Influxd, Mosquitto, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.records.ranges import Range

INSTRUMENTS, CHANNELS = 64, 16
READINGS_PER_RECORD = CHANNELS
LIVE_PER_S = INSTRUMENTS
LAYOUT = Layout(tuple(Channel(f"ch{number:02}") for number in range(CHANNELS)))
SITE = """
[site]
lab = "lab"
gateway = "drain"
purpose = "rehearsal"
state_dir = "state"

[mqtt]
port = {port}

[store]
kind = "influxdb"
generation = "1"
url = "{url}"
database = "drain"
"""


@dataclass
class Lags:
    """When live records were appended and receipted."""

    appended_s: dict[int, float] = field(default_factory=dict)
    lags_s: list[float] = field(default_factory=list)

    def receipted(self, ranges: Iterable[Range]) -> None:
        """Take the ranges of a receipt."""
        now_s = time.monotonic()
        for first, last in ranges:
            for seq in [seq for seq in self.appended_s if first <= seq <= last]:
                self.lags_s.append(now_s - self.appended_s.pop(seq))


def append_row(journal: Journal, number: int, generator: np.random.Generator) -> int:
    """Append one row of one instrument; return its seq."""
    instrument, n = f"i-{number % INSTRUMENTS}", number // INSTRUMENTS
    t_ns = np.array([journal.clock.utc_ns()])
    run_ns = np.array([journal.clock.run_ns()])
    masks = np.zeros((CHANNELS, 1), np.int64)
    block = Block(
        instrument=instrument, layout=LAYOUT, t_utc_ns=t_ns, t_run_ns=run_ns, t_request_ns=run_ns,
        t_response_ns=run_ns, status=np.zeros((CHANNELS, 1), np.uint8),
        f8=generator.normal(20.0, 1.0, (CHANNELS, 1)), i8=np.empty((0, 1), np.int64),
        u8=np.empty((0, 1), np.uint64),
    )  # fmt: skip
    body = encode_frame(Frame(block, n, np.ones((CHANNELS, 1), np.uint8), masks, masks,
                              t_store_off_ns=journal.stored_offsets(instrument, t_ns)))  # fmt: skip
    return journal.append("data", body, source="simulated").seq


async def live_load(journal: Journal, first: int, lags: Lags) -> None:
    """Append rows at the site's own rate, for ever."""
    generator, began_s, number = np.random.default_rng(2), time.monotonic(), first
    while True:
        due = first + int((time.monotonic() - began_s) * LIVE_PER_S)
        while number < due:
            lags.appended_s[append_row(journal, number, generator)] = time.monotonic()
            number += 1
        await asyncio.sleep(0.1)


async def fill(journal: Journal, records: int) -> int:
    """Append the backlog; return its last seq."""
    generator = np.random.default_rng(1)
    for number in range(records):
        append_row(journal, number, generator)
        if number % 1000 == 999:
            await journal.room()
    await journal.wait_durable(journal.head_seq - 1)
    return journal.head_seq - 1


def watch_receipts(journal: Journal) -> Lags:
    """Note when receipts come."""
    lags, acknowledge = Lags(), journal.receipts.acknowledge

    def acknowledged(ranges: Iterable[Range]) -> None:
        ranges = list(ranges)
        lags.receipted(ranges)
        acknowledge(ranges)

    journal.receipts.acknowledge = acknowledged  # type: ignore[method-assign]
    return lags


async def drain(
    folder: Path, port: int, key: bytes, records: int, collector: psutil.Process
) -> dict[str, Any]:
    """Fill the journal, then publish until the backlog is receipted."""
    journal = await Journal.open(folder / "journal", JournalSettings(), purpose="rehearsal")
    last, lags = await fill(journal, records), watch_receipts(journal)
    trusted = {SigningKey.load_or_create(StateFolder(folder / "state").collector_key).id: key}
    publisher = Publisher(
        settings=MqttSettings(port=port), topics=Topics("lab", "drain"), source=journal, clock=journal.clock,
        random=random.Random(1), trusted=lambda: trusted, status=dict, retained=dict,
    )  # fmt: skip
    began_s, cpu_s, collector_cpu_s = time.monotonic(), time.process_time(), sum(collector.cpu_times()[:2])
    parts = [
        asyncio.create_task(publisher.run()), asyncio.create_task(live_load(journal, records, lags)),
    ]  # fmt: skip
    while not journal.receipts.done.covers(0, last):
        await asyncio.sleep(0.05)
        assert not any(part.done() for part in parts)
    elapsed_s, readings = time.monotonic() - began_s, records * READINGS_PER_RECORD
    gateway_cpu_s, centre_cpu_s = (
        time.process_time() - cpu_s,
        sum(collector.cpu_times()[:2]) - collector_cpu_s,
    )
    for part in parts:
        part.cancel()
    await asyncio.gather(*parts, return_exceptions=True)
    await journal.close()
    waiting_s = [time.monotonic() - t_s for t_s in lags.appended_s.values()]
    return {
        "readings": readings, "readings_per_s": readings / elapsed_s,
        "live_lag_p50_s": float(np.percentile(lags.lags_s, 50)),
        "live_lag_p99_s": float(np.percentile(lags.lags_s, 99)),
        "live_lag_max_s": max([*lags.lags_s, *waiting_s]), "live_records": len(lags.lags_s),
        "gateway_us_per_reading": gateway_cpu_s / readings * 1e6,
        "collector_us_per_reading": centre_cpu_s / readings * 1e6,
    }  # fmt: skip


def measure(records: int) -> dict[str, Any]:
    """Start the servers and the collector, and drain."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as ends:
        folder = Path(name)
        for part in ("broker", "influx"):
            (folder / part).mkdir()
        broker, influx = (
            Mosquitto(folder / "broker", free_port(), None),
            Influxd(folder / "influx", free_port()),
        )
        for server in (broker, influx):
            server.start()
            ends.callback(server.stop)
        site = folder / "gateway.toml"
        site.write_text(SITE.format(port=broker.port, url=influx.url), encoding="utf-8")
        key = SigningKey.load_or_create(StateFolder(folder / "state").collector_key)
        collector = subprocess.Popen(
            [sys.executable, "-c", "from gateway.cli.main import main; main()", "collect", "-c", str(site)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ends.callback(collector.wait)
        ends.callback(collector.terminate)
        return asyncio.run(drain(folder, broker.port, key.public, records, psutil.Process(collector.pid)))


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    one = found["drain"]
    text = (
        f"A backlog of {one['readings']:,} readings of the reference site drains through mosquitto and "
        "`yaosu collect` into InfluxDB 1.x, beside its live load of 1,024 readings/s, all on one machine; "
        "drained is what has its receipt. What it means: the site catches up with an hour of outage in "
        f"{3600 * 1024 / one['readings_per_s'] / 60:.1f} minutes."
    )
    rows = [
        ("drained, readings/s", f"{one['readings_per_s']:,.0f}"),
        ("live lag to the receipt, median", f"{one['live_lag_p50_s']:.2f} s"),
        ("live lag to the receipt, 99 %", f"{one['live_lag_p99_s']:.2f} s"),
        ("live lag to the receipt, largest", f"{one['live_lag_max_s']:.2f} s"),
        ("CPU of journal and publisher, a reading", f"{one['gateway_us_per_reading']:.1f} µs"),
        ("CPU of the collector, a reading", f"{one['collector_us_per_reading']:.1f} µs"),
    ]
    return section_text("Drain", text, ("", ""), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=60_000, help="of 16 readings each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    machine = describe_machine(("numpy", "aiomqtt", "orjson"))
    show({"machine": machine, "drain": measure(options.records)}, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
