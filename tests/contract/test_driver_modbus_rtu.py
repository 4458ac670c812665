"""Modbus RTU over a real pty, under asyncio's loop and under uvloop."""

import asyncio
import os
import pty
from pathlib import Path
from typing import Any

import pytest
import uvloop

from drivers import open_drivers
from drivers.errors import LinkDown
from drivers.modbus.line_settings import ModbusRtuSettings
from drivers.transport import SerialParameters, open_serial
from pipeline.records import Gap, Status
from tests.support.scripted import (
    RealClock,
    crc16,
    events,
    gaps,
    pty_instrument,
    registers_pdu,
    rows,
    rtu,
    run_for,
    seeded,
    status,
    take,
    value,
)  # fmt: skip


def settings_of(path: Path, unit: int = 1, **other: Any) -> ModbusRtuSettings:
    return ModbusRtuSettings.model_validate(
        {
            "id": f"unit-{unit}",
            "port": str(path),
            "unit": unit,
            "poll_interval_s": 0.1,
            "timeout_s": 0.2,
            "channels": [{"name": "a", "address": 0}, {"name": "b", "address": 100}],
            **other,
        }
    )


def units(data: bytes) -> list[tuple[float, bytes]]:
    """Answer as units 1 and 2 whose register at address a holds 1000 * unit + a."""
    assert crc16(data[:-2]) == data[-2:]
    unit, function, address, count = (
        data[0],
        data[1],
        *(int.from_bytes(data[at : at + 2], "big") for at in (2, 4)),
    )
    if unit > 2:
        return []
    if function == 0x2B:
        return [(0.0, rtu(unit, bytes([0xAB, 1])))]
    return [
        (
            0.0,
            rtu(unit, registers_pdu(function, [1000 * unit + at for at in range(address, address + count)])),
        )
    ]


@pytest.mark.parametrize("one_byte_at_a_time", [False, True])
async def test_two_units_on_one_line(one_byte_at_a_time: bool) -> None:
    async with pty_instrument(units, one_byte_at_a_time=one_byte_at_a_time) as line:
        drivers = open_drivers([settings_of(line.path, unit) for unit in (1, 2)], RealClock(), seeded())
        results = await run_for(drivers, 1.5)
    for unit, items in enumerate(results, start=1):
        assert len(rows(items)) >= 3
        assert {value(block, "b") for block in rows(items)} == {1000 * unit + 100}


async def test_a_late_answer_on_a_real_line_is_not_taken_for_the_next_one() -> None:
    asked: list[bytes] = []

    def late(data: bytes) -> list[tuple[float, bytes]]:
        asked.append(data)
        ((delay_s, answer),) = units(data)
        return [(0.45 if len(asked) == 3 else delay_s, answer)]

    async with pty_instrument(late) as line:
        (driver,) = open_drivers([settings_of(line.path, read_identity=False)], RealClock(), seeded())
        items = await take(driver, lambda items: len(rows(items)) == 6)
    kinds = [(status(block, "a"), status(block, "b")) for block in rows(items)]
    assert kinds[1] == (Status.NO_ANSWER, Status.NO_ANSWER)
    for block in rows(items):
        for name, expected in (("a", 1000), ("b", 1100)):
            assert status(block, name) or value(block, name) == expected
    assert kinds[-1] == (0, 0)


async def test_an_unplugged_line_is_lost_and_leaves_rows_and_gaps() -> None:
    async with pty_instrument(units) as line:
        (driver,) = open_drivers([settings_of(line.path)], RealClock(), seeded())

        def enough(items: list[Any]) -> bool:
            if len(rows(items)) == 2:
                line.unplug()
            return any(isinstance(item, Gap) and item.cause == "disconnected" for item in items)

        items = await take(driver, enough)
    (lost,) = events(items, "instrument-lost")
    assert lost.args["hint"]
    assert gaps(items)[-1].cause == "disconnected"


def test_the_serial_line_works_under_uvloop_too() -> None:
    async def read() -> None:
        async with pty_instrument(units) as line:
            (driver,) = open_drivers([settings_of(line.path)], RealClock(), seeded())
            items = await take(driver, lambda items: len(rows(items)) == 3)
        assert value(rows(items)[2], "a") == 1000

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(read())


@pytest.mark.parametrize(
    ("path", "hint"), [("/nowhere/tty", "plugged in"), ("/dev/null", "does not take|another program")]
)
async def test_a_port_that_cannot_be_opened_says_what_to_do(path: str, hint: str) -> None:
    with pytest.raises(LinkDown, match=hint):
        open_serial(SerialParameters(Path(path)), clock=RealClock())


async def test_a_port_that_another_program_holds_is_not_shared() -> None:
    async with pty_instrument(units) as line:
        wire = open_serial(SerialParameters(line.path), clock=RealClock())
        with pytest.raises(LinkDown, match="another program"):
            open_serial(SerialParameters(line.path), clock=RealClock())
        wire.close()


async def test_line_settings_that_a_port_refuses_are_an_error_and_no_crash() -> None:
    master, slave = pty.openpty()
    parameters = SerialParameters(Path(os.ttyname(slave)), parity="E", bytesize=7)
    refused = 0
    for _ in range(3):
        try:
            open_serial(parameters, clock=RealClock()).close()
        except LinkDown:
            refused += 1
    os.close(slave)
    os.close(master)
    # Linux takes parity on a pty once and raises termios.error from then on, or never: both are allowed.
    assert refused in {0, 2}


async def test_a_writer_that_cannot_write_is_told() -> None:
    async with pty_instrument(units) as line:
        wire = open_serial(SerialParameters(line.path), clock=RealClock())
        wire.close()
        with pytest.raises(LinkDown):
            wire.write(b"x")
