"""Other gateways under the same load: Node-RED with node-red-contrib-modbus, and ThingsBoard's gateway.

`python -m benchmarks.acquisition_peers [--node-red DIR] [--thingsboard VENV]`; `make bench` takes the folders
from YAOSU_NODE_RED and YAOSU_THINGSBOARD. The same devices in C, the same broker, quality of service 1; a
subscriber counts the values that come within a window while the peer's CPU time is read, child processes
included. Neither peer checks a reading or keeps it on disk; ours does both. Each is asked for a rate that it
can hold: beyond it the figure says how it fails, not what it costs. What is not installed is left out, and
the table says so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiomqtt
import psutil
import uvloop

from benchmarks.load_site import CHANNELS
from benchmarks.servers import UnavailableError, build_load, devices, free_port, mosquitto, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FLOATS_A_BLOCK = 62
NODE_RED_DEVICES = 80
THINGSBOARD_DEVICES = 20
FIRST_VALUE_S = 90.0
STOP_S = 15.0
INSTALL = {
    "Node-RED": "npm install --prefix DIR node-red@4.1 node-red-contrib-modbus@5.23, then YAOSU_NODE_RED=DIR",
    "ThingsBoard gateway": (
        "python -m venv VENV && VENV/bin/pip install thingsboard-gateway==3.8.5, then YAOSU_THINGSBOARD=VENV"
    ),
}
_QUESTION, _ANSWER = "v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"
_NO_LIMITS = {
    "maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits": {"messages": ""},
    "gatewayRateLimits": {},
}  # fmt: skip
"""What ThingsBoard's gateway asks its server for before it sends anything."""
_PARSE = """\
const bytes = msg.responseBuffer.buffer, values = new Array(bytes.length >> 2);
for (let i = 0; i < values.length; i++) values[i] = bytes.readFloatBE(4 * i);
return {topic: "peer/%s", payload: {ts: Date.now(), values}};
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that is not ours."""

    name: str
    folder: Path | None
    """Where it is installed; None: it is not."""
    device_count: int
    """Devices of 500 values a second that it is known to hold."""
    topic: str
    """What it publishes to."""
    prepare: Callable[[Path, Path, list[int], int], tuple[list[str], dict[str, str]]]
    """From its folder, a working folder, the devices' ports and the broker's: command and environment."""


def blocks() -> Iterator[tuple[int, int]]:
    """Yield first register and number of registers of each request for the values of one device."""
    for first in range(0, CHANNELS, FLOATS_A_BLOCK):
        yield 2 * first, 2 * min(FLOATS_A_BLOCK, CHANNELS - first)


def node_red_flow(ports: Sequence[int], broker_port: int) -> list[dict[str, Any]]:
    """Write the flow: a client for each device, a read node and a parser for each block, one broker."""
    flow: list[dict[str, Any]] = [
        {"id": "tab", "type": "tab", "label": "load"},
        {
            "id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(broker_port),
            "protocolVersion": "5", "keepalive": "60", "cleansession": True, "autoConnect": True,
            "usetls": False, "clientid": "",
        },
        {"id": "out", "type": "mqtt out", "z": "tab", "topic": "", "qos": "1", "broker": "broker",
         "wires": []},
    ]  # fmt: skip
    for device, port in enumerate(ports):
        flow.append({
            "id": f"c{device}", "type": "modbus-client", "clienttype": "tcp", "bufferCommands": True,
            "tcpHost": "127.0.0.1", "tcpPort": str(port), "tcpType": "DEFAULT", "unit_id": "1",
            "commandDelay": "1", "clientTimeout": "1000", "reconnectOnTimeout": True,
            "reconnectTimeout": "2000", "parallelUnitIdsAllowed": True,
        })  # fmt: skip
        for number, (first, count) in enumerate(blocks()):
            name = f"{device}_{number}"
            flow += [
                {
                    "id": f"r{name}", "type": "modbus-read", "z": "tab", "unitid": "1", "adr": str(first),
                    "dataType": "HoldingRegister", "quantity": str(count), "rate": "1", "rateUnit": "s",
                    "server": f"c{device}", "wires": [[f"f{name}"], []],
                },
                {
                    "id": f"f{name}", "type": "function", "z": "tab", "outputs": 1, "noerr": 0,
                    "func": _PARSE % name, "initialize": "", "finalize": "", "libs": [], "wires": [["out"]],
                },
            ]  # fmt: skip
    return flow


