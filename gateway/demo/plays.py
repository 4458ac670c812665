"""What a demonstration plays: the day of the two benches, or one of the days of a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.demo.script import SCRIPT
from gateway.demo.site import bench_of
from simulators import ScenarioError, load_scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators import Scenario
    from simulators.days import Step


class Play(NamedTuple):
    """Instruments, and what people do around them."""

    scenario: Scenario
    name: str
    """Of the scenario, with the day's where it has any."""
    steps: Sequence[Step]


def choose(name: str, day: str | None, *, clean: bool) -> Play:
    """Find what is to be played.

    Raises:
        ScenarioError: there is no such scenario or day.
    """
    scenario = load_scenario(name)
    bench_of(scenario.scenario.name)
    if not scenario.day:
        if day is not None or clean:
            raise ScenarioError(f"the scenario '{name}' has no days", "leave out --day and --clean")
        return Play(scenario, scenario.scenario.name, SCRIPT)
    chosen = next((one for one in scenario.day if one.id == day), None)
    if chosen is None:
        known = ", ".join(one.id for one in scenario.day)
        told = "which day?" if day is None else f"there is no day '{day}'"
        raise ScenarioError(f"{told} the scenario '{name}' has several", f"choose one with --day: {known}")
    twin = ", clean" if clean else ""
    return Play(scenario, f"{name}: {chosen.id}{twin}", chosen.played("clean" if clean else "fires"))
