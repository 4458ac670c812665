"""How PDUs travel on each kind of line: MBAP, RTU, ASCII. Pure functions over bytes.

A serial line may add bytes to what a device sends: an adapter that switches direction, a cable that picks
something up. Such bytes stand before the answer, or break one; the answer itself is found again by its
checksum (`resync`), and a poll is lost only when it is damaged itself.
"""

from __future__ import annotations

import struct
from typing import Protocol

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerAscii, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from drivers.errors import BadFrame
from drivers.modbus.frames import DEVICE_IDENTIFICATION, Frame, Request, identification_is_whole

_DECODER = DecodePDU(False)  # noqa: FBT003 - pymodbus' signature
_RTU = FramerRTU(_DECODER)
_ASCII = FramerAscii(_DECODER)
_TCP = FramerSocket(_DECODER)
_RTU_BYTES_MIN = 5
"""The shortest answer, an exception: unit, function, code, CRC."""
_RTU_BYTES_MAX = 256
_ASCII_CHARACTERS_MAX = 513
"""Colon, two characters for each of 255 bytes, CR and LF (Modbus over Serial Line V1.02, section 2.5.2)."""
_MBAP_LENGTH_MAX = 254
_EXCEPTION_BYTES = 5
_WIRING = "check wiring, termination, baud rate and parity"


class Framing(Protocol):
    """How PDUs travel on one kind of line."""

    numbered: bool
    """Whether answers carry the number of their request."""
    characters_per_byte: int
    """Characters on the line for each byte of a PDU."""

    def encode(self, request: Request, transaction: int) -> bytes:
        """Return the frame to write."""
        ...

    def unit_of(self, frame: bytes) -> int:
        """Return the unit that a frame of `encode` is for."""
        ...

    def take(self, buffer: bytes) -> Frame | None:
        """Return the first frame of `buffer`, None while it is incomplete. Raises BadFrame."""
        ...

    def resync(self, buffer: bytes, request: Request) -> int:
        """Return how many damaged bytes stand before a whole answer to `request`, 0 where none is found."""
        ...


class RtuFraming:
    """unit, PDU, CRC-16 (Modbus over Serial Line V1.02, section 2.5.1)."""

    numbered = False
    characters_per_byte = 1

    def encode(self, request: Request, transaction: int) -> bytes:  # noqa: ARG002 - RTU numbers nothing
        """Return the frame to write."""
        return _RTU.encode(request.pdu, request.unit, 0)

    def unit_of(self, frame: bytes) -> int:
        """Return the unit that a frame of `encode` is for."""
        return frame[0]

    def take(self, buffer: bytes) -> Frame | None:
        """Return the frame that `buffer` begins with, None while it is incomplete. Raises BadFrame."""
        size = _rtu_size(buffer)
        if size is None:
            return None
        if size > _RTU_BYTES_MAX:
            raise BadFrame(f"a frame of {size} bytes cannot be", hint="check wiring, baud rate and parity")
        if len(buffer) < size:
            return None
        if not _crc_is_right(buffer[:size]):
            raise BadFrame("the checksum is wrong", hint=_WIRING)
        return Frame(buffer[0], None, buffer[1 : size - 2], size)

    def resync(self, buffer: bytes, request: Request) -> int:
        """Slide along the buffer to an undamaged answer (or refusal) of the unit that was asked.

        Chance makes one of noise at a given place once in 2**32 at least: unit, function and checksum match,
        the byte count too.
        """
        for start in range(1, len(buffer) - _EXCEPTION_BYTES + 1):
            if buffer[start] != request.unit or buffer[start + 1] & 0x7F != request.function:
                continue
            size = _answer_size(buffer[start:], request)
            if size is not None and _crc_is_right(buffer[start : start + size]):
                return start
        return 0


def _answer_size(tail: bytes, request: Request) -> int | None:
    """Return the length of the answer to `request` that `tail` may begin with; None where there is none."""
    if tail[1] & 0x80:
        return _EXCEPTION_BYTES
    if request.byte_count is None:
        try:
            size = _rtu_size(tail)
        except BadFrame:
            return None
    else:
        size = 5 + request.byte_count if tail[2] == request.byte_count else None
    return size if size is not None and size <= len(tail) else None


