"""Hands on the machine of a demonstration's gateway: they reach its clock and its files, and nothing else."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from typer.testing import CliRunner

from gateway.demo.clock import SettableClock
from gateway.demo.demo import programs_of
from gateway.demo.machine import DemoMachine
from gateway.demo.plays import choose
from gateway.demo.processes import SETTABLE
from gateway.demo.settable import app
from simulators import ScenarioError, load_scenario

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000


class FakeRoles:
    """Processes of which only the gateway counts: it leaves what it has read, and its journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: list[str] = []

    async def stop(self, role: str) -> None:
        self.done.append(f"stop {role}")
        (self.folder / "last-run.json").write_bytes(orjson.dumps({"readings": 10, "channels": 4}))

    async def start(self, role: str, config: Path) -> None:
        self.done.append(f"start {role} {config.name}")


def machine_in(folder: Path) -> tuple[DemoMachine, FakeRoles]:
    roles = FakeRoles(folder)
    state = SimpleNamespace(journal=folder / "journal", last_run=folder / "last-run.json")
    site: Any = SimpleNamespace(path=folder / "gateway.toml", state=state)

    async def all_read() -> None:
        roles.done.append("every instrument is read")

    processes: Any = roles
    return DemoMachine(site, processes, all_read), roles


def test_a_clock_is_set_for_all_that_read_it_and_stays_set(tmp_path: Path) -> None:
    hands, gateway = SettableClock(tmp_path / "clock"), SettableClock(tmp_path / "clock")
    run_ns = gateway.run_ns()
    hands.step(-3600 * SECOND)
    assert abs(gateway.utc_ns() - (time.time_ns() - 3600 * SECOND)) < 10 * SECOND
    assert gateway.run_ns() >= run_ns, "gateway time is nobody's to set"
    hands.step(60 * SECOND)
    assert SettableClock(tmp_path / "clock").set_ns == -3540 * SECOND


async def test_a_restart_changes_one_byte_or_none_and_sums_up_what_was_read(tmp_path: Path) -> None:
    machine, roles = machine_in(tmp_path)
    segment = tmp_path / "journal" / f"{0:020d}.seg"
    segment.parent.mkdir()
    segment.write_bytes(bytes(range(100)))
    assert await machine.restart(change=False) == ""
    assert segment.read_bytes() == bytes(range(100))
    said = await machine.restart(change=True)
    changed = [at for at, byte in enumerate(segment.read_bytes()) if byte != at]
    assert changed == [50]
    assert "byte 50 of 00000000000000000000.seg" in said
    assert roles.done == ["stop run", "start run gateway.toml", "every instrument is read"] * 2
    assert await machine.stop() == {"readings": 30, "channels": 4}


def test_only_days_that_set_the_clock_have_a_gateway_whose_clock_can_be_set() -> None:
    for day in load_scenario("detectors").day:
        for clean in (False, True):
            play = choose("detectors", day.id, clean=clean)
            sets = any(step.do == "clock" for step in play.steps)
            assert programs_of(play.steps) == ({"run": SETTABLE} if sets else {}), day.id
    assert programs_of(choose("two_benches", None, clean=False).steps) == {}


def test_a_day_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ScenarioError, match="record-damaged"):
        choose("detectors", "no-such-day", clean=False)


def test_a_gateway_that_is_no_rehearsal_never_gets_a_clock_that_can_be_set(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[site]\nlab = "lab"\ngateway = "gw"\npurpose = "production"\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["run", "-c", str(config)])
    assert result.exit_code == 2
    assert "no rehearsal" in result.stderr
    assert not (tmp_path / "clock").exists()
