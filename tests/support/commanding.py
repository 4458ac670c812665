"""The command line in tests: commands in this process, roles as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from gateway.cli import roles
from gateway.cli.main import app

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "from gateway.cli.main import main; main()"
WAIT_S = 60.0
PASSWORD, PIN = "correct horse", "482913"
NEW_SECRETS = {"YAOSU_NEW_PASSWORD": PASSWORD, "YAOSU_NEW_PIN": PIN}
NOBODY = {"YAOSU_PIN": "", "YAOSU_PASSWORD": "", "YAOSU_NEW_PASSWORD": "", "YAOSU_NEW_PIN": ""}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def yaosu(*arguments: object, **environment: str) -> Outcome:
    """Run a command in this process; an unforeseen error fails the test with its traceback."""
    runner = CliRunner(env={"COLUMNS": "200", **NOBODY, **environment})
    result = runner.invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def log_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a role that will not start be called in this process, without setting up logging in it."""
    monkeypatch.setattr(roles, "log_to_stderr", lambda: None)


def process(*arguments: object, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a command as a process, in `folder`."""
    command = [sys.executable, "-c", MAIN, *(str(each) for each in arguments)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=folder, text=True, **options)


@dataclass
class Roles:
    """Processes of one site; `end()` stops them in order."""

    folder: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def simulate(self, scenario: str) -> dict[str, Any]:
        """Start simulators; returns their endpoints by instrument."""
        directory = self.folder / "simulated"
        simulators = process(
            "sim", "run", scenario, "--port", "0", "--dir", directory, folder=self.folder,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        self.running.append(simulators)
        assert simulators.stderr is not None
        told = ""
        for line in simulators.stderr:
            told += line
            if line.startswith("running"):
                break
        else:
            raise AssertionError(f"the simulators ended:\n{told}")
        content = json.loads((directory / "endpoints.json").read_text(encoding="utf-8"))
        endpoints: dict[str, Any] = content["instruments"]
        return endpoints

    def start(self, role: str, config: Path) -> None:
        """Start a role and wait for its READY=1, as a service manager does."""
        address = self.folder / f"{role}.notify"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
            (self.folder / f"{role}.log").open("ab") as log,
        ):
            listener.bind(str(address))
            listener.settimeout(WAIT_S)
            environment = {**os.environ, "NOTIFY_SOCKET": str(address)}
            self.running.append(
                process(role, "-c", config, folder=self.folder, stdout=log, stderr=log, env=environment)
            )
            while b"READY=1" not in listener.recv(4096):
                pass

    def log(self, role: str) -> str:
        return (self.folder / f"{role}.log").read_text(encoding="utf-8")

    def end(self) -> None:
        """Stop every process, the last one first."""
        for each in reversed(self.running):
            each.send_signal(signal.SIGTERM)
            each.wait(WAIT_S)
            if each.stderr is not None:
                each.stderr.close()
        self.running.clear()
