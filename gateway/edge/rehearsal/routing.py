"""Which journal an instrument's items go into: production, or the rehearsal journal beside it.

What an instrument is found to be stands in the elements' state: the driver's event `source-pty` or
`source-simulator` puts it there, `source-live` takes it away, and a restart finds it again. While it stands,
rows and gaps of the instrument go to the rehearsal journal, and a gap of the production journal counts them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gateway.edge.rehearsal.citing import Citations, cited
from gateway.edge.rehearsal.services import FULL_PAUSE_S
from pipeline.journal import JournalFullError
from pipeline.records import Block, DeviceEvent, Gap, Status
from pipeline.records.events import told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.edge.recorder import Recorder
    from gateway.edge.rehearsal.beside import Beside
    from gateway.edge.rehearsal.citing import Owed
    from gateway.edge.rehearsal.services import Services
    from pipeline.elements.state import Observed
    from pipeline.intake import Intake
    from pipeline.records import Clock, Item, Record

TELL_NS = 60_000_000_000
"""Between two records of a gap that goes on (gateway time): it may last for days, and tasks end meanwhile."""
FOUND_OUT = frozenset({"source-pty", "source-simulator"})


@dataclass(slots=True)
class Stretch:
    """A time in which the rows of one instrument go to the rehearsal journal."""

    services: Services
    rows: int = 0
    gap: Gap | None = None
    """The production journal's account of it, from the first row or gap on."""
    told_run_ns: int = 0
    """Up to when that account is in a record."""
    unended_polls: int = 0
    """Polls of a gap that has begun and not ended."""


class Routing:
    """Takes the items of all drivers of a production gateway; for acquisition it stands where intake does.

    Args:
        intake: of the production journal.
        recorder: of the production journal.
        beside: the rehearsal journal.
        clock: gateway time.
        endpoints: instrument to where it is.
    """

    def __init__(
        self, intake: Intake, recorder: Recorder, beside: Beside, clock: Clock, endpoints: Mapping[str, str]
    ) -> None:  # fmt: skip
        self._intake = intake
        self._recorder = recorder
        self._beside = beside
        self._clock = clock
        self._endpoints = endpoints
        self._away: dict[str, Stretch] = {}
        self._citations = Citations()
        self._confirmed: set[str] = set()
        """Found to be simulated in this run, not only in an earlier one."""
        self._kept_here: set[str] = set()
        """Found out while no rehearsal journal could be opened: their rows stay, and are held."""

    def _found(self, instrument: str) -> Observed | None:
        known = self._recorder.elements.fold.state.instruments.get(instrument)
        return None if known is None else known.found

    def _is_vouched_for(self, instrument: str, found: Observed) -> bool:
        """Tell whether an instrument that was found out before the restart, and not since, may count again.

        A port that was a pseudo-terminal is none now, or the driver had said so first. One that had said by
        itself that it is a simulator must say who it is (see `_take_event`); for what cannot say, a person
        does who has put it in use since.
        """
        known = self._recorder.elements.fold.state.instruments[instrument]
        return found.value == "pty" or (known.service == "in-use" and known.service_seq > found.seq)

    async def take(self, item: Item) -> None:
        """Take one item of a driver's stream; waits while the journal that it belongs into has no room."""
        name = item.instrument
        if isinstance(item, DeviceEvent):
            await self._take_event(item)
            return
        found = self._found(name)
        if found is None or name in self._kept_here:
            await self._intake.take(item)
        elif name not in self._confirmed and _answered(item) and self._is_vouched_for(name, found):
            await self._say_live(name)
            await self._intake.take(item)
        else:
            await self._take_aside(item, found)

    async def _take_event(self, event: DeviceEvent) -> None:
        name = event.instrument
        if event.code in FOUND_OUT:
            self._confirmed.add(name)
            self._kept_here.discard(name)
        elif event.code == "source-live":
            await self._back(event)
            return
        elif event.code == "identity" and name not in self._confirmed and self._found(name) is not None:
            # It was found out before the restart. Now it says who it is, and the driver has not objected.
            await self._say_live(name)
        await self._intake.take(event)
        if name in self._away:
            services = self._away[name].services
            await services.intake.take(shifted(event, services.journal.start.offset_ns))

    async def _say_live(self, instrument: str) -> None:
        event = DeviceEvent(
            instrument, "source-live", self._clock.utc_ns(), self._clock.run_ns(),
            {"endpoint": self._endpoints.get(instrument, "")},
        )  # fmt: skip
        await self._back(event)

    async def _take_aside(self, item: Item, found: Observed) -> None:
        """Put an item into the rehearsal journal, and count it in production's gap."""
        name = item.instrument
        stretch = self._away.get(name)
        if stretch is None:
            stretch = await self._leave(name, found)
        if stretch is None:
            await self._intake.take(item)
            return
        await self._count(stretch, item)
        await stretch.services.intake.take(shifted(item, stretch.services.journal.start.offset_ns))

    async def _leave(self, instrument: str, found: Observed) -> Stretch | None:
        """Begin a stretch; its rows do not wait for the records in which the journals cite each other."""
        services = await self._beside.opened()
        if services is None:
            self._kept_here.add(instrument)
            return None
        await services.expect(instrument)
        self._citations.add(instrument, self._cite_begin(services, instrument, found.seq))
        self._away[instrument] = Stretch(services)
        return self._away[instrument]

    async def _back(self, event: DeviceEvent) -> None:
        """Record that an instrument is no longer found to be simulated; end its stretch."""
        name = event.instrument
        self._confirmed.discard(name)
        self._kept_here.discard(name)
        stretch = self._away.pop(name, None)
        if stretch is None:
            await self._intake.take(event)
            return
        await self._end_gap(stretch)
        said = await self._said(event)
        await stretch.services.depart(name)
        self._citations.add(name, self._cite_end(stretch, name, said.seq))

    async def _said(self, event: DeviceEvent) -> Record:
        while True:
            await self._recorder.room()
            try:
                return self._recorder.append("event", told(event), instrument=event.instrument)
            except JournalFullError:
                await asyncio.sleep(FULL_PAUSE_S)

    def _cite_begin(self, services: Services, instrument: str, found_seq: int) -> Owed:
        here, there = self._recorder.journal, services.journal
        begun = yield from cited(services.recorder, "rows-from-production", instrument, (here, found_seq))
        yield from cited(self._recorder, "rows-to-rehearsal", instrument, (there, begun.seq))

    def _cite_end(self, stretch: Stretch, instrument: str, said_seq: int) -> Owed:
        here, there, rows = self._recorder.journal, stretch.services.journal, stretch.rows
        ended = yield from cited(
            stretch.services.recorder, "rows-from-production-end", instrument, (here, said_seq), rows=rows
        )
        yield from cited(self._recorder, "rows-to-rehearsal-end", instrument, (there, ended.seq), rows=rows)

    async def _count(self, stretch: Stretch, item: Item) -> None:
        """Count an item's polls in the production journal's gap, which begins with the first of them."""
        span = span_of(item)
        if span is None:
            return
        stretch.rows += len(item) if isinstance(item, Block) else 0
        counted = span.polls
        if isinstance(item, Gap):
            stretch.unended_polls, counted = (0, span.polls) if item.ended else (span.polls, 0)
        begun = stretch.gap is None
        gap = replace(span, polls=0) if stretch.gap is None else stretch.gap
        stretch.gap = replace(
            gap, to_run_ns=span.to_run_ns, to_utc_ns=span.to_utc_ns, polls=gap.polls + counted
        )
        if begun or span.to_run_ns - stretch.told_run_ns >= TELL_NS:
            stretch.told_run_ns = span.to_run_ns
            await self._intake.take(stretch.gap)

    async def _end_gap(self, stretch: Stretch) -> None:
        gap, stretch.gap = stretch.gap, None
        if gap is not None:
            polls, stretch.unended_polls = gap.polls + stretch.unended_polls, 0
            await self._intake.take(replace(gap, polls=polls, ended=True))

    def interrupted(self, instrument: str, period_ns: int) -> None:
        """Account for the time until the next row of an instrument whose driver failed and starts again."""
        self._intake.interrupted(instrument, period_ns)
        stretch = self._away.get(instrument)
        if stretch is not None:
            # Intake has ended the gap; a new one begins with the next row.
            stretch.gap, stretch.unended_polls = None, 0
            stretch.services.intake.interrupted(instrument, period_ns)

    def close_due(self) -> None:
        """Close the frames whose time has come, in both journals; write what each owes of the other."""
        self._citations.look()
        self._intake.close_due()
        if self._beside.services is not None:
            self._beside.services.intake.close_due()

    async def end(self) -> None:
        """Hand on what waits, into both journals; may be cancelled, and then it is lost."""
        for stretch in self._away.values():
            await self._end_gap(stretch)
        await self._intake.end()
        if self._beside.services is not None:
            await self._beside.services.intake.end()
        await self._citations.settle()


