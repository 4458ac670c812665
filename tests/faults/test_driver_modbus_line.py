"""Units on one RTU line, in virtual time and memory: late answers, dead units, noise."""

import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.door import Driver
from drivers.modbus.bus import ModbusBus
from drivers.modbus.framing import RtuFraming
from drivers.modbus.instrument import ModbusInstrument
from drivers.modbus.line_settings import ModbusRtuSettings
from drivers.poller import Poller
from drivers.transport import Line, Wire
from pipeline.records import Status
from tests.support.scripted import (
    NS_PER_S,
    LoopClock,
    MemoryWire,
    crc16,
    events,
    gaps,
    registers_pdu,
    rows,
    rtu,
    run_for,
    seeded,
    status,
    value,
)  # fmt: skip

pytestmark = [
    pytest.mark.virtual_time,
    pytest.mark.filterwarnings("ignore::async_solipsism.exceptions.ResolutionWarning"),
]

SILENCE_S = 3.5 * 10 / 9600
ANSWER_S = 0.02


class Units:
    """Units whose register at address a holds 1000 * unit + a; faults are chosen by the test."""

    def __init__(self) -> None:
        self.dead: set[int] = set()
        self.delays_s: list[float] = []
        """Delays of the next answers; then `ANSWER_S`."""
        self.requests: list[tuple[float, int, int, int]] = []
        """Time, unit, address and count of every request."""
        self.busy_until_s = 0.0
        self.asked = asyncio.Event()
        self.mangle: dict[int, bytes] = {}
        """Number of a request to what is answered in place of the truth."""

    def answers(self, data: bytes) -> list[tuple[float, bytes]]:
        assert crc16(data[:-2]) == data[-2:]
        unit, function, address, count = (
            data[0],
            data[1],
            *(int.from_bytes(data[at : at + 2], "big") for at in (2, 4)),
        )
        now_s = asyncio.get_running_loop().time()
        self.asked.set()
        self.requests.append((now_s, unit, address, count))
        if unit in self.dead:
            return []
        if function == 0x2B:
            return [(ANSWER_S, rtu(unit, bytes([0xAB, 1])))]
        delay_s = self.delays_s.pop(0) if self.delays_s else ANSWER_S
        # A device answers in the order in which it was asked.
        self.busy_until_s = max(self.busy_until_s, now_s + delay_s)
        true = rtu(
            unit, registers_pdu(function, [1000 * unit + at for at in range(address, address + count)])
        )
        return [(self.busy_until_s - now_s, self.mangle.get(len(self.requests) - 1, true))]


def unit_settings(number: int, addresses: tuple[int, ...] = (0,), **other: Any) -> ModbusRtuSettings:
    return ModbusRtuSettings.model_validate(
        {
            "id": f"unit-{number}",
            "port": "/dev/bus",
            "unit": number,
            "timeout_s": 0.5,
            "read_identity": False,
            "channels": [{"name": f"r{at}", "address": at, "table": "input"} for at in addresses],
            **other,
        }
    )


def drivers_on(units: Units, *instruments: ModbusRtuSettings) -> list[Driver]:
    clock = LoopClock()

    async def connect() -> Wire:
        return MemoryWire(clock, units.answers)

    line = Line("serial:bus", connect, clock, seeded(), silence_s=SILENCE_S, quarantine=True)
    bus = ModbusBus(line, RtuFraming(), character_s=10 / 9600)
    return [Poller(ModbusInstrument(one, bus), clock, seeded()) for one in instruments]


async def test_values_come_with_the_time_of_their_own_exchange() -> None:
    units = Units()
    (items,) = await run_for(drivers_on(units, unit_settings(1, (0, 1, 7), gap_registers_max=0)), 5.0)
    assert len(rows(items)) == 5
    for block in rows(items):
        assert [value(block, name) for name in ("r0", "r1", "r7")] == [1000, 1001, 1007]
        assert block.raw == (bytes.fromhex("03E8 03E9 03EF"),)
        assert block.t_run_ns[0] == (block.t_request_ns[0] + block.t_response_ns[0]) // 2
        assert block.t_utc_ns[0] - block.t_run_ns[0] == LoopClock.utc_offset_ns
        assert 0.04 * NS_PER_S <= block.t_response_ns[0] - block.t_request_ns[0] < 0.06 * NS_PER_S
    asked = [address for _, _, address, _ in units.requests]
    assert asked == [0, 7] * 5


