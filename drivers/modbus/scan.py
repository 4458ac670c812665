"""Find the units of a line by reading alone: function 43/14, then one register by function 3 or 4.

Nothing is written. A refusal counts as an answer: whoever refuses is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from drivers.door import Identity
from drivers.errors import DeviceException, LinkDown, NoAnswer, WrongAnswer
from drivers.modbus.bus import ModbusBus
from drivers.modbus.cost import silence_s
from drivers.modbus.frames import decode_identification, identification_request, read_request
from drivers.modbus.framing import RtuFraming, TcpFraming
from drivers.schedule import NS_PER_S
from drivers.transport import Line, SerialParameters, open_serial, open_tcp

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Sequence

    from drivers.errors import DriverError
    from drivers.modbus.bus import Exchange
    from drivers.modbus.frames import Request
    from drivers.transport import Wire
    from pipeline.records import Clock

REQUESTS_MAX = 3
"""Requests to a unit that stays silent."""
_FRAME_BYTES = 8
_ANSWER_BYTES = 5
_LEASE_S = 60.0
_OBJECTS = ("vendor", "model", "revision")
"""Objects 0, 1 and 2 of the basic identification (Application Protocol V1.1b3, section 6.21)."""


class Found(NamedTuple):
    """A unit that answered."""

    unit: int
    by: str
    """What it answered to, and how."""
    identity: Identity | None
    """None when it does not say."""
    delay_s: float
    """From the end of the request to the beginning of its answer; on a network the whole round trip."""


class Probed(NamedTuple):
    """What came of one unit."""

    unit: int
    found: Found | None
    damage: DriverError | None
    """Bytes came that were no answer: line settings that do not fit, or two units of one number."""


async def scan_serial(
    parameters: SerialParameters, units: Sequence[int], timeout_s: float, clock: Clock, rng: random.Random
) -> AsyncIterator[Probed]:
    """Ask the units of a serial line one after another. Raises LinkDown when the port cannot be opened."""

    async def connect() -> Wire:
        return open_serial(parameters, clock=clock)

    character_s = parameters.character_s
    quiet_s = silence_s(parameters.baudrate, character_s)
    line = Line(str(parameters.port), connect, clock, rng, silence_s=quiet_s, quarantine=True)
    bus = ModbusBus(line, RtuFraming(), character_s=character_s)
    line.join()
    try:
        for unit in units:
            async with line.lease(clock.run_ns() + int(_LEASE_S * NS_PER_S)) as wire:
                probed = await _probe(bus, wire, unit, timeout_s, character_s)
            if isinstance(probed.damage, LinkDown):
                raise probed.damage
            yield probed
    finally:
        line.leave()


async def scan_tcp(
    host: str, port: int, units: Sequence[int], timeout_s: float, clock: Clock, rng: random.Random
) -> AsyncIterator[Probed]:
    """Ask the units behind one address, each on a connection of its own. Raises LinkDown when there is none.

    A device may close the connection at a unit number that is not its own: that is an answer of no unit.
    """

    async def connect() -> Wire:
        return await open_tcp(host, port, timeout_s=max(timeout_s, 1.0), clock=clock)

    for unit in units:
        line = Line(f"{host}:{port}", connect, clock, rng)
        line.join()
        try:
            async with line.lease(clock.run_ns() + int(_LEASE_S * NS_PER_S)) as wire:
                probed = await _probe(ModbusBus(line, TcpFraming()), wire, unit, timeout_s, 0.0)
        finally:
            line.leave()
        yield probed


async def _probe(bus: ModbusBus, wire: Wire, unit: int, timeout_s: float, character_s: float) -> Probed:
    """Ask one unit until it answers or has kept silent to all requests."""
    damage: DriverError | None = None
    for request, name in (
        (identification_request(unit, 1, 0), "identification"),
        (read_request(unit, 3, 0, 1, 2), "function 3"),
        (read_request(unit, 4, 0, 1, 2), "function 4"),
    ):
        exchange = await bus.exchange(wire, request, timeout_s)
        error = exchange.error
        if error is None:
            identity = _identity(exchange.data) if request.byte_count is None else None
            return Probed(unit, Found(unit, name, identity, _delay_s(exchange, request, character_s)), None)
        if isinstance(error, DeviceException):
            by = f"{name} refused with {error.message}"
            return Probed(unit, Found(unit, by, None, _delay_s(exchange, request, character_s)), None)
        if isinstance(error, LinkDown):
            return Probed(unit, None, error)
        if not isinstance(error, NoAnswer):
            damage = error
    return Probed(unit, None, damage)


def _identity(data: bytes) -> Identity | None:
    try:
        objects, _ = decode_identification(data)
    except WrongAnswer:
        return None
    return Identity(**{name: objects.get(number, "") for number, name in enumerate(_OBJECTS)})


def _delay_s(exchange: Exchange, request: Request, character_s: float) -> float:
    """Take the time of the bytes on the line off the time of the exchange."""
    if exchange.request is None:
        return 0.0
    line_s = (len(request.pdu) + 3 + _ANSWER_BYTES + len(exchange.data)) * character_s
    return max(0.0, (exchange.response_ns - exchange.request.run_ns) / NS_PER_S - line_s)


def duration_s(units: int, rates: Sequence[SerialParameters], timeout_s: float, quiet_s: float) -> float:
    """Return how long a scan of a line takes on which nobody answers.

    Args:
        units: how many are asked at each rate.
        rates: line settings that are tried.
        timeout_s: wait for an answer.
        quiet_s: quiet time after each request that found no answer.
    """
    bytes_each = 2 * _FRAME_BYTES
    return sum(units * REQUESTS_MAX * (timeout_s + quiet_s + bytes_each * rate.character_s) for rate in rates)
