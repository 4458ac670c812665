"""Files of a demonstration: the site with the ports that this machine has free, and its registry."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from simulators import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators import Endpoint

HERE = Path(__file__).parent
REGISTRIES = HERE.parents[1] / "config" / "examples" / "registry"
REGISTRY = REGISTRIES / "two_benches.toml"
BENCHES = {"two_benches": "two_benches", "clean": "two_benches", "detectors": "detectors"}
"""Scenario to the name of the site and of the registry that go with its instruments."""


@dataclass(frozen=True, slots=True)
class BenchFiles:
    """The files of a laboratory around the instruments of a scenario."""

    site: Path
    registry: Path


def bench_of(scenario: str) -> BenchFiles:
    """Find the laboratory of a scenario. Raises `ScenarioError`: it has none."""
    name = BENCHES.get(scenario)
    if name is None:
        raise ScenarioError(
            f"no laboratory goes with the scenario '{scenario}'",
            f"choose one of {', '.join(sorted(BENCHES))}, or read its instruments: yaosu sim run {scenario}",
        )
    return BenchFiles(HERE / f"{name}.toml", REGISTRIES / f"{name}.toml")


def free_port() -> int:
    """A TCP port that nobody listens on at 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_site(
    path: Path, endpoints: Mapping[str, Endpoint], broker_port: int, web_port: int,
    scenario: str = "two_benches",
) -> None:  # fmt: skip
    """Fill the template of a scenario's site in and write the site file."""
    values = {"broker_port": str(broker_port), "web_port": str(web_port)}
    for name, endpoint in endpoints.items():
        key = name.replace("-", "_")
        values[f"{key}_port"] = str(endpoint.port)
        values[f"{key}_path"] = str(endpoint.path)
    path.write_text(
        Template(bench_of(scenario).site.read_text(encoding="utf-8")).substitute(values), encoding="utf-8"
    )
