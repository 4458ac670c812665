"""A real daemon through hard times: a disk that is full, a stop in mid-start, cold kernels."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import numba
import psutil

from gateway.door.client import DoorClient
from gateway.edge.daemon import EdgeDaemon
from pipeline.journal.disk import RealDisk
from pipeline.qc import QcEngine
from pipeline.qc.memory import WARMING_BIT
from pipeline.records import Flag
from pipeline.records.frame import decode_frame
from tests.support.bench import until
from tests.support.daemon import ADMINISTRATOR, PIN, records_of, rows, running
from tests.support.small_kernel import GATE, compile_thrice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from pipeline.records import Record


class TiredDisk(RealDisk):
    """Refuses to sync segments while it is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = threading.Event()
        self.refused = threading.Event()

    def sync(self, path: Path) -> None:
        if self.broken.is_set():
            self.refused.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        super().sync(path)


async def test_a_disk_that_is_full_for_a_while_is_told_and_costs_nothing(tmp_path: Path) -> None:
    disk = TiredDisk()
    async with running(tmp_path, disk) as site, DoorClient(site.state.socket("door")) as door:
        before = await rows(door)
        disk.broken.set()

        async def troubled() -> Any:
            status = await door.get("status")
            return status if status["journal"]["trouble"] else None

        status = await until(troubled, "the status tells of the trouble")
        assert status["state"] == "degraded"
        assert "No space" in status["journal"]["trouble"]["error"]
        assert status["journal"]["trouble"]["since_utc_ns"] > 0
        assert "instruments" not in status, "what is not durable was shown"
        assert (await door.get("instruments"))["code"] == "not-durable"
        actor, args = {"person": ADMINISTRATOR, "pin": PIN}, {"sha256": "0" * 64}
        answer = await door.command("config.apply", args, actor, key="k")
        assert answer["code"] == "not-durable"
        assert answer["hint"]
        disk.broken.clear()

        async def well() -> bool:
            found = await door.get("status")
            return found["state"] == "ok" and await rows(door) > before

        await until(well, "the daemon goes on")
        answer = await door.command("config.apply", args, actor, key="k")
        assert answer["ok"], answer

        async def told() -> bool:
            codes = [record.body.get("code") for record in records_of(site.state.journal)]
            return "storage-recovered" in codes

        await until(told, "the recovery is an event")
    assert disk.refused.is_set()
    assert_whole(records_of(site.state.journal))


def assert_whole(found: list[Record]) -> None:
    """Nothing is missing, the trouble is told, and the command was done once (after that of the set-up)."""
    assert [record.seq for record in found] == list(range(len(found)))
    frames = [decode_frame(record.body) for record in found if record.kind == "data"]
    ordinals = [n for frame in frames for n in range(frame.n_first, frame.n_first + len(frame.block))]
    assert ordinals == list(range(len(ordinals)))
    codes = [record.body.get("code") for record in found if record.kind == "event"]
    assert {"storage-trouble", "storage-recovered", "daemon-stop"} <= set(codes)
    assert "part-failed" not in codes
    applied = [record for record in found if record.body.get("action") == "apply"]
    assert len(applied) == 2, "the command that could not be confirmed was done twice"


async def test_a_daemon_that_is_told_to_stop_while_it_starts_ends_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        pass
    stop = asyncio.Event()
    stop.set()
    await EdgeDaemon(site).run(stop)
    assert not site.state.socket("door").exists()
    codes = [record.body.get("code") for record in records_of(site.state.journal)]
    assert codes.count("daemon-start") == codes.count("daemon-stop") == 2


def compiling(maker: Callable[[], object]) -> psutil.Process:
    """The process that compiles for this one."""
    name = f"{maker.__module__}:{maker.__qualname__}"
    (found,) = (child for child in psutil.Process().children() if child.cmdline()[-1:] == [name])
    return found


async def test_a_daemon_that_stops_while_its_kernels_are_compiled_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))  # which never opens
    monkeypatch.setattr("gateway.edge.daemon.warm_charting", compile_thrice)
    os.mkfifo(tmp_path / "gate")
    async with running(tmp_path):
        child = compiling(compile_thrice)
    assert child.wait(30) is None or not child.is_running()


async def test_with_cold_kernels_acquisition_starts_at_once_and_another_process_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    QcEngine({}, {}).warm()  # from the cache of all tests; what comes now begins with an empty one
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))
    monkeypatch.setattr("gateway.edge.daemon.warm_charting", compile_thrice)
    monkeypatch.setattr("gateway.edge.daemon.WARM_S", 3600.0)
    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    try:
        async with running(tmp_path) as site, DoorClient(site.state.socket("door")) as door:
            status = await door.get("status")
            assert status["kernels"] == "warming"
            assert status["kernels_warm_up"] == {"state": "compiling apart", "problem": ""}
            compiling(compile_thrice).kill()
            before = await rows(door)
            os.write(gate, b"1")

            async def ready() -> bool:
                return (await door.get("status"))["kernels"] == "ready" and await rows(door) > before + 2

            await until(ready, "the kernels are there and rows go on")
            assert (await door.get("status"))["kernels_warm_up"]["problem"] == ""
    finally:
        os.close(gate)
    frames = [decode_frame(r.body) for r in records_of(site.state.journal) if r.kind == "data"]
    assert set(frames[0].flag.ravel().tolist()) == {Flag.NOT_EVALUATED}
    assert frames[0].unevaluated.ravel()[0] >> WARMING_BIT & 1
    assert frames[-1].flag.ravel()[-1] == Flag.PASS
    assert not frames[-1].unevaluated.ravel()[-1] >> WARMING_BIT & 1
