"""Reads all values of one unit, and finds out by itself which of them the device refuses.

A refusal of an address (exceptions 2 and 3) concerns some registers of a block, never all that happen to lie
beside them. The block is halved, and its halves again, until what is refused stands alone: a value that the
device does not have, or nothing at all where only a hole that was read along is forbidden. The plan found so
is kept; a refused value is told once, asked again rarely, and the plan is made anew when it is granted.

A poll asks for what is due in it (`cadence`), and its row holds the values that were asked for, no others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from drivers.errors import DeviceException, DriverError, LineBusy, LinkDown, NoAnswer
from drivers.modbus.decode import Decoder, build_layout
from drivers.modbus.frames import read_request
from drivers.modbus.plan import ReadBlock, halves
from drivers.schedule import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drivers.modbus.bus import Exchange, ModbusBus
    from drivers.modbus.frames import Request
    from drivers.modbus.settings import ModbusSettings
    from drivers.news import News
    from drivers.transport import Stamp, Wire
    from pipeline.records import Item

ILLEGAL_ADDRESS = frozenset({2, 3})
"""Illegal data address, illegal data value (Application Protocol V1.1b3, section 7): about some registers."""
BUSY = frozenset({5, 6})
"""Acknowledge, server device busy (section 7): the same request is to be sent again later."""
BUSY_WAITS_S = (0.05, 0.1)
"""Pauses before a busy device is asked again within one poll."""
MEASURED_ANSWERS = 20
"""Answers whose delays are measured before the plan is made anew with their median."""
REFUSED_RETRY_S = 600.0
"""A refused value is asked again so often: firmware and configuration of a device change rarely."""
SPLITS_MAX = 16
"""Blocks halved in one poll; the rest in the following ones."""
DECODERS_MAX = 64
"""Sets of due values whose decode is kept; of more, all are made anew when they come again."""


@dataclass(slots=True)
class Part:
    """One request of the plan in force."""

    block: ReadBlock
    request: Request
    slots: frozenset[int]
    """Numbers of the slots of its values: it is asked when one of them is due."""
    refused: int = 0
    """Status of the refusal that its single value met last; 0: it is asked in every poll."""
    retry_run_ns: int = 0


class Answers(NamedTuple):
    """What one poll brought, in the plan's order."""

    decoder: Decoder
    """Decodes `data`: of the plan as it was after this poll."""
    data: list[bytes | int]
    """For each block of that plan its data bytes, or the `Status` code that says why there are none."""
    request: Stamp
    """Of the first request."""
    response_ns: int
    """Gateway time of the end of the last answer."""
    errors: list[DriverError | None]
    """Of every block that was asked, None where it answered."""
    items: list[Item]
    """News of the blocks."""


@dataclass(slots=True)
class _Round:
    """One poll under way."""

    wire: Wire
    until_run_ns: int
    due: tuple[int, ...]
    """Numbers of the slots that it reads."""
    waiting: deque[Part]
    done: list[tuple[Part, bytes | int]]
    errors: list[DriverError | None]
    items: list[Item]
    kept: list[Part]
    """Parts of which nothing is due."""
    splits: int = 0
    changed: bool = False
    granted: bool = False
    """A value that was refused is there again."""
    request: Stamp | None = None
    response_ns: int = 0


