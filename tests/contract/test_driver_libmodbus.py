"""The Modbus driver reads a server made of libmodbus: all types in all orders, bit for bit."""

import struct
from typing import Any

import pytest

from drivers import open_drivers
from drivers.modbus.line_settings import ModbusTcpSettings
from pipeline.records import Block, Status
from tests.support.scripted import RealClock, rows, seeded, status, take, value

ORDERS = ("ABCD", "BADC", "CDAB", "DCBA")
BYTES = bytes.fromhex("FEDCBA9876543210")


@pytest.fixture
def port(libmodbus_port: int) -> int:
    return libmodbus_port


def channel(name: str, address: int, kind: str, order: str = "ABCD", **other: Any) -> dict[str, Any]:
    return {"name": name, "address": address, "type": kind, "order": order, **other}


async def first_row(port: int, channels: list[dict[str, Any]], **other: Any) -> Block:
    settings = ModbusTcpSettings.model_validate(
        {
            # libmodbus takes half a second to refuse a function that it does not know.
            "id": "libmodbus",
            "host": "127.0.0.1",
            "port": port,
            "poll_interval_s": 0.1,
            "read_identity": False,
            "channels": channels,
            **other,
        }
    )
    (driver,) = open_drivers([settings], RealClock(), seeded())
    return rows(await take(driver, rows))[0]


@pytest.mark.parametrize("table", ["input", "holding"])
async def test_every_type_in_every_order_is_read_bit_for_bit(port: int, table: str) -> None:
    channels, expected = [], {}
    for number, order in enumerate(ORDERS):
        for kind, code in (("int16", "h"), ("uint16", "H")):
            name = f"{kind}_{order.lower()}"
            channels.append(channel(name, number % 2, kind, order, table=table))
            expected[name] = struct.unpack(f">{code}", BYTES[:2])[0]
        for kind, code, start, size in (
            ("int32", "i", 16, 4), ("uint32", "I", 16, 4), ("float32", "f", 16, 4),
            ("int64", "q", 32, 8), ("uint64", "Q", 32, 8), ("float64", "d", 32, 8),
        ):  # fmt: skip
            name = f"{kind}_{order.lower()}"
            channels.append(channel(name, start + number * size // 2, kind, order, table=table))
            expected[name] = struct.unpack(f">{code}", BYTES[:size])[0]
    block = await first_row(port, channels)
    for name, number in expected.items():
        got = value(block, name)
        if isinstance(number, float):
            assert struct.pack(">d", got) == struct.pack(">d", number), name
        else:
            assert int(got) == number, name


async def test_coils_and_discrete_inputs(port: int) -> None:
    channels = [
        channel(f"{table}_{at}", at, "bool", table=table)
        for table in ("coil", "discrete")
        for at in range(24)
    ]
    block = await first_row(port, channels)
    for at in range(24):
        bit = 0xB5C3A1 >> at & 1
        assert (value(block, f"coil_{at}"), value(block, f"discrete_{at}")) == (bit, 1 - bit)


async def test_an_illegal_address_costs_its_own_block_only(port: int) -> None:
    block = await first_row(port, [channel("good", 0, "uint16"), channel("beyond", 1000, "uint16")])
    assert value(block, "good") == 0xFEDC
    assert status(block, "beyond") == Status.MODBUS_EXCEPTION + 2


async def test_a_long_map_is_read_in_blocks_of_the_devices_size(port: int) -> None:
    channels = [channel(f"r{at}", at, "uint16", table="input") for at in range(128)]
    whole = await first_row(port, channels)
    assert whole.raw is not None
    in_pieces = await first_row(port, channels, block_registers_max=7)
    assert in_pieces.raw == whole.raw
    assert in_pieces.i8.tobytes() == whole.i8.tobytes()
