"""Modbus TCP over real sockets against a scripted server: what it must never take for a value."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from drivers import open_drivers
from drivers.door import Driver
from drivers.modbus.line_settings import ModbusTcpSettings
from pipeline.records import Status
from tests.support.scripted import (
    RealClock,
    TcpInstrument,
    events,
    gaps,
    mbap,
    registers_pdu,
    rows,
    run_for,
    seeded,
    status,
    take,
    tcp_instrument,
    value,
)  # fmt: skip

Reply = Callable[[int, int, bytes], list[tuple[float, bytes]]]
"""(transaction, unit, PDU) -> delays and frames."""


def truth(transaction: int, unit: int, pdu: bytes) -> list[tuple[float, bytes]]:
    """Answer as a device whose register at address a holds 1000 * unit + a; it cannot identify itself."""
    if pdu[0] == 0x2B:
        return [(0.0, mbap(transaction, unit, bytes([0xAB, 1])))]
    address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    registers = [1000 * unit + at for at in range(address, address + count)]
    return [(0.0, mbap(transaction, unit, registers_pdu(pdu[0], registers)))]


def server(*replies: Reply) -> Callable[[bytes], list[tuple[float, bytes]]]:
    """Answer the n-th read by the n-th reply, all further ones truly."""
    left = list(replies)

    def answers(data: bytes) -> list[tuple[float, bytes]]:
        transaction, unit, pdu = int.from_bytes(data[:2], "big"), data[6], data[7:]
        reply = left.pop(0) if left and pdu[0] != 0x2B else truth
        return reply(transaction, unit, pdu)

    return answers


def instrument(port: int, **other: Any) -> ModbusTcpSettings:
    return ModbusTcpSettings.model_validate(
        {
            "id": "device",
            "host": "127.0.0.1",
            "port": port,
            "poll_interval_s": 0.05,
            "timeout_s": 0.2,
            "gap_registers_max": 0,
            "channels": [
                {"name": "a", "address": 0},
                {"name": "b", "address": 1},
                {"name": "far", "address": 9},
            ],
            **other,
        }
    )


def driver_of(port: int, **other: Any) -> Driver:
    (driver,) = open_drivers([instrument(port, **other)], RealClock(), seeded())
    return driver


async def test_a_row_carries_values_times_and_register_bytes() -> None:
    async with tcp_instrument(server()) as device:
        items = await take(driver_of(device.port), lambda items: len(rows(items)) == 3)
    block = rows(items)[0]
    assert [value(block, name) for name in ("a", "b", "far")] == [1000, 1001, 1009]
    assert block.raw == (bytes.fromhex("03E803E903F1"),)
    assert block.t_request_ns[0] < block.t_run_ns[0] < block.t_response_ns[0]
    assert device.connections == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (lambda t, u, p: [(0.0, mbap(t, u + 1, truth(t, u, p)[0][1][7:]))], Status.WRONG_ANSWER),
        (lambda t, u, p: [(0.0, mbap(t, u, registers_pdu(4, [1, 2])))], Status.WRONG_ANSWER),
        (lambda t, u, p: [(0.0, mbap(t, u, registers_pdu(3, [1])))], Status.WRONG_ANSWER),
        (lambda t, u, p: [(0.0, mbap(t + 500, u, registers_pdu(3, [1, 2])))], Status.WRONG_ANSWER),
        (lambda t, u, p: [(0.0, mbap(t, u, bytes([3, 4, 0, 1])))], Status.WRONG_ANSWER),
        (lambda t, u, p: [(0.0, mbap(t, u, registers_pdu(3, [1, 2]))[:-1])], Status.BAD_FRAME),
        (lambda t, u, p: [(0.0, b"\xde\xad\xbe\xef\xde\xad\xbe\xef")], Status.BAD_FRAME),
        (lambda t, u, p: [(0.0, mbap(t, u, bytes([0x83, 6])))], Status.MODBUS_EXCEPTION + 6),
        (lambda t, u, p: [], Status.NO_ANSWER),
        (lambda t, u, p: [(0.0, b"")], Status.DISCONNECTED),
    ],
    ids=[
        "unit",
        "function",
        "too few",
        "number",
        "byte count",
        "truncated",
        "garbage",
        "exception",
        "silent",
        "reset",
    ],
)
async def test_a_wrong_answer_is_missing_with_its_reason_and_the_next_row_is_good(
    reply: Reply, expected: int
) -> None:
    async with tcp_instrument(server(truth, truth, reply)) as device:
        items = await take(driver_of(device.port), lambda items: len(rows(items)) == 4)
    first, spoilt, *_, last = rows(items)
    assert status(first, "a") == 0
    assert status(spoilt, "a") == status(spoilt, "b") == expected
    assert [value(last, name) for name in ("a", "b", "far")] == [1000, 1001, 1009]


async def test_a_late_answer_is_dropped_by_its_number() -> None:
    def late(transaction: int, unit: int, pdu: bytes) -> list[tuple[float, bytes]]:
        return [(0.3, mbap(transaction, unit, registers_pdu(3, [7, 7])))]

    async with tcp_instrument(server(late)) as device:
        items = await take(driver_of(device.port), lambda items: len(rows(items)) == 4)
    assert status(rows(items)[0], "a") == Status.NO_ANSWER
    good = [block for block in rows(items) if status(block, "a") == 0]
    assert {value(block, "a") for block in good} == {1000}


async def test_an_answer_in_pieces_is_put_together() -> None:
    def pieces(transaction: int, unit: int, pdu: bytes) -> list[tuple[float, bytes]]:
        ((_, frame),) = truth(transaction, unit, pdu)
        return [(0.001, frame[at : at + 1]) for at in range(len(frame))]

    async with tcp_instrument(server(pieces)) as device:
        items = await take(driver_of(device.port), lambda items: len(rows(items)) == 1)
    assert value(rows(items)[0], "b") == 1001


async def test_a_device_that_goes_and_comes_back() -> None:
    clock = RealClock()
    async with tcp_instrument(server()) as device:
        (driver,) = open_drivers([instrument(device.port)], clock, seeded())
        again: list[TcpInstrument] = []
        missed = asyncio.Event()

        async def interrupt() -> None:
            await device.hang_up()
            await missed.wait()
            again.append(TcpInstrument(server()))
            await again[0].listen(device.port)

        tasks: list[asyncio.Task[None]] = []

        def enough(items: list[Any]) -> bool:
            if len(rows(items)) == 3 and not tasks:
                tasks.append(asyncio.create_task(interrupt()))
            if events(items, "instrument-lost"):
                missed.set()
            return bool(events(items, "instrument-back"))

        items = await take(driver, enough)
        await tasks[0]
        await again[0].hang_up()
    assert len(events(items, "instrument-lost")) == len(events(items, "instrument-back")) == 1
    assert "disconnected" in {gap.cause for gap in gaps(items)}
    # Old values are never sent again: each row has its own exchange.
    requests = [int(block.t_request_ns[0]) for block in rows(items)]
    assert requests == sorted(set(requests))


async def test_a_dead_host_never_delays_another() -> None:
    async with tcp_instrument(server()) as device, tcp_instrument(lambda _: []) as silent:
        settings = [instrument(silent.port), instrument(device.port).model_copy(update={"id": "alive"})]
        dead, alive = await run_for(open_drivers(settings, RealClock(), seeded()), 1.0)
    assert len(rows(alive)) >= 12
    assert all(status(block, "a") == 0 for block in rows(alive))
    assert {status(block, "a") for block in rows(dead)} == {Status.NO_ANSWER}


async def test_units_of_one_host_share_a_connection() -> None:
    async with tcp_instrument(server()) as device:
        settings = [
            instrument(device.port, unit=unit).model_copy(update={"id": f"unit-{unit}"}) for unit in (1, 2, 3)
        ]
        results = await run_for(open_drivers(settings, RealClock(), seeded()), 1.3)
        assert device.connections == 1
    for unit, items in enumerate(results, start=1):
        assert {value(block, "a") for block in rows(items)} == {1000 * unit}


async def test_the_device_is_asked_who_it_is_and_its_serial_number_is_told_before_the_first_row() -> None:
    objects = {0: b"Yaosu Simulator", 1: b"P", 2: b"1.0", 5: b"PT-100", 0x80: b"SIM-P-1"}

    def answers(data: bytes) -> list[tuple[float, bytes]]:
        transaction, unit, pdu = int.from_bytes(data[:2], "big"), data[6], data[7:]
        if pdu[0] != 0x2B:
            return truth(transaction, unit, pdu)
        first = [number for number in objects if number >= pdu[3]]
        body = bytes([0x2B, 0x0E, 3, 0x83])
        # Two objects an answer: the rest has to be asked for.
        body += bytes([0xFF, first[2]]) if len(first) > 2 else bytes(2)
        body += bytes([len(first[:2])])
        body += b"".join(bytes([number, len(objects[number])]) + objects[number] for number in first[:2])
        return [(0.0, mbap(transaction, unit, body))]

    async with tcp_instrument(answers) as device:
        driver = driver_of(device.port)
        items = await take(driver, lambda items: len(rows(items)) == 2)
    identity = driver.describe().identity
    assert identity is not None
    assert (identity.vendor, identity.model, identity.serial) == ("Yaosu Simulator", "PT-100", "SIM-P-1")
    (event,) = events(items, "identity")
    assert event.args["serial"] == "SIM-P-1"
    assert items.index(event) < items.index(rows(items)[0])
