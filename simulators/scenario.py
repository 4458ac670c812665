"""Scenario files: a set of instruments, their wires, their faults, and the truth to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from config.errors import Report
from config.loader import load_toml
from config.model import FilePath, Identifier, Seconds, Settings
from simulators.catalogue import QUANTITIES, AnyEntry, BalanceEntry, PressureEntry
from simulators.days import DayEntry
from simulators.errors import ScenarioError
from simulators.faults import Fault, PhysicsFault
from simulators.instruments.vessel import VesselSettings
from simulators.pty_line import SPEEDS

SCENARIO_DIRECTORY = Path(__file__).parent / "scenarios"
PORT_MAX = 65535
ScenarioName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class ScenarioHeader(Settings):
    """What the scenario is."""

    name: ScenarioName
    title_en: str
    title_zh: str
    seed: int = Field(ge=0)
    """Seed of all noise and of all faults that come by chance."""
    duration_s: Seconds
    """Usual length of a run; everything that is to be expected shows within it."""


class LineEntry(Settings):
    """A serial line. The mode is informational: a pty carries bytes at any speed, always 8N1."""

    id: Identifier
    path: FilePath
    """Symbolic link to the line, below the run directory."""
    baud: int = 9600
    mode: Literal["8N1"] = "8N1"
    turnaround_s: float = Field(default=0.004, ge=0, le=1)
    """Time from request to answer on a Modbus line (3.5 characters at 9600 baud)."""

    @model_validator(mode="after")
    def _line_is_possible(self) -> Self:
        pure = PurePosixPath(self.path)
        if pure.is_absolute() or ".." in pure.parts:
            msg = f"path '{self.path}' does not lie below the run directory"
            raise ValueError(msg)
        if self.baud not in SPEEDS:
            msg = f"{self.baud} baud is none of {', '.join(map(str, SPEEDS))}"
            raise ValueError(msg)
        return self


class Expectation(Settings):
    """A piece of the truth that a gateway watching this scenario should find."""

    kind: Literal["flag", "verdict", "event", "gap"]
    instrument: Identifier | None = None
    channel: str = ""
    rule: str = ""
    element: str = ""
    status: str = ""
    from_s: float | None = None
    """Begin of the cause in scenario time."""
    to_s: float | None = None
    """End of the cause in scenario time."""
    text: str = ""
    """In words."""


class Scenario(Settings):
    """One scenario file."""

    scenario: ScenarioHeader
    line: tuple[LineEntry, ...] = ()
    vessel: tuple[VesselSettings, ...] = ()
    instrument: Annotated[tuple[AnyEntry, ...], Field(min_length=1)]
    fault: tuple[Fault, ...] = ()
    expect: tuple[Expectation, ...] = ()
    day: tuple[DayEntry, ...] = ()


def list_scenarios() -> list[str]:
    """Return the names of the scenarios that are shipped, sorted."""
    return sorted(path.stem for path in SCENARIO_DIRECTORY.glob("*.toml"))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Load a shipped scenario by name, or a file by path (anything with a slash or ending in .toml).

    Raises `ScenarioError` for an unknown name and `config.errors.ConfigInvalid`, with every finding,
    for a wrong file.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml"):
        return load_toml(Path(name_or_path), Scenario, CHECKS).value
    if text not in list_scenarios():
        raise ScenarioError(
            f"there is no scenario '{text}'",
            f"choose one of {', '.join(list_scenarios())}, or give the path of a .toml file",
        )
    return load_toml(SCENARIO_DIRECTORY / f"{text}.toml", Scenario, CHECKS).value


def with_ports(scenario: Scenario, first_port: int) -> Scenario:
    """Give the instruments whose `tcp_port` is 0 fixed ports: the next ones from `first_port` on, as listed.

    Raises `ScenarioError`: there are not enough ports from there on.
    """
    taken = {entry.tcp_port for entry in scenario.instrument}
    port, entries = first_port, []
    for entry in scenario.instrument:
        chosen = entry.tcp_port
        if chosen == 0:
            while port in taken:
                port += 1
            if port > PORT_MAX:
                raise ScenarioError(
                    f"there are too few ports from {first_port} on",
                    "choose a lower port, or 0 for any free ones",
                )
            chosen, port = port, port + 1
        entries.append(entry.model_copy(update={"tcp_port": chosen}))
    return scenario.model_copy(update={"instrument": tuple(entries)})


def _check_names(scenario: Scenario, report: Report) -> None:
    """Report ids that occur twice."""
    tables: tuple[tuple[str, Sequence[LineEntry | VesselSettings | AnyEntry | DayEntry]], ...] = (
        ("line", scenario.line),
        ("vessel", scenario.vessel),
        ("instrument", scenario.instrument),
        ("day", scenario.day),
    )
    for table, entries in tables:
        seen: set[str] = set()
        for i, entry in enumerate(entries):
            if entry.id in seen:
                report.error("E021", (table, i, "id"), f"{table} '{entry.id}' is there twice")
            seen.add(entry.id)


def _check_wires(scenario: Scenario, report: Report) -> None:
    """Report instruments without a wire, with an unknown one, or in one another's way."""
    lines = {line.id for line in scenario.line}
    owners: dict[str, str] = {}
    units: set[tuple[str, int]] = set()
    ports: set[int] = set()
    for i, entry in enumerate(scenario.instrument):
        at = ("instrument", i)
        if entry.tcp_port is None and entry.line is None:
            report.error("E020", at, f"'{entry.id}' has no wire", "give it a tcp_port or a line")
        if entry.tcp_port:
            if entry.tcp_port in ports:
                hint = "write 0 for any free one"
                report.error("E027", (*at, "tcp_port"), f"port {entry.tcp_port} is taken", hint)
            ports.add(entry.tcp_port)
        if entry.line is None:
            continue
        if entry.line not in lines:
            hint = "add a [[line]] with this id"
            report.error("E025", (*at, "line"), f"there is no line '{entry.line}'", hint)
        protocol = "mt-sics" if isinstance(entry, BalanceEntry) else "modbus"
        if owners.setdefault(entry.line, protocol) != protocol or (entry.line, 0) in units:
            report.error("E022", (*at, "line"), f"line '{entry.line}' cannot carry '{entry.id}' too")
        unit = 0 if isinstance(entry, BalanceEntry) else entry.unit
        if (entry.line, unit) in units:
            report.error("E022", at, f"unit {unit} is there twice on line '{entry.line}'")
        units.add((entry.line, unit))


