"""A site whose daemon runs as a process, for tests of the command line."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gateway.demo.site import REGISTRY
from tests.support.commanding import NEW_SECRETS, PIN, Outcome, Roles, yaosu
from tests.support.services import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADMINISTRATOR, OPERATOR, OTHER = "p-0003", "p-0002", "p-0001"
WAIT_S = 30.0
SITE = """
[site]
lab = "lab"
gateway = "gw"
purpose = "rehearsal"
state_dir = "state"

[mqtt]
port = {broker}

[elements]
settle = 0.2

[[instrument]]
id = "p-1"
driver = "modbus-tcp"
source = "simulated"
serial_number = "SIM-P-0001"
host = "127.0.0.1"
port = {port}
poll_interval_s = 0.05
channels = [
    {{ name = "pressure", address = 0, table = "input", type = "float32", unit = "MPa", qc = {{ range = {{ fail_low = 0.0, fail_high = 70.0 }} }} }},
]
"""  # noqa: E501 - an inline table has one line


def until(condition: Callable[[], Any], what: str) -> Any:
    """Ask again until the answer is true; it comes from another process, so there is no event to wait for."""
    end_s = time.monotonic() + WAIT_S
    while not (answer := condition()):
        assert time.monotonic() < end_s, f"waited {WAIT_S:g} s in vain until {what}"
        threading.Event().wait(0.05)
    return answer


@dataclass(frozen=True)
class Site:
    """A running site."""

    config: Path
    roles: Roles

    def run(self, *arguments: object, **environment: str) -> Outcome:
        return yaosu(*arguments, "-c", self.config, **environment)

    def as_person(self, person: str, *arguments: object, pin: str = PIN, **environment: str) -> Outcome:
        return self.run(*arguments, "--as", person, YAOSU_PIN=pin, **environment)

    @property
    def status(self) -> Any:
        return self.run("status", "--json").json["daemon"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One daemon and one simulator for all tests of this module."""
    folder = tmp_path_factory.mktemp("site")
    roles = Roles(folder)
    try:
        port = roles.simulate("single_tcp")["p-1"]["port"]
        config = folder / "gateway.toml"
        config.write_text(SITE.format(port=port, broker=free_port()), encoding="utf-8")
        made = yaosu("init", "-c", config, "--person", ADMINISTRATOR, "--name", "秦望舒", **NEW_SECRETS)
        assert made.code == 0, made.err
        roles.start("run", config)
        running = Site(config, roles)
        for person in (OPERATOR, OTHER):
            added = running.as_person(
                ADMINISTRATOR, "person", "add", person, "--name", person, "--role", "operator", **NEW_SECRETS
            )
            assert added.code == 0, added.err
        imported = running.as_person(ADMINISTRATOR, "registry", "import", REGISTRY)
        assert imported.code == 0, imported.err
        until(lambda: running.status["instruments"][0].get("rows"), "the instrument has given rows")
        yield running
    finally:
        roles.end()


@pytest.fixture(scope="module")
def held(site: Site) -> str:
    """Id of a task whose result is held."""
    started = site.as_person(
        OPERATOR, "task", "start", "--method", "pressure-hold", "--instrument", "p-1", "--sample", "V-0001",
        "--json",
    )  # fmt: skip
    assert started.code == 0, started.err
    task: str = started.json["result"]["task"]
    assert site.as_person(OPERATOR, "task", "stop", task).code == 0
    until(lambda: task in [each["task"] for each in site.run("hold", "list", "--json").json], "it is held")
    return task