def _crc_is_right(frame: bytes) -> bool:
    return bool(_RTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")))


def _rtu_size(buffer: bytes) -> int | None:
    """Return the length of the frame that `buffer` begins with; None while that cannot be told."""
    if len(buffer) < _RTU_BYTES_MIN:
        return None
    try:
        kind = _DECODER.lookupPduClass(buffer)
        if kind is None:
            raise BadFrame(
                f"no known function ({buffer[1]}) begins here", hint="check wiring, baud rate and parity"
            )
        if buffer[1] == DEVICE_IDENTIFICATION and not identification_is_whole(buffer[1:]):
            return None
        return kind.calculateRtuFrameSize(buffer) or None
    except (ModbusException, struct.error, IndexError, KeyError) as error:
        raise BadFrame(
            f"function {buffer[1]} has no known length", hint="check wiring, baud rate and parity"
        ) from error


class AsciiFraming:
    """Colon, hexadecimal digits, LRC, CR and LF (Modbus over Serial Line V1.02, section 2.5.2)."""

    numbered = False
    characters_per_byte = 2

    def encode(self, request: Request, transaction: int) -> bytes:  # noqa: ARG002 - ASCII numbers nothing
        """Return the frame to write."""
        return bytes(_ASCII.encode(request.pdu, request.unit, 0))

    def unit_of(self, frame: bytes) -> int:
        """Return the unit that a frame of `encode` is for."""
        return int(frame[1:3], 16)

    def take(self, buffer: bytes) -> Frame | None:
        """Return the first frame of `buffer`, None while it is incomplete. Raises BadFrame.

        A colon begins a frame wherever it comes: what stands before it is no part of one.
        """
        end = buffer.find(b"\r\n")
        if end < 0:
            if len(buffer) > _ASCII_CHARACTERS_MAX:
                raise BadFrame("a line without end", hint="does the device speak Modbus ASCII?")
            return None
        begin = buffer.rfind(b":", 0, end)
        try:
            body = bytes.fromhex(buffer[begin + 1 : end].decode("ascii")) if begin >= 0 else b""
        except ValueError:
            body = b""
        if len(body) < 4 or not _ASCII.check_LRC(body[:-1], body[-1]):
            raise BadFrame("the checksum is wrong, or the line is none of Modbus ASCII", hint=_WIRING)
        return Frame(body[0], None, body[1:-1], end + 2)

    def resync(self, buffer: bytes, request: Request) -> int:  # noqa: ARG002 - every line begins anew
        """Return the length of a first line that is damaged, where another one follows it."""
        end = buffer.find(b"\r\n") + 2
        return end if end > 1 and buffer.find(b":", end) >= 0 else 0


class TcpFraming:
    """MBAP header and PDU (Messaging on TCP/IP V1.0b, section 3.1.3)."""

    numbered = True
    characters_per_byte = 1

    def encode(self, request: Request, transaction: int) -> bytes:
        """Return the frame to write."""
        return _TCP.encode(request.pdu, request.unit, transaction)

    def unit_of(self, frame: bytes) -> int:
        """Return the unit that a frame of `encode` is for."""
        return frame[6]

    def take(self, buffer: bytes) -> Frame | None:
        """Return the frame that `buffer` begins with, None while it is incomplete. Raises BadFrame."""
        if len(buffer) < 7:
            return None
        transaction, protocol, length, unit = struct.unpack_from(">HHHB", buffer)
        if protocol != 0 or not 3 <= length <= _MBAP_LENGTH_MAX:
            raise BadFrame("no Modbus TCP header begins here", hint="does the port speak Modbus TCP?")
        if len(buffer) < 6 + length:
            return None
        return Frame(unit, transaction, buffer[7 : 6 + length], 6 + length)

    def resync(self, buffer: bytes, request: Request) -> int:  # noqa: ARG002 - TCP damages nothing
        """Return 0: a stream that is out of step is closed and opened anew."""
        return 0
