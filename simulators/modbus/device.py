"""Function codes: a request PDU in, an answer PDU out. Pure but for the cells that a master may write."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simulators.exchange import ChannelValue
from simulators.fault_board import UNDISTURBED, Effects, FaultBoard
from simulators.identity import Identity
from simulators.modbus.registers import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Field,
    ModbusError,
    RegisterMap,
    Span,
    Table,
    unpack_bits,
)

READS: Mapping[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITES = frozenset({5, 6, 15, 16})
BITS_MAX_READ, BITS_MAX_WRITE, REGISTERS_MAX_WRITE = 2000, 1968, 123
READ_DEVICE_IDENTIFICATION = 0x2B
_MEI_DEVICE_IDENTIFICATION = 0x0E
_STREAM_LAST_OBJECT = {1: 0x02, 2: 0x06, 3: 0xFF}
_INDIVIDUAL_ACCESS = 4
_CONFORMITY = 0x83  # extended identification, stream and individual access
SERIAL_NUMBER_OBJECT = 0x80
"""Private object that carries the serial number (where widely sold transmitters have theirs)."""


class ModbusInstrument(Protocol):
    """A product as pure state: what it measures is a function of time, faults and written settings."""

    identity: Identity
    registers: RegisterMap
    quantities: tuple[str, ...]
    defaults: Mapping[str, int]
    """Power-on raw values of the writable cells."""

    def measure(self, t_ns: int, effects: Effects, written: Mapping[str, int]) -> Mapping[str, ChannelValue]:
        """Return the value of every channel at scenario time `t_ns`."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer PDU with the numbers that it carries and the physics faults behind them."""

    pdu: bytes
    values: dict[str, ChannelValue] = field(default_factory=dict)
    effects: Effects = UNDISTURBED


