"""The daemon as its unit runs it: what it tells the manager, what its group can open, when it gives up."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "yaosu"
SITE = """
[site]
lab = "lab-1"
gateway = "gateway-1"
purpose = "rehearsal"
state_dir = "state"

[mqtt]
port = 1
"""
START_TIMEOUT_S = 45.0
WATCHDOG_US = 400_000
CLOSED_TO_GROUP_AND_OTHERS = 0o077


@dataclass(slots=True)
class Unit:
    """A role under a service manager of ours."""

    folder: Path
    manager: socket.socket
    process: subprocess.Popen[str] | None = None

    def start(self, role: str, site: str) -> subprocess.Popen[str]:
        """Start a role with the unit's UMask= and WatchdogSec=."""
        config = self.folder / "site.toml"
        config.write_text(site, encoding="utf-8")
        environment = {
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": str(WATCHDOG_US),
        }
        self.process = subprocess.Popen(
            [PROGRAM, role, "-c", config],
            env={**os.environ, **environment},
            umask=0o077,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def hear(self) -> list[str]:
        """Wait for the next datagram; return its assignments."""
        return self.manager.recv(4096).decode().splitlines()

    def hear_until(self, assignment: str) -> list[str]:
        """Return everything heard up to and with an assignment."""
        heard: list[str] = []
        while assignment not in heard:
            heard += self.hear()
        return heard


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(START_TIMEOUT_S)
        started = Unit(tmp_path, manager)
        yield started
        if started.process is not None:
            if started.process.poll() is None:
                started.process.kill()
            started.process.communicate()


def test_the_daemon_says_when_it_is_ready_alive_and_stopping(unit: Unit) -> None:
    process = unit.start("run", SITE)
    unit.hear_until("READY=1")
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(unit.folder / "state" / "door.sock"))
    assert "WATCHDOG=1" in unit.hear_until("WATCHDOG=1")
    assert "WATCHDOG=1" in unit.hear_until("WATCHDOG=1")
    process.send_signal(signal.SIGTERM)
    unit.hear_until("STOPPING=1")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert not (unit.folder / "state" / "door.sock").exists()


def test_members_of_the_group_can_open_the_door_and_nothing_else(unit: Unit) -> None:
    unit.start("run", SITE)
    unit.hear_until("READY=1")
    state = unit.folder / "state"
    door = (state / "door.sock").stat().st_mode
    assert stat.S_ISSOCK(door)
    assert stat.S_IMODE(door) == 0o660
    others = [path for path in state.rglob("*") if path.name != "door.sock"]
    assert others
    assert [path for path in others if path.stat().st_mode & CLOSED_TO_GROUP_AND_OTHERS] == []


def test_a_wrong_configuration_ends_with_the_status_that_prevents_a_restart(unit: Unit) -> None:
    process = unit.start("run", SITE.replace("[mqtt]", "[mqqt]"))
    _, errors = process.communicate(timeout=START_TIMEOUT_S)
    assert process.returncode == 78
    assert "did you mean 'mqtt'?" in errors
    assert not (unit.folder / "state").exists()
    unit.manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        unit.hear()


def test_roles_that_must_not_make_memory_executable_load_without_numba() -> None:
    # Under MemoryDenyWriteExecute= the mere import of Numba fails: it tries whether it may compile.
    program = """
import sys
sys.modules["numba"] = None
import gateway.cli.main, gateway.collector, gateway.web
gateway.cli.main.build()
import dashboard, pipeline.archive, pipeline.store, simulators
import gateway.collector.run, simulators.runner
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
