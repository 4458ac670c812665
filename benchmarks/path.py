"""The whole path under load: devices, gateway, broker, collector, InfluxDB, all on this machine.

Polls are counted by deadline: each device is to be read once a second, and a poll that was not sent before
its next deadline is a miss (the gateway counts it in a gap). Readings are counted by an exact query of the
store, value by value, after everything has been drained; what the gateway recorded and the store does not
have is lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiomqtt
import numpy as np
import psutil

from benchmarks.load_site import CHANNELS
from benchmarks.servers import devices, free_port, influx_rows, influxd, mosquitto
from gateway.demo.processes import PROGRAM
from gateway.door.client import DoorClient, DoorClosedError
from gateway.edge.state import StateFolder
from gateway.trust import TrustedKeys
from pipeline.records.envelope import decode, split
from pipeline.records.signing import SigningKey
from pipeline.records.stack import answered_utc_ns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_S = 180.0
DRAIN_S = 120.0
LOOK_S = 0.5
SETTLE_S = 10.0
"""Nothing more is expected to be stored when nothing has come for so long."""
DATABASE = "load"


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the gateway."""

    device_count: int
    warm_up_s: float
    window_s: float
    listen: bool = False
    """Let a subscriber measure how long readings take to it."""
    at_once: bool = False
    """Close frames and begin commits at once, in place of after 100 ms each."""

    @property
    def tags(self) -> int:
        """Readings that are due each second."""
        return self.device_count * CHANNELS


def gateway_site(load: Load, broker_port: int) -> str:
    """Write the gateway's site file, but for the instruments: `benchmarks.stages` adds them."""
    head = '[site]\nlab = "bench"\ngateway = "g"\npurpose = "rehearsal"\nstate_dir = "gateway"\n'
    at_once = "\n[intake]\nframe_delay_ms = 0\n\n[journal]\ncommit_delay_ms = 0\n"
    return f"{head}\n[mqtt]\nport = {broker_port}\n{at_once if load.at_once else ''}"


