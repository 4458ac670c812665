"""The promise, held against the instruments' own log, whatever goes wrong: one test, many seeds.

YAOSU_SIMULATION_SECONDS sets how long fresh seeds are tried (default 20 s, with CI=true 5 minutes), new ones
in every run; `make soak` goes on for YAOSU_SOAK_SECONDS (default an hour) and prints how far it has come. A
failure prints the command that repeats its seed: `python -m tests.simulation --seed N`.
"""

import os
import time
from collections import Counter
from random import Random, SystemRandom

import pytest

from tests.simulation.run import simulate
from tests.support.soak import keep

FIXED = (1, 2, 3, 5, 8, 1630180717, 2099588780, 3337850073)
"""The last three have found mistakes: a hole in an archive, a lost segment file, a gap counted twice."""
FRESH_S = float(os.environ.get("YAOSU_SIMULATION_SECONDS", "300" if os.environ.get("CI") else "20"))
SOAK_S = float(os.environ.get("YAOSU_SOAK_SECONDS", "3600"))
CRASHES_MIN = 10
FAULTS_MET = {
    "power cut", "kill", "disk fails", "slow disk", "store away", "store stores and does not say so",
    "clock step", "suspend", "broker falls", "cable cut",
}  # fmt: skip
"""The fixed seeds have all of these."""


@pytest.mark.timeout(300)
def test_fixed_seeds_keep_the_promise() -> None:
    crashes, faults = 0, Counter[str]()
    for seed in FIXED:
        outcome = simulate(seed)
        assert not outcome.findings, outcome.report()
        assert outcome.answers > 100, "too little happened to prove anything"
        crashes += outcome.crashes
        faults.update(outcome.faults)
    assert crashes > CRASHES_MIN
    assert not FAULTS_MET - faults.keys(), "a sentence of docs/guarantees.md was not put to the test"


def try_seeds(random: Random, seconds: float, say: pytest.TerminalReporter | None = None) -> dict[str, int]:
    """Try fresh seeds for a time and count; each is whole, so that the last one may end later."""
    end_s, seeds, answers, crashes = time.monotonic() + seconds, 0, 0, 0
    while time.monotonic() < end_s:
        outcome = simulate(random.getrandbits(32))
        assert not outcome.findings, outcome.report()
        seeds, answers, crashes = seeds + 1, answers + outcome.answers, crashes + outcome.crashes
        if say is not None and seeds % 20 == 0:
            say.write_line(f"simulation: {seeds} seeds, {crashes} crashes, {answers} answers, none lost")
    assert seeds
    return {"seeds": seeds, "crashes": crashes, "answers": answers}


@pytest.mark.timeout(FRESH_S + 240)
def test_fresh_seeds_keep_the_promise() -> None:
    try_seeds(SystemRandom(), FRESH_S)


@pytest.mark.soak
def test_seeds_keep_the_promise_for_hours(pytestconfig: pytest.Config) -> None:
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    seed = str(pytestconfig.getoption("--hypothesis-seed"))
    keep("simulation of the whole chain", seed, try_seeds(Random(seed), SOAK_S, reporter))
