"""Whole scenarios: endpoints, clean ends, bad starts, and the faults of the demonstration on the wire."""

import asyncio
import json
import socket
import struct
import time
from pathlib import Path

import pytest

from simulators import FolderInUseError, PortInUseError, ScenarioError, load_scenario, run_scenario
from simulators.modbus.framing import rtu_frame
from tests.support.simulated import (
    ANSWER_TIMEOUT_S,
    BALANCE,
    PRESSURE,
    ROOM,
    ManualClock,
    ScenarioRunner,
    is_there,
    scenario_of,
    serial_client,
    tcp_client,
)

CLOSE_LIMIT_S = 1.0


async def test_endpoints_are_told_and_written(tmp_path: Path) -> None:
    async with ScenarioRunner(load_scenario("two_benches"), tmp_path) as runner:
        written = json.loads((tmp_path / "endpoints.json").read_text(encoding="utf-8"))
        assert written["scenario"] == "two_benches"
        assert set(written["instruments"]) == {"bal-1", "th-room", "th-fridge", "p-1", "p-2", "em-1"}
        assert written["instruments"]["p-1"]["port"] == runner.endpoints["p-1"].port
        assert written["instruments"]["th-fridge"]["unit"] == 2
        assert is_there(written["instruments"]["bal-1"]["path"])
    assert not list((tmp_path / "dev").iterdir())


async def test_the_end_is_quick_with_clients_and_a_late_answer_open(tmp_path: Path) -> None:
    async with ScenarioRunner(load_scenario("two_benches"), tmp_path) as runner:
        runner.inject("p-1", "late", 60.0, delay_s=60.0)
        async with (
            tcp_client(runner.endpoints["p-1"]) as late,
            tcp_client(runner.endpoints["p-2"]) as idle,
            serial_client(runner.endpoints["bal-1"]) as balance,
        ):
            late.send(bytes.fromhex("000100000006010400000002"))
            balance.send(b"SIR\r\n")
            assert (await balance.line()).startswith("S ")
            begin_s = time.monotonic()
            await runner.__aexit__(None, None, None)
            assert time.monotonic() - begin_s < CLOSE_LIMIT_S
            assert await idle.end() == b""


async def test_a_port_in_use_names_the_instrument_and_the_remedy_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        scenario = scenario_of(ROOM, PRESSURE, {**PRESSURE, "id": "p-2", "tcp_port": port})
        with pytest.raises(PortInUseError, match=f"'p-2' cannot listen on 127.0.0.1:{port}") as caught:
            async with ScenarioRunner(scenario, tmp_path):
                pass
    assert "tcp_port" in caught.value.hint
    assert not (tmp_path / "dev" / "bus").is_symlink()


async def test_a_file_in_the_place_of_a_line_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "bus").write_text("mine")
    with pytest.raises(ScenarioError, match="not a symbolic link"):
        async with ScenarioRunner(scenario_of(ROOM), tmp_path):
            pass
    assert (tmp_path / "dev" / "bus").read_text() == "mine"


async def test_a_link_that_a_dead_run_has_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "bus").symlink_to("/dev/pts/99999")
    async with ScenarioRunner(scenario_of(ROOM), tmp_path) as runner:
        assert is_there(runner.endpoints["th-1"].path)


async def test_run_scenario_ends_by_time(tmp_path: Path) -> None:
    summary = await run_scenario("single_tcp", tmp_path, None, 0.01, asyncio.Event())
    assert (summary.scenario, summary.answered) == ("single_tcp", {})


async def test_run_scenario_ends_when_told_to_and_counts(tmp_path: Path) -> None:
    stop = asyncio.Event()
    ready: asyncio.Queue[int | None] = asyncio.Queue(maxsize=1)
    running = asyncio.create_task(
        run_scenario(
            "single_tcp",
            tmp_path,
            None,
            None,
            stop,
            lambda endpoints: ready.put_nowait(endpoints["p-1"].port),
        )
    )
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        port = await ready.get()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes.fromhex("000100000006010400000002"))
        await reader.readexactly(13)
        writer.close()
        await writer.wait_closed()
        stop.set()
        assert (await running).answered == {"p-1": 1}


