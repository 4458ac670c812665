"""Stores: how fast readings are encoded, inserted and read. Prints a table, or JSON with --json.

Encoding is measured side by side with influxdb-client's `Point` on the same rows, and writing into a real
InfluxDB 1.x beside lines made before. Speeds of encoding are by processor time. The embedded store writes to
a temporary folder (TMPDIR), one transaction for each batch, synced.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from influxdb_client import Point

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from benchmarks.servers import free_port, influxd
from benchmarks.store_influx import measure_influx
from gateway.collector import CollectorSettings
from gateway.collector.collector import BATCHES_MAX
from gateway.tuning import COLLECTOR_SWITCH_S, settle, tune
from pipeline.records import Block, Channel, Frame, Layout
from pipeline.records.clock import ClockState
from pipeline.records.envelope import decode, encode, split
from pipeline.records.frame import decode_frame, encode_frame
from pipeline.store import Origin
from pipeline.store.embedded import EmbeddedCore, EmbeddedStoreSettings
from pipeline.store.influx import InfluxCore
from pipeline.store.influx.settings import InfluxStoreSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records import Record

ORIGIN = Origin("bench-lab", "gw")
T0_NS = 1_750_000_000_000_000_000
JOURNAL = bytes(16)
SHAPES = {"1 channel x 1000 rows": (1, 1000), "3 channels x 5 rows": (3, 5), "500 channels x 1 row": (500, 1),
          "1 channel x 10 rows": (1, 10)}  # fmt: skip
"""Frames as they come: a fast gauge in arrears, three such live, a large logger, a slower gauge."""
READINGS = 600_000
BATCH_BYTES = CollectorSettings().batch_bytes_max


def make_records(channels: int, rows: int, readings: int) -> list[Record]:
    """Make data records of one instrument with about `readings` values, every hundredth flagged."""
    generator = np.random.default_rng(1)
    layout = Layout(tuple(Channel(f"ch{index:03}") for index in range(channels)))
    records = []
    for seq in range(max(1, readings // (channels * rows))):
        t_ns = T0_NS + (seq * rows + np.arange(rows, dtype=np.int64)) * 20_000_000
        flag = np.where(generator.random((channels, rows)) < 0.01, 3, 1).astype(np.uint8)
        block = Block(
            instrument="bench", layout=layout, t_utc_ns=t_ns, t_run_ns=t_ns, t_request_ns=t_ns,
            t_response_ns=t_ns, status=np.zeros((channels, rows), dtype=np.uint8),
            f8=generator.normal(20.0, 1.0, (channels, rows)),
            i8=np.zeros((0, rows), dtype=np.int64), u8=np.zeros((0, rows), dtype=np.uint64),
        )  # fmt: skip
        reason = np.where(flag == 3, 4, 0).astype(np.int64)
        frame = Frame(block, seq * rows, flag, reason, np.zeros((channels, rows), dtype=np.int64))
        records.append(
            encode(
                kind="data", source="live", journal=JOURNAL, epoch=0, boot=1, seq=seq, t_utc_ns=int(t_ns[0]),
                t_run_ns=int(t_ns[0]), clock=ClockState(synchronised=True, error_ns=0), by=None,
                body=encode_frame(frame),
            )
        )  # fmt: skip
    return records


def measure_encoder(records: Sequence[Record], readings: int) -> dict[str, float]:
    """Readings a second of processor, from records to lines; and from the bytes of messages to lines."""
    spent_s = {"records": 0.0, "bytes": 0.0}
    core = InfluxCore(InfluxStoreSettings(kind="influxdb", url="http://127.0.0.1:1", database="none"), None)

    def encode(batch: Sequence[Record]) -> None:
        encoded = core.encode(ORIGIN, batch)
        assert encoded.lines
        assert not encoded.dead
        core.recycle(encoded)

    # As in a collector that runs: with its kernels loaded, its memory at hand, and the forms of its records.
    encode(batches_of(records)[0])
    for batch in batches_of(records):
        payload = b"".join(record.data for record in batch)
        began_s = time.process_time()
        encode([decode(part) for part in split(payload)])
        spent_s["bytes"] += time.process_time() - began_s
        began_s = time.process_time()
        encode(batch)
        spent_s["records"] += time.process_time() - began_s
    core.close()
    return {
        "encode_readings_per_s": readings / spent_s["records"],
        "bytes_readings_per_s": readings / spent_s["bytes"],
    }


def measure_points(records: Sequence[Record], readings: int) -> float:
    """Readings/s through one `Point` object a row, with the same tags and fields."""
    start = time.process_time()
    for record in records:
        frame = decode_frame(record.body)
        names = [channel.name for channel in frame.block.layout.channels]
        for row, t_ns in enumerate(frame.t_store_ns.tolist()):
            point = (
                Point("reading").tag("lab", ORIGIN.lab).tag("gateway", ORIGIN.gateway).tag("era", record.era)
            )
            point = point.tag("instrument", "bench").tag("source", record.source).time(t_ns)
            point = point.field("seq", record.seq).field("n", frame.n_first + row)
            for index, name in enumerate(names):
                point.field(name, float(frame.block.f8[index, row]))
                if frame.flag[index, row] != 1:
                    point.field(f"{name}.q", int(frame.flag[index, row])).field(f"{name}.r", 4)
            point.to_line_protocol()
    return readings / (time.process_time() - start)


def measure_embedded(records: Sequence[Record], readings: int) -> dict[str, float]:
    """Insert in batches of 100 records, then read the channel's newest hour."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        core = EmbeddedCore(EmbeddedStoreSettings(kind="embedded", path=path))
        start = time.perf_counter()
        for index in range(0, len(records), 100):
            core.send(core.encode(ORIGIN, records[index : index + 100]))
        insert_s = time.perf_counter() - start
        last_ns = records[-1].t_utc_ns + 10**12
        start = time.perf_counter()
        series = core.window(ORIGIN, "bench", "ch000", last_ns - 4600 * 10**9, last_ns, 4000)
        window_s = time.perf_counter() - start
        assert len(series.value)
        counts = core.counts(ORIGIN, 0, 2**62)["bench"]
        assert counts.readings == readings
        core.close()
        size = path.stat().st_size
    return {
        "insert_readings_per_s": readings / insert_s,
        "bytes_per_reading": size / readings,
        "window_of_an_hour_ms": window_s * 1000,
    }


