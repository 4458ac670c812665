"""Frames byte by byte, against frames printed in manuals and a CRC of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import BadFrame, DeviceException, WrongAnswer
from drivers.modbus.frames import (
    check_answer,
    decode_identification,
    identification_request,
    read_request,
)
from drivers.modbus.framing import AsciiFraming, RtuFraming, TcpFraming
from tests.support.scripted import crc16, mbap, registers_pdu, rtu

RTU, TCP, ASCII = RtuFraming(), TcpFraming(), AsciiFraming()


@pytest.mark.parametrize(
    ("request_hex", "answer_hex", "address", "count"),
    [
        ("01 04 00 01 00 02 20 0B", "01 04 04 01 31 02 22 2A CE", 1, 2),  # XY-MD02
        ("01 04 00 00 00 02 71 CB", "01 04 04 43 66 80 00 6F DF", 0, 2),  # SDM630
    ],
)
def test_frames_of_manuals(request_hex: str, answer_hex: str, address: int, count: int) -> None:
    request = read_request(1, 4, address, count, 2 * count)
    assert RTU.encode(request, 0) == bytes.fromhex(request_hex)
    answer = bytes.fromhex(answer_hex)
    for cut in range(len(answer)):
        assert RTU.take(answer[:cut]) is None
    frame = RTU.take(answer + b"next")
    assert frame is not None
    assert frame.used == len(answer)
    assert check_answer(request, frame) == answer[3:-2]


def test_an_exception_is_told_with_its_code() -> None:
    frame = RTU.take(bytes.fromhex("01 84 02 C2 C1"))
    assert frame is not None
    with pytest.raises(DeviceException, match="illegal address") as raised:
        check_answer(read_request(1, 4, 0, 2, 4), frame)
    assert (raised.value.code, raised.value.status) == (2, 66)


@pytest.mark.parametrize(
    ("unit", "pdu", "reason"),
    [
        (2, registers_pdu(4, [1, 2]), "unit 2 answered"),
        (1, registers_pdu(3, [1, 2]), "function 3 answered"),
        (1, registers_pdu(4, [1]), "2 bytes"),
        (1, registers_pdu(4, [1, 2, 3]), "6 bytes"),
        (1, bytes([0x83, 2]), "function 131 answered"),
    ],
)
def test_an_undamaged_frame_that_does_not_answer_is_wrong(unit: int, pdu: bytes, reason: str) -> None:
    request = read_request(1, 4, 0, 2, 4)
    for frame in (RTU.take(rtu(unit, pdu)), TCP.take(mbap(1, unit, pdu))):
        assert frame is not None
        with pytest.raises(WrongAnswer, match=reason):
            check_answer(request, frame)


def test_a_byte_count_that_contradicts_the_length_is_wrong() -> None:
    frame = TCP.take(mbap(1, 1, bytes([4, 4, 0, 1])))
    assert frame is not None
    with pytest.raises(WrongAnswer):
        check_answer(read_request(1, 4, 0, 2, 4), frame)


@given(st.integers(0, 8), st.integers(1, 255))
def test_a_flipped_bit_anywhere_is_never_taken_for_a_good_answer(position: int, flip: int) -> None:
    damaged = bytearray(rtu(1, registers_pdu(4, [0x0131, 0x0222])))
    damaged[position] ^= flip
    try:
        frame = RTU.take(bytes(damaged))
    except BadFrame:
        return
    assert frame is None or frame.pdu != registers_pdu(4, [0x0131, 0x0222])
    if frame is not None:
        with pytest.raises((WrongAnswer, DeviceException)):
            check_answer(read_request(1, 4, 0, 2, 4), frame)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_incomplete_or_bad(data: bytes) -> None:
    for framing in (RTU, TCP, ASCII):
        try:
            frame = framing.take(data)
        except BadFrame:
            continue
        assert frame is None or 0 < frame.used <= len(data)


@given(st.integers(0, 255), st.integers(0, 65535), st.integers(1, 125), st.integers(1, 65535))
def test_tcp_frames_carry_their_number(unit: int, address: int, count: int, transaction: int) -> None:
    request = read_request(unit, 3, address, min(count, 65536 - address), 0)
    assert TCP.encode(request, transaction) == mbap(transaction, unit, request.pdu)


def test_what_is_no_modbus_tcp_is_bad() -> None:
    with pytest.raises(BadFrame):
        TCP.take(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_identification_is_taken_whole_and_decoded() -> None:
    objects = {0: b"Vaisala", 5: b"HMP110", 0x80: b"SIM-1"}
    pdu = bytes([0x2B, 0x0E, 3, 0x83, 0, 0, len(objects)])
    pdu += b"".join(bytes([number, len(text)]) + text for number, text in objects.items())
    request = identification_request(9, 3, 0)
    data = rtu(9, pdu)
    for cut in range(len(data)):
        assert RTU.take(data[:cut]) is None
    frame = RTU.take(data)
    assert frame is not None
    found, following = decode_identification(check_answer(request, frame))
    assert found == {0: "Vaisala", 5: "HMP110", 0x80: "SIM-1"}
    assert following is None
    with pytest.raises(WrongAnswer):
        decode_identification(pdu[1:-3])


def test_ascii_frames_are_those_of_the_definition() -> None:
    # LRC: two's complement of the sum of the bytes (Modbus over Serial Line V1.02, section 6.2.1).
    request = read_request(1, 3, 0, 1, 2)
    assert ASCII.encode(request, 0) == b":010300000001FB\r\n"
    answer = b":0103020131C8\r\n"
    assert (sum(bytes.fromhex("0103020131C8"))) % 256 == 0
    for cut in range(len(answer)):
        assert ASCII.take(answer[:cut]) is None
    frame = ASCII.take(b"\xff\x00" + answer + b":next")
    assert frame is not None
    assert frame.used == len(answer) + 2
    assert check_answer(request, frame) == bytes.fromhex("0131")


@pytest.mark.parametrize(
    "line", [b":0103020131C9\r\n", b":01030201\xff1C8\r\n", b"0103020131C8\r\n", b":01\r\n"]
)
def test_a_damaged_ascii_line_is_bad_and_the_one_behind_it_is_taken(line: bytes) -> None:
    with pytest.raises(BadFrame):
        ASCII.take(line)
    good = b":0103020131C8\r\n"
    assert ASCII.resync(line + good, read_request(1, 3, 0, 1, 2)) == len(line)
    assert ASCII.take(good) is not None


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 65535), min_size=1, max_size=125))
def test_an_answer_behind_noise_is_found_by_its_checksum(noise: bytes, registers: list[int]) -> None:
    answer = rtu(7, registers_pdu(4, registers))
    request = read_request(7, 4, 0, len(registers), 2 * len(registers))
    start = RTU.resync(noise + answer, request)
    # Noise may end with the first bytes of an answer; what is found is the answer all the same.
    assert (noise + answer)[start:] == answer or RTU.take((noise + answer)[start:]) is not None
    assert 0 < start <= len(noise)
    frame = RTU.take((noise + answer)[start:])
    assert frame is not None
    assert check_answer(request, frame) == answer[3:-2]


@given(st.binary(max_size=80))
def test_noise_alone_holds_no_answer(noise: bytes) -> None:
    request = read_request(7, 4, 0, 2, 4)
    start = RTU.resync(noise, request)
    if start:
        frame = RTU.take(noise[start:])
        assert frame is not None
        assert crc16(noise[start : start + frame.used - 2]) == noise[start + frame.used - 2 :][:2]


def test_a_refusal_behind_noise_is_found_too() -> None:
    refusal = rtu(7, bytes([0x84, 2]))
    start = RTU.resync(b"\x00\xff" + refusal, read_request(7, 4, 0, 2, 4))
    assert start == 2