def collector_site(broker_port: int, influx_port: int) -> str:
    """Write the collector's site file."""
    return (
        '[site]\nlab = "bench"\ngateway = "g"\nstate_dir = "collector"\n'
        f"\n[mqtt]\nport = {broker_port}\n"
        f'\n[store]\nkind = "influxdb"\ngeneration = "1"\nurl = "http://127.0.0.1:{influx_port}"\n'
        f'database = "{DATABASE}"\n'
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """What the processes have used up to one moment."""

    at_s: float
    utc_ns: int
    cpu_s: dict[str, float]
    rss_bytes: dict[str, int]
    stages: dict[str, Any]


def polls_kept(rows: list[dict[str, object]], device_count: int, seconds: int) -> tuple[int, int]:
    """Count the polls of a window that were answered, and those that were due.

    A row belongs to the nearest of its device's deadlines, which lie a second apart at the device's own
    phase, the mean one of its rows. Each deadline from the first to the last with a row is due, and never
    fewer than all seconds of the window but one; two rows of one deadline count once. So a poll that comes
    half a second late or more is a miss, and late polls of before the window hide none.

    Args:
        rows: `instrument` and `time` of each row.
        device_count: devices.
        seconds: length of the window.
    """
    times: dict[str, list[int]] = {}
    for row in rows:
        times.setdefault(str(row["instrument"]), []).append(int(str(row["time"])))
    kept, due = 0, (device_count - len(times)) * seconds
    for own in times.values():
        since_s = (np.array(own) - min(own)) / 1e9
        phase_s = np.angle(np.exp(2j * np.pi * since_s).mean()) / (2 * np.pi)
        deadlines = np.unique(np.rint(since_s - phase_s).astype(int))
        due += max(seconds - 1, int(deadlines[-1] - deadlines[0]) + 1)
        kept += len(deadlines)
    return kept, due


class WholePath:
    """One run of the whole path in a folder of its own."""

    def __init__(self, load: Load, program: Path, folder: Path) -> None:
        self._load = load
        self._program = program
        self._folder = folder
        self._stages = folder / "stages.jsonl"
        self._pids: dict[str, int] = {}
        self._ages_ns: list[int] = []
        self._influx_port = self._broker_port = 0

    async def run(self) -> dict[str, Any]:
        """Measure; see the module."""
        async with AsyncExitStack() as stack:
            servers = stack.enter_context(ExitStack())
            ports, pid = servers.enter_context(devices(self._program, self._load.device_count))
            self._pids["devices"] = pid
            self._broker_port, self._influx_port = free_port(), free_port()
            self._pids["broker"] = servers.enter_context(
                mosquitto(self._folder / "broker", self._broker_port)
            )
            self._pids["InfluxDB"] = servers.enter_context(
                influxd(self._folder / "influx", self._influx_port)
            )
            self._write(ports, self._broker_port)
            self._pids["collector"] = servers.enter_context(
                self._role("collector", sys.executable, "-c", PROGRAM, "collect", "-c", "collector.toml")
            )
            gateway = servers.enter_context(
                self._role(
                    "gateway", sys.executable, "-m", "benchmarks.stages", "gateway.toml", "ports.json",
                    "stages.jsonl",
                )
            )  # fmt: skip
            self._pids["gateway"] = gateway
            await self._started()
            return await self._measure()

    def _write(self, ports: list[int], broker_port: int) -> None:
        """Write the site files and let the gateway trust the collector."""
        (self._folder / "gateway.toml").write_text(gateway_site(self._load, broker_port))
        (self._folder / "ports.json").write_text(json.dumps(ports))
        (self._folder / "collector.toml").write_text(collector_site(broker_port, self._influx_port))
        key = SigningKey.load_or_create(StateFolder(self._folder / "collector").collector_key)
        TrustedKeys(StateFolder(self._folder / "gateway").trusted_keys).trust(key.public)

    @contextmanager
    def _role(self, name: str, *command: str) -> Iterator[int]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, env=environment)
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(30.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def _status(self, role: str) -> dict[str, Any] | None:
        state = StateFolder(self._folder / ("gateway" if role == "door" else "collector"))
        try:
            async with DoorClient(state.socket(role)) as door:
                status: dict[str, Any] = await door.get("status")
                return status
        except DoorClosedError:
            return None

    async def _started(self) -> None:
        end_s = time.monotonic() + START_S
        while True:
            status = await self._status("door")
            if status is not None and status.get("rows", 0) >= self._load.device_count:
                return
            if time.monotonic() > end_s or not psutil.pid_exists(self._pids["gateway"]):
                log = (self._folder / "gateway.log").read_text(errors="replace")
                raise RuntimeError(f"the gateway did not start: {log[-2000:]}")
            await asyncio.sleep(LOOK_S)

    async def _sample(self) -> Sample:
        known = self._stages.stat().st_size if self._stages.exists() else 0
        os.kill(self._pids["gateway"], signal.SIGUSR1)
        while not self._stages.exists() or self._stages.stat().st_size == known:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
        processes = {name: psutil.Process(pid) for name, pid in self._pids.items()}
        times = {name: process.cpu_times() for name, process in processes.items()}
        return Sample(
            time.monotonic(),
            time.time_ns(),
            {name: spent.user + spent.system for name, spent in times.items()},
            {name: process.memory_info().rss for name, process in processes.items()},
            json.loads(self._stages.read_text().splitlines()[-1]),
        )

    async def _measure(self) -> dict[str, Any]:
        await asyncio.sleep(self._load.warm_up_s)
        first = await self._sample()
        end_s = first.at_s + self._load.window_s
        peak = 0
        listening = asyncio.create_task(self._listen()) if self._load.listen else None
        while (left_s := end_s - time.monotonic()) > 0:
            peak = max(peak, psutil.Process(self._pids["gateway"]).memory_info().rss)
            await asyncio.sleep(min(1.0, left_s))
        last = await self._sample()
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        await self._caught_up()
        os.kill(self._pids["gateway"], signal.SIGTERM)
        recorded = await self._drained()
        return {
            **self._costs(first, last),
            **await self._counts(first, recorded),
            "rss_mb": round(max(peak, last.rss_bytes["gateway"]) / 1e6, 1),
            "latency_ms": self._latency(),
            "load_1_min": round(os.getloadavg()[0], 2),
        }

    async def _caught_up(self) -> None:
        """Wait until the store has what the gateway recorded, but for the newest: a backlog is not lost."""
        end_s = time.monotonic() + DRAIN_S
        while time.monotonic() < end_s:
            status = await self._status("door")
            if status is not None and status["journal"]["backlog_records"] <= 2 * self._load.device_count:
                return
            await asyncio.sleep(LOOK_S)

    async def _listen(self) -> None:
        """Subscribe to all readings and note how old each row is when it comes."""
        async with aiomqtt.Client(
            "127.0.0.1", self._broker_port, protocol=aiomqtt.ProtocolVersion.V5
        ) as client:
            await client.subscribe("yaosu/v1/bench/g/rec/data/+", qos=1)
            async for message in client.messages:
                now_ns = time.time_ns()
                for data in split(bytes(message.payload)):
                    self._ages_ns += (now_ns - answered_utc_ns([decode(data).body])).tolist()

    def _latency(self) -> dict[str, float] | None:
        if not self._ages_ns:
            return None
        return {f"p{p}": round(float(np.percentile(self._ages_ns, p)) / 1e6, 1) for p in (50, 95, 99)}

    async def _drained(self) -> int:
        """Wait until the gateway has ended and the collector has stored what it left: rows recorded."""
        last_run = StateFolder(self._folder / "gateway").last_run
        end_s = time.monotonic() + DRAIN_S
        while not last_run.exists() and time.monotonic() < end_s:  # noqa: ASYNC110 - a file
            await asyncio.sleep(LOOK_S)
        if not last_run.exists():
            raise RuntimeError(f"the gateway did not end: {self._folder / 'gateway.log'}")
        rows: int = json.loads(last_run.read_bytes())["rows"]
        return rows

    async def _counts(self, first: Sample, recorded: int) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._influx_port}"
        ordinals = await self._settled(url, recorded)
        seconds = int(self._load.window_s)
        within = f"time >= {first.utc_ns} AND time < {first.utc_ns + seconds * 10**9}"
        values = "SELECT count(/^c[0-9]+$/) FROM reading WHERE "
        counted = await influx_rows(url, DATABASE, values + within)
        readings = sum(int(str(n)) for name, n in counted[0].items() if name.startswith("count_"))
        stored = sum(int(str(row["rows"])) for row in ordinals)
        times = "SELECT n FROM reading WHERE "
        polls = await influx_rows(url, DATABASE, times + within + " GROUP BY instrument")
        kept, due = polls_kept(polls, self._load.device_count, seconds)
        return {
            "tags_per_s": self._load.tags,
            "window_s": seconds,
            "due": due * CHANNELS,
            "readings": readings,
            "kept_percent": round(100 * min(kept, readings / CHANNELS) / due, 3),
            "lost_rows": recorded - stored,
            "ordinals_contiguous": all(int(str(r["last"])) + 1 == int(str(r["rows"])) for r in ordinals),
        }

    async def _settled(self, url: str, recorded: int) -> list[dict[str, object]]:
        """Ask how many rows each instrument has, until it is what was recorded or nothing more comes.

        The collector stores what it has received after the gateway has ended.
        """
        query = "SELECT count(n) AS rows, max(n) AS last FROM reading GROUP BY instrument"
        stored, since_s = -1, time.monotonic()
        while True:
            found = await influx_rows(url, DATABASE, query)
            now = sum(int(str(row["rows"])) for row in found)
            if now != stored:
                stored, since_s = now, time.monotonic()
            if stored >= recorded or time.monotonic() - since_s > SETTLE_S:
                return found
            await asyncio.sleep(LOOK_S)

    def _costs(self, first: Sample, last: Sample) -> dict[str, Any]:
        rows = last.stages["calls"].get("qc", 0) - first.stages["calls"].get("qc", 0)
        readings: int = max(1, rows * CHANNELS)

        def per_reading(seconds: float) -> float:
            return round(float(seconds) * 1e6 / readings, 3)

        spent = {name: last.cpu_s[name] - first.cpu_s[name] for name in self._pids}
        stages = {
            name: last.stages["stages_s"][name] - first.stages["stages_s"].get(name, 0.0)
            for name in last.stages["stages_s"]
        }
        stages["event loop and the rest"] = spent["gateway"] - sum(stages.values())
        seconds = last.at_s - first.at_s
        return {
            "stages_us": {name: per_reading(s) for name, s in sorted(stages.items())},
            "processes_us": {name: per_reading(s) for name, s in spent.items()},
            "cores": {name: round(s / seconds, 3) for name, s in spent.items()},
        }