async def test_the_line_is_silent_for_three_and_a_half_characters_before_each_request() -> None:
    units = Units()
    await run_for(drivers_on(units, unit_settings(1, (0, 70)), unit_settings(2, (0, 70))), 5.0)
    times = [time for time, *_ in units.requests]
    gaps_s = [later - earlier - ANSWER_S for earlier, later in pairwise(times)]
    assert min(gaps_s) >= SILENCE_S - 1e-5


@pytest.mark.parametrize("late_s", [0.52, 0.6, 0.9, 1.5, 1.9, 2.0, 2.04, 2.5, 7.0])
async def test_a_late_answer_is_never_taken_for_the_next_one(late_s: float) -> None:
    units = Units()
    units.delays_s = [ANSWER_S, late_s]
    instruments = [unit_settings(1, (0,), poll_interval_s=0.5), unit_settings(1, (100,), poll_interval_s=0.5)]
    results = await run_for(drivers_on(units, *instruments), 30.0)
    for items, name, expected in zip(results, ("r0", "r100"), (1000, 1100), strict=True):
        good = [block for block in rows(items) if status(block, name) == Status.GOOD]
        assert {value(block, name) for block in good} == {expected}
        assert len(good) >= 20, "the line recovers"
    assert any(status(block, block.layout.channels[0].name) for items in results for block in rows(items))


@settings(max_examples=60)
@given(
    delays_s=st.lists(st.sampled_from([0.02, 0.02, 0.3, 0.49, 0.52, 0.7, 1.1, 2.2, 5.0]), max_size=30),
    seed=st.integers(0, 1000),
)
async def test_whatever_is_late_no_value_is_ever_booked_to_another_address(
    delays_s: list[float], seed: int
) -> None:
    units = Units()
    units.delays_s = delays_s
    instruments = [
        unit_settings(1, (0, 10), poll_interval_s=0.3 + random.Random(seed).random()),
        unit_settings(1, (20,), poll_interval_s=0.7),
        unit_settings(2, (0, 10), poll_interval_s=1.0),
    ]
    results = await run_for(drivers_on(units, *instruments), 40.0)
    for settings_of, items in zip(instruments, results, strict=True):
        for block in rows(items):
            for channel in settings_of.channels:
                if status(block, channel.name) == Status.GOOD:
                    assert value(block, channel.name) == 1000 * settings_of.unit + channel.address


async def test_a_dead_unit_costs_its_line_mates_one_time_out_per_back_off_and_no_more() -> None:
    units = Units()
    units.dead = {2}
    alive = [unit_settings(number, poll_interval_s=0.25) for number in (1, 3)]
    first, dead, third = await run_for(drivers_on(units, alive[0], unit_settings(2), alive[1]), 120.0)
    asked = [time for time, unit, *_ in units.requests if unit == 2]
    assert len(asked) <= 12  # 0.5 s doubling to 30 s, of which at least half is waited
    for items in (first, third):
        stamps = [int(block.t_request_ns[0]) for block in rows(items)]
        longest_s = max(later - earlier for earlier, later in pairwise(stamps)) / NS_PER_S
        assert longest_s <= 0.25 + 0.5 + 0.15 + 0.1
        assert all(status(block, "r0") == Status.GOOD for block in rows(items))
        assert len(rows(items)) >= 480 - 5 * len(asked)
        assert len(rows(items)) + sum(gap.polls for gap in gaps(items)) == pytest.approx(480, abs=4)
    assert {status(block, "r0") for block in rows(dead)} == {Status.NO_ANSWER}
    assert len(events(dead, "instrument-lost")) == 1
    assert {gap.cause for gap in gaps(dead)} == {"back-off"}


