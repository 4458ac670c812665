"""What the daemon shows and does behind its door."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, fields
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.elements.quality_views import quality_view
from pipeline.journal import CommitFailedError
from pipeline.ledger import TaskFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.door.actors import Actors
    from gateway.edge.commands import Commands
    from gateway.edge.ledger import Ledger
    from gateway.persons import Directory
    from gateway.site import LoadedSite
    from gateway.supervise import Supervisor
    from pipeline.elements import Elements
    from pipeline.intake import Intake
    from pipeline.journal import Journal

Json = dict[str, Any]
SETTLE_S = 2.0
TASKS_MAX = 1000
"""Tasks in one answer."""


class DaemonServices:
    """Implements `gateway.door.app.Services`."""

    def __init__(
        self, site: LoadedSite, *, elements: Elements, intake: Intake, counters: Callable[[], Json],
        supervisor: Supervisor, actors: Actors, commands: Commands, directory: Directory, journal: Journal,
        ledger: Ledger,
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
        self._ledger = ledger
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
        recorded = self._recorded() if settled else {}
        refusing = bool(recorded) and recorded["publisher"]["refusing"]
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
            "state": "degraded" if failing or refusing or not journal_ok(journal) else "ok",
            "journal": journal,
            "failing_parts": failing,
            **recorded,
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

    async def refused(self, command: str, code: str, person: str, args: Json | None = None) -> None:
        """Record that a command was refused."""
        await self._commands.refused(command, code, person, args)

    async def view(self, name: str, argument: str | None, query: dict[str, str]) -> Any:
        """Answer a reading view. Raises KeyError where there is none."""
        elements = self._elements
        match name, argument:
            case "tasks", None:
                return await self._ledger.tasks(_task_filter(query))
            case "tasks", str():
                return _found(await self._ledger.task(argument, _integer(query, "known_at")), argument)
            case "holds", None:
                return await self._ledger.holds()
            case "registry", ("person" | "equipment" | "material" | "method" | "environment" | "correction"):
                return elements.registry(
                    argument, _integer(query, "known_at"), _integer(query, "valid_at"), query.get("id")
                )
            case "instruments", None:
                return self._instruments()
            case "elements", None:
                return elements.element_status()
            case "risk", None:
                argument = query.get("subject")
        return quality_view(elements.fold, self._journal.clock, name, argument)

    def names(self) -> dict[str, str]:
        """Names behind opaque ids."""
        return self._directory.names()


def _integer(query: dict[str, str], name: str) -> int | None:
    return int(query[name]) if name in query else None


def _task_filter(query: dict[str, str]) -> TaskFilter:
    """Read which tasks a query wants.

    Raises:
        ValueError: it asks by something that tasks are not listed by.
    """
    known = {field.name for field in fields(TaskFilter)}
    if unknown := sorted(set(query) - known):
        raise ValueError(f"tasks are not listed by {unknown[0]}; known are {', '.join(sorted(known))}")
    numbers = {name: int(query[name]) for name in ("from_utc_ns", "to_utc_ns", "limit") if name in query}
    if not 0 < numbers.get("limit", 1) <= TASKS_MAX:
        raise ValueError(f"limit is 1 to {TASKS_MAX}; ask for the next page with before=TASK")
    texts = {name: value for name, value in query.items() if name not in numbers}
    return TaskFilter(**texts, **numbers)  # type: ignore[arg-type]


def _found(content: Json | None, name: str) -> Json:
    if content is None:
        raise KeyError(name)
    return content


def journal_ok(stats: Json) -> bool:
    """Whether the journal can write, rows too."""
    return not stats.get("trouble") and stats.get("reserve") != "used"
