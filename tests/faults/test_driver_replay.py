"""What was recorded on a wire gives the same rows again, bit for bit, whatever went wrong on it."""

import asyncio
import gzip
import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers import InstrumentSettings
from drivers.compose import writers_of
from drivers.door import Driver
from drivers.errors import Fatal
from drivers.recorded import note_of
from drivers.replay import Replay
from drivers.transport.recording import (
    BEGUN,
    Head,
    Parts,
    WireRecorder,
    join_parts,
    read_recording,
)
from drivers.transport.wire import Stamp
from pipeline.records import DeviceEvent, Item
from tests.support.recordings import (
    assert_played_from_every_part,
    essence,
    in_parts,
    of,
    parts_in,
    record,
    replayed,
    settings,
)  # fmt: skip
from tests.support.scripted import (
    mbap,
    pty_instrument,
    registers_pdu,
    rows,
    rtu,
    status,
    tcp_instrument,
)  # fmt: skip

Answers = Callable[[bytes], list[tuple[float, bytes]]]


def modbus(driver: str = "modbus-tcp", **other: Any) -> InstrumentSettings:
    channels = [{"name": f"r{at}", "address": at} for at in (*range(6), *range(40, 44))]
    return settings(driver, **{"poll_interval_s": 0.03, "timeout_s": 0.06, "channels": channels, **other})


class Troubled:
    """A device that refuses, is late, is silent, sends damage and hangs up, each now and then."""

    def __init__(self) -> None:
        self.requests = 0
        self.rng = random.Random(7)

    def registers(self, pdu: bytes) -> bytes:
        if pdu[0] == 0x2B:
            return bytes([0xAB, 1])
        first, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if 3 in range(first, first + count):
            return bytes([pdu[0] | 0x80, 2])
        return registers_pdu(pdu[0], [self.rng.randrange(65536) for _ in range(count)])

    def spoil(self, frame: bytes, *, may_hang_up: bool) -> list[tuple[float, bytes]]:
        self.requests += 1
        match self.requests % 13:
            case 5:
                return []
            case 7:
                return [(0.09, frame)]
            case 9:
                return [(0.0, frame[:-3])]
            case 11 if may_hang_up:
                return [(0.0, b"")]
            case 12:
                return [(0.004, frame[:4]), (0.004, frame[4:])]
        return [(0.001, frame)]

    def over_tcp(self, data: bytes) -> list[tuple[float, bytes]]:
        frame = mbap(int.from_bytes(data[:2], "big"), data[6], self.registers(data[7:]))
        return self.spoil(frame, may_hang_up=True)

    def over_rtu(self, data: bytes) -> list[tuple[float, bytes]]:
        return self.spoil(b"\xff" + rtu(data[0], self.registers(data[1:-2])), may_hang_up=False)


async def test_a_troubled_tcp_device_gives_the_same_rows_events_and_gaps_again(tmp_path: Path) -> None:
    path = tmp_path / "wire"

    def varied(items: list[Item]) -> bool:
        found = {status(block, name) for block in rows(items) for name in ("r0", "r3", "r40")}
        return len(found) >= 3 and len(rows(items)) > 8

    async with tcp_instrument(Troubled().over_tcp) as device:
        lived = await record(path, [modbus(host="127.0.0.1", port=device.port)], 2.5, enough=varied)
    assert essence(await replayed(path)) == essence(lived)


async def test_an_answer_that_was_heard_late_in_a_busy_loop_is_heard_in_the_replay_too(
    tmp_path: Path,
) -> None:
    path, stalls = tmp_path / "wire", itertools.count()

    def heard_after_the_time(items: list[Item]) -> bool:
        late = [row for row in rows(items) if row.t_response_ns[0] - row.t_request_ns[0] > 60_000_000]
        return any(status(row, "r40") == 0 for row in late)

    def answers(data: bytes) -> list[tuple[float, bytes]]:
        # The answer is in the socket while the loop is held up for longer than the time-out.
        if next(stalls) % 5 == 3:
            asyncio.get_running_loop().call_soon(time.sleep, 0.1)
        return [(0.0, answer) for _, answer in Troubled().over_tcp(data)]

    async with tcp_instrument(answers) as device:
        instruments = [modbus(host="127.0.0.1", port=device.port)]
        lived = await record(path, instruments, 1.5, enough=heard_after_the_time)
    assert essence(await replayed(path)) == essence(lived)


