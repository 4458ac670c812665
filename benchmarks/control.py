"""Speed of the control rules: `python -m benchmarks.control [--json] [--repeats N]`.

One thread, warm kernel. Two materials in runs of four observations, seeded normal noise around the centre
lines. "Westgard" is the default procedure (1-2s warns; 1-3s, 2-2s, R-4s, 4-1s, 10x reject); "all" is every
rule of the table in every scope that makes sense. Every figure is the median of the repeats.
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
from pipeline.qc.control import ChartId, ControlMonitor, MultiruleQc, assign
from pipeline.qc.control.table import RULES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Columns = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]

SEED = 20261122
OBSERVATIONS = 1_000_000
LATE = 10_000
"""Observations that are timed with nothing, and with `OBSERVATIONS`, behind them."""
CALLS = 20_000
LEVELS = ((200.0, 4.0), (250.0, 5.0))
RUN_LENGTH = 4

WESTGARD = MultiruleQc()
ALL = MultiruleQc(
    warn=(),
    reject=tuple(rule.name for rule in RULES[1:]),
    scopes={rule.name: rule.scopes for rule in RULES[1:]},
)


def monitor(settings: MultiruleQc) -> ControlMonitor:
    """Make a monitor of two approved charts."""
    charts = []
    for position, (centre, sd) in enumerate(LEVELS):
        about = ChartId("glucose", "serum", str(position))
        chart = assign(about, "lot-1", "mg/dL", centre, sd, proposed_by="bench", reason="bench")
        charts.append(chart.approve("bench", 0, "bench"))
    return ControlMonitor(charts, settings)


def observations(count: int) -> Columns:
    """Return values, charts and runs of `count` observations."""
    positions = np.arange(count, dtype=np.int64)
    charts = positions % len(LEVELS)
    centre, sd = np.array(LEVELS)[charts].T
    return centre + sd * np.random.default_rng(SEED).normal(size=count), charts, positions // RUN_LENGTH


def timed_s(at: ControlMonitor, columns: Columns) -> float:
    """Time one call, in seconds."""
    gc.collect()
    gc.disable()
    start_s = time.perf_counter()
    at.judge(*columns)
    elapsed_s = time.perf_counter() - start_s
    gc.enable()
    return elapsed_s


def per_second(settings: MultiruleQc, repeats: int) -> float:
    """Measure observations a second of one long call."""
    columns = observations(OBSERVATIONS)
    return OBSERVATIONS / statistics.median(timed_s(monitor(settings), columns) for _ in range(repeats))


def by_history(repeats: int) -> dict[str, float]:
    """Measure ns an observation with an empty history and with a long one behind it; all rules."""
    early, late = [], []
    columns = observations(LATE)
    long = observations(OBSERVATIONS)
    for _ in range(repeats):
        at = monitor(ALL)
        early.append(timed_s(at, columns))
        at.judge(*long)
        late.append(timed_s(at, columns))
    return {
        "empty_ns": statistics.median(early) / LATE * 1e9,
        "long_ns": statistics.median(late) / LATE * 1e9,
    }


def call_us(repeats: int) -> float:
    """Measure a call with one observation, in microseconds, all included; all rules."""
    values, charts, runs = observations(CALLS)
    pieces = [(values[k : k + 1], charts[k : k + 1], runs[k : k + 1]) for k in range(CALLS)]
    found = []
    for _ in range(repeats):
        at = monitor(ALL)
        start_s = time.perf_counter()
        for piece in pieces:
            at.judge(*piece)
        found.append((time.perf_counter() - start_s) / CALLS * 1e6)
    return statistics.median(found)


def start_s(repeats: int) -> dict[str, float]:
    """Time the kernel in a fresh process, with an empty cache and with a filled one, in seconds."""
    code = (
        "import time; from pipeline.qc.control.kernel import compiled_judge; start = time.perf_counter(); "
        "compiled_judge(); print(time.perf_counter() - start)"
    )
    times: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
            for found in times.values():
                done = subprocess.run(
                    [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
                )
                found.append(float(done.stdout))
    return {name: statistics.median(found) for name, found in times.items()}


def measure(repeats: int) -> dict[str, Any]:
    """Measure everything."""
    monitor(ALL).judge(*observations(1))
    return {
        "machine": describe_machine(),
        "repeats": repeats,
        "westgard_per_s": per_second(WESTGARD, repeats),
        "all_per_s": per_second(ALL, repeats),
        "by_history": by_history(repeats),
        "one_observation_us": call_us(repeats),
        "start_s": start_s(repeats),
    }


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    history, start = found["by_history"], found["start_s"]
    rows = [
        ("Westgard's procedure, one long call", f"{found['westgard_per_s'] / 1e6:.1f} M observations/s"),
        ("all 25 rules in all scopes, one long call", f"{found['all_per_s'] / 1e6:.1f} M observations/s"),
        (f"an observation among the first {LATE:,}", f"{history['empty_ns']:.0f} ns"),
        (f"an observation after {OBSERVATIONS:,} others", f"{history['long_ns']:.0f} ns"),
        ("a call with one observation, all included", f"{found['one_observation_us']:.1f} µs"),
        ("kernel, cold cache", f"{start['cold']:.1f} s"),
        ("kernel, warm cache", f"{start['warm']:.3f} s"),
    ]
    text = (
        f"One thread, medians of {found['repeats']}; two materials, runs of {RUN_LENGTH}, normal noise. "
        "What it means: an observation costs the same whatever came before it."
    )
    return section_text("Control rules", text, ("what", "measured"), rows)


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