def _check_references(scenario: Scenario, report: Report) -> None:
    """Report vessels, instruments and channels that are named but not there."""
    vessels = {vessel.id for vessel in scenario.vessel}
    types = {entry.id: entry.type for entry in scenario.instrument}
    for i, entry in enumerate(scenario.instrument):
        if isinstance(entry, PressureEntry) and entry.settings.vessel not in vessels:
            at = ("instrument", i, "settings", "vessel")
            hint = "add a [[vessel]] with this id"
            report.error("E025", at, f"there is no vessel '{entry.settings.vessel}'", hint)
    for i, fault in enumerate(scenario.fault):
        if fault.instrument not in types:
            report.error("E025", ("fault", i, "instrument"), f"there is no instrument '{fault.instrument}'")
            continue
        known = QUANTITIES[types[fault.instrument]]
        if isinstance(fault, PhysicsFault) and fault.channel and fault.channel not in known:
            hint = f"faults of '{fault.instrument}' act on {', '.join(known)}"
            report.error("E025", ("fault", i, "channel"), f"there is no quantity '{fault.channel}'", hint)
    for i, expected in enumerate(scenario.expect):
        if expected.instrument is not None and expected.instrument not in types:
            place = ("expect", i, "instrument")
            report.error("E025", place, f"there is no instrument '{expected.instrument}'")


CHECKS = (_check_names, _check_wires, _check_references)
