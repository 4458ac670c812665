"""A Modbus master that is not ours (Debian's mbpoll, on libmodbus) reads the simulators."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.support.simulated import (
    ANSWER_TIMEOUT_S,
    PRESSURE,
    ROOM,
    ScenarioRunner,
    answers_of,
    scenario_of,
)

FRIDGE = {
    **ROOM,
    "id": "th-2",
    "serial": "SIM-TH-8",
    "unit": 2,
    "settings": {**ROOM["settings"], "temperature_c": -20.5},  # type: ignore[dict-item]
}
METER = {"id": "em-1", "type": "energy_meter", "serial": "SIM-EM-9", "tcp_port": 0}


async def mbpoll(*arguments: str) -> tuple[int | None, dict[int, list[str]]]:
    """Run mbpoll once and return its exit code and, by register, the texts that it printed."""
    process = await asyncio.create_subprocess_exec(
        "mbpoll",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(3 * ANSWER_TIMEOUT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    values: dict[int, list[str]] = {}
    for register, text in re.findall(r"^\[(\d+)\]:\s+(\S+)", output.decode(), re.MULTILINE):
        values.setdefault(int(register), []).append(text)
    return process.returncode, values


async def test_mbpoll_reads_floats_over_tcp(tmp_path: Path) -> None:
    async with ScenarioRunner(scenario_of(PRESSURE, METER), tmp_path, tmp_path / "log") as runner:
        for name, count in (("p-1", 1), ("em-1", 9)):
            endpoint = runner.endpoints[name]
            where = ("-m", "tcp", "-p", str(endpoint.port), "-a", "1", "-0", "-1", "-t", "3:float", "-B")
            code, values = await mbpoll(*where, "-r", "0", "-c", str(count), str(endpoint.host))
            assert code == 0
            carried = [v for v in answers_of(tmp_path / "log")[-1]["values"].values() if isinstance(v, float)]
            assert [float(texts[0]) for texts in values.values()] == pytest.approx(carried, rel=1e-5)
            assert len(values) == count


async def test_mbpoll_writes_a_holding_register_over_tcp(tmp_path: Path) -> None:
    async with ScenarioRunner(scenario_of(PRESSURE), tmp_path) as runner:
        endpoint = runner.endpoints["p-1"]
        where = ("-m", "tcp", "-p", str(endpoint.port), "-a", "1", "-0", "-1", "-t", "4", "-r", "0")
        assert (await mbpoll(*where, str(endpoint.host), "25"))[0] == 0
        assert await mbpoll(*where, "-c", "1", str(endpoint.host)) == (0, {0: ["25"]})


async def test_mbpoll_reads_two_units_of_one_rtu_line(tmp_path: Path) -> None:
    async with ScenarioRunner(scenario_of(ROOM, FRIDGE), tmp_path) as runner:
        path = str(runner.endpoints["th-1"].path)
        line = ("-m", "rtu", "-b", "9600", "-P", "none", "-0", "-1", "-t", "3")
        code, values = await mbpoll(*line, "-a", "1:2", "-r", "1", "-c", "2", path)
    assert code == 0
    assert values[2] == ["546", "546"]
    assert values[1][0] == "305"
    assert int(values[1][1]) % 0x10000 == 0xFF33


async def test_mbpoll_is_told_an_illegal_address(tmp_path: Path) -> None:
    async with ScenarioRunner(scenario_of(PRESSURE), tmp_path, tmp_path / "log") as runner:
        endpoint = runner.endpoints["p-1"]
        where = ("-m", "tcp", "-p", str(endpoint.port), "-a", "1", "-0", "-1", "-t", "3")
        await mbpoll(*where, "-r", "100", "-c", "1", str(endpoint.host))
    assert answers_of(tmp_path / "log")[0]["answer"].endswith("8402")