def batches_of(records: Sequence[Record]) -> list[list[Record]]:
    """Put records together as the collector does."""
    batches: list[list[Record]] = []
    size = BATCH_BYTES
    for record in records:
        if size >= BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(record)
        size += len(record.data)
    return batches


def measure() -> dict[str, dict[str, float]]:
    """Measure every shape of frame."""
    tune(COLLECTOR_SWITCH_S)  # as a collector does
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        with influxd(Path(folder) / "influxd", port) as pid:
            return _measure(f"http://127.0.0.1:{port}", psutil.Process(pid))


def _measure(url: str, server: psutil.Process) -> dict[str, dict[str, float]]:
    results = {}
    for name, (channels, rows) in SHAPES.items():
        # As the collector has them: out of their bytes.
        records = [decode(record.data) for record in make_records(channels, rows, READINGS)]
        readings = len(records) * channels * rows
        settle()  # a collector does not have them all at once, for the garbage collector to walk
        few = records[: max(1, len(records) // 10)]
        few_readings = len(few) * channels * rows
        encoder = measure_encoder(records, readings)
        points = measure_points(few, few_readings)
        results[name] = {
            **encoder,
            "point_readings_per_s": points,
            "encode_times_point": encoder["encode_readings_per_s"] / points,
            **measure_influx(url, server, ORIGIN, batches_of(records), readings),
            **measure_embedded(records, readings),
        }
    return results


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    shapes: dict[str, dict[str, float]] = found["store"]
    rows = [
        (
            shape, f"{one['encode_readings_per_s']:,.0f}", f"{one['bytes_readings_per_s']:,.0f}",
            f"{one['point_readings_per_s']:,.0f}", f"{one['encode_times_point']:.1f}",
            f"{one['influx_readings_per_s']:,.0f}", f"{100 * one['influx_share']:.0f} %",
            f"{100 * one['influx_share_apart']:.0f} %",
            f"{one['writing_cpu_us_per_reading']:.2f} µs", f"{one['lines_cpu_us_per_reading']:.2f} µs",
            f"{one['influxd_cpu_us_per_reading']:.2f} µs",
            f"{one['insert_readings_per_s']:,.0f}", f"{one['bytes_per_reading']:.1f}",
            f"{one['window_of_an_hour_ms']:.0f} ms",
        )
        for shape, one in shapes.items()
    ]  # fmt: skip
    ratios = [one["encode_times_point"] for one in shapes.values()]
    shares = [one["influx_share"] for one in shapes.values()]
    text = (
        "From records to InfluxDB's line protocol, and from the bytes of MQTT messages to it, a second of "
        "processor; side by side with one `Point` object of influxdb-client a row. Then through the store "
        f"into InfluxDB 1.x on the same machine, batches as the collector makes them, {BATCHES_MAX} under "
        "way, beside the same lines made before, through the same threads and in the same requests, each of "
        "them first in turn, medians; on all cores, and with a core for InfluxDB and another one for the "
        "client. CPU is that of this process with records, with lines, and of InfluxDB. And the embedded "
        "store: inserts of 100 records a transaction, synced, then the newest hour of a channel. One reading "
        "in a hundred flagged. "
        f"What it means: the encoder is {min(ratios):.1f} to {max(ratios):.1f} times as fast as `Point`; of "
        f"what InfluxDB takes from lines made before it leaves {100 * min(shares):.0f} to "
        f"{100 * max(shares):.0f} %."
    )
    header = (
        "frames", "encoded, readings/s", "from bytes, readings/s", "`Point`, readings/s", "ratio",
        "into InfluxDB, readings/s", "of what it takes from lines", "the same, a core each",
        "CPU a reading: ours", "with lines made before", "InfluxDB's",
        "embedded, readings/s", "bytes a reading", "read an hour",
    )  # fmt: skip
    return section_text("Stores", text, header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    machine = describe_machine(("numpy", "orjson", "influxdb-client"))
    show({"machine": machine, "store": measure()}, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