async def test_units_of_one_rs485_line_give_the_same_rows_again(tmp_path: Path) -> None:
    path = tmp_path / "wire"
    async with pty_instrument(Troubled().over_rtu) as line:
        units = [
            modbus("modbus-rtu", id=f"unit-{unit}", unit=unit, port=str(line.path), baudrate=115200,
                   poll_interval_s=0.1, gap_registers_max=0)
            for unit in (1, 2)
        ]  # fmt: skip
        names = ("unit-1", "unit-2")
        lived = await record(
            path, units, 2.5, enough=lambda items: all(len(rows(of(items, name))) >= 3 for name in names)
        )
    again = await replayed(path)
    for name in names:
        assert essence(of(again, name)) == essence(of(lived, name))


async def test_a_balance_and_its_print_key_give_the_same_rows_again(tmp_path: Path) -> None:
    weights = iter(range(1, 1000))

    def balance(data: bytes) -> list[tuple[float, bytes]]:
        if data.startswith(b"I"):
            return [(0.0, b'I4 A "B123"\r\n' if data.startswith(b"I4") else b"ES\r\n")]
        number = next(weights)
        line = f"S {'S' if number % 3 else 'D'} {number / 100:10.2f} g\r\n".encode()
        return [] if number % 7 == 0 else [(0.002, line[:5]), (0.002, line[5:])]

    path = tmp_path / "wire"
    async with tcp_instrument(balance) as device:
        one = settings(
            "mtsics", host="127.0.0.1", port=device.port, poll_interval_s=0.05, timeout_s=0.1,
            channels=[{"name": "weight"}],
        )  # fmt: skip
        asyncio.get_running_loop().call_later(0.52, device.say, b"S S      55.55 g\r\n")
        lived = await record(path, [one], 1.5, enough=lambda items: len(rows(items)) > 10)
    assert essence(await replayed(path)) == essence(lived)


async def test_a_troubled_device_is_played_from_every_part_that_is_left(tmp_path: Path) -> None:
    async with tcp_instrument(Troubled().over_tcp) as device:
        channels = [{"name": f"r{at}", "address": at} for at in (*range(6), *range(40, 44))]
        channels[8]["poll_interval_s"] = 0.06
        one = modbus(host="127.0.0.1", port=device.port, channels=channels)
        lived = await record(tmp_path / "000.wire", [one], 2.5, in_parts(tmp_path, 0.4))
    await assert_played_from_every_part(tmp_path, lived, ["device"])


async def test_units_of_one_line_and_a_balance_are_played_from_every_part(tmp_path: Path) -> None:
    weights = itertools.count(1)

    def balance(data: bytes) -> list[tuple[float, bytes]]:
        number = next(weights)
        if data.startswith(b"I"):
            return [(0.0, b'I4 A "B123"\r\n' if data.startswith(b"I4") else b"ES\r\n")]
        unit = "g" if number % 9 < 5 else "mg"
        return [] if number % 7 == 0 else [(0.002, f"S S {number / 100:10.2f} {unit}\r\n".encode())]

    async with pty_instrument(Troubled().over_rtu) as line, tcp_instrument(balance) as device:
        units = [
            modbus("modbus-rtu", id=f"unit-{unit}", unit=unit, port=str(line.path), baudrate=115200,
                   poll_interval_s=0.1, gap_registers_max=0)
            for unit in (1, 2)
        ]  # fmt: skip
        weighing = settings(
            "mtsics", id="balance", host="127.0.0.1", port=device.port, poll_interval_s=0.05, timeout_s=0.1,
            channels=[{"name": "weight"}],
        )  # fmt: skip
        lived = await record(tmp_path / "000.wire", [*units, weighing], 3.0, in_parts(tmp_path, 0.5))
    await assert_played_from_every_part(tmp_path, lived, ["unit-1", "unit-2", "balance"])


async def test_polls_after_a_point_was_set_are_played_as_they_were(tmp_path: Path) -> None:
    """What sets a point goes over the same line and counts the same requests, and is no poll."""
    point = {"name": "mode", "address": 1, "low": 0, "high": 9, "confirm": {"en": "Sure?", "zh": "确定？"}}
    read: list[bytes] = []

    async def look(drivers: list[Driver]) -> None:
        writer = writers_of(drivers)["device"]
        made = writer.point("mode")
        assert made is not None
        for _ in range(3):
            await asyncio.sleep(0.2)
            read.append(await writer.read(made))

    def answers(data: bytes) -> list[tuple[float, bytes]]:
        return [(0.001, mbap(int.from_bytes(data[:2], "big"), data[6], Troubled().registers(data[7:])))]

    async with tcp_instrument(answers) as device:
        one = modbus(host="127.0.0.1", port=device.port, timeout_s=2.0, writes=[point])
        lived = await record(
            tmp_path / "wire", [one], 1.0, meanwhile=look,
            enough=lambda items: len(read) == 3 and len(rows(items)) > 20,
        )  # fmt: skip
    assert essence(await replayed(tmp_path / "wire")) == essence(lived)


