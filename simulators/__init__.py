"""Simulated laboratory instruments: pure state, protocol servers, seeded faults, scenarios.

An encoder of its own: nothing here shares code with the gateway's drivers, so that an error in one
cannot cancel itself out in the other. Every instrument says in its protocol that it is simulated.
"""

from simulators.errors import FolderInUseError, PortInUseError, ScenarioError
from simulators.runner import Endpoint, RunSummary, ScenarioRunner, run_scenario
from simulators.scenario import Scenario, list_scenarios, load_scenario

__all__ = [
    "Endpoint",
    "FolderInUseError",
    "PortInUseError",
    "RunSummary",
    "Scenario",
    "ScenarioError",
    "ScenarioRunner",
    "list_scenarios",
    "load_scenario",
    "run_scenario",
]
