"""Decode against a twin made of `struct`, one value at a time."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.channel import REGISTERS, UNSIGNED, ModbusChannel
from drivers.modbus.decode import Columns, Decoder, build_layout
from drivers.modbus.numeric import byte_offsets
from drivers.modbus.plan import Limits, plan_blocks
from pipeline.records import Status

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f",
    "float64": "d", "float16": "e", "int8": "b", "uint8": "B",
}  # fmt: skip
ORDERS = ("ABCD", "BADC", "CDAB", "DCBA")


def logical(wire: bytes, order: str) -> bytes:
    """Return the value's bytes, most significant first, from its bytes on the wire."""
    words = [wire[at : at + 2] for at in range(0, len(wire), 2)]
    if order in {"CDAB", "DCBA"}:
        words.reverse()
    return b"".join(word[::-1] if order in {"BADC", "DCBA"} else word for word in words)


def number_of(channel: ModbusChannel, data: bytes) -> float | int | None:
    """Return the number in a value's bytes, most significant first; None where the digits are none."""
    if channel.type.startswith("bcd"):
        digits = data.hex()
        return int(digits) if digits.isdecimal() else None
    number = struct.unpack(f">{FORMATS[channel.type]}", data)[0]
    if channel.bits is not None:
        low, high = channel.bits
        return int(f"{number:0{8 * len(data)}b}"[::-1][low : high + 1][::-1], 2)
    return number  # type: ignore[no-any-return]


def twin(channel: ModbusChannel, memory: bytes) -> tuple[int, Any]:
    """Return status and value as `struct` and text see them."""
    wire = memory[2 * channel.address :][: 2 * channel.registers]
    data = logical(wire, channel.order)
    if channel.byte is not None:
        data = data[:1] if channel.byte == "high" else data[1:]
    code = int.from_bytes(data, "big")
    if channel.type == "bool":
        return 0, code >> (channel.bit or 0) & 1
    if code in {sentinel % (1 << 8 * len(data)) for sentinel in channel.sentinels}:
        return int(Status.UNAVAILABLE), None
    number = number_of(channel, data)
    if number is None:
        return int(Status.WRONG_ANSWER), None
    if isinstance(number, float) and math.isnan(number):
        return int(Status.UNAVAILABLE), None
    return scaled(channel, number, memory)


def scaled(channel: ModbusChannel, number: float, memory: bytes) -> tuple[int, Any]:
    if not channel.scaled:
        return 0, number
    power = 0
    if channel.scale_factor is not None:
        power = int.from_bytes(memory[2 * channel.scale_factor :][:2], "big", signed=True)
        if not -10 <= power <= 10:
            return int(Status.UNAVAILABLE), None
    with np.errstate(all="ignore"):
        value = np.float64(number) * 10.0**power if power >= 0 else np.float64(number) / 10.0**-power
        if channel.scale is not None or channel.offset is not None:
            scale = 1.0 if channel.scale is None else channel.scale
            whole = {0.1: 10.0, 1e-3: 1000.0}.get(scale)
            value = value * scale if whole is None else value / whole
            value += 0.0 if channel.offset is None else channel.offset
    return 0, float(value)


def cell(decoder: Decoder, columns: Columns, position: int) -> Any:
    layout = decoder.layout
    return getattr(columns, layout.channels[position].kind)[layout.slots[position], 0]


@st.composite
def channel_tables(draw: st.DrawFn, memory: bytes) -> dict[str, Any]:
    """Return the settings of one number or bit somewhere in 50 registers."""
    kind = draw(st.sampled_from(sorted(REGISTERS)))
    address = draw(st.integers(0, 50 - REGISTERS[kind]))
    order = draw(st.sampled_from(ORDERS))
    table: dict[str, Any] = {"address": address, "type": kind, "order": order, "table": "input"}
    if kind == "bool":
        return table | {"bit": draw(st.integers(0, 15))}
    if kind in {"int8", "uint8"}:
        return table | {"byte": draw(st.sampled_from(["high", "low"]))}
    linear = draw(st.sampled_from([{}, {"scale": 0.1}, {"offset": -40.0}, {"scale": 1e-3, "offset": 7.0}]))
    own = int.from_bytes(logical(memory[2 * address :][: 2 * REGISTERS[kind]], order), "big")
    table |= linear | {"sentinels": draw(st.sampled_from([[], [0x7FFF], [0, own]]))}
    if kind in UNSIGNED and draw(st.booleans()):
        table["bits"] = sorted(draw(st.tuples(*2 * [st.integers(0, 16 * REGISTERS[kind] - 1)])))
    if draw(st.booleans()):
        table["scale_factor"] = draw(st.integers(max(0, address - 8), min(49, address + 8)))
    return table


