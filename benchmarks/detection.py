"""Detection quality: `python -m benchmarks.detection [--json] [--series N]`.

Clean series of a chamber temperature (slow oscillation of 0.5 around 20 over ten minutes, first-order noise
of 0.05, two decimals, 1 Hz, one hour) are spoilt by the fault models of the simulators, one fault of random
size, place and length in each; every rule judges them with one set of limits. A fault is found by a rule that
flags at least one of its readings (or one of the `TAIL_S` after it); precision is the share of a rule's
flagged readings that lie there. All is seeded, so that a change which makes detection worse is seen.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.results import section_text
from pipeline.qc import RULES, ChannelQc, evaluate
from pipeline.records import Flag, Status
from simulators.fault_board import FaultBoard
from simulators.faults import parse_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.qc import Evaluation
    from simulators.faults import PhysicsFault, WireFault

SEED = 20261122
SECONDS = 3600
ANY = "any rule"
TAIL_S = 60
"""Rules with windows may still fire so long after a fault has ended."""
NOISE, SWING, PERIOD_S = 0.05, 0.5, 600.0
QC = ChannelQc.model_validate({
    "range": {"suspect_low": 19.0, "suspect_high": 21.0, "fail_low": 15.0, "fail_high": 25.0},
    "rate": {"suspect": 0.4}, "spike": {"suspect": 0.3, "method": "differential"},
    "flat_line": {"tolerance": 0.0, "suspect_s": 8.0}, "repeated": {"suspect_n": 8},
    "noise": {"suspect_low": 0.01, "suspect_high": 0.25, "window_s": 30.0},
    "rate_dev": {"suspect": 6.0, "window_s": 60.0}, "hampel": {"suspect_k": 8.0, "readings": 15},
    "level_shift": {"suspect": 0.4, "readings": 15}, "gap": {"interval_s": 1.5},
    "ewma": {"centre": 20.0, "sigma": 0.4, "weight": 0.05, "suspect_k": 9.0},
    "cusum": {"target": 20.0, "sigma": 0.4, "k": 1.5, "suspect_h": 20.0},
    "page_hinkley": {"delta": 0.8, "suspect": 30.0}, "completeness": {"suspect": 0.95, "window_s": 60.0},
    "identical": {"suspect_n": 40},
})  # fmt: skip
"""One set of limits for all faults, chosen so that clean series stay clean."""
FAULTS: dict[str, dict[str, tuple[float, float]]] = {
    "spike": {"magnitude": (0.5, 3.0)},
    "offset": {"step": (0.4, 2.0)},
    "drift": {"rate_per_s": (0.002, 0.01)},
    "stuck": {},
    "noise": {"sigma": (0.2, 1.0)},
    "excursion": {"peak": (1.0, 4.0)},
    "dropout": {},
    "no_answer": {},
}
"""Kind to its parameters and the ranges that their sizes are drawn from."""


def clean(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a series without a fault, before rounding."""
    noise, phase = np.empty(SECONDS), rng.uniform(0, 2 * math.pi)
    steps = rng.normal(0, NOISE, SECONDS)
    noise[0] = steps[0]
    for k in range(1, SECONDS):
        noise[k] = 0.3 * noise[k - 1] + steps[k]
    swing = SWING * np.sin(2 * math.pi * np.arange(SECONDS) / PERIOD_S + phase)
    found: NDArray[np.float64] = 20 + swing + noise
    return found


def make_fault(kind: str, rng: np.random.Generator) -> PhysicsFault | WireFault:
    """Draw a fault of a kind: where, how long, how large."""
    begin = int(rng.integers(600, SECONDS - 900))
    length = 1 if kind == "spike" else int(rng.integers(60, 300))
    sizes = {name: float(rng.uniform(*bounds)) for name, bounds in FAULTS[kind].items()}
    window = {"from_s": float(begin), "to_s": float(begin + length)}
    return parse_fault(kind, "bench", {**window, **sizes})


