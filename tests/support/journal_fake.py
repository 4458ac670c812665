"""Records made by hand, and a journal that lives in memory: the publisher's `Source`, durable at once."""

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline.records import Block, Channel, Frame, Layout, Record
from pipeline.records.clock import ClockState
from pipeline.records.envelope import encode
from pipeline.records.frame import encode_frame
from pipeline.records.ranges import Range, RangeSet

SECOND_NS = 1_000_000_000
T0_NS = 1_780_000_000 * SECOND_NS
CLOCK = ClockState(synchronised=True, error_ns=1000)
LAYOUT = Layout((Channel("temperature", unit="degC"), Channel("humidity", unit="%")))


def make_record(
    seq: int, kind: str = "event", body: dict[str, Any] | None = None, journal: bytes = bytes(16)
) -> Record:
    """Return a record of second `seq`."""
    at_ns = seq * SECOND_NS
    return encode(
        kind=kind, source="live", journal=journal, epoch=0, boot=1, seq=seq, t_utc_ns=T0_NS + at_ns,
        t_run_ns=at_ns, clock=CLOCK, by=None, body={"number": seq} if body is None else body,
    )  # fmt: skip


def data_body(instrument: str, n_first: int, t_utc_ns: int, rows: int = 1) -> dict[str, Any]:
    """Return the body of a `data` record: two channels, a row a millisecond, answered 2 ms after it."""
    t_utc = t_utc_ns + np.arange(rows, dtype=np.int64) * 1_000_000
    t_run = t_utc - T0_NS
    values = np.arange(2 * rows, dtype=np.float64).reshape(2, rows) + n_first
    block = Block(
        instrument=instrument, layout=LAYOUT, t_utc_ns=t_utc, t_run_ns=t_run, t_request_ns=t_run - 2_000_000,
        t_response_ns=t_run + 2_000_000, status=np.zeros((2, rows), np.uint8), f8=values,
        i8=np.empty((0, rows), np.int64), u8=np.empty((0, rows), np.uint64),
    )  # fmt: skip
    return encode_frame(Frame(
        block, n_first, np.ones((2, rows), np.uint8), np.zeros((2, rows), np.int64), np.zeros((2, rows),
        np.int64)
    ))  # fmt: skip


class ReceiptsInMemory:
    """Receipts that count at once."""

    def __init__(self) -> None:
        self.done = RangeSet()
        self.changed = asyncio.Event()

    def acknowledge(self, ranges: Iterable[Range]) -> None:
        self.done.update(ranges)
        self.changed.set()


class JournalInMemory:
    """Every record is durable as soon as it is appended."""

    def __init__(self, identifier: bytes = bytes(range(16))) -> None:
        self.id = identifier
        self.receipts = ReceiptsInMemory()
        self.records: list[Record] = []
        self.reads = 0
        self._grown = asyncio.Condition()

    @property
    def durable_seq(self) -> int:
        return len(self.records) - 1

    def append(self, kind: str, body: dict[str, Any]) -> Record:
        record = make_record(len(self.records), kind, body, self.id)
        self.records.append(record)
        return record

    async def grow(self, kind: str, body: dict[str, Any]) -> Record:
        """Append and wake who waits for it."""
        record = self.append(kind, body)
        async with self._grown:
            self._grown.notify_all()
        return record

    async def read(self, from_seq: int, *, bytes_max: int) -> list[Record]:
        self.reads += 1
        found: list[Record] = []
        size = 0
        for record in self.records[from_seq:]:
            size += len(record.data)
            if found and size > bytes_max:
                break
            found.append(record)
        return found

    async def wait_beyond(self, seq: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: self.durable_seq > seq)

    async def all_receipted(self) -> None:
        """Wait until every record has its receipt."""
        while not (self.records and self.receipts.done.covers(0, self.durable_seq)):
            self.receipts.changed.clear()
            await self.receipts.changed.wait()
