"""Write what ioos_qc and westgard-python say of seeded readings: `PEERS/bin/python make.py`.

PEERS is the environment that scripts/bench-peers makes. Each case holds its inputs, so that nobody needs the
peers, nor their random numbers, to compare with it: tests/unit/qc/test_qc_oracles.py does. Written anew only
when a peer or a case changes; the versions stand in the tables.
"""

import importlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SEED = 20261122
HERE = Path(__file__).parent
SECOND = 10**9
STEP_AT = 20
GROSS, SPIKE, RATE = "gross_range_test", "spike_test", "rate_of_change_test"
FLAT, WEAK = "flat_line_test", "attenuated_signal_test"

Values: TypeAlias = NDArray[np.float64]
Times: TypeAlias = NDArray[np.int64]
Case: TypeAlias = tuple[str, str, dict[str, Any], dict[str, Any], Values, Times]
"""Name, test of ioos_qc and its arguments, our rules, readings, times in ns."""
Charts: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
"""Centre line and SD of both materials."""


def noisy(rng: np.random.Generator, rows: int = 400) -> Values:
    """Return readings of two decimals with noise, spikes, a stuck stretch and a quiet one."""
    values = 20 + np.cumsum(rng.normal(0, 0.05, rows)) + rng.normal(0, 0.1, rows)
    values[rng.integers(0, rows, 12)] += rng.choice([-3.0, -1.2, 1.2, 3.0], 12)
    values[100:150] = values[100]
    values[250:300] = values[250] + rng.normal(0, 0.02, 50)
    rounded: Values = values.round(2)
    return rounded


def with_holes(rng: np.random.Generator, values: Values) -> Values:
    """Leave out readings, some of them in a row."""
    holed = values.copy()
    holed[rng.integers(0, len(values), 25)] = np.nan
    holed[200:204] = np.nan
    return holed


def plain_cases(rng: np.random.Generator) -> list[Case]:
    """Return cases in which both mean the same, apart from first readings and holes."""
    plain = noisy(rng)
    holed = with_holes(rng, plain)
    steady = np.arange(len(plain), dtype=np.int64) * SECOND
    slow = np.cumsum(rng.integers(1, 6, len(plain))).astype(np.int64) * SECOND
    spans = {"fail_span": [17.0, 23.0], "suspect_span": [19.0, 21.5]}
    our_spans = {"fail_low": 17.0, "fail_high": 23.0, "suspect_low": 19.0, "suspect_high": 21.5}
    heights = {"suspect_threshold": 0.505, "fail_threshold": 1.505}
    turns = {**heights, "method": "differential"}
    limits = {"suspect": 0.505, "fail": 1.505}
    our_turns = {**limits, "method": "differential"}
    rates = {"threshold": 0.505, "fail_threshold": 1.505}
    flat = {"suspect_threshold": 10, "fail_threshold": 30, "tolerance": 0.055}
    our_flat = {"suspect_s": 10.0, "fail_s": 30.0, "tolerance": 0.055}
    weak = {"suspect_threshold": 0.0905, "fail_threshold": 0.0305, "test_period": 20, "min_obs": 20}
    our_weak = {"suspect_low": 0.0905, "fail_low": 0.0305, "window_s": 19.0}
    near = {**weak, "suspect_threshold": 0.305, "fail_threshold": 0.105, "check_type": "range"}
    our_near = {"suspect_low": 0.305, "fail_low": 0.105, "window_s": 19.0, "statistic": "range"}
    return [
        ("range", GROSS, spans, {"range": our_spans}, plain, steady),
        ("range with holes", GROSS, spans, {"range": our_spans}, holed, steady),
        ("spike, average", SPIKE, heights, {"spike": limits}, plain, steady),
        ("spike, average, with holes", SPIKE, heights, {"spike": limits}, holed, steady),
        ("spike, differential", SPIKE, turns, {"spike": our_turns}, plain, steady),
        ("spike, differential, with holes", SPIKE, turns, {"spike": our_turns}, holed, steady),
        ("rate", RATE, rates, {"rate": limits}, plain, steady),
        ("rate, whole seconds of any length", RATE, {"threshold": 0.1005}, {"rate": {"suspect": 0.1005}},
         plain, slow),
        ("rate with holes", RATE, rates, {"rate": limits}, holed, steady),
        ("flat line", FLAT, flat, {"flat_line": our_flat}, plain, steady),
        ("flat line with holes", FLAT, flat, {"flat_line": our_flat}, holed, steady),
        ("attenuated, standard deviation", WEAK, weak, {"noise": our_weak}, plain, steady),
        ("attenuated, range", WEAK, near, {"noise": our_near}, plain, steady),
    ]  # fmt: skip


