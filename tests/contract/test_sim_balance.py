"""The balance over TCP and over a pty: the same dialogue."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.simulated import (
    ANSWER_TIMEOUT_S,
    BALANCE,
    QUICK_PAN,
    RunningClock,
    ScenarioRunner,
    SerialClient,
    TcpClient,
    answers_of,
    is_there,
    scenario_of,
    serial_client,
    tcp_client,
)

LOADED = {**QUICK_PAN, "decimals": 2, "stream_period_s": 0.05, "loads": [{"at_s": 0.0, "load_g": 100.0}]}
ON_BOTH = {**BALANCE, "line": "bus", "settings": LOADED}
WEIGHT = "S S     100.00 g"


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[ScenarioRunner]:
    log = tmp_path / "answers.jsonl"
    async with ScenarioRunner(scenario_of(ON_BOTH), tmp_path, log, clock=RunningClock()) as running:
        yield running


@pytest.fixture(params=["tcp", "pty"])
async def client(
    runner: ScenarioRunner, request: pytest.FixtureRequest
) -> AsyncIterator[TcpClient | SerialClient]:
    open_client = tcp_client if request.param == "tcp" else serial_client
    async with open_client(runner.endpoints["bal-1"]) as connected:
        yield connected


async def test_the_dialogue(client: TcpClient | SerialClient) -> None:
    assert await client.command("@") == 'I4 A "SIM-BAL-9"'
    assert await client.command("S") == WEIGHT
    assert await client.command("SI") == WEIGHT
    assert await client.command("T") == "T S     100.00 g"
    assert await client.command("S") == "S S       0.00 g"
    assert await client.command("TAC") == "TAC A"
    assert await client.command("Z") == "Z +"
    assert await client.command("I4") == 'I4 A "SIM-BAL-9"'
    assert await client.command("NONSENSE") == "ES"


async def test_commands_in_one_piece_flow_control_and_empty_lines(client: TcpClient | SerialClient) -> None:
    client.send(b"\x11SI\r\n\r\n\x13SI\r\nI4\r\n")
    assert [await client.line() for _ in range(3)] == [WEIGHT, WEIGHT, 'I4 A "SIM-BAL-9"']


async def test_a_stream_runs_and_stops(client: TcpClient | SerialClient) -> None:
    client.send(b"SIR\r\n")
    assert [await client.line() for _ in range(4)] == [WEIGHT] * 4
    client.send(b"@\r\n")
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while await client.line() != 'I4 A "SIM-BAL-9"':
            pass
    assert await client.command("I3") == 'I3 A "1.0"'


async def test_a_line_without_end_is_a_syntax_error_and_forgotten(client: TcpClient | SerialClient) -> None:
    client.send(b"X" * 200)
    assert await client.line() == "ES"
    assert await client.command("SI") == WEIGHT


async def test_the_print_key_reaches_every_interface(runner: ScenarioRunner, tmp_path: Path) -> None:
    endpoint = runner.endpoints["bal-1"]
    async with tcp_client(endpoint) as over_tcp, serial_client(endpoint) as over_line:
        assert await over_tcp.command("SI") == WEIGHT
        runner.press_print_key("bal-1")
        assert await over_tcp.line() == WEIGHT
        assert await over_line.line() == WEIGHT
    asked, *printed = answers_of(tmp_path / "answers.jsonl")
    assert asked["request"] == b"SI".hex()
    assert [(entry["request"], entry["values"]) for entry in printed] == [(None, {"weight": 100.0})] * 2


async def test_wire_faults(runner: ScenarioRunner, client: TcpClient | SerialClient, tmp_path: Path) -> None:
    for kind, answer in (("exception", "EL"), ("bad_crc", "ET")):
        runner.inject("bal-1", kind, 60.0, count=1)
        assert await client.command("SI") == answer
    runner.inject("bal-1", "no_answer", 60.0, count=1)
    client.send(b"SI\r\n")
    assert await client.command("SI") == WEIGHT
    runner.inject("bal-1", "truncated", 60.0, count=1)
    client.send(b"SI\r\n")
    assert await client.command("SI") == WEIGHT[:9] + WEIGHT
    runner.inject("bal-1", "late", 60.0, count=1, delay_s=0.1)
    client.send(b"SI\r\nI4\r\n")
    assert [await client.line(), await client.line()] == [WEIGHT, 'I4 A "SIM-BAL-9"']
    faults = [entry["fault"] for entry in answers_of(tmp_path / "answers.jsonl")]
    assert faults == ["exception", "bad_crc", "no_answer", None, "truncated", None, "late", None]


async def test_garbage_cannot_be_taken_for_a_weight(runner: ScenarioRunner, tmp_path: Path) -> None:
    runner.inject("bal-1", "garbage", 60.0)
    async with tcp_client(runner.endpoints["bal-1"]) as client:
        client.send(b"SI\r\n")
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            noise = await client.reader.readuntil(b"\r\n")
    assert all(byte >= 0x80 for byte in noise[:-2])
    (entry,) = answers_of(tmp_path / "answers.jsonl")
    assert (entry["answer"], entry["values"]) == (noise.hex(), {"weight": None})


async def test_physics_faults(runner: ScenarioRunner, client: TcpClient | SerialClient) -> None:
    runner.inject("bal-1", "dropout", 60.0, count=1)
    assert await client.command("SI") == "S I"
    runner.inject("bal-1", "spike", 60.0, magnitude=50.0)
    assert await client.command("SI") == "S S     150.00 g"
    assert await client.command("SI") == WEIGHT
    runner.inject("bal-1", "offset", 60.0, step=500.0)
    assert await client.command("S") == "S +"


async def test_the_log_is_what_the_client_received(
    runner: ScenarioRunner, client: TcpClient | SerialClient, tmp_path: Path
) -> None:
    received = [await client.command(text) for text in ("S", "SI", "T", "SI", "Q")]
    log = answers_of(tmp_path / "answers.jsonl")
    assert [bytes.fromhex(entry["answer"]).decode("ascii") for entry in log] == [f"{r}\r\n" for r in received]
    assert [bytes.fromhex(entry["request"]).decode("ascii") for entry in log] == ["S", "SI", "T", "SI", "Q"]
    assert [entry["values"] for entry in log] == [
        {"weight": 100.0},
        {"weight": 100.0},
        {},
        {"weight": 0.0},
        {},
    ]
    assert runner.answered["bal-1"] == 5


async def test_a_balance_alone_on_its_line_hangs_up_when_it_is_unplugged(runner: ScenarioRunner) -> None:
    async with serial_client(runner.endpoints["bal-1"]) as client:
        runner.inject("bal-1", "disconnect", 60.0)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await client.hung_up.wait()
    assert not is_there(runner.endpoints["bal-1"].path)
