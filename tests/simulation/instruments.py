"""Simulated instruments with their own log of answers: the only truth that the outcome is held against."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from drivers.door import Description, Found
from drivers.errors import LinkDown, NoAnswer
from drivers.poller import Outcome, Poller
from pipeline.records import Block, Channel, DeviceEvent, Layout, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from drivers.door import Driver
    from drivers.settings import InstrumentSettings
    from pipeline.records import Clock, Item

State = Literal["answers", "silent", "disconnected"]
ANSWER_S = (0.001, 0.05)
TIMEOUT_S = 0.3
BURST_SHARE = 0.02
BURST_ROWS_MAX = 30
"""Now and then one answer carries several rows, all of one time."""
LAYOUT = Layout((Channel("level", "f8", unit="mm"), Channel("count", "u8")))
_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What an instrument has answered, at a true time of the simulation."""

    t_s: float
    level: float
    count: int

    @property
    def key(self) -> tuple[bytes, int]:
        """Its values, bit for bit; no two answers share them."""
        return struct.pack("<d", self.level), self.count


@dataclass
class Instrument:
    """An instrument that outlives every gateway; what it measures is different each time, to the bit."""

    name: str
    period_s: float
    random: Random
    state: State = "answers"
    answers: list[Answer] = field(default_factory=list)
    requests_s: list[float] = field(default_factory=list)
    """When a poll reached it."""
    states: list[tuple[float, State]] = field(default_factory=lambda: [(0.0, "answers")])
    """Since when it is how."""
    connection: int = 1
    """A new one for whatever is put in its place, also where no poll came while the cable was out."""
    found: Found = ""
    """What it shows itself to be on a new connection, where it is declared live."""
    stands: list[tuple[float, Found]] = field(default_factory=lambda: [(0.0, "")])
    """Since when something else is in its place."""

    async def swap(self, found: Found, away_s: float) -> None:
        """Put something else in its place: its cable is out meanwhile."""
        self.become("disconnected")
        self.connection += 1
        await asyncio.sleep(away_s)
        self.found = found
        self.stands.append((asyncio.get_running_loop().time(), found))
        self.become("answers")

    def found_at(self, t_s: float) -> Found:
        """What was in its place at a true time."""
        return next(found for begin_s, found in reversed(self.stands) if begin_s <= t_s)

    def become(self, state: State) -> None:
        self.state = state
        self.states.append((asyncio.get_running_loop().time(), state))

    def was(self, state: State, from_s: float, to_s: float) -> bool:
        """Whether it was in a state for any part of a span."""
        ends = [*(t_s for t_s, _ in self.states[1:]), float("inf")]
        spans = zip(self.states, ends, strict=True)
        return any(s == state and begin < to_s and end > from_s for (begin, s), end in spans)

    def answer(self) -> Answer:
        """Measure: any double but NaN and the infinities, subnormals and -0.0 among them."""
        number = len(self.answers)
        bits = (number * 0x9E3779B97F4A7C15 + self.random.getrandbits(64)) & _MASK
        if number % 7 == 0:
            bits &= 0x800F_FFFF_FFFF_FFFF
        if bits & 0x7FF0_0000_0000_0000 == 0x7FF0_0000_0000_0000:
            bits ^= 0x4000_0000_0000_0000
        level: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
        answer = Answer(
            asyncio.get_running_loop().time(), level, (number << 40) | self.random.getrandbits(40)
        )
        self.answers.append(answer)
        return answer


class Wire:
    """One gateway's line to an instrument: what `drivers.poller.Polled` asks for."""

    def __init__(self, instrument: Instrument, settings: InstrumentSettings, clock: Clock) -> None:
        self._instrument = instrument
        self._settings = settings
        self._clock = clock
        self._found: Found = ""
        self._connection = 0

    def describe(self) -> Description:
        """See `Polled.describe`."""
        return Description(
            self._instrument.name,
            "simulation",
            self._settings.source,
            "memory",
            LAYOUT,
            None,
            self._instrument.period_s,
            self._found,
        )

    async def open(self, wake: Callable[[], None]) -> None:
        """See `Polled.open`."""

    async def close(self) -> None:
        """See `Polled.close`."""

    def unsolicited(self) -> Sequence[Item]:
        """See `Polled.unsolicited`."""
        return ()

    async def poll(self, until_run_ns: int) -> Outcome:
        """Ask for one answer."""
        instrument = self._instrument
        if instrument.state == "disconnected":
            self._connection = 0
            return Outcome(cause="disconnected", error=LinkDown("the cable is out"))
        request_ns, utc_ns = self._clock.run_ns(), self._clock.utc_ns()
        instrument.requests_s.append(asyncio.get_running_loop().time())
        if instrument.state == "silent":
            await asyncio.sleep(TIMEOUT_S)
            return Outcome([self._block(request_ns, utc_ns, [None])], error=NoAnswer("nothing came"))
        await asyncio.sleep(instrument.random.uniform(*ANSWER_S))
        burst = instrument.random.random() < BURST_SHARE
        rows = instrument.random.randint(2, BURST_ROWS_MAX) if burst else 1
        items = self._identify()
        return Outcome([*items, self._block(request_ns, utc_ns, [instrument.answer() for _ in range(rows)])])

    def _identify(self) -> list[Item]:
        """Say who it is on a new connection: a simulator does, and what is live does; a program may not."""
        if self._connection == self._instrument.connection or self._settings.source != "live":
            return []
        self._connection, self._found = self._instrument.connection, self._instrument.found
        if self._found == "pty":
            return []
        serial = "SIM-1" if self._found == "simulator" else "B-1"
        args: dict[str, str | int | float] = {"vendor": "", "model": "M", "serial": serial, "revision": ""}
        return [
            DeviceEvent(self._instrument.name, "identity", self._clock.utc_ns(), self._clock.run_ns(), args)
        ]

    def _block(self, request_ns: int, request_utc_ns: int, answers: list[Answer | None]) -> Block:
        """Make the rows of one exchange: all of one time."""
        response_ns, rows = self._clock.run_ns(), len(answers)
        middle_ns = (request_ns + response_ns) // 2
        status = [Status.NO_ANSWER if answer is None else Status.GOOD for answer in answers]
        return Block(
            instrument=self._instrument.name, layout=LAYOUT,
            t_utc_ns=np.full(rows, request_utc_ns + middle_ns - request_ns),
            t_run_ns=np.full(rows, middle_ns), t_request_ns=np.full(rows, request_ns),
            t_response_ns=np.full(rows, response_ns), status=np.array([status, status], np.uint8),
            f8=np.array([[np.nan if answer is None else answer.level for answer in answers]]),
            i8=np.empty((0, rows), np.int64),
            u8=np.array([[0 if answer is None else answer.count for answer in answers]], np.uint64),
        )  # fmt: skip


def drivers_of(
    instruments: dict[str, Instrument], settings: Sequence[InstrumentSettings], clock: Clock, random: Random
) -> list[Driver]:
    """Make the drivers of a gateway that has just started."""
    return [Poller(Wire(instruments[each.id], each, clock), clock, random) for each in settings]