async def test_an_instrument_comes_back_with_its_first_answer() -> None:
    units = Units()
    units.dead = {1}
    asyncio.get_running_loop().call_later(20.0, units.dead.clear)
    (items,) = await run_for(drivers_on(units, unit_settings(1)), 70.0)
    assert len(events(items, "instrument-back")) == 1
    assert value(rows(items)[-1], "r0") == 1000


async def test_only_the_channels_of_a_refused_block_are_missing() -> None:
    units = Units()
    refusal = rtu(1, bytes([0x84, 4]))
    units.mangle = dict.fromkeys(range(0, 100, 2), refusal)
    (items,) = await run_for(drivers_on(units, unit_settings(1, (0, 1, 50, 51))), 4.9)
    for block in rows(items):
        assert [status(block, name) for name in ("r0", "r1")] == [68, 68]
        assert [value(block, name) for name in ("r50", "r51")] == [1050, 1051]
    (event,) = events(items, "device-exception")
    assert (event.args["code"], event.args["meaning"]) == (4, "device failure")
    assert not gaps(items)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (rtu(1, registers_pdu(4, [7]))[:-1] + b"\0", Status.BAD_FRAME),  # CRC
        (rtu(1, registers_pdu(4, [7]))[:-3], Status.BAD_FRAME),  # broken off
        (b"\xff\x00\x55\xaa\x12\x34\x56\x78\x9a", Status.BAD_FRAME),  # noise
        (rtu(2, registers_pdu(4, [7])), Status.WRONG_ANSWER),  # other unit
        (rtu(1, registers_pdu(3, [7])), Status.WRONG_ANSWER),  # other function
        (rtu(1, registers_pdu(4, [7, 8])), Status.WRONG_ANSWER),  # other length
        (b"", Status.NO_ANSWER),
    ],
)
async def test_a_wrong_answer_is_a_missing_row_with_its_reason_and_the_next_one_is_good(
    answer: bytes, expected: Status
) -> None:
    units = Units()
    units.mangle = {2: answer}
    (items,) = await run_for(drivers_on(units, unit_settings(1)), 9.9)
    kinds = [status(block, "r0") for block in rows(items)]
    assert kinds[:2] == [0, 0]
    assert kinds[2] == expected
    assert set(kinds[3:]) == {0}
    assert {value(block, "r0") for block in rows(items) if not status(block, "r0")} == {1000}
    assert len(events(items, "bad-frame")) == (expected is not Status.NO_ANSWER)


async def test_a_line_that_never_is_quiet_is_busy_and_nobody_crashes() -> None:
    units = Units()
    clock = LoopClock()
    wires: list[MemoryWire] = []

    async def connect() -> Wire:
        wires.append(MemoryWire(clock, units.answers))
        return wires[0]

    def babble() -> None:
        if asyncio.get_running_loop().time() < 20:
            asyncio.get_running_loop().call_later(0.05, babble)
            if wires:
                wires[0].inbox.feed(b"\x55")

    babble()
    line = Line("serial:bus", connect, clock, seeded(), silence_s=SILENCE_S, quarantine=True)
    bus = ModbusBus(line, RtuFraming())
    (items,) = await run_for([Poller(ModbusInstrument(unit_settings(1), bus), clock, seeded())], 30.0)
    assert gaps(items)[0].cause == "line-busy"
    assert value(rows(items)[-1], "r0") == 1000


async def test_a_cancelled_exchange_leaves_no_answer_to_the_next_user_of_the_line() -> None:
    units = Units()
    first, second = drivers_on(units, unit_settings(1, (0,)), unit_settings(1, (100,), poll_interval_s=0.2))

    async def read_first() -> None:
        async with first:
            async for _ in first.stream():
                pass

    task = asyncio.create_task(read_first())
    await units.asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (items,) = await run_for([second], 5.0)
    assert {value(block, "r100") for block in rows(items)} == {1100}
