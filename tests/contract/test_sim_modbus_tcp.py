"""Modbus TCP simulators on real sockets."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators import Endpoint
from simulators.tcp_server import CONNECTIONS_MAX
from tests.support.simulated import (
    ANSWER_TIMEOUT_S,
    PRESSURE,
    ManualClock,
    ScenarioRunner,
    TcpClient,
    answers_of,
    modbus_tcp,
    scenario_of,
    tcp_client,
    until,
)

READ_ALL = "0400000005"


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[ScenarioRunner]:
    async with ScenarioRunner(scenario_of(PRESSURE), tmp_path, tmp_path / "answers.jsonl") as running:
        yield running


@pytest.fixture
async def client(runner: ScenarioRunner) -> AsyncIterator[TcpClient]:
    async with tcp_client(runner.endpoints["p-1"]) as connected:
        yield connected


async def test_all_requests_of_one_segment_are_answered_in_their_order(client: TcpClient) -> None:
    client.send(b"".join(modbus_tcp(READ_ALL, transaction=i) for i in range(100)))
    answers = [await client.frame() for _ in range(100)]
    assert [int.from_bytes(answer[:2], "big") for answer in answers] == list(range(100))
    assert all(answer[7:9] == bytes((4, 10)) for answer in answers)


async def test_a_request_that_comes_byte_by_byte_is_answered_once(client: TcpClient) -> None:
    for byte in modbus_tcp(READ_ALL):
        client.send(bytes((byte,)))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.frame())[7:9] == bytes((4, 10))
    assert (await client.ask("0300000001"))[:2] == bytes((3, 2))


async def test_a_foreign_unit_gets_no_answer_and_any_unit_does(client: TcpClient) -> None:
    client.send(modbus_tcp(READ_ALL, transaction=1, unit=9))
    for unit in (0, 255, 1):
        client.send(modbus_tcp(READ_ALL, transaction=unit + 2, unit=unit))
        answer = await client.frame()
        assert (int.from_bytes(answer[:2], "big"), answer[6]) == (unit + 2, unit)


async def test_what_is_not_modbus_is_hung_up_on(client: TcpClient) -> None:
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert await client.end() == b""


async def test_connections_are_limited(runner: ScenarioRunner) -> None:
    endpoint = runner.endpoints["p-1"]
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        held = [await asyncio.open_connection(endpoint.host, endpoint.port) for _ in range(CONNECTIONS_MAX)]
    first = TcpClient(*held[0])
    assert (await first.ask(READ_ALL))[0] == 4
    async with tcp_client(endpoint) as one_more:
        assert await one_more.end() == b""
    for _, writer in held:
        writer.close()
        await writer.wait_closed()


async def test_the_answer_log_is_what_the_client_received(
    runner: ScenarioRunner, client: TcpClient, tmp_path: Path
) -> None:
    runner.inject("p-1", "no_answer", 60.0, probability=0.3)
    runner.inject("p-1", "exception", 60.0, probability=0.2, code=6)
    runner.inject("p-1", "dropout", 60.0, probability=0.2)
    client.send(b"".join(modbus_tcp(READ_ALL, transaction=i) for i in range(300)))
    await until(lambda: runner.answered["p-1"] + runner.silent["p-1"] == 300)
    log = answers_of(tmp_path / "answers.jsonl")
    assert [int(entry["request"][:4], 16) for entry in log] == list(range(300))
    given = [entry for entry in log if entry["answer"] is not None]
    assert [await client.frame() for _ in given] == [bytes.fromhex(entry["answer"]) for entry in given]
    assert {entry["fault"] for entry in log} == {None, "no_answer", "exception", "dropout"}
    for entry in log:
        assert (entry["instrument"], entry["unit"]) == ("p-1", 1)
        assert entry["t_boot_ns"] < entry["t_utc_ns"]
        if entry["fault"] is None:
            pressure, code, status = struct.unpack(">fiH", bytes.fromhex(entry["answer"])[9:])
            assert entry["values"] == {"pressure": pressure, "raw_code": code, "status": status}
        else:
            assert entry["values"]["pressure"] is None
    assert runner.answered["p-1"] == len(given)
    assert runner.silent["p-1"] == 300 - len(given)


async def test_a_dropout_is_a_nan_and_a_status_on_the_wire(runner: ScenarioRunner, client: TcpClient) -> None:
    runner.inject("p-1", "dropout", 60.0)
    assert await client.ask(READ_ALL) == bytes.fromhex("040a 7fc00000 80000000 0001".replace(" ", ""))
    assert await client.ask("0200000003") == bytes.fromhex("020101")


async def test_an_exception_carries_its_code(runner: ScenarioRunner, client: TcpClient) -> None:
    runner.inject("p-1", "exception", 60.0, code=6)
    assert await client.ask(READ_ALL) == bytes.fromhex("8406")


async def test_a_late_answer_is_right_and_those_behind_it_wait(
    runner: ScenarioRunner, client: TcpClient, tmp_path: Path
) -> None:
    runner.inject("p-1", "late", 60.0, delay_s=0.2, count=1)
    begin_s = asyncio.get_running_loop().time()
    client.send(modbus_tcp(READ_ALL, transaction=1) + modbus_tcp(READ_ALL, transaction=2))
    first, second = await client.frame(), await client.frame()
    assert asyncio.get_running_loop().time() - begin_s >= 0.2
    assert (first[1], second[1]) == (1, 2)
    late, on_time = answers_of(tmp_path / "answers.jsonl")
    assert (late["fault"], on_time["fault"]) == ("late", None)
    assert late["values"]["pressure"] == struct.unpack(">f", first[9:13])[0]


async def test_a_late_answer_to_a_client_that_left_is_noted_as_not_given(
    runner: ScenarioRunner, tmp_path: Path
) -> None:
    runner.inject("p-1", "late", 60.0, delay_s=30.0)
    async with tcp_client(runner.endpoints["p-1"]) as client:
        client.send(modbus_tcp(READ_ALL))
        await client.writer.drain()
    await until(lambda: runner.silent["p-1"])
    (entry,) = answers_of(tmp_path / "answers.jsonl")
    assert (entry["answer"], entry["fault"], entry["values"]["pressure"]) == (None, "late", None)


async def test_a_flood_behind_a_late_answer_waits_and_is_answered(
    runner: ScenarioRunner, client: TcpClient
) -> None:
    runner.inject("p-1", "late", 60.0, delay_s=0.1, count=1)
    client.send(b"".join(modbus_tcp(READ_ALL, transaction=i) for i in range(5000)))
    answers = [await client.frame() for _ in range(5000)]
    assert [int.from_bytes(answer[:2], "big") for answer in answers] == list(range(5000))


async def test_truncated_garbage_and_a_wrong_check(runner: ScenarioRunner, client: TcpClient) -> None:
    whole = 9 + 10
    runner.inject("p-1", "bad_crc", 60.0, count=1)
    client.send(modbus_tcp(READ_ALL))
    answer = await client.frame()
    assert (answer[:2], len(answer)) == (b"\xff\x01", whole)
    runner.inject("p-1", "garbage", 60.0, count=1)
    client.send(modbus_tcp(READ_ALL))
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        noise = await client.reader.readexactly(whole)
    assert noise[2] == 0xFF
    runner.inject("p-1", "truncated", 60.0, count=1)
    client.send(modbus_tcp(READ_ALL, transaction=7) + modbus_tcp(READ_ALL, transaction=8))
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        both = await client.reader.readexactly(whole // 2 + whole)
    assert both[:2] == b"\x00\x07"
    assert both[whole // 2 :][:2] == b"\x00\x08"


async def test_a_disconnected_instrument_refuses_and_comes_back_on_its_port(
    runner: ScenarioRunner, client: TcpClient
) -> None:
    endpoint = runner.endpoints["p-1"]
    runner.inject("p-1", "disconnect", 0.3)
    assert await client.end() == b""
    refusals = 0
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while not await _answers(endpoint):
            refusals += 1
    assert refusals > 0


async def _answers(endpoint: Endpoint) -> bool:
    try:
        async with tcp_client(endpoint) as client:
            return (await client.ask(READ_ALL))[0] == 4
    except ConnectionRefusedError:
        return False


async def test_a_scheduled_spike_hits_one_reading_of_many(tmp_path: Path) -> None:
    spike = {"kind": "spike", "instrument": "p-1", "from_s": 1.0, "to_s": 2.0, "magnitude": 2.0}
    clock = ManualClock()
    async with (
        ScenarioRunner(scenario_of(PRESSURE, fault=[spike]), tmp_path, clock=clock) as runner,
        tcp_client(runner.endpoints["p-1"]) as client,
    ):
        pressures = []
        for i in range(150):
            clock.t_s = 0.02 * i
            pressures.append(struct.unpack(">f", (await client.ask("0400000002"))[2:])[0])
    assert [i for i, p in enumerate(pressures) if p > 36.0] == [50]
