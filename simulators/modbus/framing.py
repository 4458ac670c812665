"""Frames of Modbus TCP and Modbus RTU: find requests in a stream of bytes, wrap and spoil answers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

ADU_MAX_TCP = 260
ADU_MAX_RTU = 256
_MBAP_LENGTH = 7


class FrameError(Exception):
    """The stream holds something that cannot be a frame and cannot be resynchronised."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stood on the wire."""

    adu: bytes
    unit: int
    pdu: bytes


class Framing(Protocol):
    """One of the two framings."""

    silence_s: float | None
    """After so long without a byte the rest of the buffer is a frame or noise; None: never."""
    broadcast_unit: int | None

    def take(self, buffer: bytearray) -> Request | None:
        """Take the first whole request out of the buffer. Raises `FrameError`."""
        ...

    def flush(self, buffer: bytearray) -> Request | None:
        """Empty the buffer after a silence; it may have held a request of unknown length."""
        ...

    def wrap(self, request: Request, pdu: bytes) -> bytes:
        """Return the answer's bytes."""
        ...

    def spoil_check(self, answer: bytes) -> bytes:
        """Return the answer with its check made wrong."""
        ...


def crc16(data: bytes) -> int:
    """Return the CRC of Modbus RTU (polynomial A001h reflected, preset FFFFh)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _crc_table() -> Sequence[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Return unit, PDU and CRC (low byte first)."""
    body = bytes((unit,)) + pdu
    return body + struct.pack("<H", crc16(body))


class TcpFraming:
    """MBAP framing; several requests may arrive in one segment."""

    silence_s: float | None = None
    broadcast_unit: int | None = None

    def take(self, buffer: bytearray) -> Request | None:
        """Take the first whole request. A wrong protocol id or length cannot be resynchronised."""
        if len(buffer) < _MBAP_LENGTH:
            return None
        _, protocol, length, unit = struct.unpack(">HHHB", buffer[:_MBAP_LENGTH])
        if protocol != 0 or not 2 <= length <= ADU_MAX_TCP - 6:
            raise FrameError(f"protocol id {protocol}, length {length}")
        end = 6 + length
        if len(buffer) < end:
            return None
        adu = bytes(buffer[:end])
        del buffer[:end]
        return Request(adu, unit, adu[_MBAP_LENGTH:])

    def flush(self, buffer: bytearray) -> Request | None:
        """Keep waiting: TCP has no meaning of silence."""
        del buffer
        return None

    def wrap(self, request: Request, pdu: bytes) -> bytes:
        """Return the answer with the request's transaction id and unit."""
        return request.adu[:4] + struct.pack(">HB", len(pdu) + 1, request.unit) + pdu

    def spoil_check(self, answer: bytes) -> bytes:
        """Change the transaction id: the only thing by which TCP frames are checked."""
        return bytes((answer[0] ^ 0xFF, answer[1])) + answer[2:]


class RtuFraming:
    """RTU framing: requests are found by their length and CRC, else by 3.5 characters of silence.

    On a pty bytes do not arrive with the timing of a line, so the silence is never shorter than
    `SILENCE_MIN_S`: a request that a busy machine writes in two pieces stays one request.
    """

    SILENCE_MIN_S = 0.02
    broadcast_unit: int | None = 0

    def __init__(self, baud: int) -> None:
        # 3.5 characters of 11 bits, fixed at 1.75 ms above 19200 baud (serial line specification 2.5.1.1).
        line_s = 3.5 * 11 / baud if baud <= 19200 else 0.00175
        self.silence_s: float | None = max(line_s, self.SILENCE_MIN_S)

    def take(self, buffer: bytearray) -> Request | None:
        """Take the first whole request with a good CRC; anything else waits for the silence."""
        length = _request_length(buffer)
        adu = bytes(buffer[:length])
        if length is None or len(buffer) < length or crc16(adu) != 0:
            if len(buffer) > ADU_MAX_RTU:
                buffer.clear()
            return None
        del buffer[:length]
        return Request(adu, adu[0], adu[1:-2])

    def flush(self, buffer: bytearray) -> Request | None:
        """Return what the silence has ended if its CRC is good (a function of unknown length)."""
        adu = bytes(buffer)
        buffer.clear()
        if len(adu) < 4 or crc16(adu) != 0:
            return None
        return Request(adu, adu[0], adu[1:-2])

    def wrap(self, request: Request, pdu: bytes) -> bytes:
        """Return unit, PDU and CRC."""
        return rtu_frame(request.unit, pdu)

    def spoil_check(self, answer: bytes) -> bytes:
        """Invert the last byte of the CRC."""
        return answer[:-1] + bytes((answer[-1] ^ 0xFF,))


def _request_length(buffer: bytearray) -> int | None:
    """Return the length of the request at the head of the buffer, None while it cannot be known."""
    if len(buffer) < 2:
        return None
    function = buffer[1]
    if 1 <= function <= 6:
        return 8
    if function in {15, 16}:
        return 9 + buffer[6] if len(buffer) > 6 else None
    if function == 0x2B:
        return 7
    return None
