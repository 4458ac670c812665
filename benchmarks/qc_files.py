"""Rules on files: `python -m benchmarks.qc_files [--json] [--rows N] [--repeats N]`.

A CSV file of seeded noise around 20 at 10 Hz (ISO 8601 time stamps with milliseconds, three decimals) is
read, judged by five tables of rules and written again with flags; `yaosu qc run` is timed as a whole process.
The flags are compared with those of the streaming engine fed with the same readings in blocks of 1,000. Every
figure is the median of the repeats.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from pipeline.qc import ChannelQc, QcEngine
from pipeline.qc.files import Wanted, judge, load_rules, read_readings, write_flagged
from pipeline.qc.files.evaluation import Evaluation, fold
from pipeline.records import Block, Channel, Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SEED = 20261122
INTERVAL_MS = 100
BLOCK_ROWS = 1000
PACKAGES = ("numpy", "numba")
RULES = """\
[channel.temperature.range]
fail_low = 0.0
suspect_low = 18.9
suspect_high = 21.1
fail_high = 40.0
[channel.temperature.rate]
suspect = 16.0
fail = 100.0
[channel.temperature.spike]
suspect = 1.3
fail = 20.0
[channel.temperature.flat_line]
tolerance = 0.05
suspect_s = 30.0
fail_s = 60.0
[channel.temperature.gap]
interval_s = 1.5
"""


def write_data(path: Path, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Write the file and return its times (ns) and values."""
    values = np.random.default_rng(SEED).normal(20, 0.3, rows).round(3)
    times = np.datetime64("2026-03-01T00:00:00.000", "ms") + np.arange(rows) * INTERVAL_MS
    stamps = np.datetime_as_string(times, unit="ms").tolist()
    with path.open("w", encoding="utf-8") as out:
        out.write("time,temperature\n")
        out.writelines(f"{stamp}Z,{value}\n" for stamp, value in zip(stamps, values.tolist(), strict=True))
    return times.astype("datetime64[ns]").astype(np.int64), values


def streamed_flags(times: NDArray[np.int64], values: NDArray[np.float64], qc: ChannelQc) -> NDArray[np.uint8]:
    """Return the final flags of the streaming engine, block by block."""
    layout = Layout((Channel("temperature"),))
    engine = QcEngine({"file": {"temperature": qc}}, {"file": INTERVAL_MS / 1000})
    engine.warm()
    shape = (1, len(values))
    found = Evaluation(np.empty(shape, np.uint8), np.empty(shape, np.int64), np.empty(shape, np.int64), None)
    none = np.zeros((0, len(values)), np.int64)
    whole = Block(
        "file", layout, times, times, times, times, np.zeros(shape, np.uint8), values.reshape(shape),
        none, none.astype(np.uint64),
    )  # fmt: skip
    for start in range(0, len(values), BLOCK_ROWS):
        cut = slice(start, start + BLOCK_ROWS)
        result = engine.process(whole.rows(cut.start, cut.stop), start)
        found.flag[:, cut], found.reason[:, cut] = result.flag, result.reason
        found.unevaluated[:, cut] = result.unevaluated
        fold(found, result.decisions, layout)
    fold(found, engine.flush("file"), layout)
    return found.flag


def seconds(work: Callable[[], Any]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run_command(data: Path, rules: Path) -> None:
    """Run `yaosu qc run`; it ends with 1, as the noise has its outliers."""
    command = [sys.executable, "-c", "from gateway.cli.main import main; main()"]
    done = subprocess.run(
        [*command, "qc", "run", str(data), "--rules", str(rules), "--json"],
        check=False, capture_output=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 1, done.stderr


def measure(rows: int, repeats: int) -> dict[str, Any]:
    """Measure each step and the whole."""
    with tempfile.TemporaryDirectory() as folder:
        data, rules, out = (Path(folder) / name for name in ("data.csv", "rules.toml", "out.csv"))
        times, values = write_data(data, rows)
        rules.write_text(RULES, encoding="utf-8")
        channels = load_rules(rules).value.channel
        wanted = Wanted(("temperature",))
        readings = read_readings(data, wanted)
        judged = judge(readings, channels)
        assert np.array_equal(judged.flag, streamed_flags(times, values, channels["temperature"]))
        run_command(data, rules)  # fills the compile cache
        steps: dict[str, Callable[[], Any]] = {
            "read_s": lambda: read_readings(data, wanted),
            "judge_s": lambda: judge(readings, channels),
            "write_s": lambda: write_flagged(out, readings, judged, "utf-8"),
            "command_s": lambda: run_command(data, rules),
        }
        times_s = {name: [seconds(work) for _ in range(repeats)] for name, work in steps.items()}
        return {
            "rows": rows,
            "file_mb": data.stat().st_size / 1e6,
            "flagged": int((judged.flag != 1).sum()),
            "equal_to_stream": True,
            **{name: statistics.median(found) for name, found in times_s.items()},
        }


def results_section(found: dict[str, Any]) -> str:
    """Write the section of RESULTS.md."""
    rows, lines = found["rows"], []
    for name in ("read", "judge", "write", "command"):
        taken_s = found[f"{name}_s"]
        lines.append((name, f"{taken_s:.2f} s", f"{rows / taken_s / 1e6:.2f} M"))
    return section_text(
        "Rules on a file",
        f"{rows:,} rows of one channel, {found['file_mb']:.0f} MB of CSV with ISO 8601 time stamps; five "
        "tables of rules, each also by itself for the summary. "
        f"{found['flagged']:,} readings are flagged, the same bit for bit as by the streaming engine in "
        "blocks of 1,000. The command is `yaosu qc run --json` from start to end of the process, its compile "
        "cache warm.",
        ("step", "time", "rows/s"),
        lines,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = {**measure(options.rows, options.repeats), "machine": describe_machine(PACKAGES)}
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
