"""A role loads what it needs; the command line as a whole knows every command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gateway.cli
from gateway.cli.main import LONG_RUNNING, ROOMS, build

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
    assert {
        command.callback.__name__ for command in build(["roles"]).registered_commands if command.callback
    } == set(LONG_RUNNING)
