"""Frames on the wire, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.modbus.framing import FrameError, RtuFraming, TcpFraming, crc16, rtu_frame


def bitwise_crc16(data: bytes) -> int:
    """The algorithm as the specification draws it, without a table."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


@pytest.mark.parametrize(
    "frame",
    [
        "01 04 00 01 00 02 20 0B",
        "01 04 04 01 31 02 22 2A CE",
        "01 84 02 C2 C1",
        "01 04 00 00 00 02 71 CB",
        "01 04 04 43 66 80 00 6F DF",
    ],
)
def test_published_frames_have_the_crc_that_we_compute(frame: str) -> None:
    raw = bytes.fromhex(frame)
    assert rtu_frame(raw[0], raw[1:-2]) == raw
    assert crc16(raw) == 0


@given(st.binary(max_size=300))
def test_crc_equals_the_bitwise_definition(data: bytes) -> None:
    assert crc16(data) == bitwise_crc16(data)


def test_crc_check_value_of_the_catalogue_of_crcs() -> None:
    assert crc16(b"123456789") == 0x4B37


def test_requests_in_one_segment_are_found_one_by_one_and_a_part_waits() -> None:
    one = bytes.fromhex("0001 0000 0006 01 04 0000 0002".replace(" ", ""))
    two = bytes.fromhex("0002 0000 0006 01 04 0002 0002".replace(" ", ""))
    buffer = bytearray(one + two + one[:5])
    framing = TcpFraming()
    first, second = framing.take(buffer), framing.take(buffer)
    assert first is not None
    assert second is not None
    assert (first.adu, second.adu) == (one, two)
    assert framing.take(buffer) is None
    assert bytes(buffer) == one[:5]


@pytest.mark.parametrize("head", ["00010001000601", "00010000000101", "0001000000ff01"])
def test_an_impossible_mbap_header_is_a_frame_error(head: str) -> None:
    with pytest.raises(FrameError):
        TcpFraming().take(bytearray.fromhex(head))


def test_rtu_request_with_a_bad_crc_is_never_taken() -> None:
    buffer = bytearray.fromhex("010400010002200C")
    framing = RtuFraming(9600)
    assert framing.take(buffer) is None
    assert framing.flush(buffer) is None
    assert not buffer


def test_silence_ends_a_request_whose_function_has_no_known_length() -> None:
    framing = RtuFraming(9600)
    buffer = bytearray(rtu_frame(1, b"\x41\x01\x02\x03"))
    assert framing.take(buffer) is None
    request = framing.flush(buffer)
    assert request is not None
    assert request.pdu == b"\x41\x01\x02\x03"


def test_many_rtu_requests_in_one_piece_are_all_found() -> None:
    one = rtu_frame(1, bytes.fromhex("0400010002"))
    buffer = bytearray(100 * one)
    framing = RtuFraming(9600)
    found = 0
    while framing.take(buffer) is not None:
        found += 1
    assert found == 100


def test_noise_without_end_does_not_fill_the_memory() -> None:
    framing = RtuFraming(9600)
    buffer = bytearray()
    for _ in range(1000):
        buffer += b"\x01\x41" * 16
        framing.take(buffer)
    assert len(buffer) <= 512