class ModbusDevice:
    """One unit: an instrument, its writable cells and its faults of physics."""

    def __init__(self, instrument: ModbusInstrument, board: FaultBoard) -> None:
        self.instrument = instrument
        self.board = board
        self.written = dict(instrument.defaults)

    def execute(self, pdu: bytes, t_ns: int) -> Outcome:
        """Answer one request PDU (1 to 253 bytes); refusals become exception PDUs."""
        function = pdu[0]
        try:
            if function in READS:
                return self._read(pdu, t_ns)
            if function in WRITES:
                return Outcome(self._write(pdu))
            if function == READ_DEVICE_IDENTIFICATION:
                return Outcome(self._identify(pdu))
        except ModbusError as refusal:
            return Outcome(exception_pdu(function, refusal.code), unread(self.channels_asked(pdu)))
        return Outcome(exception_pdu(function, ILLEGAL_FUNCTION))

    def channels_asked(self, pdu: bytes) -> list[str]:
        """Return the channels that a read request covers; empty for anything else."""
        try:
            return [f.channel for f in self._span(pdu).whole()]
        except ModbusError:
            return []

    def _span(self, pdu: bytes) -> Span:
        table = READS.get(pdu[0])
        if table is None:
            raise ModbusError(ILLEGAL_FUNCTION)
        if len(pdu) != 5:
            raise ModbusError(ILLEGAL_VALUE)
        address, count = struct.unpack(">HH", pdu[1:])
        limit = BITS_MAX_READ if table in {"coil", "discrete"} else self.instrument.registers.count_max
        if not 1 <= count <= limit:
            raise ModbusError(ILLEGAL_VALUE)
        return self.instrument.registers.span(table, address, count)

    def _read(self, pdu: bytes, t_ns: int) -> Outcome:
        span = self._span(pdu)
        effects = self.board.effects(t_ns, span.quantities)
        self.board.count_reading(effects, span.quantities)
        values = self.instrument.measure(t_ns, effects, self.written)
        data, carried = self.instrument.registers.read(span, values)
        return Outcome(bytes((pdu[0], len(data))) + data, carried, effects)

    def _write(self, pdu: bytes) -> bytes:
        function = pdu[0]
        table: Table = "coil" if function in {5, 15} else "holding"
        if len(pdu) < 5:
            raise ModbusError(ILLEGAL_VALUE)
        address, operand = struct.unpack(">HH", pdu[1:5])
        if function == 5:
            if operand not in {0x0000, 0xFF00} or len(pdu) != 5:
                raise ModbusError(ILLEGAL_VALUE)
            self._store(table, address, [operand >> 15])
            return pdu
        if function == 6:
            if len(pdu) != 5:
                raise ModbusError(ILLEGAL_VALUE)
            self._store(table, address, [operand])
            return pdu
        self._store(table, address, _many(pdu, operand))
        return pdu[:5]

    def _store(self, table: Table, address: int, raws: list[int]) -> None:
        """Write raw cells; all are checked before the first one changes."""
        span = self.instrument.registers.span(table, address, len(raws))
        cells: dict[int, Field] = {f.address: f for f in span.fields}
        accepted: dict[str, int] = {}
        for offset, raw in enumerate(raws):
            cell = cells.get(address + offset)
            if cell is None or cell.writable is None:
                raise ModbusError(ILLEGAL_ADDRESS)
            signed = raw - 0x10000 if cell.kind == "int16" and raw >= 0x8000 else raw
            if not cell.writable[0] <= signed <= cell.writable[1]:
                raise ModbusError(ILLEGAL_VALUE)
            accepted[cell.channel] = signed
        self.written.update(accepted)

    def _identify(self, pdu: bytes) -> bytes:
        if len(pdu) != 4:
            raise ModbusError(ILLEGAL_VALUE)
        _, mei, code, first = pdu
        if mei != _MEI_DEVICE_IDENTIFICATION:
            raise ModbusError(ILLEGAL_FUNCTION)
        objects = identification_objects(self.instrument.identity)
        if code == _INDIVIDUAL_ACCESS:
            if first not in objects:
                raise ModbusError(ILLEGAL_ADDRESS)
            chosen = {first: objects[first]}
        elif code in _STREAM_LAST_OBJECT:
            last = _STREAM_LAST_OBJECT[code]
            # An unknown first object restarts the stream at zero (specification, section 6.21).
            begin = first if first in objects and first <= last else 0
            chosen = {i: text for i, text in objects.items() if begin <= i <= last}
        else:
            raise ModbusError(ILLEGAL_VALUE)
        body = b"".join(bytes((i, len(text))) + text for i, text in chosen.items())
        return bytes((pdu[0], mei, code, _CONFORMITY, 0, 0, len(chosen))) + body


def identification_objects(identity: Identity) -> dict[int, bytes]:
    """Return the objects of function 43/14; together they fit one PDU."""
    texts = {
        0x00: identity.vendor,
        0x01: identity.product,
        0x02: identity.revision,
        0x04: identity.product,
        0x05: identity.model,
        SERIAL_NUMBER_OBJECT: identity.serial,
    }
    return {i: text.encode("ascii") for i, text in texts.items()}


def exception_pdu(function: int, code: int) -> bytes:
    """Return the PDU of a refusal."""
    return bytes((function | 0x80, code))


def unread(channels: list[str]) -> dict[str, ChannelValue]:
    """Return the channels of a read that brought nothing."""
    return dict.fromkeys(channels)


def _many(pdu: bytes, count: int) -> list[int]:
    """Return the raw cells of function 15 or 16. Raises `ModbusError` 3 when the lengths disagree."""
    is_coils = pdu[0] == 15
    limit = BITS_MAX_WRITE if is_coils else REGISTERS_MAX_WRITE
    size = -(-count // 8) if is_coils else 2 * count
    if not 1 <= count <= limit or len(pdu) != 6 + size or pdu[5] != size:
        raise ModbusError(ILLEGAL_VALUE)
    return unpack_bits(pdu[6:], count) if is_coils else list(struct.unpack(f">{count}H", pdu[6:]))
