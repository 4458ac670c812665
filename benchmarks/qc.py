"""Speed and memory of the rules on the stream: `python -m benchmarks.qc [--json] [--repeats N]`.

One thread, warm kernels, seeded noise (normal, sd 0.3 around 20, one decimal) without faults. The rule set is
all rules of the first release: missing, range, rate, spike, exact flat line over 60 s at 10 Hz, gap, order
and duplicate. Every figure is the median of the repeats.
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
from pipeline.records import Block, Channel, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES = ChannelQc(
    range=RangeQc(fail_low=0, suspect_low=5, suspect_high=35, fail_high=40),
    rate=RateQc(suspect=50, fail=100),
    spike=SpikeQc(suspect=10, fail=20),
    flat_line=FlatLineQc(tolerance=0.05, suspect_s=30, fail_s=60),
    gap=GapQc(interval_s=1.5),
)
INTERVAL_NS = 100_000_000
SEED = 20261122
SHAPES = {"stream": (10, 100_000, 10_000), "small_call": (1, 200_000, 10), "wide_call": (1000, 1000, 1)}
"""Name to channels, rows in all, rows in a call."""


def blocks(channels: int, rows: int, rows_each: int) -> list[Block]:
    """Make the rows of an instrument, 10 Hz, cut into blocks."""
    layout = Layout(tuple(Channel(f"c{k}", unit="°C") for k in range(channels)))
    values = np.random.default_rng(SEED).normal(20, 0.3, (channels, rows)).round(1)
    times = np.arange(rows, dtype=np.int64) * INTERVAL_NS
    whole = Block(
        "bench", layout, times, times, times, times, np.zeros(values.shape, np.uint8), values,
        np.zeros((0, rows), np.int64), np.zeros((0, rows), np.uint64),
    )  # fmt: skip
    return [whole.rows(start, start + rows_each) for start in range(0, rows, rows_each)]


def engine(channels: int) -> QcEngine:
    """Make a warm engine with the whole rule set on every channel."""
    made = QcEngine({"bench": {f"c{k}": RULES for k in range(channels)}}, {"bench": INTERVAL_NS / 1e9})
    made.warm()
    return made


def pass_s(pieces: Sequence[Block]) -> float:
    """Time one pass of all blocks through a new engine, in seconds; the first block is not counted."""
    made, n = engine(len(pieces[0].layout.channels)), 0
    made.process(pieces[0], n)
    gc.collect()
    gc.disable()
    start_s = time.perf_counter()
    for piece in pieces[1:]:
        n += len(piece)
        made.process(piece, n)
    elapsed_s = time.perf_counter() - start_s
    gc.enable()
    return elapsed_s


def speed(shape: str, repeats: int) -> dict[str, float]:
    """Measure one shape of calls: microseconds a call and million readings a second."""
    channels, rows, rows_each = SHAPES[shape]
    pieces = blocks(channels, rows, rows_each)
    call_us = statistics.median(pass_s(pieces) for _ in range(repeats)) / (len(pieces) - 1) * 1e6
    return {"us_per_call": call_us, "readings_per_s": channels * rows_each / call_us * 1e6}


def state_bytes() -> dict[str, int]:
    """Tell the memory that the engine carries for one channel."""
    with_window, without = RULES, RULES.model_copy(update={"flat_line": None})
    found = {}
    for name, qc in (("with_60_s_window", with_window), ("without_window", without)):
        made = QcEngine({"bench": {"c0": qc}}, {"bench": INTERVAL_NS / 1e9})
        made.warm()
        made.process(blocks(1, 1, 1)[0], 0)
        found[name] = made.memory_bytes()
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
    engine(1)
    return {
        "machine": describe_machine(),
        "repeats": repeats,
        **{shape: speed(shape, repeats) for shape in SHAPES},
        "state_bytes_per_channel": state_bytes(),
        "start_s": start_s(repeats),
    }


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    state, start = found["state_bytes_per_channel"], found["start_s"]
    rows = [
        ("10 channels × 10,000 rows a call", f"{found['stream']['readings_per_s'] / 1e6:.1f} M readings/s"),
        (
            "1 channel × 10 rows a call, all included",
            f"{found['small_call']['us_per_call']:.1f} µs a call",
        ),
        ("1,000 channels × 1 row a call", f"{found['wide_call']['us_per_call']:.0f} µs a call"),
        ("memory of a channel, without windows", f"{state['without_window']} B"),
        ("memory of a channel, flat line over 60 s at 10 Hz", f"{state['with_60_s_window']} B"),
        ("import and kernels, cold cache", f"{start['cold']:.1f} s"),
        ("import and kernels, warm cache", f"{start['warm']:.2f} s"),
    ]
    text = (
        f"One thread, medians of {found['repeats']}; all eight rules on every channel, flat line exact over "
        "60 s at 10 Hz, normal noise of 0.3 around 20, one decimal. "
        "What it means: with all rules on, a reading costs "
        f"{1e9 / found['stream']['readings_per_s']:.0f} ns in long blocks; a call with ten rows, as a live "
        f"instrument makes it, costs {found['small_call']['us_per_call']:.0f} µs."
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