def node_red(
    folder: Path, work: Path, ports: list[int], broker_port: int
) -> tuple[list[str], dict[str, str]]:
    """Write Node-RED's files."""
    (work / "flows.json").write_text(json.dumps(node_red_flow(ports, broker_port)), encoding="utf-8")
    settings = {
        "flowFile": "flows.json", "httpAdminRoot": False, "httpNodeRoot": False,
        "nodesDir": str(folder / "node_modules" / "node-red-contrib-modbus"),
        "uiHost": "127.0.0.1", "uiPort": free_port(), "logging": {"console": {"level": "error"}},
        "telemetry": {"enabled": False},
    }  # fmt: skip
    (work / "settings.js").write_text(f"module.exports = {json.dumps(settings)};\n", encoding="utf-8")
    red = folder / "node_modules" / "node-red" / "red.js"
    return [program("node"), str(red), "--userDir", str(work)], {}


def thingsboard(
    folder: Path, work: Path, ports: list[int], broker_port: int
) -> tuple[list[str], dict[str, str]]:
    """Write the files of ThingsBoard's gateway: one range of registers a device."""
    slaves = [
        {
            "host": "127.0.0.1", "port": port, "type": "tcp", "method": "socket", "unitId": 1,
            "deviceName": f"d{device}", "deviceType": "default", "timeout": 5, "byteOrder": "BIG",
            "wordOrder": "BIG", "retries": 1, "pollPeriod": 1000, "attributes": [],
            "timeseries": [{
                "tag": "c${address}", "type": "32float", "functionCode": 3, "objectsCount": 2,
                "address": f"0-{2 * CHANNELS - 1}", "maxRegistersPerRequest": 2 * FLOATS_A_BLOCK,
            }],
            "attributeUpdates": [], "rpc": [],
        }
        for device, port in enumerate(ports)
    ]  # fmt: skip
    gateway = {
        "thingsboard": {
            "host": "127.0.0.1", "port": broker_port, "remoteShell": False, "remoteConfiguration": False,
            "statistics": {"enable": False}, "minPackSendDelayMS": 50, "minPackSizeToSend": 500,
            "maxPayloadSizeBytes": 65536, "checkConnectorsConfigurationInSeconds": 600,
            "security": {"type": "accessToken", "accessToken": "bench"}, "qos": 1,
        },
        "storage": {"type": "memory", "read_records_count": 100, "max_records_count": 100000},
        "grpc": {"enabled": False},
        "connectors": [{"name": "Modbus", "type": "modbus", "configuration": "modbus.json"}],
    }  # fmt: skip
    logs = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR", "handlers": []}}
    for name, content in (
        ("tb_gateway.json", gateway), ("modbus.json", {"master": {"slaves": slaves}}), ("logs.json", logs),
    ):  # fmt: skip
        (work / name).write_text(json.dumps(content), encoding="utf-8")
    (work / "logs").mkdir()
    code = "from thingsboard_gateway.tb_gateway import daemon; daemon()"
    return [str(folder / "bin" / "python"), "-c", code], {"TB_GW_CONFIG_DIR": str(work)}


