"""Files of a demonstration: the site with the ports that this machine has free, and its registry."""

from __future__ import annotations

import socket
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators import Endpoint

HERE = Path(__file__).parent
SITE = HERE / "two_benches.toml"
REGISTRY = HERE.parents[1] / "config" / "examples" / "registry" / "two_benches.toml"


def free_port() -> int:
    """A TCP port that nobody listens on at 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_site(path: Path, endpoints: Mapping[str, Endpoint], broker_port: int, web_port: int) -> None:
    """Fill the template in and write the site file."""
    values = {"broker_port": str(broker_port), "web_port": str(web_port)}
    for name, endpoint in endpoints.items():
        key = name.replace("-", "_")
        values[f"{key}_port"] = str(endpoint.port)
        values[f"{key}_path"] = str(endpoint.path)
    path.write_text(Template(SITE.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")
