"""Sets a point of a unit and reads it back, between two polls, on the line that the polls use."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from drivers.errors import DriverError, WrongAnswer
from drivers.modbus.frames import Request, read_request
from drivers.modbus.plan import data_bytes
from drivers.schedule import NS_PER_S

if TYPE_CHECKING:
    from drivers.modbus.bus import ModbusBus
    from drivers.modbus.settings import ModbusSettings
    from drivers.modbus.write_point import WritePoint
    from drivers.transport import Wire

LINE_WAIT_S = 2.0
"""A line that the polls do not leave free for so long counts as busy."""
TIMEOUT_S_MAX = 1.0
"""A person waits for the answer: no longer than this for each exchange."""


def write_request(unit: int, point: WritePoint, data: bytes) -> Request:
    """Return the request that sets a point (Application Protocol V1.1b3, sections 6.5, 6.6, 6.11, 6.12)."""
    if point.table == "coil" and point.function == "single":
        pdu = struct.pack(">BHH", 5, point.address, 0xFF00 if data[0] else 0)
    elif point.table == "coil":
        pdu = struct.pack(">BHHB", 15, point.address, 1, 1) + data
    elif point.function == "single":
        pdu = struct.pack(">BH", 6, point.address) + data
    else:
        pdu = struct.pack(">BHHB", 16, point.address, point.registers, len(data)) + data
    return Request(unit, pdu, None)


class PointWriter:
    """Reads and sets the points that the settings of one unit name, and no others.

    Nothing is repeated: whether a request whose answer is lost was carried out is found by reading back.
    """

    def __init__(self, settings: ModbusSettings, bus: ModbusBus) -> None:
        self._settings = settings
        self._bus = bus

    def point(self, name: str) -> WritePoint | None:
        """Return a point by its name."""
        return next((point for point in self._settings.writes if point.name == name), None)

    async def read(self, point: WritePoint) -> bytes:
        """Return what the device says now. Raises DriverError."""
        async with self._bus.line.lease(self._patience_ns(), poll=False) as wire:
            return await self._read(wire, point)

    async def write(self, point: WritePoint, data: bytes) -> tuple[bytes | None, DriverError | None]:
        """Set the point and read it back.

        Returns:
            What the device says afterwards (None when it does not), and what went wrong on the way.
        """
        failure: DriverError | None = None
        try:
            async with self._bus.line.lease(self._patience_ns(), poll=False) as wire:
                try:
                    await self._set(wire, point, data)
                except DriverError as error:
                    failure = error
                return await self._read(wire, point), failure
        except DriverError as error:
            return None, failure or error

    async def _set(self, wire: Wire, point: WritePoint, data: bytes) -> None:
        request = write_request(self._settings.unit, point, data)
        answer = await self._exchange(wire, request)
        # Each of the four functions answers with address and value, or address and count.
        if answer != request.pdu[1:5]:
            raise WrongAnswer(
                f"the device confirmed {answer.hex(' ')} where {request.pdu[1:5].hex(' ')} was written"
            )

    async def _read(self, wire: Wire, point: WritePoint) -> bytes:
        function = 1 if point.table == "coil" else 3
        size = data_bytes(function, point.registers)
        request = read_request(self._settings.unit, function, point.address, point.registers, size)
        answer = await self._exchange(wire, request)
        return bytes([answer[0] & 1]) if point.table == "coil" else answer

    async def _exchange(self, wire: Wire, request: Request) -> bytes:
        exchange = await self._bus.exchange(wire, request, min(self._settings.timeout_s, TIMEOUT_S_MAX))
        if exchange.error is not None:
            raise exchange.error
        return exchange.data

    def _patience_ns(self) -> int:
        return self._bus.line.clock.run_ns() + int(LINE_WAIT_S * NS_PER_S)
