"""Look-backs that reach beyond the elements' memory: the ledger's tasks are told to them as records."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, cast

from pipeline.elements.batches.plan import OF_SAMPLES
from pipeline.elements.codec import to_body
from pipeline.elements.lookback.affected import is_moved
from pipeline.elements.lookback.shapes import Affected, AffectedResult, LookBackReach, Reached
from pipeline.elements.registry_shapes import Environment

if TYPE_CHECKING:
    from gateway.edge.ledger import Ledger
    from gateway.edge.recorder import Recorder
    from pipeline.elements import Elements
    from pipeline.elements.lookback.shapes import LookBackOpen
    from pipeline.elements.lookback.state import LookBackState
    from pipeline.elements.vocabulary import Overall
    from pipeline.ledger import TaskRow
    from pipeline.records.envelope import Body

LOG = logging.getLogger(__name__)
LOOK_S = 1.0
RECORD_TASKS_MAX = 5
"""Tasks of one record: all that follows from them is appended in one turn of the loop."""
PAGE_TASKS_MAX = 1000
"""Rows of the index that are asked for at once."""


class Reach:
    """Completes look-backs whose span began before the oldest task in memory.

    What is held goes into the record, task by task, with the verdict that the hold supersedes, so that the
    elements' state still follows from the record alone. However many they are, one page of them is in memory;
    after a restart in the middle it goes on behind the last task that was told.
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
                # What another look-back has just held counts: its verdicts are superseded in turn.
                await self._ledger.catch_up_to_now()
                await self._complete(known)

    async def _complete(self, known: LookBackState) -> None:
        opened = known.opened
        while not known.reached:
            rows = await self._page(opened, known.through_start_seq)
            wanted = self._missing(known, rows)
            LOG.info("look-back %s: %d older tasks of the ledger", opened.lookback, len(wanted))
            done = len(rows) < PAGE_TASKS_MAX
            through = max((row.start_seq for row in rows), default=known.through_start_seq)
            verdicts = await self._verdicts(opened, wanted)
            for first in range(0, max(1, len(wanted)), RECORD_TASKS_MAX):
                part = wanted[first : first + RECORD_TASKS_MAX]
                last = first + RECORD_TASKS_MAX >= len(wanted)
                told = LookBackReach(
                    opened.lookback, (), done and last,
                    through_start_seq=through if last else part[-1].start_seq,
                    reached=tuple(_reached(row, opened, verdicts) for row in part),
                )  # fmt: skip
                await self._recorder.room()
                self._recorder.append("lookback", to_body(told))
                await asyncio.sleep(0)

    def _missing(self, known: LookBackState, rows: list[TaskRow]) -> list[TaskRow]:
        """Leave out what is in memory: the look-back named it when it was opened."""
        named = {one.task for one in known.affected}
        tasks = self._elements.fold.state.tasks
        return [row for row in rows if row.task not in named and row.task not in tasks]

    async def _verdicts(self, opened: LookBackOpen, rows: list[TaskRow]) -> dict[int, Body]:
        """Read the verdicts in force that the look-back supersedes."""
        seqs = [seq for row in rows if (seq := _verdict_seq(row, opened)) is not None]
        return {record.seq: record.body for record in await self._ledger.records(sorted(seqs))}

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


def _verdict_seq(row: TaskRow, opened: LookBackOpen) -> int | None:
    """Give the record of the element's verdict in force; None for a task that has none, or is not moved."""
    known = json.loads(row.elements).get(opened.element)
    return known[2] if known is not None and is_moved(cast("Overall", row.overall)) else None


def _reached(row: TaskRow, opened: LookBackOpen, verdicts: dict[int, Body]) -> Reached:
    overall, seq = cast("Overall", row.overall), _verdict_seq(row, opened)
    affected = Affected(
        task=row.task, sample=row.sample, item=row.item, method=row.method,
        instruments=tuple(json.loads(row.instruments)), batch=row.batch, started_utc_ns=row.started_utc_ns,
        overall=overall, moved=is_moved(overall),
        results=tuple(AffectedResult(*told) for told in json.loads(row.results)),
        links=tuple((system, external) for system, external in json.loads(row.links)),
    )  # fmt: skip
    return Reached(affected, None if seq is None else verdicts.get(seq), seq)
