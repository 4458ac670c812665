"""Two units on one serial line: RTU over a real pty."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.modbus.framing import crc16, rtu_frame
from tests.support.simulated import (
    ANSWER_TIMEOUT_S,
    ROOM,
    ScenarioRunner,
    SerialClient,
    answers_of,
    is_there,
    scenario_of,
    serial_client,
    until,
)

FRIDGE = {**ROOM, "id": "th-2", "serial": "SIM-TH-8", "unit": 2}
REQUEST = bytes.fromhex("01 04 00 01 00 02 20 0B")
ANSWER = bytes.fromhex("01 04 04 01 31 02 22 2A CE")
OF_UNIT_2 = rtu_frame(2, REQUEST[1:-2])
ANSWER_2 = rtu_frame(2, ANSWER[1:-2])


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[ScenarioRunner]:
    async with ScenarioRunner(scenario_of(ROOM, FRIDGE), tmp_path, tmp_path / "answers.jsonl") as running:
        yield running


@pytest.fixture
async def client(runner: ScenarioRunner) -> AsyncIterator[SerialClient]:
    async with serial_client(runner.endpoints["th-1"]) as connected:
        yield connected


async def test_the_published_exchange_byte_for_byte(client: SerialClient) -> None:
    client.send(REQUEST)
    assert await client.read(len(ANSWER)) == ANSWER


async def test_both_units_answer_on_the_same_line(runner: ScenarioRunner, client: SerialClient) -> None:
    assert runner.endpoints["th-1"].path == runner.endpoints["th-2"].path
    client.send(REQUEST + OF_UNIT_2)
    assert await client.read(2 * len(ANSWER)) == ANSWER + ANSWER_2


async def test_a_request_in_pieces_is_one_request(client: SerialClient) -> None:
    client.send(REQUEST[:3])
    await asyncio.sleep(0)
    client.send(REQUEST[3:])
    assert await client.read(len(ANSWER)) == ANSWER


async def test_foreign_units_bad_crc_and_noise_get_silence(
    runner: ScenarioRunner, client: SerialClient, tmp_path: Path
) -> None:
    client.send(rtu_frame(3, REQUEST[1:-2]))
    client.send(REQUEST)
    assert await client.read(len(ANSWER)) == ANSWER
    for noise in (REQUEST[:-1] + b"\x00", b"\x01\x04\x00", b"\xff" * 300):
        client.send(noise)
        # The line has to be silent before the next request is one: ask until it is answered.
        answer = await asyncio.wait_for(_ask_until_answered(client), ANSWER_TIMEOUT_S)
        assert answer == ANSWER
    assert {entry["instrument"] for entry in answers_of(tmp_path / "answers.jsonl")} == {"th-1"}
    assert runner.silent["th-2"] == 0


async def _ask_until_answered(client: SerialClient) -> bytes:
    while True:
        client.send(REQUEST)
        try:
            async with asyncio.timeout(0.1):
                return await client.read(len(ANSWER))
        except TimeoutError:
            continue


async def test_a_function_of_unknown_length_ends_with_the_silence(client: SerialClient) -> None:
    client.send(rtu_frame(1, b"\x41\x00\x01"))
    assert await client.read(5) == rtu_frame(1, b"\xc1\x01")


async def test_a_broadcast_is_obeyed_and_not_answered(client: SerialClient) -> None:
    client.send(rtu_frame(0, bytes.fromhex("060103000a")) + REQUEST + OF_UNIT_2)
    warmer = bytes.fromhex("0404013b0222")
    assert await client.read(18) == rtu_frame(1, warmer) + rtu_frame(2, warmer)


async def test_identification_over_rtu(client: SerialClient) -> None:
    client.send(rtu_frame(2, bytes.fromhex("2b0e0480")))
    answer = await client.read(2 + 9 + 8 + 1)
    assert answer.endswith(b"SIM-TH-8" + crc16(answer[:-2]).to_bytes(2, "little"))


async def test_wire_faults_of_one_unit_leave_the_other_alone(
    runner: ScenarioRunner, client: SerialClient
) -> None:
    runner.inject("th-1", "bad_crc", 60.0, count=1)
    client.send(REQUEST + OF_UNIT_2)
    answers = await client.read(2 * len(ANSWER))
    assert answers == ANSWER[:-1] + bytes((ANSWER[-1] ^ 0xFF,)) + ANSWER_2
    runner.inject("th-1", "truncated", 60.0, count=1)
    client.send(REQUEST + OF_UNIT_2)
    assert await client.read(4 + len(ANSWER)) == ANSWER[:4] + ANSWER_2
    runner.inject("th-1", "garbage", 60.0, count=1)
    client.send(REQUEST + OF_UNIT_2)
    noise = await client.read(len(ANSWER))
    assert crc16(noise) != 0
    assert await client.read(len(ANSWER)) == ANSWER_2
    runner.inject("th-1", "exception", 60.0, count=1, code=2)
    client.send(REQUEST)
    assert await client.read(5) == bytes.fromhex("01 84 02 C2 C1")


async def test_one_unit_off_the_line_is_silent_and_noted(
    runner: ScenarioRunner, client: SerialClient, tmp_path: Path
) -> None:
    runner.inject("th-1", "disconnect", 60.0)
    client.send(REQUEST + OF_UNIT_2)
    assert await client.read(len(ANSWER)) == ANSWER_2
    silent, answered = answers_of(tmp_path / "answers.jsonl")
    assert (silent["fault"], silent["answer"]) == ("disconnect", None)
    assert silent["values"] == {"temperature": None, "humidity": None}
    assert answered["answer"] == ANSWER_2.hex()


async def test_a_line_without_instruments_hangs_up_and_comes_back(
    runner: ScenarioRunner, client: SerialClient
) -> None:
    runner.inject("th-1", "disconnect", 0.3)
    runner.inject("th-2", "disconnect", 60.0)
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        await client.hung_up.wait()
    await until(lambda: is_there(runner.endpoints["th-1"].path))
    async with serial_client(runner.endpoints["th-1"]) as again:
        again.send(REQUEST)
        assert await again.read(len(ANSWER)) == ANSWER


async def test_the_line_lives_on_when_a_client_leaves(runner: ScenarioRunner) -> None:
    for _ in range(3):
        async with serial_client(runner.endpoints["th-1"]) as client:
            client.send(REQUEST)
            assert await client.read(len(ANSWER)) == ANSWER


async def test_a_late_answer_comes_before_the_next_one(runner: ScenarioRunner, client: SerialClient) -> None:
    runner.inject("th-1", "late", 60.0, delay_s=0.2, count=1)
    client.send(REQUEST)
    client.send(OF_UNIT_2)
    assert await client.read(2 * len(ANSWER)) == ANSWER + ANSWER_2