@st.composite
def maps(draw: st.DrawFn) -> tuple[list[ModbusChannel], bytes]:
    """Return channels over registers 0 to 49 of one table, and the registers' bytes."""
    memory = draw(st.binary(min_size=100, max_size=100))
    # Scale factors and digits of chance are rarely any: half of the registers hold some.
    small = draw(st.lists(st.tuples(st.integers(0, 49), st.sampled_from([-10, -3, 0, 2, 10, 0x1234]))))
    registers = bytearray(memory)
    for address, number in small:
        registers[2 * address : 2 * address + 2] = number.to_bytes(2, "big", signed=True)
    memory = bytes(registers)
    tables = draw(st.lists(channel_tables(memory), min_size=1, max_size=24))
    return [
        ModbusChannel.model_validate({"name": f"c{at}", **table}) for at, table in enumerate(tables)
    ], memory


@given(maps(), st.integers(0, 5))
def test_every_value_equals_what_struct_reads(case: tuple[list[ModbusChannel], bytes], gap: int) -> None:
    channels, memory = case
    blocks = plan_blocks(channels, limits=Limits(20, gap))
    decoder = Decoder(channels, build_layout(channels), blocks)
    columns = decoder.decode([memory[2 * block.address :][: block.byte_count] for block in blocks])
    for position, channel in enumerate(channels):
        status, expected = twin(channel, memory)
        assert columns.status[position, 0] == status
        got = cell(decoder, columns, position)
        if expected is None:
            assert got == 0 or np.isnan(got)
        elif isinstance(expected, float):
            assert np.float64(got).tobytes() == np.float64(expected).tobytes()
        else:
            assert int(got) == expected


# Quiet and signalling NaN of both signs, infinities, the largest numbers, zeros, the smallest numbers.
SINGLES = ("7FC00000", "FFC00001", "7FA00000", "7F800001", "7F800000", "FF800000", "7F7FFFFF", "FF7FFFFF",
           "00000000", "80000000", "00000001", "42C80000")  # fmt: skip
DOUBLES = ("7FF8000000000000", "FFF0000000000001", "7FF0000000000000", "FFEFFFFFFFFFFFFF", "8000000000000000",
           "0000000000000001", "4059000000000000")  # fmt: skip


