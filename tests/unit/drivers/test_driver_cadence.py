"""Values with poll intervals of their own: when they are due, what is asked for, what a row holds."""

import asyncio
import math
import random

import pytest
from pydantic import ValidationError

from config.errors import SettingError
from drivers.compose import line_loads
from drivers.modbus.cadence import every_of, make_timetable, spread
from drivers.modbus.line_settings import ModbusRtuSettings
from drivers.modbus.plan import Limits
from pipeline.records import Status
from tests.support.pains import Remote, device, registers
from tests.support.scripted import gaps, mbap, rows, run_for, status, value

pytestmark = [
    pytest.mark.virtual_time,
    # Deadlines are in ns, the virtual clock ticks in us: rounding is no error here.
    pytest.mark.filterwarnings("ignore::async_solipsism.exceptions.ResolutionWarning"),
]

FAST = registers(0, 1)


def rare(address: int, interval_s: float) -> dict[str, object]:
    return {"name": f"r{address}", "address": address, "poll_interval_s": interval_s}


def meter(*channels: dict[str, object], **other: object) -> ModbusRtuSettings:
    return ModbusRtuSettings.model_validate(
        {"id": "meter-1", "port": "/dev/ttyS9", "baudrate": 9600, "channels": channels, **other}
    )


@pytest.mark.parametrize(("own", "base", "every"), [
    (0.3, 0.1, 3), (60.0, 1.0, 60), (1.0, 1.0, 1), (2.5, 1.0, None), (0.5, 1.0, None), (0.7, 0.1, 7),
])  # fmt: skip
def test_an_interval_is_a_whole_multiple_or_none(own: float, base: float, every: int | None) -> None:
    assert every_of(own, base) == every


def test_requests_go_where_the_polls_are_the_least_busy() -> None:
    assert spread([3, 3, 3], [10, 10, 10]) == ([0, 1, 2], 10)
    assert spread([2, 2, 2], [10, 10, 10]) == ([0, 1, 0], 20)
    # The long one finds polls that none of the short ones uses.
    assert spread([2, 4], [5, 9]) == ([0, 1], 9)
    assert spread([], []) == ([], 0)


def test_the_busiest_poll_is_never_busier_than_with_everything_at_once() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    rng = random.Random(seed)
    for _ in range(50):
        every = [rng.choice([2, 3, 5, 10, 60, 3600]) for _ in range(rng.randrange(1, 12))]
        cost = [rng.randrange(1, 1000) for _ in every]
        phases, most = spread(every, cost)
        assert all(0 <= phase < cycle for phase, cycle in zip(phases, every, strict=True))
        horizon = min(math.lcm(*every), 20_000)
        load = [0] * horizon
        for cycle, phase, each in zip(every, phases, cost, strict=True):
            for poll in range(phase, horizon, cycle):
                load[poll] += each
        assert max(load) <= most <= sum(cost)


