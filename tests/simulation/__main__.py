"""Run the simulation: one seed again, or fresh ones for a time.

python -m tests.simulation --seed 17
python -m tests.simulation --seed 7 --machine gw --step 512
python -m tests.simulation --seconds 300
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time

from tests.simulation.run import simulate
from tests.simulation.steps import MACHINES, crash_at


def main() -> int:
    """Run; 1 when a seed has findings."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help="run this one and tell what happened")
    parser.add_argument("--seconds", type=float, default=60.0, help="run fresh seeds for so long")
    parser.add_argument("--step", type=int, help="with --seed: the short scenario, ended before this step")
    parser.add_argument("--machine", choices=MACHINES, default=MACHINES[0], help="with --step: whose end")
    options = parser.parse_args()
    if options.seed is not None:
        step = options.step
        outcome = simulate(options.seed) if step is None else crash_at(options.seed, options.machine, step)[0]
        sys.stdout.write(outcome.report() + "\n")
        return bool(outcome.findings)
    end_s, total, failed = time.monotonic() + options.seconds, {"seeds": 0, "answers": 0, "crashes": 0}, 0
    while time.monotonic() < end_s:
        outcome = simulate(secrets.randbits(32))
        total["seeds"] += 1
        total["answers"] += outcome.answers
        total["crashes"] += outcome.crashes
        if outcome.findings:
            failed += 1
            sys.stdout.write(outcome.report() + "\n")
        sys.stderr.write(f"\r{json.dumps(total)}")
    sys.stdout.write(f"\n{json.dumps({**total, 'failed': failed})}\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
