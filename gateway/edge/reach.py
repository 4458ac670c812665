"""Look-backs that reach beyond the elements' memory: the ledger's tasks are brought back as records."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pipeline.elements.batches.plan import OF_SAMPLES
from pipeline.elements.codec import to_body
from pipeline.elements.lookback.shapes import LookBackReach
from pipeline.elements.registry_shapes import Environment

if TYPE_CHECKING:
    from gateway.edge.ledger import Ledger
    from gateway.edge.recorder import Recorder
    from pipeline.elements import Elements
    from pipeline.elements.lookback.shapes import LookBackOpen
    from pipeline.ledger import TaskRow

LOG = logging.getLogger(__name__)
LOOK_S = 1.0
RECORD_TASKS_MAX = 20
"""Tasks of one record: a task is some kilobytes."""
RECALLED_MAX = 5000
"""Tasks that one look-back brings back into memory; of further ones the number is told."""


class Reach:
    """Completes look-backs whose span began before the oldest task in memory.

    What is brought back goes into the record, task by task, so that the elements' state still follows from
    the record alone; after a restart in the middle it begins again, and a task that is there already is not
    taken twice.
    """

    def __init__(self, recorder: Recorder, elements: Elements, ledger: Ledger) -> None:
        self._recorder = recorder
        self._elements = elements
        self._ledger = ledger

    async def run(self) -> None:
        """Look for unfinished look-backs until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Complete those look-backs that the ledger's index covers by now."""
        for known in list(self._elements.fold.state.lookbacks.items.values()):
            if not known.reached and known.seq is not None and self._ledger.through_seq >= known.seq:
                await self._complete(known.opened)

    async def _complete(self, opened: LookBackOpen) -> None:
        rows = await self._rows(opened)
        known = self._elements.fold.state
        named = {one.task for one in known.lookbacks.items[opened.lookback].affected}
        wanted = [row.task for row in rows if row.task not in named and row.task not in known.tasks]
        beyond = max(0, len(wanted) - RECALLED_MAX)
        wanted = wanted[:RECALLED_MAX]
        LOG.info("look-back %s: %d tasks are brought back from the ledger", opened.lookback, len(wanted))
        for first in range(0, max(1, len(wanted)), RECORD_TASKS_MAX):
            part = wanted[first : first + RECORD_TASKS_MAX]
            done = first + RECORD_TASKS_MAX >= len(wanted)
            told = LookBackReach(
                opened.lookback, tuple([body for task in part for body in await self._body(task)]), done,
                beyond if done else 0,
            )  # fmt: skip
            await self._recorder.room()
            self._recorder.append("lookback", to_body(told))

    async def _body(self, task: str) -> list[dict[str, Any]]:
        found = await self._ledger.rebuilt(task)
        return [] if found is None else [to_body(found)]

    async def _rows(self, opened: LookBackOpen) -> list[TaskRow]:
        """List the tests in which the subject had a part, oldest first."""
        found: dict[str, TaskRow] = {}
        for role, target in self._parts(opened):
            from_run_ns = opened.from_run_ns or 0
            for row in await self._ledger.affected(role, target, from_run_ns, opened.to_run_ns):
                by_method = opened.method is None or row.method == opened.method
                if by_method and row.purpose in OF_SAMPLES and row.phase != "aborted":
                    found[row.task] = row
        return sorted(found.values(), key=lambda row: row.started_run_ns)

    def _parts(self, opened: LookBackOpen) -> list[tuple[str, str]]:
        """Name the parts that the subject can have in a task: a sensor serves through its environment."""
        if opened.role != "instrument":
            return [(opened.role, opened.subject)]
        registry = self._elements.fold.registry
        places = [
            place
            for place in registry.ids("environment")
            for version in registry.history("environment", place)
            if isinstance(version.data, Environment)
            and any(each.target.partition(".")[0] == opened.subject for each in version.data.channels)
        ]
        return [
            ("instrument", opened.subject),
            *((role, place) for place in dict.fromkeys(places) for role in ("environment", "storage")),
        ]
