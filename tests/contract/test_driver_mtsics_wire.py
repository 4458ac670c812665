"""A balance over a real pty and over TCP: answers, print key, refusals, damage."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from drivers import open_drivers
from drivers.door import Driver
from drivers.mtsics.settings import MtsicsSettings
from pipeline.records import Item, Status
from tests.support.scripted import (
    PtyInstrument,
    RealClock,
    TcpInstrument,
    events,
    pty_instrument,
    rows,
    seeded,
    status,
    take,
    tcp_instrument,
    value,
)  # fmt: skip

IDENTITY = {b"I4": b'I4 A "SIM-B-1"', b"I2": b'I2 A "XS204 220 g"', b"I3": b'I3 A "1.20"'}

Balance = Callable[[bytes], list[tuple[float, bytes]]]
Bench = Callable[..., contextlib.AbstractAsyncContextManager[tuple[Any, Driver]]]


def balance(*script: bytes | tuple[float, bytes], then: bytes = b"S S     100.00 g\r\n") -> Balance:
    """Answer the n-th SI by the n-th entry of the script, all further ones by `then`."""
    left = list(script)
    received = bytearray()

    def answers(data: bytes) -> list[tuple[float, bytes]]:
        received.extend(data)
        replies: list[tuple[float, bytes]] = []
        while b"\r\n" in received:
            command = bytes(received[: received.index(b"\r\n")])
            del received[: len(command) + 2]
            if command in IDENTITY:
                replies.append((0.0, IDENTITY[command] + b"\r\n"))
            else:
                assert command == b"SI"
                entry = left.pop(0) if left else then
                replies.append(entry if isinstance(entry, tuple) else (0.0, entry))
        return replies

    return answers


def driver_of(**table: Any) -> Driver:
    settings = MtsicsSettings.model_validate(
        {"id": "balance", "poll_interval_s": 0.05, "timeout_s": 0.1, "read_identity": False, **table}
    )
    (driver,) = open_drivers([settings], RealClock(), seeded())
    return driver


@pytest.fixture(params=["pty, one byte at a time", "tcp"])
def bench(request: pytest.FixtureRequest) -> Bench:
    @contextlib.asynccontextmanager
    async def make(
        answers: Balance, **table: Any
    ) -> AsyncIterator[tuple[PtyInstrument | TcpInstrument, Driver]]:
        if request.param == "tcp":
            async with tcp_instrument(answers) as device:
                yield device, driver_of(host="127.0.0.1", port=device.port, **table)
        else:
            async with pty_instrument(answers, one_byte_at_a_time="byte" in request.param) as line:
                yield line, driver_of(serial_port=str(line.path), **table)

    return make


async def test_weights_keep_value_unit_decimals_and_the_balances_own_line(bench: Bench) -> None:
    async with bench(balance(b"S S     100.00 g\r\n", b"S D      99.87 g\r\n")) as (_, driver):
        items = await take(driver, lambda items: len(rows(items)) == 2)
    still, moving = rows(items)
    assert (value(still, "weight"), value(still, "stable"), still.raw) == (100.0, 1, (b"S S     100.00 g",))
    assert (value(moving, "weight"), value(moving, "stable"), moving.raw) == (
        99.87,
        0,
        (b"S D      99.87 g",),
    )
    assert (still.layout.channels[0].unit, still.layout.channels[0].decimals) == ("g", 2)
    assert still.t_request_ns[0] < still.t_run_ns[0] < still.t_response_ns[0]
    assert moving.layout is still.layout


@pytest.mark.parametrize(
    ("line", "expected", "event"),
    [
        (b"S I\r\n", Status.UNSTABLE, ""),
        (b"S +\r\n", Status.OVERRANGE, ""),
        (b"S -\r\n", Status.UNDERRANGE, ""),
        (b"S L\r\n", Status.DEVICE_ERROR, "device-error"),
        (b"ES\r\n", Status.DEVICE_ERROR, "device-error"),
        (b"ET\r\n", Status.DEVICE_ERROR, "device-error"),
        (b"EL\r\n", Status.DEVICE_ERROR, "device-error"),
        (b"S S   1?0.00 g\r\n", Status.BAD_FRAME, "bad-frame"),
        (b"\xff\xfe\xfd\r\n", Status.BAD_FRAME, "bad-frame"),
        (b"S S     10", Status.BAD_FRAME, "bad-frame"),
        (b"", Status.NO_ANSWER, ""),
    ],
)
async def test_what_is_no_weight_is_a_missing_row_with_its_reason(
    bench: Bench, line: bytes, expected: Status, event: str
) -> None:
    # An empty answer hangs up a scripted socket: silence is a late answer there.
    entry: bytes | tuple[float, bytes] = line or (0.2, b"S S       7.00 g\r\n")
    async with bench(balance(b"S S     100.00 g\r\n", entry)) as (_, driver):
        items = await take(driver, lambda items: len(rows(items)) == 4)
    kinds = [status(block, "weight") for block in rows(items)]
    assert kinds[:2] == [0, expected]
    assert status(rows(items)[1], "stable") == expected
    assert kinds[-1] == 0
    assert {value(block, "weight") for block in rows(items) if not status(block, "weight")} == {100.0}
    assert len(events(items, event)) == 1 if event else not events(items, "device-error")
    if line:
        assert rows(items)[1].raw == (line.removesuffix(b"\r\n"),)


async def test_a_change_of_unit_or_decimals_is_a_new_layout(bench: Bench) -> None:
    async with bench(
        balance(b"S S     100.00 g\r\n", b"S S    0.10000 kg\r\n", b"S S      100.0 g\r\n"),
        channels=[{"name": "weight", "unit": "g", "decimals": 2, "high": 220.0}],
    ) as (_, driver):
        items = await take(driver, lambda items: len(rows(items)) == 3)
    weights = [block.layout.channels[0] for block in rows(items)]
    assert [(channel.unit, channel.decimals) for channel in weights] == [("g", 2), ("kg", 5), ("g", 1)]
    assert [channel.high for channel in weights] == [220.0, None, 220.0]


async def test_the_print_key_makes_a_row_of_its_own_stamped_with_its_first_byte(bench: Bench) -> None:
    async with bench(balance(), poll_interval_s=2.0) as (device, driver):

        def enough(items: list[Item]) -> bool:
            if len(rows(items)) == 1:
                device.say(b"S S      42.00 g\r\n")
            return len(rows(items)) == 2

        items = await take(driver, enough)
    asked, printed = rows(items)
    assert value(asked, "weight") == 100.0
    assert (value(printed, "weight"), value(printed, "stable")) == (42.0, 1)
    assert printed.t_request_ns[0] == printed.t_response_ns[0] == printed.t_run_ns[0]
    assert printed.t_run_ns[0] > asked.t_response_ns[0]


async def test_other_lines_between_question_and_answer_are_told_and_disturb_nothing(bench: Bench) -> None:
    script = balance(b"C3 B\r\nC3 A\r\nT S      12.00 g\r\nS S     100.00 g\r\n")
    async with bench(script) as (_, driver):
        items = await take(driver, lambda items: len(rows(items)) == 1)
    assert [event.args["text"] for event in events(items, "device-message")] == [
        "C3 B",
        "C3 A",
        "T S      12.00 g",
    ]
    assert value(rows(items)[0], "weight") == 100.0


async def test_the_balance_is_asked_who_it_is(bench: Bench) -> None:
    async with bench(balance(), read_identity=True) as (_, driver):
        items = await take(driver, lambda items: len(rows(items)) == 2)
    (event,) = events(items, "identity")
    assert (event.args["serial"], event.args["model"]) == ("SIM-B-1", "XS204 220 g")
    assert items.index(event) < items.index(rows(items)[0])
    identity = driver.describe().identity
    assert identity is not None
    assert identity.serial == "SIM-B-1"


async def test_a_restart_of_the_balance_makes_it_say_again_who_it_is(bench: Bench) -> None:
    async with bench(balance(), read_identity=True, poll_interval_s=0.4) as (device, driver):

        def enough(items: list[Item]) -> bool:
            if len(rows(items)) == 1 and items[-1] is rows(items)[0]:
                device.say(b'I4 A "SIM-B-1"\r\n')
            return len(events(items, "identity")) == 2

        items = await take(driver, enough)
    assert events(items, "device-message")


async def test_a_late_weight_is_reported_as_text_and_never_as_a_reading(bench: Bench) -> None:
    late = (0.2, b"S S       7.00 g\r\n")
    async with bench(balance(b"S S     100.00 g\r\n", late)) as (_, driver):
        items = await take(driver, lambda items: len(rows(items)) == 5)
    assert 7.0 not in {value(block, "weight") for block in rows(items) if not status(block, "weight")}
    assert any("7.00 g (late)" in str(event.args["text"]) for event in events(items, "device-message"))


async def test_an_unplugged_balance_leaves_a_row_or_a_gap_and_no_crash() -> None:
    async with pty_instrument(balance()) as line:
        driver = driver_of(serial_port=str(line.path))
        asyncio.get_running_loop().call_later(0.3, line.unplug)
        items = await take(driver, lambda items: events(items, "instrument-lost"))
    assert rows(items)
