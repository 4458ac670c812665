"""What the daemon shows and does behind its door."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.journal import CommitFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.door.actors import Actors
    from gateway.edge.commands import Commands
    from gateway.persons import Directory
    from gateway.site import LoadedSite
    from gateway.supervise import Supervisor
    from pipeline.elements import Elements
    from pipeline.intake import Intake
    from pipeline.journal import Journal

Json = dict[str, Any]
SETTLE_S = 2.0


class DaemonServices:
    """Implements `gateway.door.app.Services`."""

    def __init__(
        self, site: LoadedSite, *, elements: Elements, intake: Intake, counters: Callable[[], Json],
        supervisor: Supervisor, actors: Actors, commands: Commands, directory: Directory, journal: Journal,
    ) -> None:  # fmt: skip
        self.actors = actors
        self._site = site
        self._elements = elements
        self._intake = intake
        self._counters = counters
        self._supervisor = supervisor
        self._commands = commands
        self._directory = directory
        self._journal = journal
        self._started_utc_ns = journal.clock.utc_ns()

    async def settled(self) -> bool:
        """Wait until everything recorded so far is durable, at most SETTLE_S."""
        try:
            async with asyncio.timeout(SETTLE_S):
                await self._journal.wait_durable(self._journal.head_seq - 1)
        except (TimeoutError, CommitFailedError):
            return False
        return True

    def status(self, *, settled: bool) -> Json:
        """Health of the daemon; without counters, ages and verdicts where those are not durable."""
        clock = self._journal.clock
        failing = {name: asdict(part) for name, part in self._supervisor.failing().items()}
        journal = asdict(self._journal.stats())
        return {
            "role": "daemon",
            "version": version("yaosu"),
            "pid": os.getpid(),
            "lab": self._site.settings.site.lab,
            "gateway": self._site.settings.site.gateway,
            "purpose": self._site.settings.site.purpose,
            "journal_id": self._journal.id.hex(),
            "boot": self._journal.boot,
            "epoch": self._journal.epoch,
            "started_utc_ns": self._started_utc_ns,
            "now_utc_ns": clock.utc_ns(),
            "clock": asdict(clock.state()),
            "config_sha256": self._site.sha256,
            "state": "degraded" if failing or not journal_ok(journal) else "ok",
            "journal": journal,
            "failing_parts": failing,
            **(self._recorded() if settled else {}),
        }

    def _recorded(self) -> Json:
        return {
            **self._counters(),
            "instruments": self._instruments(),
            "elements": self._elements.element_status(),
        }

    def _instruments(self) -> list[Json]:
        states = self._elements.instrument_states()
        seen = self._intake.last_rows()
        return [
            {
                "id": instrument.id,
                "driver": instrument.driver,
                "source": instrument.source,
                "asset": instrument.asset,
                **states.get(instrument.id, {"service": "in-use"}),
                **seen.get(instrument.id, {}),
            }
            for instrument in self._site.settings.instrument
        ]

    async def execute(self, command: str, args: Json, actor: Json, idempotency_key: str) -> Json:
        """Do a command once."""
        return await self._commands.execute(command, args, actor, idempotency_key)

    async def refused(self, command: str, code: str, person: str) -> None:
        """Record that a command was refused."""
        await self._commands.refused(command, code, person)

    def view(self, name: str, argument: str | None, query: dict[str, str]) -> Any:
        """Answer a reading view. Raises KeyError where there is none."""
        elements = self._elements
        match name, argument:
            case "tasks", None:
                return elements.tasks(limit=int(query.get("limit", "100")))
            case "tasks", str():
                return _found(elements.task(argument), argument)
            case "holds", None:
                return elements.holds()
            case "registry", ("person" | "equipment" | "material" | "method" | "environment"):
                known_at = query.get("known_at")
                return elements.registry(argument, known_at_seq=None if known_at is None else int(known_at))
            case "instruments", None:
                return self._instruments()
            case "elements", None:
                return elements.element_status()
        raise KeyError(name)

    def names(self) -> dict[str, str]:
        """Names behind opaque ids."""
        return self._directory.names()


def _found(content: Json | None, name: str) -> Json:
    if content is None:
        raise KeyError(name)
    return content


def journal_ok(stats: Json) -> bool:
    """Whether the journal can write, rows too."""
    return not stats.get("trouble") and stats.get("reserve") != "used"
