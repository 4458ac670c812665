"""How the acquisition benchmark looks for its ceiling, and what it asks of other gateways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks import acquisition
from benchmarks.acquisition_peers import (
    blocks,
    count_values,
    known_peers,
    measure_peer,
    node_red_flow,
    thingsboard,
)
from benchmarks.load_site import CHANNELS
from benchmarks.neighbours import ratio_interval
from benchmarks.path import polls_kept

if TYPE_CHECKING:
    from benchmarks.path import Load

HERE = Path()


def run(devices: int, *, kept: float = 100.0) -> dict[str, Any]:
    return {"tags_per_s": devices * CHANNELS, "kept_percent": kept, "lost_rows": 0}


@pytest.mark.parametrize(
    ("limit", "asked", "held", "failed"),
    [
        (1000, [240, 280, 320, 360], 360, None),
        (250, [240, 280], 240, 280),
        (170, [160], 160, 200),
        (90, [160, 120, 80], 80, 120),
        (0, [160, 120, 80, 40], 0, 40),
    ],
)
async def test_the_ceiling_is_looked_for_upwards_from_a_run_that_held_and_downwards_from_one_that_did_not(
    monkeypatch: pytest.MonkeyPatch, limit: int, asked: list[int], held: int, failed: int | None
) -> None:
    tried = []

    async def whole_path(_program: Path, load: Load) -> dict[str, Any]:
        tried.append(load.device_count)
        return run(load.device_count, kept=100.0 if load.device_count <= limit else 97.0)

    monkeypatch.setattr(acquisition, "whole_path", whole_path)
    monkeypatch.setattr(acquisition, "STEPS_MAX", 4)
    full = run(200, kept=100.0 if limit >= 200 else 99.0)
    found = await acquisition.ceiling(HERE, full, 40, 1.0, 1.0)
    assert tried == asked
    assert found["held_tags_per_s"] == held * CHANNELS
    assert found["failed_tags_per_s"] == (None if failed is None else failed * CHANNELS)


async def test_a_peer_that_is_not_installed_is_left_out_with_the_way_to_install_it() -> None:
    for peer in known_peers(None, None):
        found = await measure_peer(peer, HERE, 1.0, 1.0)
        assert found["missing"].startswith("not installed: ")
        name, shown, _ = acquisition._peer_row(peer.name, found, {})
        assert peer.name in name
        assert shown.startswith("not measured, not installed")


def test_the_requests_of_a_peer_bring_every_value_once() -> None:
    registers = [first + at for first, count in blocks() for at in range(count)]
    assert registers == list(range(2 * CHANNELS))
    assert all(count <= 125 for _, count in blocks())


def test_a_node_red_flow_reads_every_device_and_each_wire_leads_somewhere() -> None:
    flow = node_red_flow([7001, 7002], 1883)
    ids = {node["id"] for node in flow}
    assert len(ids) == len(flow)
    assert all(target in ids for node in flow for wire in node.get("wires", []) for target in wire)
    assert sum(node["type"] == "modbus-read" for node in flow) == 2 * len(list(blocks()))


def test_thingsboards_files_ask_each_device_for_its_whole_range(tmp_path: Path) -> None:
    command, environment = thingsboard(Path("/venv"), tmp_path, [7001, 7002], 1883)
    assert command[0] == "/venv/bin/python"
    assert environment == {"TB_GW_CONFIG_DIR": str(tmp_path)}
    slaves = json.loads((tmp_path / "modbus.json").read_text())["master"]["slaves"]
    assert [slave["port"] for slave in slaves] == [7001, 7002]
    assert {slave["timeseries"][0]["address"] for slave in slaves} == {"0-999"}


def test_values_are_counted_in_the_messages_of_both() -> None:
    assert count_values({"ts": 1, "values": [1.0, 2.0, 3.0]}) == 3
    assert count_values({"d0": [{"ts": 1, "values": {"c0": 1.0, "c2": 2.0}}, {"ts": 2, "values": {}}]}) == 2
    assert count_values({"ts": 1}) == 0


def test_late_polls_of_before_the_window_hide_no_miss() -> None:
    def rows(instrument: str, *seconds: float) -> list[dict[str, object]]:
        return [{"instrument": instrument, "time": round(second * 1e9), "n": 1} for second in seconds]

    steady = rows("a", *(0.3 + k for k in range(10)))
    assert polls_kept(steady, 1, 10) == (10, 10)
    assert polls_kept(rows("a", *(0.98 + k for k in range(9))), 1, 10) == (9, 9)
    late = rows("b", 0.1, 0.4, 1.4, 2.4, 3.4, 7.4, 8.4, 9.4)  # one of before the window, three missed
    assert polls_kept(steady + late, 2, 10) == (17, 20)
    assert polls_kept(steady, 2, 10) == (10, 20)
    assert polls_kept(rows("a", 0.3, 1.3), 1, 10) == (2, 9)


def test_the_ratio_of_equal_jitter_has_an_interval_around_one_and_a_disturbance_shows() -> None:
    rng = np.random.default_rng(20_261_122)
    alive = [(rng.exponential(1e6, 600)).astype(np.int64) for _ in range(12)]
    dead = [(rng.exponential(1e6, 600)).astype(np.int64) for _ in range(12)]
    ratio, low, high = ratio_interval(alive, dead)
    assert low < 1.0 < high
    assert low <= ratio <= high
    late = [one + np.where(rng.random(600) < 0.03, 5_000_000, 0) for one in dead]
    _, low, _ = ratio_interval(alive, late)
    assert low > 1.1, "three polls in a hundred that are 5 ms late are found"
