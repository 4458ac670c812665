"""Run the benchmarks and write benchmarks/RESULTS.md: `make bench`, `make bench ARGS="--only qc"`.

Each benchmark runs in a process of its own, one after the other, so that none disturbs another; those that
are cheap run five times, and each of their figures is the median. Figures are measured and written down,
never asserted. Only a whole run at full length writes RESULTS.md: its figures belong to one machine on one
day. `--only` and `--quick` print what they find and leave the file as it is. A whole run that was broken off
goes on with `--continue`; each section names the hour and the commit that it was measured at, and `--earlier`
leaves one as the file has it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.machine import describe_machine
from benchmarks.results import medians, table

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
UNFINISHED = ROOT / ".cache" / "benchmarks.json"
CONTINUE_S_MAX = 12 * 3600.0
"""How long what a broken-off run has measured may wait: the same machine, on one day."""
PACKAGES = ("numpy", "numba", "msgpack", "pymodbus", "aiomqtt", "orjson", "influxdb-client")
RUN_S_MAX = 3600.0


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module of this folder, with `--json` on its command line and a `results_section(found)`."""

    name: str
    about: str
    runs: int = 1
    """Processes whose figures' medians are taken; 1 where the module repeats by itself, or is not cheap."""
    quick: tuple[str, ...] = ()
    """Arguments for a look in passing."""


BENCHMARKS = (
    Benchmark("demo", "the demonstration for 30 s", quick=("--seconds", "8")),
    Benchmark("cold_start", "start to first durable row", quick=("--repeats", "1")),
    Benchmark("qc", "rules on the stream", quick=("--repeats", "1")),
    Benchmark("qc_snapshot", "state of the rules at 100,000 channels", quick=("--repeats", "1")),
    Benchmark("qc_peers", "rules beside their peers", quick=("--repeats", "1")),
    Benchmark("detection", "faults found by the rules", quick=("--series", "2")),
    Benchmark("control", "rules on control samples", quick=("--repeats", "1")),
    Benchmark("qc_files", "rules on a CSV file", quick=("--repeats", "1", "--rows", "100000")),
    Benchmark(
        "acquisition", "100,000 tags a second, and the driver alone",
        quick=("--short", "--warm-up", "3", "--window", "5"),
    ),
    Benchmark("elements", "elements of 50 running tasks", quick=("--seconds", "3")),
    Benchmark(
        "ledger",
        "a year of tasks, a large registry",
        quick=("--tasks", "2000", "--entries", "1000", "--repeats", "1"),
    ),
    Benchmark("lookback", "a look-back over a year of tasks", quick=("--tasks", "2000")),
    Benchmark("journal", "journal against SQLite", runs=5, quick=("--seconds", "0.5", "--segments", "200")),
    Benchmark("evidence", "making and checking an evidence file", quick=("--records", "5000")),
    Benchmark("drain", "a backlog through mosquitto into InfluxDB", quick=("--records", "5000")),
    Benchmark("outage", "a week without a broker, in virtual time", quick=("--days", "0.05")),
    Benchmark("soak", "what the long runs of `make soak` have left"),
    Benchmark("store", "encoding against influxdb-client, embedded store", runs=5),
)  # fmt: skip


class BenchmarkFailedError(Exception):
    """A benchmark did not end well, or printed something else than its figures."""


def say(text: str) -> None:
    """Tell how far we are, on standard error."""
    print(text, file=sys.stderr, flush=True)


def run_once(benchmark: Benchmark, *, quick: bool) -> dict[str, Any]:
    """Run a benchmark in a process of its own and return its figures.

    Raises:
        BenchmarkFailedError: it failed; what it had to say is on standard error already.
    """
    command = [sys.executable, "-m", f"benchmarks.{benchmark.name}", "--json"]
    command += benchmark.quick if quick else ()
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=RUN_S_MAX)
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise BenchmarkFailedError(f"{benchmark.name}: {error}") from error
    return found


def run(benchmark: Benchmark, place: str, *, quick: bool) -> dict[str, Any]:
    """Run a benchmark as often as it asks for: medians, number of runs, load of the machine at each start."""
    runs, measured = [], f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC{revision()}"
    for number in range(1 if quick else benchmark.runs):
        say(f"[{place}] {benchmark.name}: {benchmark.about}, run {number + 1}")
        began_s = time.monotonic()
        runs.append(run_once(benchmark, quick=quick))
        say(f"[{place}] {benchmark.name}: done in {time.monotonic() - began_s:.0f} s")
    loads = [float(found["machine"]["load_1_min"]) for found in runs]
    return {
        "found": medians(runs), "runs": len(runs), "load_1_min": [min(loads), max(loads)],
        "measured": measured,
    }  # fmt: skip


def unfinished() -> dict[str, dict[str, Any]]:
    """Read what a broken-off whole run of the last hours has measured; nothing where there was none."""
    if not UNFINISHED.exists() or time.time() - UNFINISHED.stat().st_mtime > CONTINUE_S_MAX:
        return {}
    outcomes: dict[str, dict[str, Any]] = json.loads(UNFINISHED.read_text(encoding="utf-8"))
    return outcomes


