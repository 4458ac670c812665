"""The driver alone: requests beside pymodbus' own client, decode, and a serial line."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from pymodbus.client import AsyncModbusTcpClient

from benchmarks.load_site import load_instruments
from benchmarks.servers import devices, serial_device
from drivers import open_drivers
from drivers.modbus.bus import ModbusBus
from drivers.modbus.cost import rtu_cost
from drivers.modbus.decode import Decoder, build_layout
from drivers.modbus.frames import read_request
from drivers.modbus.framing import TcpFraming
from drivers.modbus.line_settings import ModbusRtuSettings
from drivers.modbus.plan import plan_blocks
from drivers.transport import Line, open_tcp
from pipeline.records import Block, SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.door import Driver

FLOATS = 62
REGISTERS = 2 * FLOATS
EVER_NS = 2**62
TURNS = 5
DECODE_CHANNELS = (62, 125, 500)
BAUD = 9600
TURNAROUND_S = 0.005


async def _ours(port: int, count: int) -> float:
    """Read and decode `count` times with our client: seconds of CPU a request."""
    clock = SystemClock()
    (settings,) = load_instruments([port], channels=FLOATS)
    (block,) = plan_blocks(settings.channels, limits=settings.limits, cost=settings.cost())
    decoder = Decoder(settings.channels, build_layout(settings.channels), [block])
    request = read_request(1, block.function, block.address, block.count, block.byte_count)

    async def connect() -> Any:
        return await open_tcp("127.0.0.1", port, timeout_s=5.0, clock=clock)

    line = Line("bench", connect, clock, random.Random(1))
    bus = ModbusBus(line, TcpFraming())
    line.join()
    began_s = 0.0
    for number in range(count + 1):
        async with line.lease(EVER_NS) as wire:
            exchange = await bus.exchange(wire, request, 1.0)
        decoder.decode([exchange.data])
        began_s = began_s if number else time.process_time()  # the first one connects
    spent_s = time.process_time() - began_s
    line.leave()
    return spent_s / count


async def _pymodbus(port: int, count: int) -> float:
    """The same with pymodbus' client as it is."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
    await client.connect()
    kind = client.DATATYPE.FLOAT32
    began_s = time.process_time()
    for _ in range(count):
        answer = await client.read_holding_registers(0, count=REGISTERS)
        client.convert_from_registers(answer.registers, kind)
    spent_s = time.process_time() - began_s
    client.close()
    return spent_s / count


async def requests(load: Path, count: int) -> dict[str, Any]:
    """Requests of 124 registers, decoded to 62 floats, in turns: medians in us of CPU, and the ratio."""
    ours, theirs = [], []
    with devices(load, 1) as ((port,), _):
        for _ in range(TURNS):
            ours.append(await _ours(port, count))
            theirs.append(await _pymodbus(port, count))
    mine, stock = float(np.median(ours)), float(np.median(theirs))
    return {
        "ours_us": round(mine * 1e6, 1),
        "pymodbus_us": round(stock * 1e6, 1),
        "ratio": round(stock / mine, 2),
    }


def decode(seconds: float) -> dict[str, float]:
    """Decode of float32 values, all blocks of a poll at once: ns of CPU a value, by number of channels."""
    found = {}
    for channels in DECODE_CHANNELS:
        (settings,) = load_instruments([1], channels=channels)
        blocks = plan_blocks(settings.channels, limits=settings.limits, cost=settings.cost())
        decoder = Decoder(settings.channels, build_layout(settings.channels), blocks)
        numbers = np.arange(channels, dtype=">f4")
        answers, at = [], 0
        for block in blocks:
            size = len(block.channels)
            answers.append(numbers[at : at + size].tobytes())
            at += size
        best_s = float("inf")
        end_s = time.process_time() + seconds
        while time.process_time() < end_s:
            began_s = time.process_time()
            for _ in range(500):
                decoder.decode(answers)
            best_s = min(best_s, (time.process_time() - began_s) / 500)
        found[str(channels)] = round(best_s * 1e9 / channels, 1)
    return found


async def _rows(driver: Driver, seconds: float) -> list[Block]:
    rows: list[Block] = []

    async def take() -> None:
        async with driver:
            rows.extend([item async for item in driver.stream() if isinstance(item, Block)])

    task = asyncio.create_task(take())
    await asyncio.sleep(seconds)
    driver.stop()
    await task
    return rows


async def serial(load: Path, seconds: float) -> dict[str, Any]:
    """62 floats from one unit at 9600 baud, back to back: part of the line's time that the plan needs."""
    with serial_device(load, BAUD, TURNAROUND_S) as path:
        settings = ModbusRtuSettings.model_validate({
            "id": "u", "port": str(path), "baudrate": BAUD, "stopbits": 2, "poll_interval_s": 0.01,
            "read_identity": False,
            "channels": [{"name": f"c{at}", "address": 2 * at, "type": "float32"} for at in range(FLOATS)],
        })  # fmt: skip
        (driver,) = open_drivers([settings], SystemClock(), random.Random(1))
        rows = await _rows(driver, seconds)
    good = [row for row in rows if not row.status.any()]
    # From one request to the next one: silence, request, the device's delay, answer.
    periods_s = np.diff([int(row.t_request_ns[0]) for row in good]) / 1e9
    cost = rtu_cost(settings.serial().character_s, settings.quiet_s, TURNAROUND_S)
    need_s = cost.block_s(3, REGISTERS)
    return {
        "rows": len(rows),
        "missing": len(rows) - len(good),
        "plan_s": round(need_s, 4),
        "poll_s": round(float(np.median(periods_s)), 4),
        "percent": round(100 * need_s * len(periods_s) / float(periods_s.sum()), 1),
    }