class BlockReader:
    """The requests of one unit, in the form in which the device grants them.

    Args:
        settings: of the unit.
        bus: its line; the caller of `read` holds the lease.
        news: takes what is to be told once.
    """

    def __init__(self, settings: ModbusSettings, bus: ModbusBus, news: News) -> None:
        self._settings = settings
        self._bus = bus
        self._news = news
        self.layout = build_layout(settings.channels, settings.every)
        """All channels; no plan changes them."""
        self._delays_s: list[float] = []
        self._answer_s: float | None = None
        """Delay of the device's answers, once it has been measured."""
        self._timetable = settings.timetable()
        self._period_ns = max(1, round(settings.poll_interval_s * NS_PER_S))
        self._first_until_ns: int | None = None
        self._parts = self._planned(range(len(settings.channels)))
        self._decoders: dict[tuple[int, ...], Decoder] = {}

    def kept(self) -> list[Any]:
        """Return what earlier polls have shown, for `restore`: delays, turns, the plan and its refusals."""
        plan = [
            [
                part.block.function, part.block.address, part.block.count, part.block.channels, part.refused,
                part.retry_run_ns,
            ]
            for part in self._parts
        ]  # fmt: skip
        turns = [slot.next_index for slot in self._timetable.slots]
        return [self._delays_s, self._answer_s, self._first_until_ns, turns, plan]

    def restore(self, kept: list[Any]) -> None:
        """Know what another reader of the same settings knew."""
        delays_s, self._answer_s, self._first_until_ns, turns, plan = kept
        self._delays_s = list(delays_s)
        for slot, next_index in zip(self._timetable.slots, turns, strict=True):
            slot.next_index = next_index
        parts = []
        for function, address, count, channels, refused, retry_run_ns in plan:
            part = self._part(ReadBlock(function, address, count, tuple(channels)))
            part.refused, part.retry_run_ns = refused, retry_run_ns
            parts.append(part)
        self._follow(parts)

    async def read(self, wire: Wire, until_run_ns: int) -> Answers:
        """Ask block by block; after silence or a loss the rest is not asked for.

        Raises LineBusy and LinkDown when nothing could be sent.
        """
        index, due = self._due(until_run_ns)
        now = _Round(wire, until_run_ns, due, deque(self._parts), [], [], [], [])
        asks_none = all(self._rests(part) for part in self._parts if self._is_due(now, part))
        while now.waiting:
            part = now.waiting.popleft()
            if not self._is_due(now, part):
                now.kept.append(part)
            # A poll of which nothing is sent would be no poll: then the first one is asked after all.
            elif self._rests(part) and not (asks_none and not now.done):
                now.done.append((part, part.refused))
            elif await self._ask(now, part):
                break
        for number in due:
            self._timetable.slots[number].serve(index)
        decoder = self._adopt(now) if now.changed else self._decoder_for(due)
        if self._answer_s is None and len(self._delays_s) >= MEASURED_ANSWERS:
            self._learn()
        data = [answer for _, answer in now.done]
        assert now.request is not None  # noqa: S101 - a poll of which nothing was sent has raised
        return Answers(decoder, data, now.request, now.response_ns, now.errors, now.items)

    def _due(self, until_run_ns: int) -> tuple[int, tuple[int, ...]]:
        """Return the number of this poll on the grid, by its end, and the slots that it has to read."""
        slots = self._timetable.slots
        if self._first_until_ns is None:
            self._first_until_ns = until_run_ns
        index = round((until_run_ns - self._first_until_ns) / self._period_ns)
        return index, tuple(number for number, slot in enumerate(slots) if slot.next_index <= index)

    def _is_due(self, now: _Round, part: Part) -> bool:
        return len(now.due) == len(self._timetable.slots) or not part.slots.isdisjoint(now.due)

    def _rests(self, part: Part) -> bool:
        return part.refused != 0 and self._bus.line.leased_run_ns < part.retry_run_ns

    async def _ask(self, now: _Round, part: Part) -> bool:
        """Ask for one block; True when nothing further can be asked in this poll."""
        exchange = await self._patiently(now, part.request)
        error = exchange.error
        if exchange.request is None and error is not None and not now.errors:
            raise error
        now.request = now.request or exchange.request
        now.response_ns = exchange.response_ns
        now.errors.append(error)
        if isinstance(error, DeviceException) and error.code in ILLEGAL_ADDRESS:
            if self._may_split(now, part):
                now.waiting.extendleft(reversed([self._part(block) for block in self._halves(part)]))
                now.splits += 1
                now.changed = True
                return False
            self._refuse(now, part, error)
        elif error is None:
            self._measure(exchange, part.block)
        if error is None and part.refused:
            part.refused, now.changed, now.granted = 0, True, True
            now.items.append(self._news.event("register-granted", where=str(part.block)))
        now.items += self._news.exchange(str(part.block), error)
        now.done.append((part, exchange.data if error is None else error.status))
        if not isinstance(error, NoAnswer | LinkDown | LineBusy):
            return False
        for rest in now.waiting:
            if self._is_due(now, rest):
                now.done.append((rest, rest.refused or error.status))
            else:
                now.kept.append(rest)
        return True

    async def _patiently(self, now: _Round, request: Request) -> Exchange:
        """Exchange once, and again after a pause while the device says that it is busy and time is left."""
        exchange = await self._bus.exchange(now.wire, request, self._settings.timeout_s)
        for wait_s in BUSY_WAITS_S:
            busy = isinstance(exchange.error, DeviceException) and exchange.error.code in BUSY
            if not busy or exchange.response_ns + int(wait_s * NS_PER_S) >= now.until_run_ns:
                break
            await asyncio.sleep(wait_s)
            exchange = await self._bus.exchange(now.wire, request, self._settings.timeout_s)
        return exchange

    def _may_split(self, now: _Round, part: Part) -> bool:
        in_time = now.response_ns < now.until_run_ns
        return len(part.block.channels) > 1 and now.splits < SPLITS_MAX and in_time

    def _halves(self, part: Part) -> tuple[ReadBlock, ReadBlock]:
        return halves(self._settings.channels, part.block)

    def _refuse(self, now: _Round, part: Part, error: DeviceException) -> None:
        """Remember that a value is refused; a block that waits to be halved is asked in the next poll."""
        if len(part.block.channels) > 1:
            return
        if not part.refused:
            channel = self._settings.channels[part.block.channels[0]]
            now.items.append(
                self._news.event(
                    "register-refused", channel=channel.name, where=str(part.block), code=error.code,
                    meaning=error.meaning, retry_s=REFUSED_RETRY_S,
                )
            )  # fmt: skip
        part.refused = error.status
        part.retry_run_ns = now.response_ns + int(REFUSED_RETRY_S * NS_PER_S)

    def _measure(self, exchange: Exchange, block: ReadBlock) -> None:
        """Note how long the device took to begin its answer."""
        # On a network the plan does not depend on it.
        if self._answer_s is None and exchange.request is not None and self._settings.timed_line:
            elapsed_s = (exchange.response_ns - exchange.request.run_ns) / NS_PER_S
            bare = self._settings.cost(0.0)
            self._delays_s.append(elapsed_s - bare.block_s(block.function, block.count) + bare.quiet_s)

    def _learn(self) -> None:
        """Plan anew, once, with the delay that was measured: what pays depends on it."""
        self._answer_s = max(0.0, median(self._delays_s))
        if not any(part.refused for part in self._parts):
            self._follow(self._planned(range(len(self._settings.channels))))

    def _adopt(self, now: _Round) -> Decoder:
        """Keep the plan of this poll for the next ones; return what decodes this poll's answers."""
        self._follow([part for part, _ in now.done] + now.kept)
        decoder = self._decoder_for(now.due)
        if now.granted:
            # What was split around a refusal is joined again; should that be refused, it is split again.
            refused = [part for part in self._parts if part.refused]
            granted = [at for part in self._parts if not part.refused for at in part.block.channels]
            self._follow([*self._planned(sorted(granted)), *refused])
        return decoder

    def _follow(self, parts: list[Part]) -> None:
        """Put another plan in force."""
        self._parts = parts
        self._decoders.clear()

    def _planned(self, positions: Iterable[int]) -> list[Part]:
        settings = self._settings
        blocks = self._timetable.blocks(
            settings.channels, positions, settings.limits, settings.cost(self._answer_s)
        )
        return [self._part(block) for block in blocks]

    def _part(self, block: ReadBlock) -> Part:
        unit = self._settings.unit
        request = read_request(unit, block.function, block.address, block.count, block.byte_count)
        return Part(block, request, frozenset(self._timetable.slot_of(at) for at in block.channels))

    def _decoder_for(self, due: tuple[int, ...]) -> Decoder:
        """Return what decodes the answers of the plan in force when some slots are due."""
        found = self._decoders.get(due)
        if found is None:
            if len(self._decoders) >= DECODERS_MAX:
                self._decoders.clear()
            found = self._decoders[due] = self._decoder_of(due)
        return found

    def _decoder_of(self, due: tuple[int, ...]) -> Decoder:
        channels, slot_of = self._settings.channels, self._timetable.slot_of
        blocks = [part.block for part in self._parts]
        if len(due) == len(self._timetable.slots):
            return Decoder(channels, self.layout, blocks)
        asked = [at for at in range(len(channels)) if slot_of(at) in due]
        place = {at: position for position, at in enumerate(asked)}
        members = [channels[at] for at in asked]
        own = [
            replace(block, channels=tuple(place[at] for at in block.channels if at in place))
            for block in blocks
        ]
        layout = build_layout(members, [self.layout.channels[at].every for at in asked])
        return Decoder(members, layout, [block for block in own if block.channels])
