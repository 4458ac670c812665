"""Speed of the rules on the stream: `python -m benchmarks.qc [--json] [--repeats N]`.

One thread, warm kernels, seeded noise (normal, sd 0.3 around 20, one decimal) without faults, 10 Hz. The core
set: missing, range, rate, spike, exact flat line over 60 s, gap, order, duplicate, repeated value, noise
over 60 s, EWMA and CUSUM; the wide set adds Hampel and level shift over 15 readings. CPU time;
figures are medians. The peers are in `benchmarks.qc_peers`.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from pipeline.qc import ChannelQc, QcEngine
from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc
from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc
from pipeline.qc.settings_windows import NoiseQc, RepeatedQc
from pipeline.records import Block, Channel, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

FOUR = ChannelQc(
    range=RangeQc(fail_low=0, suspect_low=5, suspect_high=35, fail_high=40),
    rate=RateQc(suspect=50),
    spike=SpikeQc(suspect=10, fail=20),
    flat_line=FlatLineQc(tolerance=0.05, suspect_s=30, fail_s=60),
)
"""The four tests that ioos_qc runs beside ours, with the same limits."""
CORE = FOUR.model_copy(
    update={
        "gap": GapQc(interval_s=1.5),
        "repeated": RepeatedQc(suspect_n=20, fail_n=50),
        "noise": NoiseQc(suspect_low=0.01, suspect_high=1, window_s=60),
        "ewma": EwmaQc(centre=20, sigma=0.3, suspect_k=4, fail_k=6),
        "cusum": CusumQc(target=20, sigma=0.3, suspect_h=8, fail_h=12),
    }
)
WIDE = CORE.model_copy(
    update={"hampel": HampelQc(suspect_k=5, fail_k=8), "level_shift": LevelShiftQc(suspect=2, fail=4)}
)
INTERVAL_NS = 100_000_000
SEED = 20261122
SHAPES = {"stream": (10, 100_000, 10_000), "small_call": (1, 200_000, 10), "wide_call": (1000, 1000, 1)}
"""Name to channels, rows in all, rows in a call."""
CALLS = 100_000


def blocks(channels: int, rows: int, rows_each: int, interval_ns: int = INTERVAL_NS) -> list[Block]:
    """Make the rows of an instrument, cut into blocks."""
    layout = Layout(tuple(Channel(f"c{k}", unit="°C") for k in range(channels)))
    values = np.random.default_rng(SEED).normal(20, 0.3, (channels, rows)).round(1)
    times = np.arange(rows, dtype=np.int64) * interval_ns
    whole = Block(
        "bench", layout, times, times, times, times, np.zeros(values.shape, np.uint8), values,
        np.zeros((0, rows), np.int64), np.zeros((0, rows), np.uint64),
    )  # fmt: skip
    return [whole.rows(start, start + rows_each) for start in range(0, rows, rows_each)]


def engine(channels: int, rules: ChannelQc, interval_ns: int = INTERVAL_NS) -> QcEngine:
    """Make a warm engine with a rule set on every channel."""
    made = QcEngine({"bench": {f"c{k}": rules for k in range(channels)}}, {"bench": interval_ns / 1e9})
    made.warm()
    return made


def pass_s(pieces: Sequence[Block], rules: ChannelQc) -> float:
    """Time one pass of all blocks through a new engine, in seconds; the first block is not counted."""
    made, rows = engine(len(pieces[0].layout.channels), rules), len(pieces[0])
    made.process(pieces[0], 0)
    gc.collect()
    gc.disable()
    start_s = time.process_time()
    for k, piece in enumerate(pieces[1:], 1):
        made.process(piece, k * rows)
    elapsed_s = time.process_time() - start_s
    gc.enable()
    return elapsed_s


def speed(shape: str, rules: ChannelQc, repeats: int) -> dict[str, float]:
    """Measure one shape of calls: microseconds a call and readings a second."""
    channels, rows, rows_each = SHAPES[shape]
    pieces = blocks(channels, rows, rows_each)
    call_us = statistics.median(pass_s(pieces, rules) for _ in range(repeats)) / (len(pieces) - 1) * 1e6
    return {"us_per_call": call_us, "readings_per_s": channels * rows_each / call_us * 1e6}


def rule_ns(repeats: int) -> dict[str, float]:
    """Measure what each table of rules costs a reading by itself, in ns, the loop over the rows included."""
    names = [name for name in ChannelQc.model_fields if getattr(WIDE, name)]
    alone = {name: ChannelQc(**{name: getattr(WIDE, name)}) for name in names}
    return {name: 1e9 / speed("stream", rules, repeats)["readings_per_s"] for name, rules in alone.items()}


def stalls() -> dict[str, dict[str, float]]:
    """Time 10⁵ small calls one by one, and as many turns of an empty loop: what is not ours, both have."""
    pieces = blocks(1, CALLS * 10, 10)
    made = engine(1, CORE)

    def ours(k: int) -> object:
        return made.process(pieces[k], 10 * k)

    found = {}
    for name, work in (("calls", ours), ("empty_loop", int)):
        gc.collect()
        gc.disable()
        times_ns = np.empty(CALLS, dtype=np.int64)
        for k in range(CALLS):
            start_ns = time.perf_counter_ns()
            work(k)
            times_ns[k] = time.perf_counter_ns() - start_ns
        gc.enable()
        found[name] = {
            "over_1_ms": int((times_ns > 1_000_000).sum()),
            "longest_ms": float(times_ns.max()) / 1e6,
            "p99_us": float(np.percentile(times_ns, 99)) / 1e3,
        }
    return found


def memory_bytes(channels: int, rules: ChannelQc) -> int:
    """Tell the memory that an engine carries for an instrument."""
    made = engine(channels, rules)
    made.process(blocks(channels, 1, 1)[0], 0)
    return made.memory_bytes()


def state_bytes() -> dict[str, int]:
    """Tell the memory of a lone channel, and of each further one with the same rules."""
    without = CORE.model_copy(update={"flat_line": None, "noise": None})
    found = {}
    for name, qc in (("with_60_s_windows", CORE), ("without_windows", without)):
        found[name] = lone = memory_bytes(1, qc)
        found[f"{name}_further"] = (memory_bytes(101, qc) - lone) // 100
    return found


def start_s(repeats: int) -> dict[str, float]:
    """Time `warm` in a fresh process, with an empty cache of kernels and with a filled one, in seconds."""
    code = (
        "import time; start = time.perf_counter(); from pipeline.qc import QcEngine; "
        "QcEngine({}, {}).warm(); print(time.perf_counter() - start)"
    )
    cold: list[float] = []
    warm: list[float] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
            for times in (cold, warm):
                done = subprocess.run(
                    [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
                )
                times.append(float(done.stdout))
    return {"cold": statistics.median(cold), "warm": statistics.median(warm)}


def measure(repeats: int) -> dict[str, Any]:
    """Measure everything."""
    engine(1, CORE)
    return {
        "machine": describe_machine(),
        "repeats": repeats,
        "core": {shape: speed(shape, CORE, repeats) for shape in SHAPES},
        "wide": {shape: speed(shape, WIDE, repeats) for shape in SHAPES},
        "rule_ns": rule_ns(repeats),
        "stalls": stalls(),
        "state_bytes_per_channel": state_bytes(),
        "start_s": start_s(min(repeats, 3)),
    }


def _memory_rows(state: dict[str, int]) -> list[tuple[str, str]]:
    about = {
        "without_windows": "core set without windows",
        "with_60_s_windows": "two windows of 60 s at 10 Hz",
    }
    return [
        (
            f"memory of a channel, {what}",
            f"{state[name]} B alone on its instrument, {state[f'{name}_further']} B each further one",
        )
        for name, what in about.items()
    ]


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    core, wide, stalled = found["core"], found["wide"], found["stalls"]
    start = found["start_s"]
    rows = [
        (
            "core set, 10 channels × 10,000 rows a call",
            f"{core['stream']['readings_per_s'] / 1e6:.1f} M readings/s",
        ),
        ("with Hampel and level shift", f"{wide['stream']['readings_per_s'] / 1e6:.1f} M readings/s"),
        (
            "core set, 1 channel × 10 rows a call",
            f"{core['small_call']['us_per_call']:.1f} µs a call",
        ),
        ("core set, 1,000 channels × 1 row a call", f"{core['wide_call']['us_per_call']:.0f} µs a call"),
        *((f"{name} alone", f"{ns:.1f} ns a reading") for name, ns in found["rule_ns"].items()),
        *_memory_rows(found["state_bytes_per_channel"]),
        ("import and kernels, cold cache", f"{start['cold']:.1f} s"),
        ("import and kernels, warm cache", f"{start['warm']:.2f} s"),
    ]
    rows += [
        (
            f"{CALLS:,} small calls one by one, {what}",
            f"{one['over_1_ms']} over 1 ms, longest {one['longest_ms']:.2f} ms, p99 {one['p99_us']:.1f} µs",
        )
        for what, one in (("ours", stalled["calls"]), ("an empty loop", stalled["empty_loop"]))
    ]
    text = (
        f"One thread, CPU time, medians of {found['repeats']}; the core set on every channel (missing, "
        "range, rate, spike, flat line, gap, order, duplicate, repeated value, noise, EWMA, CUSUM), windows "
        "exact over "
        "60 s at 10 Hz, normal noise of 0.3 around 20, one decimal. What it means: with the core set on, a "
        "reading costs "
        f"{1e9 / core['stream']['readings_per_s']:.0f} ns in long blocks."
    )
    return section_text("QC rules on the stream", text, ("what", "measured"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each measurement (default 5)")
    options = parser.parse_args(arguments)
    found = measure(options.repeats)
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
