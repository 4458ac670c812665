"""A command loads what it needs; the command line as a whole knows every command."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import gateway.cli
from gateway.cli.main import ROOMS, build, main

PROGRAM = """
import json, sys
sys.argv = ["yaosu", sys.argv[1], "-c", "/nowhere/gateway.toml"]
from gateway.cli.main import main
try:
    main()
except SystemExit as left:
    print(json.dumps({"code": left.code, "modules": sorted(sys.modules)}))
"""
NEVER_NEEDED = {"jinja2", "simulators", "iotcore", "gateway.demo.demo", "dashboard.app", "influxdb_client"}
"""By a gateway, a collector or a witness: together some 10 MiB and a sixth of the time to start."""


@pytest.mark.parametrize("role", ["run", "collect"])
def test_a_role_that_runs_for_months_loads_neither_pages_nor_simulators(role: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, role], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["code"] != 0
    assert "/nowhere/gateway.toml" in done.stderr
    assert NEVER_NEEDED.isdisjoint(found["modules"])


def test_every_room_of_the_folder_is_listed_and_the_roles_are_commands_of_theirs() -> None:
    files = {path.stem for path in Path(gateway.cli.__path__[0]).glob("*.py")}
    adding = {
        name for name in files if "def register(" in Path(gateway.cli.__path__[0], f"{name}.py").read_text()
    }
    assert set(ROOMS) == adding


def test_a_word_alone_loads_all_that_it_can_do() -> None:
    """What a command takes is the same from its own rooms as from all of them."""
    whole = _tree(get_command(build()))
    assert set(whole) == {word for words in ROOMS.values() for word in words}
    for word, parts in whole.items():
        own = build(room for room, words in ROOMS.items() if word in words)
        assert _tree(get_command(own))[word] == parts


def _tree(command: Any) -> Any:
    """Commands with the names of their parameters, groups with their commands."""
    if isinstance(command, TyperGroup):
        return {name: _tree(part) for name, part in command.commands.items()}
    return sorted(param.name for param in command.params)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.csv"), "x.csv: no such file"),
        (PermissionError(errno.EACCES, "Permission denied", "/j"), "run as the user that owns it"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device; make room"),
        (OSError("odd"), "odd; check path and disk"),
    ],
)
def test_what_the_system_refuses_is_told_with_what_to_do(
    error: OSError, told: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(_: object) -> object:
        raise error

    monkeypatch.setattr("sys.argv", ["yaosu", "status"])
    monkeypatch.setattr("gateway.cli.main.build", refused)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 74
    assert told in capfd.readouterr().err
