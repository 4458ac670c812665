"""Beside the peers: `python -m benchmarks.qc_peers [--json] [--repeats N] [--peers PYTHON]`.

Ours in this process and theirs in one of their own, on the same data, CPU time of the process on both sides:
the four tests of ioos_qc with their aggregation (10⁶ readings at 1 Hz, flat line over 30 and 60 s, normal
noise of 0.3 around 20 with one decimal); ten Westgard rules of westgard-python over its bounded history; the
eight Nelson rules of shewhart. The peers' environment is made by scripts/bench-peers where none is named;
without it the section says why nothing was measured. Figures are medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.qc import FOUR, blocks, engine
from benchmarks.results import section_text, show
from pipeline.qc.control import ChartId, ControlMonitor, MultiruleQc, assign

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".cache" / "peers"
ROWS = 1_000_000
OBSERVATIONS = 1_000_000
OBSERVATIONS_PEER = 5_000
"""What the peers are given of them: they take up to a millisecond for each."""
SEED = 20261122
MAKE_S_MAX = 600.0
WESTGARD = ("1-2s", "1-3s", "2-2s", "2of3-2s", "3-1s", "4-1s", "6x", "8x", "10x", "7T")
NELSON = tuple(f"nelson-{k}" for k in range(1, 9))


def find_peers() -> tuple[str | None, str]:
    """Return an interpreter that has the peers, or None and why there is none."""
    try:
        subprocess.run(
            [ROOT / "scripts" / "bench-peers", PEERS], check=True, timeout=MAKE_S_MAX, stdout=sys.stderr
        )
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"scripts/bench-peers did not make their environment: {error}"
    return str(PEERS / "bin" / "python"), ""


def cpu_s(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time of some work, seconds."""
    found = []
    for _ in range(repeats):
        start_s = time.process_time()
        work()
        found.append(time.process_time() - start_s)
    return statistics.median(found)


def run_peer(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of this folder with the peers' interpreter; what it prints."""
    command = [python, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def beside_ioos(python: str, folder: Path, repeats: int) -> dict[str, float]:
    """Compare the four tests; ours in calls of 10,000 readings, as a stream, state carried on."""
    (block,) = blocks(1, ROWS, ROWS, 10**9)
    pieces = [block.rows(k, k + 10_000) for k in range(0, ROWS, 10_000)]
    np.save(folder / "values.npy", block.f8[0])
    np.save(folder / "times.npy", block.t_run_ns // 10**9)
    theirs = run_peer(
        python, "qc_ioos.py", str(folder / "values.npy"), str(folder / "times.npy"), str(repeats)
    )

    def ours() -> None:
        made = engine(1, FOUR, 10**9)
        for k, piece in enumerate(pieces):
            made.process(piece, k * len(piece))

    ours()
    return _compared(ROWS / cpu_s(ours, max(repeats, 5)), ROWS / theirs["seconds"], theirs["not_passed"])


def _compared(ours_per_s: float, theirs_per_s: float, fired: float) -> dict[str, float]:
    return {
        "ours_per_s": ours_per_s, "theirs_per_s": theirs_per_s, "ratio": ours_per_s / theirs_per_s,
        "theirs_fired": fired,
    }  # fmt: skip


def beside_multirules(python: str, folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Compare Westgard's rules within one material, and Nelson's."""
    values = np.random.default_rng(SEED).normal(size=OBSERVATIONS).round(1)
    np.save(folder / "observations.npy", values[:OBSERVATIONS_PEER])
    theirs = run_peer(python, "control_peers.py", str(folder / "observations.npy"), str(repeats))
    chart = assign(ChartId("q", "m", "1"), "lot", "u", 0.0, 1.0, proposed_by="bench", reason="bench")
    charts, runs = np.zeros(OBSERVATIONS, dtype=np.int64), np.arange(OBSERVATIONS, dtype=np.int64)
    found = {}
    for name, rules in (("westgard", WESTGARD), ("shewhart", NELSON)):
        settings = MultiruleQc(warn=(), reject=rules, scopes=dict.fromkeys(rules, ("within-material",)))
        monitor = ControlMonitor([chart.approve("bench", 0, "bench")], settings)
        ours_s = cpu_s(lambda at=monitor: at.judge(values, charts, runs), max(repeats, 5))  # type: ignore[misc]
        found[name] = _compared(OBSERVATIONS / ours_s, theirs[name]["per_s"], theirs[name]["fired"])
    return found


def measure(repeats: int, python: str | None) -> dict[str, Any]:
    """Measure everything that can be measured here."""
    about: dict[str, Any] = {"machine": describe_machine(), "repeats": repeats, "missing": "", "beside": {}}
    if python is None:
        python, about["missing"] = find_peers()
    if python is not None:
        with tempfile.TemporaryDirectory() as folder:
            about["beside"] = {
                "ioos_qc": beside_ioos(python, Path(folder), repeats),
                **beside_multirules(python, Path(folder), repeats),
            }
    return about


ABOUT = {
    "ioos_qc": "ioos_qc: range, spike, rate, flat line, aggregated",
    "westgard": "westgard-python: ten rules, bounded history",
    "shewhart": "shewhart: eight Nelson rules",
}


def results_section(found: dict[str, Any]) -> str:
    """Write the section of RESULTS.md."""
    rows = [(name, "not measured", "", "") for name in ABOUT.values()]
    text = f"not measured: {found['missing']}." if found["missing"] else ""
    if found["beside"]:
        rows = [
            (
                ABOUT[name],
                f"{one['ours_per_s'] / 1e6:.1f} M",
                f"{one['theirs_per_s']:,.0f}",
                f"{one['ratio']:,.0f}",
            )
            for name, one in found["beside"].items()
        ]
        text = (
            f"One thread, CPU time, medians of {found['repeats']} or more; 10⁶ readings at 1 Hz in blocks of "
            "10,000 (flat line over 30 and 60 s, normal noise of 0.3 around 20, one decimal) and 10⁶ control "
            f"observations, of which the peers of the control rules got the first {OBSERVATIONS_PEER:,}. "
            "What it means: on the same data the stream costs "
            f"{found['beside']['ioos_qc']['ratio']:.0f} times less here than with ioos_qc."
        )
    return section_text(
        "Beside the peers", text, ("peer", "Yaosu, a second", "peer, a second", "ratio"), rows
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each measurement (default 5)")
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter of an environment that has the peers")
    options = parser.parse_args(arguments)
    show(measure(options.repeats, options.peers), results_section, as_json=options.json)


if __name__ == "__main__":
    main()
