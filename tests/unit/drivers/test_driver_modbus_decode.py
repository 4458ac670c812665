"""Decode against a twin made of `struct`, one value at a time."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.decode import Columns, Decoder, build_layout, byte_offsets
from drivers.modbus.plan import plan_blocks
from drivers.modbus.settings import REGISTERS, ModbusChannel
from pipeline.records import Status

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f",
    "float64": "d",
}  # fmt: skip
ORDERS = ("ABCD", "BADC", "CDAB", "DCBA")


def logical(wire: bytes, order: str) -> bytes:
    """Return the value's bytes, most significant first, from its bytes on the wire."""
    words = [wire[at : at + 2] for at in range(0, len(wire), 2)]
    if order in {"CDAB", "DCBA"}:
        words.reverse()
    return b"".join(word[::-1] if order in {"BADC", "DCBA"} else word for word in words)


def twin(channel: ModbusChannel, wire: bytes) -> tuple[int, Any]:
    """Return status and value as `struct` sees them."""
    data = logical(wire, channel.order)
    code = int.from_bytes(data, "big")
    if channel.type == "bool":
        return 0, code >> (channel.bit or 0) & 1
    number = struct.unpack(f">{FORMATS[channel.type]}", data)[0]
    codes = {sentinel % (1 << 8 * len(data)) for sentinel in channel.sentinels}
    if code in codes or (isinstance(number, float) and math.isnan(number)):
        return int(Status.UNAVAILABLE), None
    if channel.scale is not None or channel.offset is not None:
        scale = 1.0 if channel.scale is None else channel.scale
        offset = 0.0 if channel.offset is None else channel.offset
        with np.errstate(all="ignore"):
            whole = {0.1: 10.0, 1e-3: 1000.0}.get(scale)
            product = np.float64(number) * scale if whole is None else np.float64(number) / whole
            return 0, float(product + offset)
    return 0, number


def cell(decoder: Decoder, columns: Columns, position: int) -> Any:
    layout = decoder.layout
    return getattr(columns, layout.channels[position].kind)[layout.slots[position], 0]


@st.composite
def maps(draw: st.DrawFn) -> tuple[list[ModbusChannel], bytes]:
    """Return channels over registers 0 to 49 of one table, and the registers' bytes."""
    memory = draw(st.binary(min_size=100, max_size=100))
    channels = []
    for number in range(draw(st.integers(1, 24))):
        kind = draw(st.sampled_from(sorted(REGISTERS)))
        address = draw(st.integers(0, 50 - REGISTERS[kind]))
        table: dict[str, Any] = {
            "name": f"c{number}", "address": address, "type": kind, "order": draw(st.sampled_from(ORDERS)),
            "table": "input",
        }  # fmt: skip
        if kind == "bool":
            table["bit"] = draw(st.integers(0, 15))
        else:
            table |= draw(
                st.sampled_from([{}, {"scale": 0.1}, {"offset": -40.0}, {"scale": 1e-3, "offset": 7.0}])
            )
            own = int.from_bytes(logical(memory[2 * address :][: 2 * REGISTERS[kind]], table["order"]), "big")
            table["sentinels"] = draw(st.sampled_from([[], [0x7FFF], [0, own]]))
        channels.append(ModbusChannel.model_validate(table))
    return channels, memory


@given(maps(), st.integers(0, 5))
def test_every_value_equals_what_struct_reads(case: tuple[list[ModbusChannel], bytes], gap: int) -> None:
    channels, memory = case
    blocks = plan_blocks(channels, block_registers_max=20, gap_registers_max=gap)
    decoder = Decoder(channels, build_layout(channels), blocks)
    columns = decoder.decode([memory[2 * block.address :][: block.byte_count] for block in blocks])
    for position, channel in enumerate(channels):
        wire = memory[2 * channel.address :][: 2 * channel.registers]
        status, expected = twin(channel, wire)
        assert columns.status[position, 0] == status
        got = cell(decoder, columns, position)
        if expected is None:
            assert got == 0 or np.isnan(got)
        elif isinstance(expected, float):
            assert np.float64(got).tobytes() == np.float64(expected).tobytes()
        else:
            assert int(got) == expected


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
    blocks = plan_blocks([channel], block_registers_max=125, gap_registers_max=0)
    decoder = Decoder([channel], build_layout([channel]), blocks)
    got = cell(decoder, decoder.decode([bytes.fromhex(wire)]), 0)
    assert got == pytest.approx(expected, rel=1e-15)
    assert math.copysign(1, got) == math.copysign(1, expected)


def test_a_failed_block_costs_its_own_channels_only_and_moves_no_value() -> None:
    channels = [
        ModbusChannel.model_validate({"name": f"c{address}", "address": address, "type": "uint16"})
        for address in (0, 1, 10, 11)
    ]
    blocks = plan_blocks(channels, block_registers_max=125, gap_registers_max=0)
    decoder = Decoder(channels, build_layout(channels), blocks)
    columns = decoder.decode([Status.MODBUS_EXCEPTION + 2, bytes.fromhex("000A000B")])
    assert columns.status[:, 0].tolist() == [66, 66, 0, 0]
    assert columns.i8[:, 0].tolist() == [0, 0, 10, 11]


def test_coils_are_taken_from_their_bits() -> None:
    channels = [
        ModbusChannel.model_validate({"name": f"c{at}", "address": at, "type": "bool", "table": "coil"})
        for at in range(19, 29)
    ]
    blocks = plan_blocks(channels, block_registers_max=125, gap_registers_max=0)
    decoder = Decoder(channels, build_layout(channels), blocks)
    # Application Protocol V1.1b3, section 6.1: the first coil is the least significant bit of the first byte.
    columns = decoder.decode([bytes.fromhex("CD02")])
    assert columns.i8[:, 0].tolist() == [1, 0, 1, 1, 0, 0, 1, 1, 0, 1]
