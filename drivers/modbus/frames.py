"""Requests and answers of Modbus: pure functions over bytes, on top of pymodbus' PDU classes.

pymodbus 3.16 builds the requests, computes checksums and frame sizes and decodes the device identification.
Its client is not used: it hands the late answer of one request to the next, takes answers of another length
or function for good, and keeps neither the silence of the line nor the raw bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from pymodbus.constants import ExcCodes
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from drivers.errors import DeviceException, WrongAnswer

DEVICE_IDENTIFICATION = 0x2B
WRITES = frozenset({5, 6, 15, 16})
"""Functions whose answers have no byte count (Application Protocol V1.1b3, sections 6.5 to 6.12)."""
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
    uncounted = function == DEVICE_IDENTIFICATION or function in WRITES
    variable = uncounted or function & 0x80 or len(frame.pdu) < 2
    return Signature(function, None if variable else frame.pdu[1])


def identification_is_whole(pdu: bytes) -> bool:
    """Tell whether all objects of a device identification are there (Application Protocol, section 6.21)."""
    position = 7
    if len(pdu) < position:
        return False
    for _ in range(pdu[6]):
        if len(pdu) < position + 2:
            return False
        position += 2 + pdu[position + 1]
    return len(pdu) >= position


def decode_identification(data: bytes) -> tuple[dict[int, str], int | None]:
    """Return the objects of one identification answer and the object to go on with, None at the end.

    Raises:
        WrongAnswer: the objects are not laid out as section 6.21 says.
    """
    answer = ReadDeviceInformationResponse()
    if not identification_is_whole(bytes([DEVICE_IDENTIFICATION]) + data) or data[0] != 0x0E:
        raise WrongAnswer("the device identification is cut")
    answer.decode(data)
    objects: dict[int, str] = {}
    for number, value in answer.information.items():
        first = value[0] if isinstance(value, list) else value
        objects[number] = bytes(first).decode("utf-8", "replace").strip("\0 ")
    return objects, answer.next_object_id if answer.more_follows else None