@pytest.mark.parametrize(("channels", "base_s", "says"), [
    ([*FAST, rare(9, 2.5)], 1.0, "no whole multiple"),
    ([*FAST, rare(9, 0.5)], 1.0, "no whole multiple"),
    ([*FAST, rare(9, 4000.0)], 1.0, "3600 is the most"),
    ([rare(8, 5.0), rare(9, 10.0)], 1.0, "no channel is read in every poll"),
    ([*FAST, {**rare(9, 5.0), "name": "stable"}], 1.0, "belongs to every poll"),
])  # fmt: skip
def test_intervals_that_cannot_be_are_refused(
    channels: list[dict[str, object]], base_s: float, says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        meter(*channels, poll_interval_s=base_s)


def test_the_error_names_the_nearest_intervals() -> None:
    with pytest.raises(ValidationError) as refused:
        meter(*FAST, rare(9, 2.5))
    cause = refused.value.errors()[0]["ctx"]["error"]
    assert isinstance(cause, SettingError)
    assert cause.hint == "write 2 or 3"


def test_the_load_counts_a_rare_request_by_how_often_it_comes() -> None:
    settings = meter(*FAST, rare(500, 10.0))
    often, seldom = settings.requests()
    assert (often.every, seldom.every) == (1, 10)
    (load,) = line_loads([settings])
    assert load.share == pytest.approx(often.line_s + seldom.line_s / 10)
    assert load.polls[0].busiest_s == pytest.approx(often.line_s + seldom.line_s)
    assert "every 1 s and 1 requests" in str(load)
    assert "every 10 s" in str(load)


def test_a_rare_value_among_registers_that_are_read_anyway_costs_no_request() -> None:
    settings = meter(*registers(0, 2), rare(1, 60.0))
    assert [(one.text, one.every) for one in settings.requests()] == [("0+3 function 3", 1)]
    assert settings.rarer_s == {"r1": 60.0}


def test_slow_requests_are_dealt_over_the_polls() -> None:
    settings = meter(*FAST, *(rare(200 * k, 4.0) for k in range(1, 5)))
    table = make_timetable(settings.channels, settings.every, Limits(), settings.cost())
    assert [(slot.every, slot.phase) for slot in table.slots] == [(1, 0), (4, 0), (4, 1), (4, 2), (4, 3)]


async def test_a_row_holds_what_was_asked_for_and_nothing_older() -> None:
    remote = Remote()
    driver = remote.driver([*FAST, rare(300, 3.0), rare(600, 3.0)], gap_registers_max=0)
    (items,) = await run_for([driver], 9.5)
    names = [[channel.name for channel in block.layout.channels] for block in rows(items)]
    cycle = [["r0", "r1", "r300"], ["r0", "r1", "r600"], ["r0", "r1"]]
    assert names == (cycle * 4)[: len(names)]
    assert len(names) >= 9
    assert {value(block, name) for block, held in zip(rows(items), names, strict=True) for name in held} == {
        1000, 1001, 1300, 1600,
    }  # fmt: skip
    assert [(channel.name, channel.every) for channel in driver.describe().layout.channels] == [
        ("r0", 1), ("r1", 1), ("r300", 3), ("r600", 3),
    ]  # fmt: skip
    # Every poll is one row, whatever it asked for.
    assert len(rows(items)) + sum(gap.polls for gap in gaps(items)) == len(names)


async def test_a_rare_value_whose_poll_was_left_out_comes_with_the_next_one() -> None:
    remote = Remote()
    driver = remote.driver([*FAST, rare(300, 5.0)], gap_registers_max=0)

    async def be_away() -> None:
        await asyncio.sleep(4.5)
        remote.leave()
        await asyncio.sleep(1.0)
        remote.away = False

    absence = asyncio.create_task(be_away())
    (items,) = await run_for([driver], 12.5)
    await absence
    first = rows(items)[0].t_run_ns[0]
    held = {round((block.t_run_ns[0] - first) / 1e9): "r300" in block.layout.index for block in rows(items)}
    # The fifth poll, at which it was due, was left out: the next one has it, and then the grid goes on.
    assert 5 not in held
    back = min(second for second in held if second > 5)
    assert [second for second, has in held.items() if has] == [0, back, 10]


async def test_a_refused_rare_value_stands_alone_and_costs_no_other() -> None:
    remote = Remote()
    answers = remote.answers

    def refusing(data: bytes) -> list[tuple[float, bytes]]:
        first, count = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
        if first <= 301 < first + count:
            return [(0.002, mbap(int.from_bytes(data[:2], "big"), data[6], bytes([0x83, 2])))]
        return answers(data)

    remote.answers = refusing  # type: ignore[method-assign]
    driver = remote.driver([*FAST, rare(300, 2.0), rare(301, 2.0), rare(302, 2.0)])
    (items,) = await run_for([driver], 8.5)
    with_rare = [block for block in rows(items) if "r301" in block.layout.index]
    assert len(with_rare) >= 4
    for block in with_rare:
        assert status(block, "r301") == Status.MODBUS_EXCEPTION + 2
        assert [value(block, name) for name in ("r0", "r1", "r300", "r302")] == [1000, 1001, 1300, 1302]
    # Once found out it is left alone, and the polls in between are as they were.
    assert sum(301 in read for read in remote.reads[8:]) == 0
    others = [block for block in rows(items) if "r301" not in block.layout.index]
    assert all([value(block, name) for name in ("r0", "r1")] == [1000, 1001] for block in others)


async def test_a_silent_device_leaves_the_rare_values_missing_in_the_rows_that_asked() -> None:
    remote = Remote()
    answers = remote.answers
    quiet = [False]
    remote.answers = lambda data: [] if quiet[0] else answers(data)  # type: ignore[method-assign]
    driver = remote.driver([*FAST, rare(300, 2.0)], gap_registers_max=0)
    stream = driver.stream()
    found = []
    async with driver:
        async for item in stream:
            found += rows([item])
            quiet[0] = len(found) >= 2
            if len(found) == 4:
                break
        await stream.aclose()  # type: ignore[attr-defined]
    held = [sorted(block.layout.index) for block in found]
    assert held[:2] == [["r0", "r1", "r300"], ["r0", "r1"]]
    assert [status(found[2], name) for name in held[2]] == [Status.NO_ANSWER] * len(held[2])
    assert "r300" in held[2]


def test_settings_of_a_plain_instrument_are_untouched() -> None:
    settings = device(502, FAST)
    assert settings.rarer_s == {}
    assert [request.every for request in settings.requests()] == [1]
