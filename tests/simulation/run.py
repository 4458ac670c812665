"""One run of the simulation: build, let happen what is asked for, mend, wait, compare."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

from argon2 import PasswordHasher
from async_solipsism.exceptions import ResolutionWarning

from pipeline.store.door import Origin
from tests.simulation.compare import check
from tests.simulation.compare_beside import check_both
from tests.simulation.faults import Faults
from tests.simulation.instruments import Instrument
from tests.simulation.machinery import Centre, Gateway, VirtualStore
from tests.simulation.machines import VirtualLoop
from tests.simulation.network import Network

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipeline.records import Record
    from tests.simulation.faults import Excuse

    Story = Callable[["Scene"], Awaitable[list[Excuse]]]
    """Acts, and returns the spans in which an answer may be lost."""

PERIODS_S = (0.1, 0.25, 1.0)
RAGE_S = (30.0, 150.0)
MEND_S = 1800.0
"""All that was left behind is receipted within this time; two publications are at most 300 s apart."""
FRESH_S = 3.0


@dataclass
class Outcome:
    """What a run has shown."""

    seed: int
    findings: list[str] = field(default_factory=list)
    """Empty when the promise was kept."""
    answers: int = 0
    records: int = 0
    gaps: int = 0
    virtual_s: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    again: str = ""
    """The command that shows this run again."""

    @property
    def crashes(self) -> int:
        """How often a machine went away in the middle of its work."""
        return self.faults.get("power cut", 0) + self.faults.get("kill", 0)

    def report(self) -> str:
        """What a person needs who has to find out why, the command first."""
        head = f"seed {self.seed}: {len(self.findings)} findings; again: {self.again}"
        return "\n".join([head, *self.findings[:20], "what had happened:", *self.history[-60:]])


def _quick_hasher() -> PasswordHasher:
    """Nobody logs in here, and the real costs are 0.2 s of every start."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Scene:
    """One gateway with its instruments, two collectors, broker and store, on machines that can vanish."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        outcome: Outcome,
        periods_s: Sequence[float],
        purpose: str = "rehearsal",
    ) -> None:
        chance = Random(seed)
        self.chances = [Random(chance.getrandbits(64)) for _ in range(8)]
        self.outcome = outcome
        self.network = Network(self.chances[0])
        self.store = VirtualStore(folder / "store.sqlite")
        self.instruments = [
            Instrument(f"i-{number}", period_s, self.chances[1]) for number, period_s in enumerate(periods_s)
        ]
        self.gateway = Gateway("gw", folder / "gw", self.network, self.chances[2], self.instruments, purpose)
        self.centres = [
            Centre(f"c-{number}", folder / f"c-{number}", self.network, self.chances[3 + number], self.store)
            for number in range(2)
        ]

    async def play(self, story: Story) -> list[Record]:
        """Start everything, let the story happen, hold what is left against the instruments' log.

        Returns the records that the collectors have archived, by seq.
        """
        for centre in self.centres:
            self.gateway.trust(centre.key)
            centre.start()
        self.gateway.start()
        excuses = await story(self)
        await self._mended()
        await self.gateway.end()
        origin = Origin("lab", "gw")
        hold = check if self.gateway.site.settings.site.purpose == "rehearsal" else check_both
        records = await hold(self.outcome, self.gateway, self.centres, self.store, excuses, origin)
        for centre in self.centres:
            await centre.crash(power=False)
        await self.store.shell.close()
        self.outcome.virtual_s = asyncio.get_running_loop().time()
        return records

    async def _mended(self) -> None:
        """All works again: what lies in the journal now, and what comes fresh, has its receipt in time."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + MEND_S
        await asyncio.sleep(FRESH_S)
        assert self.gateway.daemon is not None
        beside = self.gateway.daemon._beside
        journals = [self.gateway.daemon.recorder.journal]
        if beside is not None and beside.services is not None:
            journals.append(beside.services.journal)
        ends = [(journal, journal.head_seq - 1) for journal in journals]
        while missing := [
            pair
            for journal, last in ends
            for pair in journal.receipts.done.missing(0, last)
            if not journal.holes.covers(*pair)
        ]:
            if loop.time() > end_s:
                self.outcome.findings.append(
                    f"without receipt {MEND_S:g} s after all was mended: {missing[:5]}"
                )
                return
            await asyncio.sleep(0.5)


def play(
    seed: int, story: Story, periods_s: Sequence[float] = PERIODS_S,
    see: Callable[[list[Record]], None] = lambda _records: None, purpose: str = "rehearsal",
) -> Outcome:  # fmt: skip
    """Play a story to its end, in virtual time; `see` is shown what the collectors have archived."""
    outcome = Outcome(seed)
    folder = Path(tempfile.mkdtemp(prefix="yaosu-simulation-"))
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what goes wrong is meant to

    async def run() -> None:
        see(await Scene(seed, folder, outcome, periods_s, purpose).play(story))

    try:
        with warnings.catch_warnings(), patch("gateway.persons.directory.PasswordHasher", _quick_hasher):
            warnings.simplefilter("ignore", ResolutionWarning)  # a microsecond more or less decides nothing
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(run())
    except Exception:  # noqa: BLE001 - a part that breaks is a finding of its seed
        outcome.findings.append(traceback.format_exc())
    finally:
        logging.disable(level)
        shutil.rmtree(folder)
    return outcome


def simulate(seed: int) -> Outcome:
    """Run one seed to its end: whatever goes wrong is drawn from it."""
    outcome = play(seed, _rage)
    outcome.again = f"python -m tests.simulation --seed {seed}"
    return outcome


async def _rage(scene: Scene) -> list[Excuse]:
    faults = Faults(
        scene.chances[5], scene.gateway, scene.centres, scene.network, scene.store, scene.instruments,
        scene.outcome.history.append,
    )  # fmt: skip
    await faults.rage(scene.chances[6].uniform(*RAGE_S))
    scene.outcome.faults = dict(faults.done)
    return faults.excuses