def spoil(
    values: NDArray[np.float64], fault: PhysicsFault | WireFault, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.bool_]]:
    """Return what would be read, its status, and which readings the fault hit."""
    board = FaultBoard("bench", ("temperature",), seed)
    board.schedule([fault])
    read, status = np.empty(SECONDS), np.zeros(SECONDS, dtype=np.uint8)
    hit = np.zeros(SECONDS, dtype=np.bool_)
    for k in range(SECONDS):
        t_ns = k * 10**9
        effects = board.effects(t_ns, ("temperature",))
        found = effects.apply("temperature", t_ns, lambda at: float(values[min(at // 10**9, SECONDS - 1)]))
        board.count_reading(effects, ("temperature",))
        silent = board.wire_fault(t_ns) is not None
        hit[k] = effects.name() is not None or silent
        if found is None or silent:
            status[k] = Status.NO_ANSWER if silent else Status.UNAVAILABLE
        read[k] = math.nan if status[k] else round(found or 0.0, 2)
    return read, status, hit


def tally(counts: dict[str, list[int]], judged: Evaluation, hit: NDArray[np.bool_]) -> None:
    """Add one series to the counts of each rule: found, readings flagged in the fault, readings flagged."""
    around = np.convolve(hit, np.ones(TAIL_S + 1), "full")[:SECONDS] > 0
    around[:-1] |= hit[1:]  # a level shift or a spike may be told of the reading before
    flagged = {rule.name: (judged.reason >> rule.bit & 1).astype(np.bool_) for rule in RULES}
    flagged[ANY] = np.isin(judged.flag, (Flag.SUSPECT, Flag.FAIL, Flag.MISSING))
    for name, fired in flagged.items():
        counts[name][0] += bool((fired & around).any())
        counts[name][1] += int((fired & around).sum())
        counts[name][2] += int(fired.sum())


def measure(series: int) -> dict[str, Any]:
    """Judge so many series of each fault, and as many clean ones."""
    found = {kind: {name: [0, 0, 0] for name in (ANY, *(rule.name for rule in RULES))} for kind in FAULTS}
    false_alarms = dict.fromkeys((rule.name for rule in RULES), 0)
    times = np.arange(SECONDS, dtype=np.int64) * 10**9
    for number in range(series):
        judged = evaluate(times, clean(np.random.default_rng([SEED, number])).round(2), QC, interval_s=1.0)
        for rule in RULES:
            false_alarms[rule.name] += int((judged.reason >> rule.bit & 1).sum())
        for place, kind in enumerate(FAULTS):
            rng = np.random.default_rng([SEED, number, place])
            read, status, hit = spoil(clean(rng), make_fault(kind, rng), SEED + number)
            tally(found[kind], evaluate(times, read, QC, status, interval_s=1.0), hit)
    return {
        "series": series,
        "machine": describe_machine(),
        "false_alarms": {name: count for name, count in false_alarms.items() if count},
        "found": {
            kind: {
                rule: {"recall": hits / series, "precision": inside / fired, "fired": fired}
                for rule, (hits, inside, fired) in rules.items()
                if fired
            }
            for kind, rules in found.items()
        },
    }


def results_section(found: dict[str, Any]) -> str:
    """Write the section of RESULTS.md."""
    rows = []
    for kind, rules in found["found"].items():
        ordered = sorted(rules.items(), key=lambda pair: (pair[0] != ANY, -pair[1]["recall"]))
        rows += [
            (
                kind,
                rule,
                f"{100 * one['recall']:.0f} %",
                f"{100 * one['precision']:.1f} %",
                f"{one['fired']:.0f}",
            )
            for rule, one in ordered
            if rule == ANY or one["recall"] >= 0.05
        ]
    alarms = ", ".join(f"{name} {count}" for name, count in found["false_alarms"].items()) or "none"
    hours = found["series"]
    text = (
        f"{hours} series of one hour at 1 Hz for each fault, seed {SEED}: a chamber temperature that swings "
        f"by {SWING} with noise of {NOISE}, spoilt by one fault of the simulators' models, of random size "
        "and place; one set of limits for all. Recall: share of the faults that the rule told; precision: "
        f"share of its flagged readings that lie in the fault or {TAIL_S} s behind it. Flagged in {hours} "
        f"clean hours: {alarms}. Rules that told less than 5 % of a fault are left out."
    )
    return section_text("Detection", text, ("fault", "rule", "recall", "precision", "readings flagged"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--series", type=int, default=40, help="series of each fault (default 40)")
    options = parser.parse_args(arguments)
    found = measure(options.series)
    print(json.dumps(found) if options.json else results_section(found))


if __name__ == "__main__":
    main()
