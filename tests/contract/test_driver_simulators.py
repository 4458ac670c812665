"""Drivers against our simulators: the simulators' own book of answers is the oracle, bit for bit."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drivers import open_drivers
from drivers.modbus.line_settings import ModbusRtuSettings, ModbusTcpSettings
from drivers.mtsics.settings import MtsicsSettings
from pipeline.records import Block
from tests.support.scripted import RealClock, events, rows, run_for, seeded, status, value
from tests.support.simulated import BALANCE, PRESSURE, ROOM, RunningClock, ScenarioRunner, scenario_of

WIRE_FAULTS = ["no_answer", "late", "exception", "bad_crc", "truncated", "garbage", "disconnect"]


def read_values(log: Path, instrument: str, channels: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return what the simulator says that it answered, faults of the wire left out, in order."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [
        tuple(line["values"][channel] for channel in channels)
        for line in lines
        if line["instrument"] == instrument and line["fault"] is None and set(channels) <= set(line["values"])
    ]


def late(fault: str) -> dict[str, float]:
    return {"delay_s": 0.3} if fault == "late" else {}


def good_values(blocks: list[Block], channels: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return [
        tuple(value(block, name) for name in channels) for block in blocks if not status(block, channels[0])
    ]


@pytest.mark.parametrize("fault", WIRE_FAULTS)
async def test_every_true_answer_of_a_tcp_instrument_is_a_row_and_no_other_is(
    tmp_path: Path, fault: str
) -> None:
    log = tmp_path / "answers.jsonl"
    async with ScenarioRunner(scenario_of(PRESSURE), tmp_path, log) as runner:
        settings = ModbusTcpSettings.model_validate(
            {
                "id": "p-1", "host": "127.0.0.1", "port": runner.endpoints["p-1"].port,
                "poll_interval_s": 0.02, "timeout_s": 0.1,
                "channels": [
                    {"name": "pressure", "address": 0, "table": "input", "type": "float32"},
                    {"name": "raw_code", "address": 2, "table": "input", "type": "int32"},
                ],
            }
        )  # fmt: skip
        spoil = partial(runner.inject, "p-1", fault, 0.2, **late(fault))
        asyncio.get_running_loop().call_later(0.2, spoil)
        (items,) = await run_for(open_drivers([settings], RealClock(), seeded()), 1.5)
    answered = read_values(log, "p-1", ("pressure", "raw_code"))
    assert good_values(rows(items), ("pressure", "raw_code")) == answered
    assert len(answered) >= 15
    assert any(status(block, "pressure") for block in rows(items)) or events(items, "instrument-lost")
    assert status(rows(items)[-1], "pressure") == 0
    assert events(items, "identity")[0].args["serial"] == "SIM-P-9"


@pytest.mark.parametrize("fault", [*WIRE_FAULTS[:-1], None])
async def test_every_true_answer_of_two_units_on_a_line_is_a_row_of_the_right_one(
    tmp_path: Path, fault: str | None
) -> None:
    log = tmp_path / "answers.jsonl"
    second = {**ROOM, "id": "th-2", "unit": 2, "serial": "SIM-TH-8", "settings": {"temperature_c": 4.0}}
    async with ScenarioRunner(scenario_of(ROOM, second), tmp_path, log) as runner:
        instruments = [
            ModbusRtuSettings.model_validate(
                {
                    "id": f"th-{unit}", "port": runner.endpoints["th-1"].path, "unit": unit,
                    "poll_interval_s": 0.1, "timeout_s": 0.15,
                    "channels": [
                        {"name": "temperature", "address": 1, "table": "input", "type": "int16"},
                        {"name": "humidity", "address": 2, "table": "input", "type": "int16"},
                    ],
                }
            )
            for unit in (1, 2)
        ]  # fmt: skip
        if fault is not None:
            asyncio.get_running_loop().call_later(
                0.5, lambda: runner.inject("th-1", fault, 0.2, **late(fault))
            )
        results = await run_for(open_drivers(instruments, RealClock(), seeded()), 2.0)
    for unit, items in enumerate(results, start=1):
        good = good_values(rows(items), ("temperature", "humidity"))
        assert len(good) >= 4
        assert status(rows(items)[-1], "temperature") == 0
        # The simulator speaks of degrees, the register of tenths. Answers that only prove that the unit is in
        # step are in the book too, and are no rows.
        answered = read_values(log, f"th-{unit}", ("temperature", "humidity"))
        assert set(good) <= {(round(t * 10), round(h * 10)) for t, h in answered}
        if fault is None:
            assert len(good) == len(answered) == len(rows(items))


async def test_every_answer_of_a_balance_is_a_row(tmp_path: Path) -> None:
    log = tmp_path / "answers.jsonl"
    async with ScenarioRunner(scenario_of(BALANCE), tmp_path, log, clock=RunningClock()) as runner:
        settings = MtsicsSettings.model_validate(
            {
                "id": "bal-1",
                "host": "127.0.0.1",
                "port": runner.endpoints["bal-1"].port,
                "poll_interval_s": 0.05,
            }
        )
        (items,) = await run_for(open_drivers([settings], RealClock(), seeded()), 1.0)
    weights = [row[0] for row in read_values(log, "bal-1", ("weight",))]
    assert [row[0] for row in good_values(rows(items), ("weight",))] == weights
    assert len(weights) >= 10
    assert events(items, "identity")[0].args["serial"] == "SIM-BAL-9"