def edge_cases() -> list[Case]:
    """Return small cases of edges."""
    fast = np.arange(40, dtype=np.int64) * (SECOND // 10)
    steps = np.where(np.arange(40) == STEP_AT, 5.0, 0.0)
    infinite = np.array([1.0, np.inf, 1.0, -np.inf, 1.0])
    bump = np.array([1.0, 1.0, 1.5, 1.0, 1.0])
    five, level = np.arange(5, dtype=np.int64) * SECOND, np.ones(5)
    flat = {"suspect_threshold": 2, "fail_threshold": 3, "tolerance": 0}
    quick = {"suspect_threshold": 1, "fail_threshold": 2, "tolerance": 0.1}
    return [
        ("rate at 10 Hz", RATE, {"threshold": 30.0}, {"rate": {"suspect": 30.0}}, steps, fast),
        ("flat line at 10 Hz", FLAT, quick,
         {"flat_line": {"suspect_s": 1.0, "fail_s": 2.0, "tolerance": 0.1}}, steps, fast),
        ("range with one side", GROSS, {"fail_span": [None, 9.0]}, {"range": {"fail_high": 9.0}},
         np.array([1.0, 9.0, 9.5]), five[:3]),
        ("spike of nothing", SPIKE, {"suspect_threshold": 1.0}, {"spike": {"suspect": 1.0}},
         np.zeros(0), five[:0]),
        ("infinite", GROSS, {"fail_span": [0.0, 9.0]}, {"range": {"fail_low": 0.0, "fail_high": 9.0}},
         infinite, five),
        ("spike limit of 0", SPIKE, {"suspect_threshold": 0.0}, {"spike": {"suspect": 0.0}}, bump, five),
        ("flat line, tolerance of 0", FLAT, flat,
         {"flat_line": {"suspect_s": 2.0, "fail_s": 3.0, "tolerance": 0.0}}, level, five),
    ]  # fmt: skip


def ask_ioos(test: str, arguments: dict[str, Any], values: Values, times: Times) -> str:
    """Return the flags of one test, or what it raised."""
    qartod = importlib.import_module("ioos_qc.qartod")
    timed = {"tinp": times.astype("datetime64[ns]")} if test not in {GROSS, SPIKE} else {}
    try:
        found = getattr(qartod, test)(inp=values, **timed, **arguments)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # what it raises is recorded
        return f"{type(error).__name__}: {error}"
    return "".join(str(int(flag)) for flag in np.ma.filled(found, 9))


def ioos() -> dict[str, Any]:
    """Return the table of ioos_qc."""
    cases: list[dict[str, Any]] = []
    for name, test, arguments, rules, values, times in (
        *plain_cases(np.random.default_rng(SEED)),
        *edge_cases(),
    ):
        theirs = ask_ioos(test, arguments, values, times)
        cases.append({
            "case": name, "test": test, "arguments": arguments, "rules": rules,
            "values": [None if np.isnan(x) else repr(float(x)) for x in values],
            "t_s": [t / SECOND for t in times.tolist()], "theirs": theirs,
        })  # fmt: skip
    return {
        "peer": "ioos_qc",
        "version": version("ioos-qc"),
        "seed": SEED,
        "cases": [*cases, aggregate_case()],
    }


def aggregate_case() -> dict[str, Any]:
    """Aggregate two tests of five readings, of which one cannot be evaluated at the ends."""
    qartod = importlib.import_module("ioos_qc.qartod")
    values = np.ones(5)
    found = [
        qartod.gross_range_test(values, fail_span=(0, 40)),
        qartod.spike_test(values, suspect_threshold=10),
    ]
    theirs = "".join(str(int(flag)) for flag in np.ma.filled(qartod.qartod_compare(found), 9))
    return {
        "case": "aggregate", "test": "qartod_compare",
        "arguments": {"gross_range_test": {"fail_span": [0, 40]}, "spike_test": {"suspect_threshold": 10}},
        "rules": {
            "range": {"fail_low": 0.0, "fail_high": 40.0}, "spike": {"suspect": 10.0, "required": True},
        },
        "values": ["1.0"] * 5,
        "t_s": [0.0, 1.0, 2.0, 3.0, 4.0], "theirs": theirs,
    }  # fmt: skip


NEEDS = {
    "ONE_2S": 1, "ONE_3S": 1, "TWO_2S": 2, "TWO_OF_THREE_2S": 3, "THREE_1S": 3, "FOUR_1S": 4, "SIX_X": 6,
    "EIGHT_X": 8, "NINE_X": 9, "TEN_X": 10, "TWELVE_X": 12, "SEVEN_T": 7, "R_4S": 2,
}  # fmt: skip
OURS = {
    "ONE_2S": "1-2s", "ONE_3S": "1-3s", "TWO_2S": "2-2s", "TWO_OF_THREE_2S": "2of3-2s", "THREE_1S": "3-1s",
    "FOUR_1S": "4-1s", "SIX_X": "6x", "EIGHT_X": "8x", "NINE_X": "9x", "TEN_X": "10x", "TWELVE_X": "12x",
    "SEVEN_T": "7T", "R_4S": "R-4s",
}  # fmt: skip
CHARTS: dict[str, Charts] = {"unit": ((0.0, 1.0), (0.0, 1.0)), "decimal": ((5.0, 0.1), (250.0, 5.0))}
RUN = 4
OBSERVATIONS = 1200


def observations(rng: np.random.Generator, charts: Charts) -> list[float]:
    """Return values of two materials in turn on a grid of 0.1 SD, in stretches of several widths."""
    z, begin = np.empty(OBSERVATIONS), 0
    while begin < OBSERVATIONS:
        length = min(int(rng.integers(5, 40)), OBSERVATIONS - begin)
        sides = [(-3.2, 3.2), (-1.0, 1.0), (0.0, 2.2), (-2.6, -0.8), (0.8, 2.6), (-1.6, 1.6)]
        drawn = rng.uniform(*sides[int(rng.integers(6))], length)
        z[begin : begin + length] = np.sort(drawn) if rng.random() < 0.2 else drawn
        begin += length
    tenths = np.round(z * 10).astype(int)
    return [
        round(charts[k % 2][0] + tenth / 10 * charts[k % 2][1], 6) for k, tenth in enumerate(tenths.tolist())
    ]


def judged(name: str, scope: str, stream: list[Any]) -> str:
    """Say whether westgard-python finds a rule violated at the last observation of a stream."""
    westgard = importlib.import_module("westgard")
    found = westgard.evaluate_rule(
        westgard.RuleName[name], tuple(stream), scope=westgard.EvaluationScope[scope], stream_name="s"
    )
    return "1" if found.violated else "0"


def westgard_case(tag: str, rng: np.random.Generator) -> dict[str, Any]:
    """Ask for each observation in turn, given the history that each rule needs."""
    westgard = importlib.import_module("westgard")
    charts = CHARTS[tag]
    values = observations(rng, charts)
    seen = [
        westgard.observation_from_value(
            analyte="q", material="ab"[k % 2], run_id=str(k // RUN), sequence=k, value=value,
            mean=charts[k % 2][0], standard_deviation=charts[k % 2][1],
        )
        for k, value in enumerate(values)
    ]  # fmt: skip
    found = {}
    for name, need in NEEDS.items():
        within: list[str] = []
        across: list[str] = []
        run: list[str] = []
        for k in range(len(seen)):
            own = seen[k % 2 : k + 1 : 2][-need:]
            if name == "R_4S":
                run.append(judged(name, "WITHIN_RUN", seen[k - k % RUN : k + 1]))
            elif need == 1:
                within.append(judged(name, "WITHIN_RUN", own))
            else:
                within.append(judged(name, "WITHIN_MATERIAL", own))
                across.append(judged(name, "ACROSS_MATERIAL", seen[max(0, k - need + 1) : k + 1]))
        scopes = {"within-run": run, "within-material": within, "across-materials": across}
        found[OURS[name]] = {scope: "".join(bits) for scope, bits in scopes.items() if bits}
    return {"case": tag, "charts": charts, "run": RUN, "values": values, "theirs": found}


def control() -> dict[str, Any]:
    """Return the table of westgard-python."""
    rng = np.random.default_rng(SEED)
    cases = [westgard_case(tag, rng) for tag in CHARTS]
    return {"peer": "westgard-python", "version": version("westgard-python"), "seed": SEED, "cases": cases}


def main() -> None:
    """Write both tables."""
    for name, table in (("ioos_qc", ioos()), ("westgard", control())):
        (HERE / f"{name}.json").write_text(json.dumps(table, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
