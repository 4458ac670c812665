"""Wire recordings for tests: made of real connections, and played back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from drivers import DRIVERS, InstrumentSettings, open_drivers
from drivers.door import Driver
from drivers.recorded import keepers_of, note_of
from drivers.replay import Replay
from drivers.transport.line import Wires, direct
from drivers.transport.recording import KEPT, Head, Parts, WireRecorder, join_parts, read_recording
from drivers.transport.wire import Stamp
from pipeline.records import Block, DeviceEvent, Gap, Item
from tests.support.scripted import RealClock, rows
from tests.support.waiting import until


def settings(driver: str, **other: Any) -> InstrumentSettings:
    return DRIVERS[driver].settings.model_validate({"id": "device", "driver": driver, **other})


async def record(
    path: Path, instruments: list[InstrumentSettings], seconds: float, parts: Parts | None = None,
    meanwhile: Callable[[list[Driver]], Coroutine[None, None, None]] | None = None, opening: Wires = direct,
    enough: Callable[[list[Item]], bool] = bool,
) -> list[Item]:  # fmt: skip
    """Run drivers on the real thing and record; return what they yielded.

    Args:
        seconds: how long at least.
        meanwhile: runs beside the drivers.
        opening: makes of a way to connect the one that is recorded.
        enough: what has to be there before the end, however long a busy machine takes for it.
    """
    clock = RealClock()
    head = Head([one.model_dump(mode="json") for one in instruments], "test")
    recorder = WireRecorder(path, head, parts=parts)
    drivers = open_drivers(
        instruments, clock, random.Random(), wires=lambda connect: recorder.connect(opening(connect))
    )
    recorder.keep(keepers_of(drivers))
    gathered: list[Item] = []

    async def run(driver: Any) -> None:
        async with driver:
            async for item in driver.stream():
                gathered.append(item)
                recorder.note(Stamp(clock.utc_ns(), clock.run_ns()), note_of(item))

    async with asyncio.TaskGroup() as group:
        for driver in drivers:
            group.create_task(run(driver))
        if meanwhile is not None:
            group.create_task(meanwhile(drivers))
        await asyncio.sleep(seconds)
        await until(lambda: enough(gathered))
        for driver in drivers:
            driver.stop()
    recorder.close()
    return gathered


def essence(items: list[Item]) -> list[Any]:
    """Make items comparable, bit for bit."""
    shown: list[Any] = []
    for item in items:
        if isinstance(item, Block):
            columns = (item.t_utc_ns, item.t_run_ns, item.t_request_ns, item.t_response_ns, item.status,
                       item.f8, item.i8, item.u8)  # fmt: skip
            shown.append((item.instrument, [column.tobytes() for column in columns], item.text, item.raw))
        elif isinstance(item, Gap):
            shown.append(item)
        elif isinstance(item, DeviceEvent):
            shown.append((item.instrument, item.code, item.args))
    return shown


def of(items: list[Item], instrument: str) -> list[Item]:
    return [item for item in items if getattr(item, "instrument", "") == instrument]


async def replayed(path: Path) -> list[Item]:
    return [item async for item in Replay(path).items()]


def in_parts(folder: Path, age_s_max: float) -> Parts:
    return Parts(lambda number: folder / f"{number:03d}.wire", 2**20, age_s_max)


def parts_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.wire"))


def _rows_since_known(file: Path, name: str, lived: list[Item]) -> list[Block]:
    """Return the rows that were asked for since the recording says what their instrument knew."""
    known = (
        entry.run_ns
        for entry in read_recording(file)[1]
        if entry.kind == KEPT and name in entry.data["instruments"]
    )
    since_run_ns = next(known, None)
    if since_run_ns is None:
        return []
    return [row for row in rows(of(lived, name)) if row.t_request_ns[0] >= since_run_ns]


async def assert_played_from_every_part(folder: Path, lived: list[Item], names: Sequence[str]) -> None:
    """From whichever part a replay begins, its first row and all that followed are there again."""
    parts = parts_in(folder)
    assert len(parts) > 3, parts
    for first in range(len(parts)):
        file = folder / f"from-{first}"
        join_parts(parts[first:], file)
        again = await replayed(file)
        for name in names:
            mine, wanted = of(again, name), of(lived, name)
            begin = next((at for at, item in enumerate(mine) if isinstance(item, Block)), len(mine))
            due = _rows_since_known(file, name, lived)
            assert not first or len(rows(mine)) >= len(due), (name, first)
            assert first != 1 or due, "a run too short to show anything"
            assert essence(mine[begin:]) == essence(wanted)[len(wanted) - len(mine) + begin :], (name, first)
        assert first or essence(again) == essence(lived)