@given(st.data(), st.sampled_from(ORDERS), st.sampled_from(["float32", "float64"]))
def test_a_run_of_floats_means_what_struct_reads_of_each_whatever_their_bits(
    data: st.DataObject, order: str, kind: Any
) -> None:
    codes = [bytes.fromhex(code) for code in (SINGLES if kind == "float32" else DOUBLES)]
    size = len(codes[0])
    common = st.just(codes[-1])
    one = st.one_of(common, common, st.sampled_from(codes), st.binary(min_size=size, max_size=size))
    values = data.draw(st.lists(one, min_size=1, max_size=12))
    memory = b"".join(logical(value, order) for value in values)  # the four orders undo themselves
    channels = [
        ModbusChannel.model_validate(
            {"name": f"c{at}", "address": at * size // 2, "type": kind, "order": order}
        )
        for at in range(len(values))
    ]
    blocks = plan_blocks(channels, limits=Limits(8, 0))
    answers: list[bytes | int] = [memory[2 * block.address :][: block.byte_count] for block in blocks]
    failed = data.draw(st.sets(st.integers(0, len(blocks) - 1), max_size=1))
    for number in failed:
        answers[number] = int(Status.NO_ANSWER)
    decoder = Decoder(channels, build_layout(channels), blocks)
    columns = decoder.decode(answers)
    silent = {position for number in failed for position in blocks[number].channels}
    for position, channel in enumerate(channels):
        status, expected = twin(channel, memory)
        assert columns.status[position, 0] == (Status.NO_ANSWER if position in silent else status)
        if expected is None or position in silent:
            assert np.isnan(columns.f8[position, 0])
        else:
            assert columns.f8[position].tobytes() == np.float64(expected).tobytes()


def text_channel(**other: Any) -> tuple[ModbusChannel, Decoder]:
    channel = ModbusChannel.model_validate(
        {"name": "v", "address": 0, "type": "string", "length": 4, **other}
    )
    blocks = plan_blocks([channel], limits=Limits(125, 0))
    return channel, Decoder([channel], build_layout([channel]), blocks)


@pytest.mark.parametrize(
    ("characters", "order", "expected", "status"),
    [
        (b"SDM630\0\0", "ABCD", "SDM630", 0),
        (b"DS6M03\0\0", "BADC", "SDM630", 0),
        (b"  V1.2  ", "ABCD", "V1.2", 0),
        (bytes(8), "ABCD", None, Status.UNAVAILABLE),
        (b"\xff\xfeabcdef", "ABCD", None, Status.WRONG_ANSWER),
        ("型号A\0".encode(), "ABCD", "型号A", 0),
    ],
)
def test_strings(characters: bytes, order: str, expected: str | None, status: int) -> None:
    _, decoder = text_channel(order=order)
    columns = decoder.decode([characters])
    assert columns.text == ((expected,),)
    assert columns.status[0, 0] == status


def test_a_string_whose_block_failed_is_missing_with_the_reason_of_the_block() -> None:
    _, decoder = text_channel()
    columns = decoder.decode([int(Status.NO_ANSWER)])
    assert columns.text == ((None,),)
    assert columns.status[0, 0] == Status.NO_ANSWER


def test_values_side_by_side_are_read_at_once_and_mean_the_same_in_every_order() -> None:
    values = np.array([230.5, -1.5, 7e-5, 3e8], dtype=">f4")
    for order in ORDERS:
        wire = b"".join(
            logical(values[at : at + 1].tobytes(), order) for at in range(4)
        )  # the four orders undo themselves
        channels = [
            ModbusChannel.model_validate(
                {"name": f"c{at}", "address": 2 * at, "type": "float32", "order": order}
            )
            for at in range(4)
        ]
        blocks = plan_blocks(channels, limits=Limits(125, 0))
        columns = Decoder(channels, build_layout(channels), blocks).decode([wire])
        assert columns.f8[:, 0].tolist() == values.astype(np.float64).tolist()


def test_a_scale_factor_that_changes_at_run_time_counts_for_its_own_reading() -> None:
    channel = ModbusChannel.model_validate(
        {"name": "w", "address": 0, "type": "int16", "scale_factor": 4, "sentinels": [0x8000]}
    )
    blocks = plan_blocks([channel], limits=Limits(125, 0))
    assert [(block.address, block.count) for block in blocks] == [(0, 5)]
    decoder = Decoder([channel], build_layout([channel]), blocks)
    got = [
        cell(decoder, decoder.decode([bytes.fromhex(f"04D2 0000 0000 0000 {factor}")]), 0)
        for factor in ("FFFF", "0001", "0000", "8000")
    ]
    assert got[:3] == [123.4, 12340.0, 1234.0]
    assert np.isnan(got[3])


@pytest.mark.parametrize("registers", [1, 2, 4])
@pytest.mark.parametrize("order", ORDERS)
def test_byte_offsets_undo_the_order(registers: int, order: Any) -> None:
    wire = bytes(range(2 * registers))
    assert bytes(wire[at] for at in byte_offsets(registers, order))[::-1] == logical(wire, order)


@pytest.mark.parametrize(
    ("kind", "wire", "settings", "expected"),
    [
        ("float32", "4366 8000", {}, 230.5),  # SDM630, phase voltage
        ("int16", "0131", {"scale": 0.1}, 30.5),  # XY-MD02
        ("int16", "FF33", {"scale": 0.1}, -20.5),
        ("float32", "8000 4366", {"order": "CDAB"}, 230.5),
        ("float32", "0080 6643", {"order": "DCBA"}, 230.5),
        ("float32", "6643 0080", {"order": "BADC"}, 230.5),
        ("uint64", "FFFF FFFF FFFF FFFF", {}, 2**64 - 1),
        ("float32", "8000 0000", {}, -0.0),
    ],
)
def test_known_registers(kind: str, wire: str, settings: dict[str, Any], expected: float) -> None:
    channel = ModbusChannel.model_validate({"name": "v", "address": 0, "type": kind, **settings})
    blocks = plan_blocks([channel], limits=Limits(125, 0))
    decoder = Decoder([channel], build_layout([channel]), blocks)
    got = cell(decoder, decoder.decode([bytes.fromhex(wire)]), 0)
    assert got == pytest.approx(expected, rel=1e-15)
    assert math.copysign(1, got) == math.copysign(1, expected)


def test_a_failed_block_costs_its_own_channels_only_and_moves_no_value() -> None:
    channels = [
        ModbusChannel.model_validate({"name": f"c{address}", "address": address, "type": "uint16"})
        for address in (0, 1, 10, 11)
    ]
    blocks = plan_blocks(channels, limits=Limits(125, 0))
    decoder = Decoder(channels, build_layout(channels), blocks)
    columns = decoder.decode([Status.MODBUS_EXCEPTION + 2, bytes.fromhex("000A000B")])
    assert columns.status[:, 0].tolist() == [66, 66, 0, 0]
    assert columns.i8[:, 0].tolist() == [0, 0, 10, 11]


def test_coils_are_taken_from_their_bits() -> None:
    channels = [
        ModbusChannel.model_validate({"name": f"c{at}", "address": at, "type": "bool", "table": "coil"})
        for at in range(19, 29)
    ]
    blocks = plan_blocks(channels, limits=Limits(125, 0))
    decoder = Decoder(channels, build_layout(channels), blocks)
    # Application Protocol V1.1b3, section 6.1: the first coil is the least significant bit of the first byte.
    columns = decoder.decode([bytes.fromhex("CD02")])
    assert columns.i8[:, 0].tolist() == [1, 0, 1, 1, 0, 0, 1, 1, 0, 1]
