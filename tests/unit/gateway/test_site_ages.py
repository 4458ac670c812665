"""Times of the registry below the poll interval of their channel are told by file and line, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.site.ages import too_short
from tests.support.commanding import yaosu

if TYPE_CHECKING:
    from pathlib import Path

SITE = """\
[site]
lab = "lab"
gateway = "gw"
state_dir = "state"

[[instrument]]
id = "th-room"
driver = "modbus-tcp"
host = "192.0.2.7"
poll_interval_s = 30.0

[[instrument.channels]]
name = "temperature"
address = 0

[[instrument.channels]]
name = "humidity"
address = 1
poll_interval_s = 600.0
"""
REGISTRY = """\
valid_from = 2026-01-01T00:00:00Z

[[environment]]
id = "room-1"
kind = "room"

[[environment.channels]]
quantity = "temperature"
target = "th-room.temperature"
high = 26.0
staleness_s = {staleness_s}

[[environment.channels]]
quantity = "humidity"
target = "th-room.humidity"
high = 65.0
staleness_s = 3600.0
rate_max_per_h = 5.0
rate_window_s = {rate_window_s}
"""


def written(folder: Path, staleness_s: float, rate_window_s: float = 1800.0) -> tuple[Path, Path]:
    site, registry = folder / "gateway.toml", folder / "registry.toml"
    site.write_text(SITE, encoding="utf-8")
    registry.write_text(REGISTRY.format(staleness_s=staleness_s, rate_window_s=rate_window_s))
    return site, registry


def test_a_staleness_below_the_poll_interval_is_an_error_at_its_line_with_the_arithmetic(
    tmp_path: Path,
) -> None:
    site, registry = written(tmp_path, 10.0, 300.0)
    for order in ((site, registry), (registry, site)):
        outcome = yaosu("check", *order, "--json")
        stale, rate = outcome.json[str(registry)]
        assert outcome.code == 78
        assert (stale["code"], stale["severity"], stale["line"]) == ("E041", "error", 11)
        assert "nothing would be known for 20 s of every 30 s" in stale["message"]
        assert (rate["code"], rate["severity"]) == ("E041", "error")
        assert (
            "rate_window_s = 300 is shorter than the interval: th-room.humidity is read every 600 s"
            in (rate["message"])
        )
    assert yaosu("check", registry).code == 0, "alone it cannot be told"


def test_a_staleness_without_room_for_a_missed_reading_is_warned_of(tmp_path: Path) -> None:
    site, registry = written(tmp_path, 45.0)
    outcome = yaosu("check", site, registry, "--json")
    (found,) = outcome.json[str(registry)]
    assert (outcome.code, found["severity"], found["line"]) == (0, "warning", 11)
    assert "one missed reading (60 s without) would count as unknown" in found["message"]
    assert "staleness_s = 90" in found["hint"]
    assert yaosu("check", *written(tmp_path, 90.0), "--json").json[str(registry)] == []


def test_an_import_that_the_polls_cannot_keep_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    site, registry = written(tmp_path, 10.0)
    outcome = yaosu("registry", "import", registry, "--as", "p-0001", "-c", site)
    assert outcome.code == 78
    assert f"{registry}:11:" in outcome.err
    assert "nothing was imported" in outcome.err


@pytest.mark.parametrize(("target", "told"), [("a.b", 1), ("a.rare", 0), ("elsewhere.b", 0)])
def test_a_channel_is_held_against_its_own_interval(target: str, told: int) -> None:
    intervals_s = {"a": 60.0, "a.rare": 5.0}
    assert len(list(too_short(target, 30.0, None, intervals_s))) == told
