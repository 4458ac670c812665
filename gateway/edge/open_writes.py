"""Writes that were confirmed and whose end is not on record: a crash came between, and nobody knows.

A confirmation is on the disk before a byte goes to the instrument, so that every write that was begun is in
the record. One without an outcome is looked up at the next start: the point is read, and what it says is
recorded, as meant or otherwise. While the instrument does not answer that is an alarm. Nothing is written.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgpack

from drivers.errors import DriverError
from pipeline.journal import JournalFullError
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.modbus.write_point import WritePoint
    from drivers.modbus.writer import PointWriter
    from gateway.edge.recorder import Recorder
    from pipeline.records import Record

Json = dict[str, Any]
LOG = logging.getLogger(__name__)
CONFIRMED = "write-confirmed"
READ_BACK = "write-read-back"
UNKNOWN = "write-unknown"
OUTCOMES = frozenset({"write-done", "write-failed", "write-unverified", READ_BACK})
AGAIN_S = 5.0
"""Pause before an instrument that did not answer is asked again."""


class OpenWrites:
    """A fold over the record: confirmed writes without an outcome, by their token.

    Bound: one for each point that the site names; of a point only its last write is open.
    """

    def __init__(self) -> None:
        self._open: dict[str, Json] = {}

    def see(self, record: Record) -> None:
        """Take one record; only events about writes matter."""
        if record.kind != "event":
            return
        code, args = record.body.get("code"), record.body.get("args") or {}
        if code == CONFIRMED:
            about = {**args, "instrument": record.body.get("instrument")}
            place = _place(about)
            self._open = {token: one for token, one in self._open.items() if _place(one) != place}
            self._open[about["write"]] = about
        elif code in OUTCOMES or (code == UNKNOWN and args.get("final")):
            self._open.pop(str(args.get("write")), None)

    def all(self) -> list[Json]:
        """Return what is said of each."""
        return list(self._open.values())

    def snapshot(self) -> bytes:
        """State for the next start."""
        packed: bytes = msgpack.packb(self._open)
        return packed

    def restore(self, state: bytes) -> None:
        """Take up a snapshot."""
        self._open = msgpack.unpackb(state)


def _place(args: Json) -> tuple[str, str]:
    return args["instrument"], args["point"]


class LookUp:
    """Looks up the writes that a stop left open, until each has an end; then it is done.

    Args:
        recorder: takes the records.
        opened: the fold, brought to the end of the journal.
        writers: of the instruments whose settings name points.
    """

    def __init__(self, recorder: Recorder, opened: OpenWrites, writers: Mapping[str, PointWriter]) -> None:
        self._recorder = recorder
        self._opened = opened
        self._writers = writers
        self._before = [args["write"] for args in opened.all()]
        self._told: set[str] = set()

    async def run(self) -> None:
        """Ask until all have answered, or cannot be asked any more."""
        while left := [args for args in self._opened.all() if args["write"] in self._before]:
            for args in left:
                try:
                    await self._look(args)
                except JournalFullError as error:
                    LOG.warning("what %s reads cannot be recorded now: %s", args["point"], error)
            if any(args["write"] in self._before for args in self._opened.all()):
                await asyncio.sleep(AGAIN_S)

    async def _look(self, args: Json) -> None:
        writer = self._writers.get(args["instrument"])
        point = None if writer is None else writer.point(args["point"])
        if writer is None or point is None:
            self._unknown(args, "the site file does not name this point any more", final=True)
            return
        try:
            data = await writer.read(point)
        except DriverError as error:
            self._unknown(args, str(error), final=False)
            return
        if args in self._opened.all():
            self._found(args, point, data)

    def _found(self, args: Json, point: WritePoint, data: bytes) -> None:
        found = {**args, "found": point.decode(data)}
        try:
            as_meant = data == point.encode(args["value"])
        except (ValueError, OverflowError):
            as_meant = False  # the site file has another type now
        if not as_meant:
            # The alarm first: were it the other way round, a crash between the two would cost it.
            self._tell("write-differs", found)
        self._tell(READ_BACK, found)

    def _unknown(self, args: Json, error: str, *, final: bool) -> None:
        if args["write"] not in self._told or final:
            self._tell(UNKNOWN, {**args, "error": error, "final": final})
            self._told.add(args["write"])

    def _tell(self, code: str, args: Json) -> None:
        body = event_body(code, **args)
        self._opened.see(self._recorder.append("event", body, instrument=args["instrument"]))
