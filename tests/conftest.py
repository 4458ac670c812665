"""What holds for every test: a printed seed, a virtual clock on request, nothing left running behind."""

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import async_solipsism
import hypothesis
import pytest

from tests.support.leaks import no_leaked_tasks, no_leaks
from tests.support.libmodbus import libmodbus_port, libmodbus_server, relay
from tests.support.services import influxd, influxd_factory, influxdb, mosquitto, mosquitto_factory

__all__ = [  # the fixtures, found here by every test
    "influxd",
    "influxd_factory",
    "influxdb",
    "libmodbus_port",
    "libmodbus_server",
    "mosquitto",
    "mosquitto_factory",
    "no_leaked_tasks",
    "no_leaks",
    "relay",
]

CI_SEED = "20261122"
TESTS = Path(__file__).parent
LONG_ROOMS = ("simulation", "chaos", "e2e", "browser", "crash", "contract")
"""Folders whose files take longest, in this order: several workers begin with them and end together."""

hypothesis.settings.register_profile(
    "yaosu",
    deadline=None,  # a busy machine is no reason to fail
    derandomize=False,  # new examples in every run; the seed in the header brings a run back
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # see deadline
)
hypothesis.settings.load_profile("yaosu")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed of all generated examples before the hypothesis plugin reads its option.

    A new one in every run, but the same in every CI run: what CI says of a change is about that change.
    """
    if config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = CI_SEED if os.environ.get("CI") else str(secrets.randbits(32))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first where several workers share them; one alone keeps pytest's order."""
    if not hasattr(config, "workerinput"):
        return
    order = {TESTS / room: rank for rank, room in enumerate(LONG_ROOMS)}
    items.sort(key=lambda item: min(order.get(parent, len(order)) for parent in item.path.parents))


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: repeat this run's examples with --hypothesis-seed={config.getoption('--hypothesis-seed')}"


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give tests marked `virtual_time` a loop whose clock jumps to the next timer when nothing else can run.

    No single timer of theirs may lie 24 h or more ahead: the loop takes that for a test that hangs.
    """
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual": async_solipsism.EventLoop}
    return {"asyncio": asyncio.new_event_loop}
