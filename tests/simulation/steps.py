"""A crash at every step: the same short scenario again and again, a machine ended before its k-th step.

A step is what the loop runs for the gateway, or for a collector, between two awaits. For one seed the
scenario is the same to the last of them, so that step k of every run is the same place of the same program.
One again:

    python -m tests.simulation --seed 7 --machine gw --step 512
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.simulation.faults import ACCEPT_S, Excuse
from tests.simulation.run import Outcome, play

if TYPE_CHECKING:
    from tests.simulation.machinery import SimulatedMachine
    from tests.simulation.run import Scene

MACHINES = ("gw", "c-0")
PERIODS_S = (0.5,)
"""One instrument: what differs between several of them is chance, which the seeds try."""
STORY_S = 5.6
"""Start, rows, receipts, a checkpoint after 5 s: long enough for each to happen."""
AWAY_S = 0.3
AFTER_S = 0.7


class _Steps:
    """Counts the steps of a machine and lets it vanish before one of them."""

    def __init__(self, machine: SimulatedMachine, fatal: int | None) -> None:
        self._machine = machine
        self._fatal = fatal
        self.taken = 0
        self.vanished = asyncio.Event()

    def __call__(self) -> None:
        """Take note of a step that is about to be run."""
        self.taken += 1
        if self.taken == self._fatal:
            assert self._machine.node is not None
            self._machine.node.on_step = None
            # Both kinds of end at every place would double the time: the parity decides.
            self._machine.vanish(power=self.taken % 2 == 0)
            self.vanished.set()


def crash_at(seed: int, machine: str, step: int | None) -> tuple[Outcome, int]:
    """Play the scenario with a crash before one step, or without; returns the steps that were taken, too."""
    steps: list[_Steps] = []

    async def story(scene: Scene) -> list[Excuse]:
        mortal = next(one for one in (scene.gateway, *scene.centres) if one.name == machine)
        counted = _Steps(mortal, step)
        steps.append(counted)
        assert mortal.node is not None
        mortal.node.on_step = counted
        if step is None:
            await asyncio.sleep(STORY_S)
            mortal.node.on_step = None
            return []
        async with asyncio.timeout(STORY_S + 1.0):
            await counted.vanished.wait()
        end_s = asyncio.get_running_loop().time()
        scene.outcome.history.append(f"{end_s:10.3f} {machine} vanished before step {step}")
        await mortal.bury()
        await asyncio.sleep(AWAY_S)
        mortal.start()
        await asyncio.sleep(AFTER_S)
        # A collector's end excuses nothing.
        return [Excuse(end_s - ACCEPT_S, end_s)] if mortal is scene.gateway else []

    outcome = play(seed, story, PERIODS_S)
    outcome.again = f"python -m tests.simulation --seed {seed} --machine {machine} --step {step}"
    return outcome, steps[0].taken if steps else 0
