"""A device that refuses some registers, in virtual time: the others are read, and nothing is mixed up."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.bus import ModbusBus
from drivers.modbus.framing import TcpFraming
from drivers.modbus.instrument import ModbusInstrument
from drivers.modbus.line_settings import ModbusTcpSettings
from drivers.modbus.reader import REFUSED_RETRY_S, SPLITS_MAX
from drivers.poller import Poller
from drivers.transport import Line
from pipeline.records import Item, Status
from tests.support.scripted import (
    LoopClock,
    MemoryWire,
    events,
    mbap,
    registers_pdu,
    rows,
    run_for,
    seeded,
    status,
    take,
    value,
)  # fmt: skip

pytestmark = pytest.mark.virtual_time
REFUSED = Status.MODBUS_EXCEPTION + 2


class Device:
    """Register a holds 1000 + a; requests that touch a forbidden register are refused whole."""

    def __init__(self, forbidden: set[int], code: int = 2) -> None:
        self.forbidden = forbidden
        self.code = code
        self.requests: list[range] = []
        self.busy = 0

    def answers(self, data: bytes) -> list[tuple[float, bytes]]:
        transaction, unit, pdu = int.from_bytes(data[:2], "big"), data[6], data[7:]
        first = int.from_bytes(pdu[1:3], "big")
        asked = range(first, first + int.from_bytes(pdu[3:5], "big"))
        self.requests.append(asked)
        code = 6 if self.busy else self.code if self.forbidden & set(asked) else 0
        self.busy = max(0, self.busy - 1)
        answer = bytes([pdu[0] | 0x80, code]) if code else registers_pdu(pdu[0], [1000 + a for a in asked])
        return [(0.002, mbap(transaction, unit, answer))]


def driver_of(device: Device, addresses: list[int], **other: Any) -> Poller:
    settings = ModbusTcpSettings.model_validate(
        {
            "id": "device", "host": "device", "poll_interval_s": 1.0, "read_identity": False,
            "channels": [{"name": f"r{address}", "address": address} for address in addresses], **other,
        }
    )  # fmt: skip
    clock = LoopClock()

    async def connect() -> MemoryWire:
        return MemoryWire(clock, device.answers)

    bus = ModbusBus(Line("memory", connect, clock, seeded()), TcpFraming())
    return Poller(ModbusInstrument(settings, bus), clock, seeded())


def true_or_refused(items: list[Item], forbidden: set[int]) -> None:
    """Every value is that of its own register, or missing with the device's own reason."""
    for block in rows(items):
        for channel in block.layout.channels:
            address = int(channel.name[1:])
            if address in forbidden:
                assert status(block, channel.name) == REFUSED
            elif status(block, channel.name) == 0:
                assert value(block, channel.name) == 1000 + address


async def test_one_refused_register_costs_only_itself_and_is_told_once() -> None:
    device = Device({37})
    items = await take(driver_of(device, list(range(100))), lambda items: len(rows(items)) == 20)
    true_or_refused(items, {37})
    assert all(status(rows(items)[0], f"r{at}") == 0 for at in range(100) if at != 37)
    (told,) = events(items, "register-refused")
    assert told.args["channel"] == "r37"
    assert told.args["code"] == 2
    # Found in the first poll; from then on the device is asked for what it has, in as few requests as halving
    # has left.
    later = [asked for asked in device.requests[-16:] if 37 in asked]
    assert not later


async def test_a_forbidden_hole_that_was_read_along_costs_no_value() -> None:
    device = Device({5})
    items = await take(
        driver_of(device, [0, 1, 9, 10], gap_registers_max=20), lambda items: len(rows(items)) == 3
    )
    true_or_refused(items, set())
    assert all(status(block, name) == 0 for block in rows(items) for name in ("r0", "r1", "r9", "r10"))
    assert not events(items, "register-refused")
    assert device.requests[-2:] == [range(2), range(9, 11)]


async def test_a_refused_register_is_asked_again_rarely_and_joins_its_neighbours_once_it_is_there() -> None:
    device = Device({3})
    driver = driver_of(device, list(range(8)), poll_interval_s=100.0)
    asyncio.get_running_loop().call_later(250.0, device.forbidden.clear)
    (items,) = await run_for([driver], 1150.0)
    assert device.requests.count(range(3, 4)) == 2
    assert device.requests[-1] == range(8)
    # The refusal came a moment after its poll began: the first poll that is 600 s later is the seventh.
    polls = round(REFUSED_RETRY_S / 100) + 1
    assert [status(block, "r3") for block in rows(items)] == [REFUSED] * polls + [0] * (12 - polls)
    assert len(events(items, "register-refused")) == len(events(items, "register-granted")) == 1


async def test_a_device_that_refuses_everything_is_still_asked_in_every_poll() -> None:
    device = Device(set(range(100)))
    items = await take(driver_of(device, [1, 2]), lambda items: len(rows(items)) == 5)
    true_or_refused(items, {1, 2})
    assert len(device.requests) == 3 + 4


async def test_halving_stops_for_this_poll_when_its_share_is_used_up() -> None:
    odd = set(range(1, 120, 2))
    device = Device(odd)
    items = await take(driver_of(device, list(range(120))), lambda items: len(rows(items)) == 1)
    assert len(device.requests) <= 1 + 2 * SPLITS_MAX
    true_or_refused(items, odd)
    items = await take(driver_of(device, list(range(120))), lambda items: len(rows(items)) == 12)
    assert all(status(rows(items)[-1], f"r{at}") == 0 for at in range(0, 120, 2))


@pytest.mark.parametrize("code", [1, 4, 10, 11])
async def test_other_exceptions_are_not_about_single_registers(code: int) -> None:
    device = Device({3}, code)
    items = await take(driver_of(device, list(range(8))), lambda items: len(rows(items)) == 4)
    assert set(device.requests) == {range(8)}
    assert {status(block, "r0") for block in rows(items)} == {Status.MODBUS_EXCEPTION + code}


async def test_a_busy_device_is_asked_again_in_the_same_poll() -> None:
    device = Device(set())
    device.busy = 2
    items = await take(driver_of(device, [0]), lambda items: len(rows(items)) == 1)
    assert value(rows(items)[0], "r0") == 1000
    assert len(device.requests) == 3


async def test_a_device_that_stays_busy_gives_a_row_that_says_so() -> None:
    device = Device(set())
    device.busy = 100
    (items,) = await run_for([driver_of(device, [0])], 3.0)
    assert {status(block, "r0") for block in rows(items)} == {Status.MODBUS_EXCEPTION + 6}


@settings(max_examples=60, deadline=None)
@given(
    forbidden=st.sets(st.integers(0, 60), max_size=12),
    addresses=st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True),
    gap=st.integers(0, 12),
)
async def test_whatever_is_refused_every_value_is_its_own(
    forbidden: set[int], addresses: list[int], gap: int
) -> None:
    device = Device(forbidden)
    driver = driver_of(device, addresses, gap_registers_max=gap)
    items = await take(driver, lambda items: len(rows(items)) == 8)
    true_or_refused(items, forbidden)
    assert all(status(rows(items)[-1], f"r{at}") == 0 for at in addresses if at not in forbidden)