async def test_a_missing_part_is_told_and_what_is_behind_it_is_played(tmp_path: Path) -> None:
    async with tcp_instrument(Troubled().over_tcp) as device:
        one = modbus(host="127.0.0.1", port=device.port)
        # The first poll, with all its splits and silences, has to end in the first part.
        lived = await record(
            tmp_path / "000.wire", [one], 2.0, in_parts(tmp_path, 0.8),
            enough=lambda _: len(parts_in(tmp_path)) > 3,
        )  # fmt: skip
    parts = parts_in(tmp_path)
    join_parts([*parts[:1], *parts[2:]], tmp_path / "holed")
    played = Replay(tmp_path / "holed")
    again = essence(rows([item async for item in played.items()]))  # type: ignore[arg-type]
    wanted = essence(rows(lived))  # type: ignore[arg-type]
    (lapse,) = played.lapses
    assert lapse.why == "parts are missing"
    assert 0 < lapse.from_utc_ns < lapse.to_utc_ns
    kept = [row for row in wanted if row in again]
    assert kept == again, "nothing else, and in the same order"
    assert again[0] == wanted[0]
    assert again[-1] == wanted[-1]
    assert len(again) < len(wanted)


@pytest.mark.virtual_time
async def test_a_disk_that_fails_stops_a_recording_until_it_works_again_and_that_is_told(
    tmp_path: Path,
) -> None:
    full = [False]

    def path(number: int) -> Path:
        if full[0]:
            raise OSError(28, "No space left on device")
        return tmp_path / f"{number:03d}.wire"

    recorder = WireRecorder(tmp_path / "000.wire", Head([], "test"), parts=Parts(path, 2**20, 1.0))
    for second in range(200):
        full[0] = 10 <= second < 100
        at_ns = second * 1_000_000_000
        event = DeviceEvent("device", "instrument-back", at_ns, at_ns, {"seconds": second})
        recorder.note(Stamp(at_ns + 1, at_ns), note_of(event))
        assert bool(recorder.why) == (10 <= second < 130), second
    recorder.close()
    parts = parts_in(tmp_path)
    assert len(parts) > 50, "a failed attempt leaves no hole in the numbers"
    join_parts(parts, tmp_path / "all")
    played = Replay(tmp_path / "all")
    told = [item.args["seconds"] async for item in played.items() if isinstance(item, DeviceEvent)]
    assert told == [*range(11), *range(130, 200)]
    (lapse,) = played.lapses
    assert "119 entries could not be written" in lapse.why
    assert "No space left" in lapse.why


async def test_a_recording_that_was_cut_is_replayed_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "wire"
    async with tcp_instrument(Troubled().over_tcp) as device:
        lived = await record(path, [modbus(host="127.0.0.1", port=device.port)], 1.0)
    whole = path.read_bytes()
    plain = gzip.decompress(whole)
    (tmp_path / "cut").write_bytes(gzip.compress(plain)[: len(whole) * 2 // 3])
    again = essence(await replayed(tmp_path / "cut"))
    noted = sum(entry.kind == "noted" for entry in read_recording(tmp_path / "cut")[1])
    assert 0 < noted < len(lived)
    # The poll that was cut may have ended otherwise; all that was taken before it is the same.
    assert again[:noted] == essence(lived)[:noted]


@pytest.mark.virtual_time
async def test_a_full_recording_ends_and_acquisition_goes_on(tmp_path: Path) -> None:
    recorder = WireRecorder(tmp_path / "wire", Head([], "test"), bytes_max=2000)
    noise = random.Random(1)
    for at in range(3000):
        recorder.note(Stamp(at, at), {"n": noise.randbytes(40)})
    recorder.close()
    assert recorder.full
    assert (tmp_path / "wire").stat().st_size < 200_000
    _, entries = read_recording(tmp_path / "wire")
    assert [entry.run_ns for entry in entries][1:4] == [0, 1, 2]


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no")
    with pytest.raises(Fatal, match="no wire recording"):
        Replay(tmp_path / "x")


async def test_a_recording_of_other_requests_is_told_and_not_taken_for_this_one(tmp_path: Path) -> None:
    path = tmp_path / "wire"
    async with tcp_instrument(Troubled().over_tcp) as device:
        await record(path, [modbus(host="127.0.0.1", port=device.port)], 0.3)
    head, entries = read_recording(path)
    head.instruments[0]["channels"][0]["address"] = 900
    recorder = WireRecorder(tmp_path / "other", head)
    for entry in entries:
        if entry.kind != BEGUN:
            recorder.write(entry)
    recorder.close()
    with pytest.raises(Fatal, match="where the recording has"):
        await replayed(tmp_path / "other")