async def test_a_fault_for_nobody_is_refused(tmp_path: Path) -> None:
    async with ScenarioRunner(scenario_of(PRESSURE), tmp_path) as runner:
        with pytest.raises(ScenarioError, match="choose one of p-1"):
            runner.inject("p-7", "stuck", 1.0)
        with pytest.raises(ScenarioError, match="not possible"):
            runner.inject("p-1", "sticky", 1.0)
        with pytest.raises(ScenarioError, match="choose one of pressure"):
            runner.inject("p-1", "stuck", 1.0, channel="mass")


async def test_a_log_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ScenarioError, match="choose a run directory"):
        async with ScenarioRunner(scenario_of(PRESSURE), tmp_path / "run", tmp_path / "file" / "log"):
            pass


async def test_a_rewound_scenario_runs_its_schedule_again(tmp_path: Path) -> None:
    spike = {"kind": "spike", "instrument": "p-1", "to_s": 600.0, "magnitude": 20.0}
    async with (
        ScenarioRunner(scenario_of(PRESSURE, {**BALANCE, "line": "bus"}, fault=[spike]), tmp_path) as runner,
        tcp_client(runner.endpoints["p-1"]) as client,
    ):
        high: list[bool] = []
        for _ in range(2):
            answers = [await client.ask("0400000002") for _ in range(3)]
            high += [struct.unpack(">f", answer[2:])[0] > 40.0 for answer in answers]
            runner.rewind()
    assert high == [True, False, False] * 2


async def test_the_faults_of_the_demonstration_are_on_the_wire(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        ScenarioRunner(load_scenario("two_benches"), tmp_path, clock=clock) as runner,
        tcp_client(runner.endpoints["p-1"]) as p_1,
        tcp_client(runner.endpoints["p-2"]) as p_2,
        serial_client(runner.endpoints["th-fridge"]) as line,
    ):
        pressures, codes, temperatures = [], [], []
        for i in range(300):
            clock.t_s = 0.1 * i
            pressures.append(struct.unpack(">f", (await p_1.ask("0400000002"))[2:])[0])
            codes.append((await p_2.ask("0400020002"))[2:])
            if i % 10 == 0:
                line.send(rtu_frame(2, bytes.fromhex("0400010001")))
                temperatures.append(int.from_bytes((await line.read(7))[3:5], "big", signed=True) / 10)
    assert [i for i, p in enumerate(pressures) if abs(p - 35.0) > 1.0] == [100, 150, 240]
    assert len(set(codes[120:200])) == 1
    assert len(set(codes[:120])) > 100
    warm = [i for i, t in enumerate(temperatures) if t > 8.0]
    assert warm == [12, 13, 14, 15, 16, 17, 18]
    assert all(2.0 < t < 8.0 for i, t in enumerate(temperatures) if i not in warm)


async def test_the_loads_of_the_demonstration_are_weighed(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        ScenarioRunner(load_scenario("two_benches"), tmp_path, clock=clock) as runner,
        serial_client(runner.endpoints["bal-1"]) as balance,
    ):
        for begin_s in (0.0, 30.0, 3000.0):
            shown = {}
            for t_s in (2.5, 7.0, 11.6, 16.0, 23.5, 29.0):
                clock.t_s = begin_s + t_s
                shown[t_s] = await balance.command("S")
                assert shown[t_s].startswith("S S ")
            weights = {t_s: float(text[4:14]) for t_s, text in shown.items()}
            assert weights[7.0] == pytest.approx(100.00005, abs=3e-4)
            assert weights[16.0] == pytest.approx(5.03217, abs=3e-4)
            assert all(abs(weights[t_s]) < 3e-4 for t_s in (2.5, 11.6, 29.0))


async def test_a_second_run_into_one_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with ScenarioRunner(scenario_of(ROOM), tmp_path) as first:
        with pytest.raises(FolderInUseError, match="other simulators run in"):
            async with ScenarioRunner(scenario_of(ROOM), tmp_path):
                pass
        assert is_there(first.endpoints["th-1"].path)
    async with ScenarioRunner(scenario_of(ROOM), tmp_path) as again:
        assert is_there(again.endpoints["th-1"].path)
