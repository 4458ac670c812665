"""Detection quality: `python -m benchmarks.detection [--json] [--series N]`.

Clean series of a chamber temperature (slow oscillation of 0.5 around 20 over ten minutes, first-order noise
of 0.05, two decimals, 1 Hz, one hour, a reference sensor beside it and the set-point that it follows) are
spoilt by the fault models of the simulators and by faults of the record, one of random size, place and length
in each; every rule judges them with one set of limits, set on clean series of other seeds. A fault is found
by a rule that flags at least one of its readings (or one of the `TAIL_S` after it); precision is the share of
a rule's flagged readings that lie there. All is seeded, so that a change which makes detection worse is seen.
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.results import section_text
from pipeline.qc import RULES, ChannelQc, Evaluation, QcEngine
from pipeline.qc.files.evaluation import fold
from pipeline.records import Block, Channel, Flag, Layout, Status
from simulators.fault_board import FaultBoard
from simulators.faults import parse_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulators.faults import PhysicsFault, WireFault

SEED = 20261122
SECONDS = 3600
ANY = "any rule"
TAIL_S = 60
"""Rules with windows may still fire so long after a fault has ended."""
NOISE, SWING, PERIOD_S = 0.05, 0.5, 600.0
PARTNER_NOISE = 0.02
FIXED: dict[str, dict[str, Any]] = {
    "flat_line": {"tolerance": 0.0, "suspect_s": 8.0}, "repeated": {"suspect_n": 8},
    "gap": {"interval_s": 1.5}, "completeness": {"suspect": 0.95, "window_s": 60.0},
    "identical": {"suspect_n": 40}, "unit_change": {}, "late": {"suspect_s": 2.0},
}  # fmt: skip
"""Rules whose limits follow from the cadence and the number of digits."""
CALIBRATED: dict[str, tuple[str, dict[str, Any]]] = {
    "range": ("suspect_high", {}),
    "rate": ("suspect", {}),
    "spike": ("suspect", {"method": "differential"}),
    "noise": ("suspect_high", {"window_s": 30.0}),
    "rate_dev": ("suspect", {"window_s": 60.0}),
    "hampel": ("suspect_k", {"readings": 15}),
    "level_shift": ("suspect", {"readings": 15}),
    "ewma": ("suspect_k", {"centre": 20.0, "sigma": 0.4, "weight": 0.05}),
    "cusum": ("suspect_h", {"target": 20.0, "sigma": 0.4, "k": 1.5}),
    "page_hinkley": ("suspect", {"delta": 0.8}),
    "schedule": ("suspect", {"setpoint": "setpoint", "late_s": 5.0}),
    "redundancy": ("suspect", {"partner": "reference"}),
}
"""Table to the limit that is set on the calibration series, and the settings that are given."""
MARGIN = 1.25
"""A limit is so many times the smallest one that is silent on the calibration series."""
LIMIT_MAX, LIMIT_STEPS = 1000.0, 40
CALIBRATION_HOURS = 10
FAULTS: dict[str, dict[str, tuple[float, float]]] = {
    "spike": {"magnitude": (0.5, 3.0)},
    "offset": {"step": (0.4, 2.0)},
    "drift": {"rate_per_s": (0.002, 0.01)},
    "stuck": {},
    "noise": {"sigma": (0.2, 1.0)},
    "excursion": {"peak": (1.0, 4.0)},
    "dropout": {},
    "no_answer": {},
    "replay": {},
    "late": {"age_s": (3.0, 20.0)},
    "unit_change": {},
}
"""Kind to its parameters and the ranges that their sizes are drawn from."""
OWN = {"replay", "late", "unit_change"}
"""Faults of the record rather than of an instrument: a stretch copied from before, rows that arrive late, an
instrument that was switched to °F."""
LAYOUT = Layout((Channel("temperature", unit="°C", decimals=2), Channel("reference", unit="°C", decimals=2),
                 Channel("setpoint", unit="°C", decimals=2)))  # fmt: skip
FAHRENHEIT = Layout((Channel("temperature", unit="°F", decimals=2), *LAYOUT.channels[1:]))


class Hour(NamedTuple):
    """One hour of readings, 1 Hz, as they would be judged."""

    values: NDArray[np.float64]
    """float64[3, n]: what the sensor, the reference beside it and the set-point read, before rounding."""
    status: NDArray[np.uint8]
    """uint8[n], of the sensor."""
    hit: NDArray[np.bool_]
    """bool[n]: readings that the fault hit."""
    age_ns: NDArray[np.int64]
    """int64[n], ns: how old a row was when it arrived."""
    changed: tuple[int, int] | None = None
    """Rows from which and to which the sensor told another unit."""


def clean(rng: np.random.Generator) -> Hour:
    """Return an hour without a fault."""
    noise, phase = np.empty(SECONDS), rng.uniform(0, 2 * math.pi)
    steps = rng.normal(0, NOISE, SECONDS)
    noise[0] = steps[0]
    for k in range(1, SECONDS):
        noise[k] = 0.3 * noise[k - 1] + steps[k]
    setpoint = 20 + SWING * np.sin(2 * math.pi * np.arange(SECONDS) / PERIOD_S + phase)
    beside = setpoint + rng.normal(0, PARTNER_NOISE, SECONDS)
    nothing = np.zeros(SECONDS, dtype=np.int64)
    return Hour(
        np.array([setpoint + noise, beside, setpoint]),
        nothing.astype(np.uint8),
        nothing.astype(np.bool_),
        nothing,
    )


def make_fault(kind: str, rng: np.random.Generator) -> PhysicsFault | WireFault:
    """Draw a fault of a kind: where, how long, how large."""
    begin = int(rng.integers(600, SECONDS - 900))
    length = 1 if kind == "spike" else int(rng.integers(60, 300))
    sizes = {name: float(rng.uniform(*bounds)) for name, bounds in FAULTS[kind].items()}
    window = {"from_s": float(begin), "to_s": float(begin + length)}
    return parse_fault(kind, "bench", {**window, **sizes})


def spoil(hour: Hour, fault: PhysicsFault | WireFault, seed: int) -> Hour:
    """Return what would be read of an hour with a fault of the simulators."""
    board = FaultBoard("bench", ("temperature",), seed)
    board.schedule([fault])
    values = hour.values.copy()
    status, hit = hour.status.copy(), hour.hit.copy()
    for k in range(SECONDS):
        t_ns = k * 10**9
        effects = board.effects(t_ns, ("temperature",))
        found = effects.apply(
            "temperature", t_ns, lambda at: float(hour.values[0, min(at // 10**9, SECONDS - 1)])
        )
        board.count_reading(effects, ("temperature",))
        silent = board.wire_fault(t_ns) is not None
        hit[k] = effects.name() is not None or silent
        if found is None or silent:
            status[k] = Status.NO_ANSWER if silent else Status.UNAVAILABLE
        values[0, k] = math.nan if status[k] else found or 0.0
    return hour._replace(values=values, status=status, hit=hit)


def tamper(hour: Hour, kind: str, rng: np.random.Generator) -> Hour:
    """Return an hour whose record is at fault."""
    begin, length = int(rng.integers(600, SECONDS - 900)), int(rng.integers(60, 300))
    rows = slice(begin, begin + length)
    values, age_ns, hit = hour.values.copy(), hour.age_ns.copy(), hour.hit.copy()
    hit[rows] = True
    if kind == "late":
        age_ns[rows] = int(rng.uniform(*FAULTS["late"]["age_s"]) * 1e9)
    elif kind == "replay":
        ago = int(rng.integers(length, begin))
        values[:, rows] = values[:, begin - ago : begin - ago + length]
    else:
        values[0, rows] = values[0, rows] * 1.8 + 32
    changed = (begin, begin + length) if kind == "unit_change" else None
    return hour._replace(values=values, age_ns=age_ns, hit=hit, changed=changed)


def judge(hour: Hour, qc: ChannelQc) -> Evaluation:
    """Judge the sensor of an hour by the streaming engine, what is decided later folded in."""
    engine = QcEngine(
        {"bench": {"temperature": qc, "reference": ChannelQc(), "setpoint": ChannelQc()}}, {"bench": 1.0}
    )
    engine.warm()
    times, values = np.arange(SECONDS, dtype=np.int64) * 10**9, hour.values.round(2)
    status = np.zeros(values.shape, dtype=np.uint8)
    status[0] = hour.status
    cuts = [0, *(hour.changed or ()), SECONDS]
    results, decisions = [], []
    for number, (start, stop) in enumerate(pairwise(cuts)):
        block = Block(
            instrument="bench", layout=FAHRENHEIT if number % 2 else LAYOUT,
            t_utc_ns=times[start:stop], t_run_ns=times[start:stop], t_request_ns=times[start:stop],
            t_response_ns=times[start:stop] + hour.age_ns[start:stop],
            status=np.ascontiguousarray(status[:, start:stop]),
            f8=np.ascontiguousarray(values[:, start:stop]),
            i8=np.zeros((0, stop - start), dtype=np.int64), u8=np.zeros((0, stop - start), dtype=np.uint64),
        )  # fmt: skip
        results.append(engine.process(block, start))
        decisions += results[-1].decisions
    decisions += engine.flush("bench")
    found = Evaluation(
        np.concatenate([one.flag for one in results], axis=1),
        np.concatenate([one.reason for one in results], axis=1),
        np.concatenate([one.unevaluated for one in results], axis=1),
        None,
    )
    fold(found, decisions, LAYOUT)
    return Evaluation(found.flag[0], found.reason[0], found.unevaluated[0], None)


def calibrate() -> dict[str, dict[str, Any]]:
    """Set limits on clean hours of their own: `MARGIN` times the smallest that is silent, by bisection."""
    hours = [clean(np.random.default_rng([SEED, 10**6 + k])) for k in range(CALIBRATION_HOURS)]
    found = dict(FIXED)
    for name, (key, given) in CALIBRATED.items():
        low, high = 0.0, LIMIT_MAX
        bits = sum(1 << rule.bit for rule in RULES if rule.table == name)
        for _ in range(LIMIT_STEPS):
            middle = (low + high) / 2
            qc = ChannelQc.model_validate({name: {**given, key: middle}})
            fires = any(bool((judge(hour, qc).reason & bits).any()) for hour in hours)
            low, high = (middle, high) if fires else (low, middle)
        found[name] = {**given, key: MARGIN * high}
    span = found["range"]["suspect_high"] / MARGIN - 20
    found["range"] = {"suspect_low": 20 - MARGIN * span, "suspect_high": 20 + MARGIN * span}
    return found


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


def spoilt(kind: str, rng: np.random.Generator, seed: int) -> Hour:
    """Return an hour with a fault of this kind."""
    if kind in OWN:
        return tamper(clean(rng), kind, rng)
    return spoil(clean(rng), make_fault(kind, rng), seed)


def measure(series: int) -> dict[str, Any]:
    """Judge so many series of each fault, and as many clean ones, by limits set on other series."""
    limits = calibrate()
    qc = ChannelQc.model_validate(limits)
    found = {kind: {name: [0, 0, 0] for name in (ANY, *(rule.name for rule in RULES))} for kind in FAULTS}
    false_alarms = dict.fromkeys((rule.name for rule in RULES), 0)
    for number in range(series):
        judged = judge(clean(np.random.default_rng([SEED, number])), qc)
        for rule in RULES:
            false_alarms[rule.name] += int((judged.reason >> rule.bit & 1).sum())
        for place, kind in enumerate(FAULTS):
            hour = spoilt(kind, np.random.default_rng([SEED, number, place]), SEED + number)
            tally(found[kind], judge(hour, qc), hour.hit)
    return {
        "series": series,
        "machine": describe_machine(),
        "limits": limits,
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
        f"by {SWING} with noise of {NOISE}, a reference beside it and its set-point, spoilt by one fault of "
        "random size and place; one set of limits for all, each set to "
        f"{MARGIN} times the smallest that is silent on {CALIBRATION_HOURS} clean hours of other seeds. "
        "Recall: share of the faults that the rule told; precision: "
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
