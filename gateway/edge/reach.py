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
    from pipeline.elements.lookback.state import LookBackState
    from pipeline.ledger import TaskRow

LOG = logging.getLogger(__name__)
LOOK_S = 1.0
RECORD_TASKS_MAX = 20
"""Tasks of one record: a task is some kilobytes."""
PAGE_TASKS_MAX = 1000
"""Rows of the index that are asked for at once."""


class Reach:
    """Completes look-backs whose span began before the oldest task in memory.

    What is brought back goes into the record, task by task, so that the elements' state still follows from
    the record alone. However many they are: a page of them is held and judged, and leaves memory again for
    the next one; after a restart in the middle it goes on with the page at which it was.
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
        known = self._elements.fold.state.lookbacks.items[opened.lookback]
        through = known.through_start_seq
        while not known.reached:
            rows = await self._page(opened, through)
            wanted = self._missing(known, rows)
            if wanted:
                LOG.info(
                    "look-back %s: %d tasks are brought back from the ledger", opened.lookback, len(wanted)
                )
            done = len(rows) < PAGE_TASKS_MAX
            through = max((row.start_seq for row in rows), default=through)
            for first in range(0, max(1, len(wanted)), RECORD_TASKS_MAX):
                part = wanted[first : first + RECORD_TASKS_MAX]
                last = first + RECORD_TASKS_MAX >= len(wanted)
                told = LookBackReach(
                    opened.lookback, tuple([body for row in part for body in await self._body(row.task)]),
                    done and last,
                    through_start_seq=through if last else max(row.start_seq for row in part),
                )  # fmt: skip
                await self._recorder.room()
                self._recorder.append("lookback", to_body(told))
                # Time passes for the elements through records: now they judge these and can let them go.
                self._recorder.append("tick", {})
                await asyncio.sleep(0)

    def _missing(self, known: LookBackState, rows: list[TaskRow]) -> list[TaskRow]:
        """Leave out what is in memory: the look-back named it when it was opened."""
        named = {one.task for one in known.affected}
        tasks = self._elements.fold.state.tasks
        return [row for row in rows if row.task not in named and row.task not in tasks]

    async def _body(self, task: str) -> list[dict[str, Any]]:
        found = await self._ledger.rebuilt(task)
        return [] if found is None else [to_body(found)]

    async def _page(self, opened: LookBackOpen, after_seq: int) -> list[TaskRow]:
        """List the next tests in which the subject had a part, in order of their starts.

        Fewer than PAGE_TASKS_MAX are the last ones: rows of other methods and purposes are passed over.
        """
        found: dict[int, TaskRow] = {}
        through = after_seq
        while len(found) < PAGE_TASKS_MAX:
            rows: dict[int, TaskRow] = {}
            for role, target in self._parts(opened):
                listed = await self._ledger.affected(
                    role, target, opened.from_run_ns or 0, opened.to_run_ns, after_seq=through,
                    limit=PAGE_TASKS_MAX,
                )  # fmt: skip
                rows |= {row.start_seq: row for row in listed}
            page = sorted(rows)[:PAGE_TASKS_MAX]
            found |= {seq: rows[seq] for seq in page if _is_meant(rows[seq], opened)}
            if len(page) < PAGE_TASKS_MAX:
                break
            through = page[-1]
        return [found[seq] for seq in sorted(found)[:PAGE_TASKS_MAX]]

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


def _is_meant(row: TaskRow, opened: LookBackOpen) -> bool:
    by_method = opened.method is None or row.method == opened.method
    return by_method and row.purpose in OF_SAMPLES and row.phase != "aborted"
