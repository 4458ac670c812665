"""Time ioos_qc on a stream: started by `benchmarks.qc_peers` with the interpreter that has it.

Reads values (.npy) and times (seconds, .npy), runs gross range, spike, rate of change and flat line and their
aggregation, and prints seconds of CPU time and the number of readings that do not pass as JSON.
"""

import importlib
import json
import statistics
import sys
import time

import numpy as np


def main(values_file: str, times_file: str, repeats: int) -> None:
    """Measure and print."""
    qartod = importlib.import_module("ioos_qc.qartod")  # only the interpreter that runs this has it

    values = np.load(values_file)
    stamps = np.load(times_file).astype("datetime64[s]").astype("datetime64[ns]")
    seconds = []
    flags = np.zeros(0)
    for _ in range(repeats):
        start_s = time.process_time()
        found = [
            qartod.gross_range_test(values, fail_span=(0, 40), suspect_span=(5, 35)),
            qartod.spike_test(values, suspect_threshold=10, fail_threshold=20),
            qartod.rate_of_change_test(values, stamps, threshold=50),
            qartod.flat_line_test(values, stamps, suspect_threshold=30, fail_threshold=60, tolerance=0.05),
        ]
        flags = qartod.qartod_compare(found)
        seconds.append(time.process_time() - start_s)
    print(json.dumps({"seconds": statistics.median(seconds), "not_passed": int((flags > 2).sum())}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
