"""Examples of a profile: their bytes are taken apart and decoded as the driver would."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, NamedTuple

from drivers.errors import DriverError
from drivers.modbus.channel import FLOATS
from drivers.modbus.decode import Decoder, build_layout
from drivers.modbus.frames import Frame, Request, check_answer
from drivers.modbus.framing import RtuFraming, TcpFraming
from drivers.modbus.plan import FUNCTIONS, ReadBlock, data_bytes
from pipeline.records import Status
from pipeline.records.flags import status_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from drivers.modbus.channel import ModbusChannel
    from drivers.modbus.profiles.file import Example

_RTU = RtuFraming()
_TCP = TcpFraming()
_TOLERANCES = {"float16": 1e-3, "float32": 1e-6}
"""A document prints fewer digits than a float has."""


class ExampleError(Exception):
    """An example is not what it says; `key` names the part of it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


class Read(NamedTuple):
    """What an example reads."""

    block: ReadBlock
    values: dict[str, float | int | str | None]
    """None where the device gives no value."""
    status: dict[str, int]


def hex_bytes(text: str) -> bytes:
    """Read bytes as people and documents write them: `01 04`, `0104`, `0x01, 0x04`. Raises ValueError."""
    return bytes.fromhex(text.replace("0x", " ").replace("0X", " ").replace(",", " "))


def request_of(example: Example) -> tuple[ReadBlock, Request]:
    """Take the request of an example apart. Raises ExampleError."""
    frame = _bytes(example.request, "request")
    if example.framing == "rtu":
        if len(frame) != 8 or _RTU.encode(Request(frame[0], frame[1:-2], None), 0) != frame:
            raise ExampleError(
                "request",
                "this is no RTU frame of eight bytes with a right checksum; is it a bare PDU or TCP?",
            )
        unit, pdu = frame[0], frame[1:-2]
    elif example.framing == "tcp":
        taken = _taken(frame, "request", _TCP)
        unit, pdu = taken.unit, taken.pdu
    else:
        unit, pdu = 1, frame
    if len(pdu) != 5 or pdu[0] not in FUNCTIONS.values():
        raise ExampleError("request", "this is no reading of coils, discrete inputs or registers")
    function, address, count = struct.unpack(">BHH", pdu)
    if not 1 <= count <= (2000 if function <= 2 else 125):
        raise ExampleError("request", f"nothing can give {count} registers in one answer")
    return ReadBlock(function, address, count, ()), Request(unit, pdu, data_bytes(function, count))


def decode_example(channels: Sequence[ModbusChannel], example: Example) -> Read:
    """Decode the answer by the channels that lie wholly in what is asked for. Raises ExampleError."""
    asked, request = request_of(example)
    answer = _bytes(example.answer, "answer")
    if example.framing == "pdu":
        frame = Frame(request.unit, None, answer, len(answer))
    else:
        frame = _taken(answer, "answer", _RTU if example.framing == "rtu" else _TCP)
    try:
        data = check_answer(request, frame)
    except DriverError as error:
        raise ExampleError("answer", error.message) from None
    inside = [channel for channel in channels if lies_in(channel, asked)]
    block = ReadBlock(asked.function, asked.address, asked.count, tuple(range(len(inside))))
    layout = build_layout(inside)
    columns = Decoder(inside, layout, [block]).decode([data])
    values: dict[str, float | int | str | None] = {}
    status = {}
    for position, channel in enumerate(inside):
        code = int(columns.status[position, 0])
        kind = layout.channels[position].kind
        column = getattr(columns, kind)[layout.slots[position]]
        value = column[0] if kind == "text" else column[0].item()
        status[channel.name] = code
        values[channel.name] = value if code == Status.GOOD else None
    return Read(block, values, status)


def lies_in(channel: ModbusChannel, block: ReadBlock) -> bool:
    """Tell whether a request brings the whole of a value, its scale factor too."""
    first, stop = channel.span
    return (
        FUNCTIONS[channel.table] == block.function
        and block.address <= first
        and stop <= block.address + block.count
    )


def mistakes(channels: Sequence[ModbusChannel], example: Example) -> list[tuple[tuple[str, ...], str]]:
    """Compare an example with what it says: the key of each mistake and what is wrong."""
    try:
        read = decode_example(channels, example)
    except ExampleError as error:
        return [((error.key,), error.message)]
    by_name = {channel.name: channel for channel in channels}
    found: list[tuple[tuple[str, ...], str]] = []
    for name, expected in example.values.items():
        wrong = _unread(name, by_name, read) or _wrong_value(by_name[name], expected, read)
        found += [(("values", name), wrong)] if wrong else []
    for name, wanted in example.status.items():
        wrong = _unread(name, by_name, read) or _wrong_status(name, wanted, read)
        found += [(("status", name), wrong)] if wrong else []
    return found


def _unread(name: str, channels: Mapping[str, ModbusChannel], read: Read) -> str:
    if name not in channels:
        return f"there is no channel '{name}'"
    return "" if name in read.values else f"the request {read.block} does not bring '{name}'"


def _wrong_value(channel: ModbusChannel, expected: float | str, read: Read) -> str:
    got, status = read.values[channel.name], read.status[channel.name]
    if status != Status.GOOD:
        return f"'{channel.name}' reads as {status_name(status)}, not {expected}"
    return "" if _equal(channel, expected, got) else f"'{channel.name}' reads {got!r}, not {expected!r}"


def _wrong_status(name: str, wanted: str, read: Read) -> str:
    if read.status[name] == Status[wanted.upper()]:
        return ""
    said = read.values[name] if read.values[name] is not None else status_name(read.status[name])
    return f"'{name}' reads {said!r}, not {wanted}"


def _equal(channel: ModbusChannel, expected: float | str, read: float | str | None) -> bool:
    if isinstance(expected, str) or isinstance(read, str) or read is None:
        return expected == read
    tolerance = _TOLERANCES.get(channel.type, 0.0) if channel.type in FLOATS else 0.0
    return math.isclose(expected, read, rel_tol=max(tolerance, 1e-12 if channel.scaled else 0.0))


def _bytes(text: str, key: str) -> bytes:
    try:
        return hex_bytes(text)
    except ValueError:
        raise ExampleError(key, "these are no bytes in hexadecimal: write them as 01 04 00 00") from None


def _taken(data: bytes, key: str, framing: RtuFraming | TcpFraming) -> Frame:
    try:
        frame = framing.take(data)
    except DriverError as error:
        raise ExampleError(key, error.message) from None
    if frame is None or frame.used != len(data):
        raise ExampleError(key, f"{len(data)} bytes are not one whole frame")
    return frame
