"""Pains 14 and 15 of fifteen: codes for no value, scale factors, shifted frames, a clock that is set late.

The others are in `test_fifteen_pains`.
"""

import asyncio
import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from drivers import open_drivers
from drivers.modbus.line_settings import ModbusRtuSettings
from pipeline.records import Status
from tests.support.libmodbus import Relay
from tests.support.pains import (
    Remote,
    after,
    assert_true,
    number_of_rows,
    read,
    registers,
)  # fmt: skip
from tests.support.scripted import (
    NS_PER_S,
    RealClock,
    gaps,
    pty_instrument,
    rows,
    run_for,
    seeded,
    status,
    take,
    value,
)  # fmt: skip

UNAVAILABLE = {
    "int16": (0x8000,), "uint16": (0xFFFF,), "float32": (0x7FC0, 0x0000), "int32": (0x8000, 0x0000),
}  # fmt: skip


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", UNAVAILABLE)
async def test_pain_14_a_code_for_no_value_is_no_reading(kind: str) -> None:
    """A gateway reports -32768, 65535 or NaN where the device says that it has nothing to say."""
    remote = Remote()
    words = UNAVAILABLE[kind]
    remote.numbers = dict(enumerate(words))
    code = int.from_bytes(struct.pack(f">{len(words)}H", *words), "big")
    sentinels = [] if kind == "float32" else [code]
    channels = [{"name": "v", "address": 0, "type": kind, "sentinels": sentinels}, *registers(64)]
    items = await take(remote.driver(channels), number_of_rows(2))
    assert {status(block, "v") for block in rows(items)} == {Status.UNAVAILABLE}
    assert {value(block, "r64") for block in rows(items)} == {1064}


@pytest.mark.virtual_time
async def test_pain_14_a_scale_factor_that_changes_is_that_of_its_own_value() -> None:
    """A gateway reads a SunSpec scale factor once, or in another request than the value that it belongs to.

    Here the inverter changes both between any two requests, as it may, and every product is 4200 W.
    """
    remote = Remote()
    turns = [(42, 2), (420, 1), (4200, 0), (42000, -1)]

    def change() -> None:
        watts, power = turns[len(remote.reads) % len(turns)]
        remote.numbers = {40: watts, 41: power % 65536}

    def answers(data: bytes, inner: Callable[[bytes], list[tuple[float, bytes]]] = remote.answers) -> Any:
        change()
        return inner(data)

    remote.answers = answers  # type: ignore[method-assign]
    channels = [
        {"name": "watts", "address": 40, "type": "uint16", "scale_factor": 41},
        *registers(*range(64, 70), 100),
    ]
    items = await take(
        remote.driver(channels, block_registers_max=4, gap_registers_max=0), number_of_rows(12)
    )
    assert {value(block, "watts") for block in rows(items)} == {4200.0}
    assert all(41 in asked for asked in remote.reads if 40 in asked)


async def test_pain_14_a_frame_that_lost_a_register_gives_no_value(relay: Relay) -> None:
    """A gateway decodes an answer that slipped by one register: kilowatts become megawatts.

    On a serial line two bytes are lost and as many follow, so that the length is right: the checksum is not.
    """
    count = [0]

    def slipped(data: bytes) -> list[tuple[float, bytes]]:
        ((_, frame),) = relay.rtu(data)
        count[0] += len(relay.reads[-1]) == 4
        return [
            (0.0, frame if count[0] % 2 or len(relay.reads[-1]) < 4 else frame[:3] + frame[5:] + bytes(2))
        ]

    async with pty_instrument(slipped) as instrument:
        settings = ModbusRtuSettings.model_validate({
            "id": "device", "port": str(instrument.path), "poll_interval_s": 0.05, "timeout_s": 0.05,
            "read_identity": False, "baudrate": 115200, "channels": registers(64, 65, 66, 67),
        })  # fmt: skip
        (driver,) = open_drivers([settings], RealClock(), seeded())
        items = await take(driver, lambda items: assert_true(rows(items)) >= 12)
    assert Status.BAD_FRAME in {status(block, "r64") for block in rows(items)}


async def test_pain_14_an_answer_that_is_a_register_short_gives_no_value(relay: Relay) -> None:
    """The same over TCP, which has no checksum: the length tells."""
    relay.fault = after(1, lambda _, answer: answer[:1] + bytes([answer[1] - 2]) + answer[4:])
    items = await read(relay, registers(64, 65, 66), number_of_rows(3))
    assert [status(block, "r64") for block in rows(items)][:2] == [Status.GOOD, Status.WRONG_ANSWER]
    assert assert_true(rows(items)) == 3


@pytest.mark.virtual_time
async def test_pain_15_a_clock_that_is_set_after_boot_moves_no_poll() -> None:
    """A gateway that boots in 1970 stops, races or misses polls once the network has told it the time.

    Polls follow gateway time: the step shows in the stamps of UTC, between two rows, and nowhere else.
    """
    remote = Remote()
    remote.clock.utc_offset_ns = 0
    asyncio.get_running_loop().call_later(
        10.0, setattr, remote.clock, "utc_offset_ns", 1_780_000_000 * NS_PER_S
    )
    asyncio.get_running_loop().call_later(
        20.0, setattr, remote.clock, "utc_offset_ns", 1_779_999_000 * NS_PER_S
    )
    (items,) = await run_for([remote.driver(registers(64))], 30.0)
    assert assert_true(rows(items)) == len(rows(items)) == 30
    assert not gaps(items)
    steps_ns = [int(later.t_run_ns[0] - earlier.t_run_ns[0]) for earlier, later in pairwise(rows(items))]
    assert all(abs(step - NS_PER_S) < 10_000_000 for step in steps_ns)
    utc_s = [
        round(int(later.t_utc_ns[0] - earlier.t_utc_ns[0]) / NS_PER_S)
        for earlier, later in pairwise(rows(items))
    ]
    assert min(utc_s) == -999
    assert max(utc_s) == 1_780_000_001
    assert utc_s.count(1) == 27
