"""The promise at every await of a short scenario: gateway or collector ends before step k, for every k.

CI tries a share, another one with every seed; `make soak` tries them all (YAOSU_STEP_SEEDS, default 3).
"""

import os
from random import Random

import pytest

from tests.simulation.steps import MACHINES, crash_at
from tests.support.soak import keep

CI_STEPS = {"gw": 28, "c-0": 12}
STEPS_MIN = 100
SOAK_SEEDS = int(os.environ.get("YAOSU_STEP_SEEDS", "3"))


def steps_of(seed: int, machine: str) -> int:
    """Play the scenario undisturbed and count the machine's steps."""
    outcome, steps = crash_at(seed, machine, None)
    assert not outcome.findings, outcome.report()
    assert steps > STEPS_MIN, "too few steps to prove anything"
    return steps


def crash(seed: int, machine: str, step: int) -> None:
    outcome, taken = crash_at(seed, machine, step)
    assert not outcome.findings, outcome.report()
    assert taken == step


@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_seed_takes_the_same_steps(machine: str) -> None:
    assert steps_of(7, machine) == steps_of(7, machine)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("machine", MACHINES)
def test_an_end_at_any_step_of_a_short_scenario_keeps_the_promise(
    machine: str, pytestconfig: pytest.Config
) -> None:
    random = Random(str(pytestconfig.getoption("--hypothesis-seed")))
    seed = random.getrandbits(16)
    steps = steps_of(seed, machine)
    stride = -(-steps // CI_STEPS[machine])
    for step in range(1 + random.randrange(stride), steps + 1, stride):
        crash(seed, machine, step)


@pytest.mark.soak
def test_an_end_at_every_step_of_a_short_scenario_keeps_the_promise(pytestconfig: pytest.Config) -> None:
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    run = str(pytestconfig.getoption("--hypothesis-seed"))
    random, crashes = Random(run), 0
    for number in range(SOAK_SEEDS * len(MACHINES)):
        seed, machine = random.getrandbits(16), MACHINES[number % len(MACHINES)]
        for step in range(1, steps_of(seed, machine) + 1):
            crash(seed, machine, step)
            crashes += 1
            if crashes % 100 == 0:
                reporter.write_line(f"every step: {crashes} crashes, nothing lost")
    keep("an end at every step of a short scenario", run, {"scenarios": SOAK_SEEDS, "crashes": crashes})
