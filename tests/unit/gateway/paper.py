"""A journal on paper for the gateway's own parts: seqs, stamps and room, but no disk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.journal import JournalFullError
from pipeline.records import ClockState, Record
from pipeline.records.envelope import decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.records.envelope import Body, By, Source

UTC0 = 1_780_000_000 * 10**9
RUN0 = 5_000 * 10**9


@dataclass
class HandClock:
    """Moves only when told; `now` counts ns since the beginning, of both clocks."""

    now: int = 0

    def utc_ns(self) -> int:
        return UTC0 + self.now

    def run_ns(self) -> int:
        return RUN0 + self.now

    def state(self) -> ClockState:
        return ClockState(synchronised=True, error_ns=0)


@dataclass
class PaperJournal:
    """Takes records until `room_left` is used up."""

    clock: HandClock = field(default_factory=HandClock)
    records: list[Record] = field(default_factory=list)
    room_left: int | None = None
    epoch: int = 0
    clock_step_ns: int = 0
    boot: int = 1
    has_room: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def head_seq(self) -> int:
        return len(self.records)

    def append(
        self, kind: str, body: Body, *, by: By | None = None, source: Source = "live", **_: Any
    ) -> Record:  # fmt: skip
        if self.room_left is not None:
            if self.room_left == 0:
                raise JournalFullError("no room", hint="none")
            self.room_left -= 1
        made = encode(
            kind=kind, source=source, journal=bytes(range(16)), epoch=self.epoch, boot=self.boot,
            seq=self.head_seq, t_utc_ns=self.clock.utc_ns(), t_run_ns=self.clock.run_ns(),
            clock=self.clock.state(), by=by, body=dict(body),
        )  # fmt: skip
        self.records.append(decode(made.data))
        return self.records[-1]

    async def read(self, from_seq: int, *, bytes_max: int) -> list[Record]:
        return self.records[from_seq : from_seq + 40]

    async def room(self) -> None:
        while self.room_left == 0:
            self.has_room.clear()
            await self.has_room.wait()

    def give_room(self) -> None:
        self.room_left = None
        self.has_room.set()

    def stored_offsets(self, _instrument: str, _t_utc_ns: object) -> None:
        return None


def said(records: list[Record]) -> list[tuple[str, By | None, Mapping[str, Any]]]:
    """What records say, without their stamps."""
    return [(record.kind, record.by, record.body) for record in records]
