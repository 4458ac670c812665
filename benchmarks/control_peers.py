"""Time westgard-python and shewhart: started by `benchmarks.qc_peers` with the interpreter that has them.

Reads standardised observations of one material (.npy) and prints, for each package, observations a second of
CPU time and how often a rule fired, as JSON.
"""

import importlib
import json
import statistics
import sys
import time

import numpy as np

LENGTHS = {
    "ONE_2S": 1, "ONE_3S": 1, "TWO_2S": 2, "TWO_OF_THREE_2S": 3, "THREE_1S": 3, "FOUR_1S": 4, "SIX_X": 6,
    "EIGHT_X": 8, "TEN_X": 10, "SEVEN_T": 7,
}  # fmt: skip


def run_westgard(values: list[float]) -> int:
    """Judge each observation by all rules, each given the history that it needs."""
    westgard = importlib.import_module("westgard")  # only the interpreter that runs this has it
    seen = [
        westgard.observation_from_value(
            analyte="q", material="m", run_id=str(k), sequence=k, value=x, mean=0.0, standard_deviation=1.0
        )
        for k, x in enumerate(values)
    ]
    fired = 0
    for k in range(len(seen)):
        for name, length in LENGTHS.items():
            single = length == 1
            scope = (
                westgard.EvaluationScope.WITHIN_RUN if single else westgard.EvaluationScope.WITHIN_MATERIAL
            )
            window = tuple(seen[max(0, k - length + 1) : k + 1])
            found = westgard.evaluate_rule(westgard.RuleName[name], window, scope=scope, stream_name="s")
            fired += found.violated
    return fired


def run_shewhart(values: list[float]) -> int:
    """Judge the whole series by the Nelson rules."""
    rules = importlib.import_module("shewhart._rules")
    found = rules.apply_rules(np.array(values), [f"nelson_{k}" for k in range(1, 9)])
    return len(found)


def main(values_file: str, repeats: int) -> None:
    """Measure and print."""
    values = np.load(values_file).tolist()
    found = {}
    for name, run in (("westgard", run_westgard), ("shewhart", run_shewhart)):
        fired, seconds = 0, []
        for _ in range(repeats):
            start_s = time.process_time()
            fired = run(values)
            seconds.append(time.process_time() - start_s)
        found[name] = {"per_s": len(values) / statistics.median(seconds), "fired": fired}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
