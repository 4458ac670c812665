"""The other ends of a load: lean Modbus devices in C, a broker and an InfluxDB of their own on free ports."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).with_name("modbus_load.c")
READY_S = 30.0
STOP_S = 20.0
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
INFLUXD = """\
reporting-disabled = true
bind-address = "127.0.0.1:0"

[meta]
  dir = "{folder}/meta"
  logging-enabled = false

[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false

[monitor]
  store-enabled = false

[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  pprof-enabled = false
"""


class UnavailableError(Exception):
    """A program that the benchmark needs is not there, or did not start."""


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        UnavailableError: it is not installed.
    """
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise UnavailableError(f"{name} is not installed: run scripts/debian-packages")
    return path


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def build_load(folder: Path) -> Path:
    """Compile the devices into `folder`."""
    target = folder / "modbus_load"
    command = [program("gcc"), "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(target), str(SOURCE), "-lutil"]
    subprocess.run(command, check=True)
    return target


@contextmanager
def devices(load: Path, count: int, *, silent: int = 0) -> Iterator[tuple[list[int], int]]:
    """Serve `count` devices over TCP, the last `silent` of them dead: their ports and the process id."""
    command = [str(load), "tcp", str(count), str(silent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield [int(process.stdout.readline()) for _ in range(count)], process.pid
        process.stdin.close()


@contextmanager
def serial_device(load: Path, baud: int, delay_s: float) -> Iterator[Path]:
    """Serve one unit on a pseudo-terminal as fast as `baud` lets it: its path."""
    command = [str(load), "rtu", str(baud), str(round(delay_s * 1e6))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Path(process.stdout.readline().decode().strip())
        process.stdin.close()


@contextmanager
def _server(command: list[str], port: int, folder: Path) -> Iterator[int]:
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        end_s = time.monotonic() + READY_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > end_s:
                raise UnavailableError(f"{command[0]} did not start: {folder / 'server.log'}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def mosquitto(folder: Path, port: int) -> Iterator[int]:
    """Run a broker as Debian ships it, listening on the loopback interface only: its process id."""
    folder.mkdir()
    lines = (f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "user root")
    configuration = folder / "mosquitto.conf"
    configuration.write_text("\n".join((*lines, "")), encoding="utf-8")
    with _server([program("mosquitto"), "-c", str(configuration)], port, folder) as pid:
        yield pid


@contextmanager
def influxd(folder: Path, port: int) -> Iterator[int]:
    """Run InfluxDB 1.6 as Debian ships it: its process id."""
    folder.mkdir()
    configuration = folder / "influxdb.conf"
    configuration.write_text(INFLUXD.format(folder=folder, port=port), encoding="utf-8")
    with _server([program("influxd"), "run", "-config", str(configuration)], port, folder) as pid:
        yield pid


async def influx_rows(url: str, database: str, query: str) -> list[dict[str, object]]:
    """Ask InfluxDB; one dict for each series and row, tags included; times in ns since 1970.

    Raises:
        UnavailableError: it refuses.
    """
    async with httpx.AsyncClient(timeout=300.0, trust_env=False) as client:
        answer = await client.get(f"{url}/query", params={"db": database, "q": query, "epoch": "ns"})
    found = answer.json()
    if "results" not in found or "error" in found["results"][0]:
        raise UnavailableError(f"InfluxDB refused {query!r}: {answer.text[:500]}")
    return [
        {**series.get("tags", {}), **dict(zip(series["columns"], values, strict=True))}
        for series in found["results"][0].get("series", [])
        for values in series["values"]
    ]