def keep_unfinished(outcomes: dict[str, dict[str, Any]]) -> None:
    """Keep what has been measured so far: the week without a broker alone takes a quarter of an hour."""
    UNFINISHED.parent.mkdir(exist_ok=True)
    UNFINISHED.write_text(json.dumps(outcomes), encoding="utf-8")


def section(benchmark: Benchmark, outcome: dict[str, Any]) -> str:
    """Write the section of a benchmark: its own text and table, and how to get it again."""
    module = importlib.import_module(f"benchmarks.{benchmark.name}")
    low, high = outcome["load_1_min"]
    load = f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
    runs = f"medians of {outcome['runs']} runs; " if outcome["runs"] > 1 else ""
    return (
        f"{module.results_section(outcome['found'])}\n\n"
        f'`make bench ARGS="--only {benchmark.name}"`; {runs}load of the machine before it: {load}; '
        f"{outcome['measured']}.\n"
    )


def earlier_section(name: str) -> str:
    """Return the section of a benchmark as RESULTS.md has it.

    Raises:
        SystemExit: it has none.
    """
    for text in RESULTS.read_text(encoding="utf-8").split("\n## ")[1:]:
        if f'--only {name}"`' in text:
            return f"## {text.rstrip()}\n"
    raise SystemExit(f"{RESULTS.name} has no section of {name}: leave --earlier {name} out")


def revision() -> str:
    """Name the commit that was measured, and whether files differ from it; empty outside a clone."""
    try:
        commit, changed = (
            subprocess.run(
                ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f", commit {commit}" + (" with changes on top" if changed else "")


def document(began: datetime, machine: dict[str, str | int], sections: Sequence[str]) -> str:
    """Write RESULTS.md."""
    rows = [(name.replace("_", " "), str(value)) for name, value in machine.items()]
    head = [
        "# Measured",
        "",
        "Written by `make bench`; not edited by hand. Everything below comes from one machine, and each",
        "section names its hour and commit: compare figures and peers within it, not with figures from",
        "elsewhere. A load above the number of cores says that others were at work on the machine, and that",
        "it can do better than this.",
        "",
        f"{began:%Y-%m-%d %H:%M} UTC{revision()}.",
        "",
        *table(("machine", ""), rows),
        "",
    ]
    return "\n".join([*head, "\n".join(sections)])


def memory_and_disk() -> dict[str, str | int]:
    """Name the machine's memory and the file system under the temporary folder, which syncs depend on."""
    folder = Path(tempfile.gettempdir()).resolve()
    mounts = {Path(disk.mountpoint): disk.fstype for disk in psutil.disk_partitions(all=True)}
    below = next(parent for parent in (folder, *folder.parents) if parent in mounts)
    return {
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "temporary files on": mounts[below],
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--only", action="append", choices=names, help="this one; may be given several times")
    parser.add_argument("--quick", action="store_true", help="short and once: does it run, is it grossly off")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument(
        "--continue", dest="go_on", action="store_true",
        help="a whole run that was broken off or failed in part: only what is missing; "
        "with --only: measured now, and kept for that run",
    )  # fmt: skip
    parser.add_argument(
        "--earlier", action="append", choices=names, default=[],
        help="in a whole run: leave this one's section as RESULTS.md has it; may be given several times",
    )  # fmt: skip
    return parser.parse_args(arguments)


def measure(
    wanted: Sequence[Benchmark], options: argparse.Namespace, outcomes: dict[str, dict[str, Any]],
    kept: dict[str, dict[str, Any]],
) -> list[str]:  # fmt: skip
    """Run what has no outcome yet and is not left as it was; the names of those that failed."""
    failures = []
    for number, benchmark in enumerate(wanted, start=1):
        if benchmark.name in outcomes or benchmark.name in options.earlier:
            continue
        try:
            outcomes[benchmark.name] = run(benchmark, f"{number}/{len(wanted)}", quick=options.quick)
        except BenchmarkFailedError as failure:
            say(str(failure))
            failures.append(benchmark.name)
        if options.go_on or not (options.only or options.quick):
            keep_unfinished(kept | outcomes)
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 when a benchmark failed, after the others were run."""
    options = parse(arguments)
    wanted = [benchmark for benchmark in BENCHMARKS if not options.only or benchmark.name in options.only]
    whole = not options.only and not options.quick
    began, machine = datetime.now(UTC), describe_machine(PACKAGES) | memory_and_disk()
    kept = unfinished() if options.go_on else {}
    outcomes = kept if whole else {}
    earlier = {name: earlier_section(name) for name in options.earlier}
    failures = measure(wanted, options, outcomes, kept)
    sections = [
        section(each, outcomes[each.name]) if each.name in outcomes else earlier[each.name]
        for each in wanted
        if each.name in outcomes or each.name in earlier
    ]
    if options.json:
        print(json.dumps({"began": began.isoformat(), "machine": machine, "benchmarks": outcomes}))
    else:
        print("\n".join(sections))
    if failures:
        again = '; what went well is kept: make bench ARGS="--continue"' if whole else ""
        say(f"failed: {', '.join(failures)}; RESULTS.md was left as it is{again}")
    elif whole:
        UNFINISHED.unlink()
        RESULTS.write_text(document(began, machine, sections), encoding="utf-8")
        say(f"written: {RESULTS.relative_to(ROOT)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