def _answered(item: Item) -> bool:
    return isinstance(item, Block) and bool((item.status == Status.GOOD).any())


def span_of(item: Item) -> Gap | None:
    """Give the polls of an item as a gap of the production journal; None for what is no poll."""
    if isinstance(item, Gap):
        return replace(item, cause="rehearsal", ended=False)
    if not isinstance(item, Block) or not len(item):
        return None
    to_utc_ns = int(item.t_utc_ns[-1] - item.t_run_ns[-1])
    from_utc_ns = int(item.t_utc_ns[0] - item.t_run_ns[0])
    from_ns, to_ns = min(int(item.t_request_ns[0]), int(item.t_run_ns[0])), int(item.t_response_ns[-1])
    to_ns = max(to_ns, int(item.t_run_ns[-1]))
    polls = len(np.unique(item.t_request_ns))  # one answer may carry several rows
    return Gap(
        item.instrument, from_ns, to_ns, from_utc_ns + from_ns, to_utc_ns + to_ns, polls, "rehearsal",
        ended=False,
    )  # fmt: skip


def shifted(item: Item, by_ns: int) -> Item:
    """Give an item in the gateway time of a journal whose time is `by_ns` ahead; mostly it is not."""
    if not by_ns:
        return item
    if isinstance(item, Block):
        return replace(
            item, t_run_ns=item.t_run_ns + by_ns, t_request_ns=item.t_request_ns + by_ns,
            t_response_ns=item.t_response_ns + by_ns,
        )  # fmt: skip
    if isinstance(item, Gap):
        return replace(item, from_run_ns=item.from_run_ns + by_ns, to_run_ns=item.to_run_ns + by_ns)
    return replace(item, t_run_ns=item.t_run_ns + by_ns)
