"""A recording gives the same rows again however late the loop of that time was to notice things."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from drivers import InstrumentSettings
from drivers.transport import Wire
from pipeline.records import DeviceEvent, Item
from tests.support.recordings import (
    assert_played_from_every_part,
    essence,
    in_parts,
    record,
    replayed,
    settings,
)  # fmt: skip
from tests.support.scripted import TcpInstrument, rows, tcp_instrument, value
from tests.support.waiting import until

Connect = Callable[[], Awaitable[Wire]]


def hold_up(seconds: float) -> None:
    """Keep the loop from noticing anything."""
    time.sleep(seconds)


def balance(port: int) -> InstrumentSettings:
    return settings(
        "mtsics", host="127.0.0.1", port=port, poll_interval_s=0.05, timeout_s=0.1,
        channels=[{"name": "weight"}],
    )  # fmt: skip


def said(items: list[Item], text: str) -> bool:
    return any(isinstance(item, DeviceEvent) and text in str(item.args) for item in items)


def weights() -> Callable[[bytes], list[tuple[float, bytes]]]:
    number = itertools.count(1)

    def answers(data: bytes) -> list[tuple[float, bytes]]:
        if data.startswith(b"I"):
            return [(0.0, b'I4 A "B123"\r\n' if data.startswith(b"I4") else b"ES\r\n")]
        return [(0.0, f"S S {next(number) / 100:10.2f} g\r\n".encode())]

    return answers


async def test_a_connection_that_was_noticed_late_does_not_move_the_first_request(tmp_path: Path) -> None:
    """The quiet time before it counts from the opening, not from when the recorder got hold of it."""

    def noticed_late(connect: Connect) -> Connect:
        async def opened() -> Wire:
            wire = await connect()
            hold_up(0.03)
            return wire

        return opened

    async with tcp_instrument(weights()) as device:
        lived = await record(
            tmp_path / "wire", [balance(device.port)], 0.4, opening=noticed_late,
            enough=lambda items: len(rows(items)) > 1,
        )  # fmt: skip
    assert essence(await replayed(tmp_path / "wire")) == essence(lived)


def greeted(device: TcpInstrument, line: bytes) -> Callable[[Connect], Connect]:
    """Have a device speak before the connection is in the hands of whoever opened it."""

    def greets(connect: Connect) -> Connect:
        async def opened() -> Wire:
            earlier = device.connections
            wire = await connect()
            await until(lambda: device.connections > earlier)
            device.say(line)
            await until(lambda: len(wire.inbox.data) > 0)
            return wire

        return opened

    return greets


async def test_what_comes_with_the_opening_of_a_connection_is_recorded_and_played(tmp_path: Path) -> None:
    answers, asked = weights(), itertools.count(1)

    def hangs_up(data: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, b"")] if next(asked) % 8 == 0 else answers(data)

    async with tcp_instrument(hangs_up) as device:
        lived = await record(
            tmp_path / "000.wire", [balance(device.port)], 2.5, in_parts(tmp_path, 0.3),
            opening=greeted(device, b"S S      77.77 g\r\n"),
            # Of another connection: what was asked before it is owed.
            enough=lambda items: said(items, "77.77 g (late)"),
        )  # fmt: skip
    assert value(rows(lived)[0], "weight") == 77.77
    await assert_played_from_every_part(tmp_path, lived, ["device"])


async def test_a_quiet_time_counts_from_when_silence_was_noticed_in_a_busy_loop(tmp_path: Path) -> None:
    """What came in it was told then as a late line, and not thrown away; so it is told again."""
    answers, asked = weights(), itertools.count(1)

    def breaks_off(data: bytes) -> list[tuple[float, bytes]]:
        if data.startswith(b"I") or next(asked) != 3:
            return answers(data)
        loop = asyncio.get_running_loop()
        loop.call_later(0.09, hold_up, 0.25)
        loop.call_later(0.42, device.say, b"S S      77.77 g\r\n")
        return [(0.0, b"S S   ")]

    async with tcp_instrument(breaks_off) as device:
        lived = await record(
            tmp_path / "wire", [balance(device.port)], 1.2,
            enough=lambda items: said(items, "broke off") and said(items, "77.77 g (late)"),
        )  # fmt: skip
    assert essence(await replayed(tmp_path / "wire")) == essence(lived)
