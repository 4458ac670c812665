"""A Modbus instrument as its poller sees it: its plan, its decode, its events."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import numpy as np

from drivers.door import Description, Identity, what_is_found
from drivers.errors import DeviceException, DriverError, LineBusy, LinkDown, NoAnswer, WrongAnswer
from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import decode_identification, identification_request
from drivers.modbus.reader import BlockReader
from drivers.modbus.writer import PointWriter
from drivers.news import News
from drivers.poller import Outcome
from pipeline.records import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drivers.modbus.reader import Answers
    from drivers.modbus.settings import ModbusSettings
    from drivers.transport import Line, Wire
    from drivers.transport.recording import Kept
    from pipeline.records import Item

_IDENTITY_ANSWERS_MAX = 8
_IDENTITY_SILENCES_MAX = 2
"""A device that did not answer the question so often is not asked again: each time costs a time-out."""
_READ_EXTENDED = 3
_READ_BASIC = 1


class ModbusInstrument:
    """One unit of a Modbus line. A row holds all its channels, whatever the number of blocks.

    Its stamps reach from the first request to the last answer of the poll.
    """

    def __init__(self, settings: ModbusSettings, bus: ModbusBus) -> None:
        self._settings = settings
        self._bus = bus
        self._news = News(settings.id, bus.line.clock)
        self._reader = BlockReader(settings, bus, self._news)
        self.writer = PointWriter(settings, bus)
        """Sets the points that the settings name."""
        self._identity: Identity | None = None
        self._identified_connection = 0
        self._identity_silences = 0

    def describe(self) -> Description:
        """Tell what is known of the instrument now."""
        settings = self._settings
        return Description(
            settings.id, settings.driver, settings.source, settings.endpoint, self._reader.layout,
            self._identity, settings.poll_interval_s,
            what_is_found(self._identity, pseudo_terminal=self._bus.line.pseudo_terminal),
        )  # fmt: skip

    @property
    def line(self) -> Line:
        """The line that it hangs on."""
        return self._bus.line

    def owns(self, request: bytes) -> bool:
        """Tell whether a request was for this unit."""
        return self._bus.unit_of(request) == self._settings.unit

    def kept(self) -> Kept:
        """Return what earlier polls have shown, for `restore`."""
        return {
            "bus": self._bus.kept(), "reader": self._reader.kept(), "news": self._news.kept(),
            "identity": None if self._identity is None else astuple(self._identity),
            "identified": [self._identified_connection, self._identity_silences],
        }  # fmt: skip

    def restore(self, kept: Kept) -> None:
        """Know what another one of the same settings knew."""
        self._bus.restore(kept["bus"])
        self._reader.restore(kept["reader"])
        self._news.restore(kept["news"])
        self._identity = None if kept["identity"] is None else Identity(*kept["identity"])
        self._identified_connection, self._identity_silences = kept["identified"]

    async def open(self, wake: Callable[[], None]) -> None:  # noqa: ARG002 - a Modbus unit never speaks by itself
        """Claim the line."""
        self._bus.line.join()

    async def close(self) -> None:
        """Give the line back."""
        self._bus.line.leave()

    def unsolicited(self) -> Sequence[Item]:
        """Return nothing: a Modbus unit never speaks by itself."""
        return ()

    async def poll(self, until_run_ns: int) -> Outcome:
        """Read all blocks, unless the line cannot be had before `until_run_ns`."""
        try:
            async with self._bus.line.lease(until_run_ns) as wire:
                return await self._poll(wire, until_run_ns)
        except LineBusy as error:
            return Outcome(cause="line-busy", error=error)
        except LinkDown as error:
            return Outcome(cause="disconnected", error=error)

    async def _poll(self, wire: Wire, until_run_ns: int) -> Outcome:
        answers = await self._reader.read(wire, until_run_ns)
        heard = [error for error in answers.errors if error is None or isinstance(error, DeviceException)]
        items: list[Item] = []
        if not heard:
            # Whoever answers next may be another device in its place.
            self._identified_connection = 0
        elif wire.inbox.lost is None and self._wants_identity():
            self._identified_connection = self._bus.line.connections
            items += await self._identify(wire)
        items += answers.items
        items.append(self._row(answers))
        error = None if heard else next(error for error in answers.errors if error is not None)
        return Outcome(items, error=error)

    def _wants_identity(self) -> bool:
        return (
            self._settings.read_identity
            and self._identity_silences < _IDENTITY_SILENCES_MAX
            and self._identified_connection != self._bus.line.connections
        )

    def _row(self, answers: Answers) -> Block:
        columns = answers.decoder.decode(answers.data)
        asked = answers.request
        middle_ns = (asked.run_ns + answers.response_ns) // 2
        utc_ns = asked.utc_ns + middle_ns - asked.run_ns
        raw = b"".join(answer for answer in answers.data if isinstance(answer, bytes))
        return Block(
            instrument=self._settings.id,
            layout=answers.decoder.layout,
            t_utc_ns=np.array([utc_ns], dtype=np.int64),
            t_run_ns=np.array([middle_ns], dtype=np.int64),
            t_request_ns=np.array([asked.run_ns], dtype=np.int64),
            t_response_ns=np.array([answers.response_ns], dtype=np.int64),
            status=columns.status,
            f8=columns.f8,
            i8=columns.i8,
            u8=columns.u8,
            text=columns.text,
            # The bytes of the blocks that answered, in the plan's order; the status says which did.
            raw=(raw,) if self._settings.keep_raw else None,
        )

    async def _identify(self, wire: Wire) -> list[Item]:
        """Ask the device who it is (function 43/14); one that cannot say is left in peace."""
        for read_code in (_READ_EXTENDED, _READ_BASIC):
            objects, error = await self._identification(wire, read_code)
            if isinstance(error, NoAnswer):
                self._identity_silences += 1
                break
            if objects:
                self._identity_silences = 0
                self._identity = Identity(
                    vendor=objects.get(0, ""),
                    model=objects.get(5) or objects.get(4) or objects.get(1, ""),
                    serial=objects.get(self._settings.serial_object, ""),
                    revision=objects.get(2, ""),
                )
                return [self._news.identity(self._identity)]
        return []

    async def _identification(self, wire: Wire, read_code: int) -> tuple[dict[int, str], DriverError | None]:
        objects: dict[int, str] = {}
        following: int | None = 0
        for _ in range(_IDENTITY_ANSWERS_MAX):
            if following is None:
                break
            request = identification_request(self._settings.unit, read_code, following)
            exchange = await self._bus.exchange(wire, request, self._settings.timeout_s)
            if exchange.error is not None:
                return objects, exchange.error
            try:
                found, following = decode_identification(exchange.data)
            except WrongAnswer as error:
                return objects, error
            objects |= found
        return objects, None
