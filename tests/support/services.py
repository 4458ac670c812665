"""Real servers for tests: Debian's mosquitto and influxd, on free loopback ports in own directories.

A server is started and stopped by the process id that the test owns. A missing program fails the test: a skip
would hide that nothing was proved.
"""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import pytest

from benchmarks.servers import INFLUXD

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
_POLL_INTERVAL_S = 0.02
_PORT_ATTEMPTS = 5
_SERVER_PORTS = range(10_000, 32_768)
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free a moment ago.

    It lies below those that the system gives to outgoing connections, of which other workers make many:
    between this and the start of a server only another test that draws the same one could take it.
    """
    while True:
        port = secrets.choice(_SERVER_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def program(name: str) -> str:
    """Return the path of a Debian program, or fail the test with the remedy."""
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is None:
        pytest.fail(f"{name} is not installed: run scripts/debian-packages", pytrace=False)
    return path


class Server:
    """One server process of a test: started, stopped, killed and started again on the same port.

    Thread-safe: no. The constructor starts nothing.
    """

    def __init__(self, name: str, command: list[str], directory: Path, port: int) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.port = port
        self._command = command
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that the server has printed so far."""
        return (self._directory / "server.log").read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        """True between a start and the end of the process, whoever ended it."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it listens; the test fails when it does not."""
        if not self.start_unless_port_is_taken():
            pytest.fail(f"{self.name} ended while starting:\n{self.log}", pytrace=False)

    def start_unless_port_is_taken(self) -> bool:
        """Start the server; false when it ended by itself, as it does when somebody else took the port."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        with (self._directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._directory)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self._listens(self._process.pid):
                return True
            time.sleep(_POLL_INTERVAL_S)
        self.kill()
        pytest.fail(f"{self.name} did not listen within {READY_TIMEOUT_S} s:\n{self.log}", pytrace=False)

    def _listens(self, pid: int) -> bool:
        """Ask the system, not the port: another process might answer on it."""
        try:
            connections = psutil.Process(pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == self.port for c in connections)

    def stop(self) -> None:
        """Ask the server to end (SIGTERM) and wait for it; does nothing when it is not running."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL); does nothing when it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None


_S = TypeVar("_S", bound=Server)


def _start_on_free_port(make: Callable[[int], _S]) -> _S:
    """Start what `make` builds for a free port; another process may win that port, so try a few."""
    server = make(free_port())
    for _ in range(_PORT_ATTEMPTS - 1):
        if server.start_unless_port_is_taken():
            return server
        server = make(free_port())
    server.start()
    return server


class Mosquitto(Server):
    """A broker without persistence, as the delivery promise of the journal does not rest on one.

    Args:
        directory: an empty directory for configuration and log.
        port: the loopback port of the listener.
        acl: lines of a mosquitto access control list; None permits everything to everybody.
    """

    def __init__(self, directory: Path, port: int, acl: str | None) -> None:
        lines = [
            f"listener {port} 127.0.0.1",
            "allow_anonymous true",
            "persistence false",
            "max_inflight_messages 20",
            "max_queued_messages 10000",
            "log_dest stderr",
            "log_type all",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it changes to a user who cannot read the test's directory
        if acl is not None:
            acl_file = directory / "acl"
            acl_file.write_text(acl, encoding="utf-8")
            acl_file.chmod(0o600)
            lines.append(f"acl_file {acl_file}")
        configuration = directory / "mosquitto.conf"
        configuration.write_text("\n".join([*lines, ""]), encoding="utf-8")
        super().__init__("mosquitto", [program("mosquitto"), "-c", str(configuration)], directory, port)


class Influxd(Server):
    """An InfluxDB 1.6 whose data lives in `directory` and survives stop, kill and start."""

    def __init__(self, directory: Path, port: int) -> None:
        self.configuration = directory / "influxdb.conf"
        """What it reads at each start."""
        self.configuration.write_text(INFLUXD.format(folder=directory, port=port), encoding="utf-8")
        super().__init__(
            "influxd", [program("influxd"), "run", "-config", str(self.configuration)], directory, port
        )

    @property
    def url(self) -> str:
        """Base URL of the HTTP interface."""
        return f"http://{self.host}:{self.port}"

    def execute(self, statement: str) -> None:
        """Run an InfluxQL statement that changes something; the test fails when the server refuses it."""
        url = f"{self.url}/query"
        answer = httpx.post(url, data={"q": statement}, timeout=READY_TIMEOUT_S, trust_env=False)
        if answer.status_code != httpx.codes.OK or "error" in answer.text:
            pytest.fail(f"influxd refused {statement!r}: {answer.text}", pytrace=False)


@dataclass(frozen=True)
class InfluxDatabase:
    """A fresh, empty database of a running InfluxDB."""

    url: str
    database: str


MosquittoFactory = Callable[..., Mosquitto]
InfluxdFactory = Callable[[], Influxd]


@pytest.fixture(scope="session")
def mosquitto_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoFactory]:
    """Give a function `(*, acl: str | None = None) -> Mosquitto` starting a broker for the whole run."""
    with ExitStack() as servers:

        def start(*, acl: str | None = None) -> Mosquitto:
            directory = tmp_path_factory.mktemp("mosquitto")
            server = _start_on_free_port(lambda port: Mosquitto(directory, port, acl))
            servers.callback(server.stop)
            return server

        yield start


@pytest.fixture
def mosquitto(mosquitto_factory: MosquittoFactory) -> Iterator[Mosquitto]:
    """Give the test a broker of its own, which it may stop, kill and start again."""
    server = mosquitto_factory()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def influxd_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxdFactory]:
    """Give a function `() -> Influxd` that starts a server; it ends with the run."""
    with ExitStack() as servers:

        def start() -> Influxd:
            directory = tmp_path_factory.mktemp("influxd")
            server = _start_on_free_port(lambda port: Influxd(directory, port))
            servers.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def influxd(influxd_factory: InfluxdFactory) -> Influxd:
    """Give the server that all tests share; one that must stop it starts its own by `influxd_factory`."""
    return influxd_factory()


@pytest.fixture
def influxdb(influxd: Influxd) -> Iterator[InfluxDatabase]:
    """Give the test an empty database on the shared server."""
    database = f"test_{secrets.token_hex(6)}"
    influxd.execute(f'CREATE DATABASE "{database}"')
    yield InfluxDatabase(influxd.url, database)
    influxd.execute(f'DROP DATABASE "{database}"')
