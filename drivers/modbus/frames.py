"""Frames of Modbus RTU and TCP: pure functions over bytes, on top of pymodbus' framers and PDU classes.

pymodbus 3.16 builds the requests, computes CRCs and frame sizes and decodes the device identification. Its
client is not used: it hands the late answer of one request to the next, takes answers of another length or
function for good, and keeps neither the silence of the line nor the raw bytes.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Protocol

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from drivers.errors import BadFrame, DeviceException, WrongAnswer

DEVICE_IDENTIFICATION = 0x2B
_DECODER = DecodePDU(False)  # noqa: FBT003 - pymodbus' signature
_RTU = FramerRTU(_DECODER)
_TCP = FramerSocket(_DECODER)
_RTU_BYTES_MIN = 5
"""The shortest answer, an exception: unit, function, code, CRC."""
_RTU_BYTES_MAX = 256
_MBAP_LENGTH_MAX = 254
_READS = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}
_MEANINGS = {int(code): code.name.lower().replace("_", " ") for code in ExcCodes}


class Request(NamedTuple):
    """What is asked of one unit, and what its answer must look like."""

    unit: int
    pdu: bytes
    byte_count: int | None
    """Data bytes of the answer; None when they vary."""

    @property
    def function(self) -> int:
        """The function code."""
        return self.pdu[0]

    @property
    def signature(self) -> Signature:
        """By what its answer is told from others."""
        return Signature(self.function, self.byte_count)


class Signature(NamedTuple):
    """What tells the answers of one unit apart on a line that numbers nothing."""

    function: int
    byte_count: int | None


class Frame(NamedTuple):
    """One undamaged frame."""

    unit: int
    transaction: int | None
    """Number of the request that it answers; None on RTU."""
    pdu: bytes
    """Function code and data."""
    used: int
    """Bytes of the buffer up to its end."""


class Framing(Protocol):
    """How PDUs travel on one kind of line."""

    numbered: bool
    """Whether answers carry the number of their request."""

    def encode(self, request: Request, transaction: int) -> bytes:
        """Return the frame to write."""
        ...

    def take(self, buffer: bytes) -> Frame | None:
        """Return the first frame of `buffer`, None while it is incomplete. Raises BadFrame."""
        ...


class RtuFraming:
    """unit, PDU, CRC-16 (Modbus over Serial Line V1.02, section 2.5.1)."""

    numbered = False

    def encode(self, request: Request, transaction: int) -> bytes:  # noqa: ARG002 - RTU numbers nothing
        """Return the frame to write."""
        return _RTU.encode(request.pdu, request.unit, 0)

    def take(self, buffer: bytes) -> Frame | None:
        """Return the frame that `buffer` begins with, None while it is incomplete. Raises BadFrame."""
        size = _rtu_size(buffer)
        if size is None:
            return None
        if size > _RTU_BYTES_MAX:
            raise BadFrame(f"a frame of {size} bytes cannot be", hint="check wiring, baud rate and parity")
        if len(buffer) < size:
            return None
        if not _RTU.check_CRC(buffer[: size - 2], int.from_bytes(buffer[size - 2 : size], "big")):
            raise BadFrame("the checksum is wrong", hint="check wiring, termination, baud rate and parity")
        return Frame(buffer[0], None, buffer[1 : size - 2], size)


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
        if buffer[1] == DEVICE_IDENTIFICATION and not _identification_is_whole(buffer[1:]):
            return None
        return kind.calculateRtuFrameSize(buffer) or None
    except (ModbusException, struct.error, IndexError, KeyError) as error:
        raise BadFrame(
            f"function {buffer[1]} has no known length", hint="check wiring, baud rate and parity"
        ) from error


def _identification_is_whole(pdu: bytes) -> bool:
    """Tell whether all objects of a device identification are there (Application Protocol, section 6.21)."""
    position = 7
    if len(pdu) < position:
        return False
    for _ in range(pdu[6]):
        if len(pdu) < position + 2:
            return False
        position += 2 + pdu[position + 1]
    return len(pdu) >= position


class TcpFraming:
    """MBAP header and PDU (Messaging on TCP/IP V1.0b, section 3.1.3)."""

    numbered = True

    def encode(self, request: Request, transaction: int) -> bytes:
        """Return the frame to write."""
        return _TCP.encode(request.pdu, request.unit, transaction)

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


def read_request(unit: int, function: int, address: int, count: int, byte_count: int) -> Request:
    """Return the request for `count` registers or bits."""
    pdu = _READS[function](address=address, count=count, dev_id=unit)
    return Request(unit, bytes([function]) + pdu.encode(), byte_count)


def identification_request(unit: int, read_code: int, object_id: int) -> Request:
    """Return the request for the device identification (function 43/14), from `object_id` on."""
    pdu = ReadDeviceInformationRequest(read_code=read_code, object_id=object_id, dev_id=unit)
    return Request(unit, bytes([DEVICE_IDENTIFICATION]) + pdu.encode(), None)


def check_answer(request: Request, frame: Frame) -> bytes:
    """Return the data of a frame that answers `request`: the bytes after function code and byte count.

    Raises:
        WrongAnswer: other unit, other function, other length.
        DeviceException: the device refuses.
    """
    if frame.unit != request.unit:
        raise WrongAnswer(
            f"unit {frame.unit} answered for unit {request.unit}", hint="are two units numbered alike?"
        )
    function, data = frame.pdu[0], frame.pdu[1:]
    if function == request.function | 0x80 and len(data) == 1:
        raise DeviceException(data[0], _MEANINGS.get(data[0], "not in the standard"))
    if function != request.function:
        raise WrongAnswer(f"function {function} answered function {request.function}")
    if request.byte_count is None:
        return data
    if not data or data[0] != len(data) - 1 or data[0] != request.byte_count:
        said = data[0] if data else 0
        raise WrongAnswer(
            f"{len(data) - 1} bytes (said to be {said}) came where {request.byte_count} were asked for"
        )
    return data[1:]


def answer_signature(frame: Frame) -> Signature:
    """Return by what an answer is told from others."""
    function = frame.pdu[0]
    variable = function == DEVICE_IDENTIFICATION or function & 0x80 or len(frame.pdu) < 2
    return Signature(function, None if variable else frame.pdu[1])


def decode_identification(data: bytes) -> tuple[dict[int, str], int | None]:
    """Return the objects of one identification answer and the object to go on with, None at the end.

    Raises:
        WrongAnswer: the objects are not laid out as section 6.21 says.
    """
    answer = ReadDeviceInformationResponse()
    if not _identification_is_whole(bytes([DEVICE_IDENTIFICATION]) + data) or data[0] != 0x0E:
        raise WrongAnswer("the device identification is cut")
    answer.decode(data)
    objects: dict[int, str] = {}
    for number, value in answer.information.items():
        first = value[0] if isinstance(value, list) else value
        objects[number] = bytes(first).decode("utf-8", "replace").strip("\0 ")
    return objects, answer.next_object_id if answer.more_follows else None
