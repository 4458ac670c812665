"""One run of the simulation from a seed: build, rage, mend, wait, compare."""

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
from unittest.mock import patch

from argon2 import PasswordHasher
from async_solipsism.exceptions import ResolutionWarning

from pipeline.store.door import Origin
from tests.simulation.compare import check
from tests.simulation.faults import Faults
from tests.simulation.instruments import Instrument
from tests.simulation.machinery import Centre, Gateway, VirtualStore
from tests.simulation.machines import VirtualLoop
from tests.simulation.network import Network

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

    @property
    def crashes(self) -> int:
        """How often a machine went away in the middle of its work."""
        return self.faults.get("power cut", 0) + self.faults.get("kill", 0)

    def report(self) -> str:
        """What a person needs who has to find out why, the command first."""
        head = f"seed {self.seed}: {len(self.findings)} findings; again: {replay_command(self.seed)}"
        return "\n".join([head, *self.findings[:20], "what had happened:", *self.history[-60:]])


def replay_command(seed: int) -> str:
    """The one command that shows a run again."""
    return f"python -m tests.simulation --seed {seed}"


def _quick_hasher() -> PasswordHasher:
    """Nobody logs in here, and the real costs are 0.2 s of every start."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def simulate(seed: int) -> Outcome:
    """Run one seed to its end."""
    outcome = Outcome(seed)
    folder = Path(tempfile.mkdtemp(prefix="yaosu-simulation-"))
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what goes wrong is meant to
    try:
        with warnings.catch_warnings(), patch("gateway.persons.directory.PasswordHasher", _quick_hasher):
            warnings.simplefilter("ignore", ResolutionWarning)  # a microsecond more or less decides nothing
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(_Run(seed, folder, outcome).run())
    except Exception:  # noqa: BLE001 - a part that breaks is a finding of its seed
        outcome.findings.append(traceback.format_exc())
    finally:
        logging.disable(level)
        shutil.rmtree(folder)
    return outcome


class _Run:
    def __init__(self, seed: int, folder: Path, outcome: Outcome) -> None:
        self._outcome = outcome
        self._folder = folder
        chance = Random(seed)
        self._chances = [Random(chance.getrandbits(64)) for _ in range(8)]

    async def run(self) -> None:
        """Run it."""
        network = Network(self._chances[0])
        store = VirtualStore(self._folder / "store.sqlite")
        instruments = [
            Instrument(f"i-{number}", period_s, self._chances[1]) for number, period_s in enumerate(PERIODS_S)
        ]
        gateway = Gateway("gw", self._folder / "gw", network, self._chances[2], instruments)
        centres = [
            Centre(f"c-{number}", self._folder / f"c-{number}", network, self._chances[3 + number], store)
            for number in range(2)
        ]
        for centre in centres:
            gateway.trust(centre.key)
            centre.start()
        gateway.start()
        faults = Faults(
            self._chances[5], gateway, centres, network, store, instruments, self._outcome.history.append
        )
        await faults.rage(self._chances[6].uniform(*RAGE_S))
        await self._mended(gateway)
        await gateway.end()
        await check(self._outcome, gateway, centres, store, faults.excuses, Origin("lab", "gw"))
        for centre in centres:
            await centre.crash(power=False)
        await store.shell.close()
        self._outcome.faults = dict(faults.done)
        self._outcome.virtual_s = asyncio.get_running_loop().time()

    async def _mended(self, gateway: Gateway) -> None:
        """All works again: what lies in the journal now, and what comes fresh, has its receipt in time."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + MEND_S
        await asyncio.sleep(FRESH_S)
        assert gateway.daemon is not None
        journal = gateway.daemon.recorder.journal
        last = journal.head_seq - 1
        while missing := [
            pair for pair in journal.receipts.done.missing(0, last) if not journal.holes.covers(*pair)
        ]:
            if loop.time() > end_s:
                self._outcome.findings.append(
                    f"without receipt {MEND_S:g} s after all was mended: {missing[:5]}"
                )
                return
            await asyncio.sleep(0.5)
