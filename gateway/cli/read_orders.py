"""`read --orders`: a channel under all byte orders and one register to either side."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, cast

from config import Exit
from config.validation import did_you_mean
from drivers.compose import open_drivers
from drivers.modbus.channel import ModbusChannel
from drivers.modbus.plausible import interpret
from drivers.modbus.settings import ModbusSettings
from gateway.cli.common import ERR, fail, run
from gateway.cli.profile import show_candidates
from pipeline.records import Block, Status, SystemClock

if TYPE_CHECKING:
    from drivers.registry import AnyInstrument

_NO_NUMBERS = frozenset({"bool", "string", "int8", "uint8"})


def read_orders(settings: AnyInstrument, name: str, patience_s: float, *, as_json: bool) -> None:
    """Read the registers of a channel and their neighbours once, and show what they could mean.

    Leaves with 2 for a channel that is no number of a Modbus instrument, with 69 when no register came.
    """
    channel = _number(settings, name)
    around = neighbourhood(cast("ModbusSettings", settings), channel)
    registers: dict[int, int] = run(_registers(cast("AnyInstrument", around), patience_s))
    if not registers:
        fail(Exit.UNAVAILABLE, f"no register at or beside '{name}' came from {settings.endpoint}")
    at = channel.address
    if channel.scale_factor is not None:
        ERR.print("the scale factor is left out: values are as in the registers", markup=False)
    tried = [at - 1, at, at + 1]
    show_candidates(interpret(channel, registers, tried), as_json=as_json, address=at)
    missing = [each for each in around_addresses(channel) if each not in registers and 0 <= each <= 65535]
    if missing:
        ERR.print(f"not given by the device: {', '.join(map(str, missing))}", markup=False)


def _number(settings: AnyInstrument, name: str) -> ModbusChannel:
    if not isinstance(settings, ModbusSettings):
        fail(Exit.USAGE, f"'{settings.id}' is no Modbus instrument: its values have no byte order")
    by_name = {channel.name: channel for channel in settings.channels}
    if name not in by_name:
        advice = did_you_mean(name, list(by_name)) or f"there are: {', '.join(by_name)}"
        fail(Exit.USAGE, f"no channel '{name}' in {settings.id}; {advice}")
    channel = by_name[name]
    if channel.type in _NO_NUMBERS or channel.bits is not None:
        fail(
            Exit.USAGE,
            f"'{name}' is part of a register, or text: only whole numbers and floats have an order",
        )
    return channel


def around_addresses(channel: ModbusChannel) -> range:
    """Return the registers of a value, the one before and the one after."""
    return range(channel.address - 1, channel.address + channel.registers + 1)


def neighbourhood(settings: ModbusSettings, channel: ModbusChannel) -> ModbusSettings:
    """Return the instrument with the bare registers around a channel as its channels.

    A device that refuses a neighbour is read around it, as always.
    """
    allowed = [
        address
        for address in around_addresses(channel)
        if 0 <= address <= 65535 and not any(low <= address <= high for low, high in settings.holes)
    ]
    bare = tuple(
        ModbusChannel(name=f"r{address}", table=channel.table, address=address) for address in allowed
    )
    return settings.model_copy(update={"channels": bare})


async def _registers(settings: AnyInstrument, patience_s: float) -> dict[int, int]:
    (driver,) = open_drivers([settings], SystemClock(), random.Random())  # noqa: S311 - jitter
    channels = cast("tuple[ModbusChannel, ...]", settings.channels)
    try:
        async with asyncio.timeout(patience_s), driver:
            async for item in driver.stream():
                if isinstance(item, Block) and (item.status[:, -1] == Status.GOOD).any():
                    return {
                        channel.address: int(item.column(channel.name)[-1] or 0)
                        for position, channel in enumerate(channels)
                        if item.status[position, -1] == Status.GOOD
                    }
    except TimeoutError:
        pass
    return {}