@contextmanager
def running(command: list[str], environment: dict[str, str], work: Path) -> Iterator[psutil.Process]:
    """Run a peer; it is ended with whatever it started."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with (work / "peer.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=work, env={**clean, **environment}, stdout=log, stderr=log)
    try:
        yield psutil.Process(process.pid)
    finally:
        for one in _family(psutil.Process(process.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(process: psutil.Process) -> float:
    times = [one.cpu_times() for one in _family(process)]
    return float(sum(spent.user + spent.system for spent in times))


def count_values(payload: Any) -> int:
    """Count the numbers below every key `values`, in arrays and in objects."""
    if isinstance(payload, dict):
        values = payload.get("values")
        own = len(values) if isinstance(values, list | dict) else 0
        return own + sum(count_values(inner) for name, inner in payload.items() if name != "values")
    return sum(map(count_values, payload)) if isinstance(payload, list) else 0


@dataclass(slots=True)
class Counter:
    """Values that came."""

    values: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, port: int, topic: str) -> None:
        """Count what is published, and answer as a server what is asked, until cancelled."""
        async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe([(topic, 1), (f"{_QUESTION}+", 1)])
            self.ready.set()
            async for message in client.messages:
                if (asked := str(message.topic)).startswith(_QUESTION):
                    await client.publish(asked.replace(_QUESTION, _ANSWER), json.dumps(_NO_LIMITS), qos=1)
                    continue
                self.values += count_values(json.loads(bytes(message.payload)))
                if self.values:
                    self.first.set()


async def measure_peer(peer: Peer, load: Path, warm_up_s: float, window_s: float) -> dict[str, Any]:
    """Run a peer under its load: CPU a value, values a second, memory; or why there is no figure."""
    if peer.folder is None:
        return {"missing": f"not installed: {INSTALL[peer.name]}"}
    with tempfile.TemporaryDirectory(prefix="yaosu-peer-") as name, ExitStack() as servers:
        work = Path(name)
        broker_port = free_port()
        try:
            ports, _ = servers.enter_context(devices(load, peer.device_count))
            servers.enter_context(mosquitto(work / "broker", broker_port))
            command, environment = peer.prepare(peer.folder, work, ports, broker_port)
            counter = Counter()
            listening = asyncio.create_task(counter.listen(broker_port, peer.topic))
            try:
                await counter.ready.wait()
                process = servers.enter_context(running(command, environment, work))
                return await _window(peer, process, counter, warm_up_s, window_s)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        except TimeoutError:
            return {"missing": f"it published nothing within {FIRST_VALUE_S:g} s"}
        except (OSError, UnavailableError, psutil.NoSuchProcess) as error:
            return {"missing": f"it did not run: {type(error).__name__} {error}"}


async def _window(
    peer: Peer, process: psutil.Process, counter: Counter, warm_up_s: float, window_s: float
) -> dict[str, Any]:
    async with asyncio.timeout(FIRST_VALUE_S):
        await counter.first.wait()
    await asyncio.sleep(warm_up_s)
    values, cpu_s, began_s = counter.values, _cpu_s(process), time.monotonic()
    await asyncio.sleep(window_s)
    values, cpu_s = counter.values - values, _cpu_s(process) - cpu_s
    seconds = time.monotonic() - began_s
    rss = sum(one.memory_info().rss for one in _family(process))
    return {
        "tags_per_s": round(values / seconds),
        "asked_tags_per_s": peer.device_count * CHANNELS,
        "us_per_tag": round(1e6 * cpu_s / max(values, 1), 2),
        "rss_mb": round(rss / 1e6, 1),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def known_peers(node_red_folder: Path | None, thingsboard_folder: Path | None) -> tuple[Peer, ...]:
    """Return the peers, installed or not."""
    return (
        Peer("Node-RED", node_red_folder, NODE_RED_DEVICES, "peer/#", node_red),
        Peer(
            "ThingsBoard gateway", thingsboard_folder, THINGSBOARD_DEVICES, "v1/gateway/telemetry",
            thingsboard,
        ),
    )  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the peers are installed; the environment says so to `make bench`."""
    for flag, name in (("--node-red", "YAOSU_NODE_RED"), ("--thingsboard", "YAOSU_THINGSBOARD")):
        there = os.environ.get(name)
        parser.add_argument(
            flag,
            type=Path,
            default=Path(there) if there else None,
            help=f"folder of its installation ({name})",
        )


async def measure_peers(
    options: argparse.Namespace, load: Path, warm_up_s: float, window_s: float
) -> dict[str, Any]:
    """Measure all peers, one after the other."""
    return {
        peer.name: await measure_peer(peer, load, warm_up_s, window_s)
        for peer in known_peers(options.node_red, options.thingsboard)
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the peers alone and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--warm-up", type=float, default=10.0, help="seconds before the window")
    parser.add_argument("--window", type=float, default=15.0, help="seconds that are counted")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="yaosu-load-") as folder:
        load = build_load(Path(folder))
        print(json.dumps(uvloop.run(measure_peers(options, load, options.warm_up, options.window)), indent=1))


if __name__ == "__main__":
    main()
