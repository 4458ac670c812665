"""What clocks do to a gateway: a smeared leap second, suspend, a start without synchronised time, steps.

The oracle is that of the whole simulation (every answer once, no point overwritten, every missed poll in a
gap), and what the records say of themselves: order by seq, an epoch for each backward step and none without.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.simulation.faults import ACCEPT_S, YEAR_NS, Excuse
from tests.simulation.machines import UTC_ZERO_NS
from tests.simulation.run import play

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.records import Record
    from tests.simulation.run import Outcome, Scene

SECOND_NS = 10**9
PERIODS_S = (0.25, 1.0)
BEFORE_S, AFTER_S = 4.0, 4.0
SMEAR_PPB = -11_574
"""A leap second smeared linearly over 24 h: 1 s in 86,400 s, 11.6 parts in a million."""


def told(act: Callable[[Scene], Awaitable[list[Excuse]]]) -> tuple[Outcome, list[Record]]:
    """Play a story; return what came of it and the records as the collectors archived them, by seq."""
    records: list[Record] = []

    async def story(scene: Scene) -> list[Excuse]:
        await asyncio.sleep(BEFORE_S)
        excuses = await act(scene)
        await asyncio.sleep(AFTER_S)
        return excuses

    outcome = play(20261231, story, PERIODS_S, see=records.extend)
    assert not outcome.findings, outcome.report()
    assert [record.seq for record in records] == list(range(len(records)))
    times = [record.t_run_ns for record in records if record.kind in {"tick", "checkpoint"}]
    assert times == sorted(times), "gateway time ran backward"
    return outcome, records


def epochs(records: list[Record]) -> list[int]:
    """Epochs in order of seq: they never fall."""
    found = [record.epoch for record in records]
    assert found == sorted(found)
    return sorted(set(found))


def steps_told(records: list[Record]) -> list[float]:
    """Steps of UTC, s, that events tell of."""
    found = [r.body for r in records if r.kind == "event" and r.body["code"] == "clock-step"]
    return [float(body["args"]["step_s"]) for body in found]


async def crash(scene: Scene, *, power: bool, away_s: float) -> Excuse:
    """End the gateway in the middle of its work; it is to be started again."""
    end_s = asyncio.get_running_loop().time()
    await scene.gateway.crash(power=power)
    await asyncio.sleep(away_s)
    return Excuse(end_s - ACCEPT_S, end_s)


@pytest.mark.parametrize("step_ns", [-2_000_000, -SECOND_NS, -3600 * SECOND_NS, -YEAR_NS])
def test_a_backward_step_begins_an_epoch_and_overwrites_nothing(step_ns: int) -> None:
    async def act(scene: Scene) -> list[Excuse]:
        scene.gateway.clock.step(step_ns)
        return []

    _, records = told(act)
    assert epochs(records) == [0, 1]
    assert steps_told(records) == [pytest.approx(step_ns / 1e9, abs=0.001)]


@pytest.mark.parametrize("step_ns", [2_000_000, SECOND_NS, 3600 * SECOND_NS, YEAR_NS])
def test_a_forward_step_begins_no_epoch(step_ns: int) -> None:
    async def act(scene: Scene) -> list[Excuse]:
        scene.gateway.clock.step(step_ns)
        return []

    _, records = told(act)
    first, last = records[0], records[-1]
    grown_ns = (last.t_utc_ns - first.t_utc_ns) - (last.t_run_ns - first.t_run_ns)
    assert grown_ns == pytest.approx(step_ns, abs=1_000_000)
    assert epochs(records) == [0]
    assert not steps_told(records)


@pytest.mark.parametrize("span_s", [0.4, 30.0, 3600.0])
def test_a_suspend_is_a_gap_with_its_polls_and_no_step(span_s: float) -> None:
    async def act(scene: Scene) -> list[Excuse]:
        scene.gateway.clock.suspend(round(span_s * 1e9))
        return []

    outcome, records = told(act)
    assert epochs(records) == [0]
    assert not steps_told(records)
    widest_ns = max(b.t_run_ns - a.t_run_ns for a, b in pairwise(records))
    assert widest_ns >= (span_s - 0.1) * 1e9, "gateway time stood still while the machine slept"
    if span_s > 2 * max(PERIODS_S):
        assert outcome.gaps >= len(PERIODS_S)


def test_a_start_without_synchronised_time_marks_its_records_and_the_later_step_overwrites_nothing() -> None:
    async def act(scene: Scene) -> list[Excuse]:
        clock = scene.gateway.clock
        excuse = await crash(scene, power=True, away_s=20.0)
        clock.synchronised = False
        right_ns = clock.utc_off_ns
        clock.utc_off_ns = UTC_ZERO_NS - 5 * YEAR_NS  # no battery: the clock begins in the past
        scene.gateway.start()
        await asyncio.sleep(5.0)
        clock.step(right_ns - clock.utc_off_ns)  # the time server answers
        clock.synchronised = True
        return [excuse]

    _, records = told(act)
    by_state: dict[bool, list[Record]] = {True: [], False: []}
    for record in records:
        by_state[record.clock.synchronised].append(record)
    wrong = by_state[False]
    assert wrong, "no record says that its clock was not synchronised"
    assert {record.boot for record in wrong} == {2}
    assert {record.epoch for record in wrong if record.t_utc_ns < UTC_ZERO_NS - YEAR_NS} == {1}
    starts = [r for r in records if r.kind == "event" and r.body["code"] == "daemon-start"]
    assert [start.boot for start in starts] == [1, 2]
    gaps = [r.body for r in records if r.kind == "gap" and r.body["cause"] == "daemon-down"]
    assert gaps, "the downtime is told, though nobody knows how long it was"


def test_a_restart_within_one_boot_keeps_gateway_time_whatever_utc_does() -> None:
    async def act(scene: Scene) -> list[Excuse]:
        excuse = await crash(scene, power=False, away_s=10.0)
        scene.gateway.clock.step(-YEAR_NS)
        scene.gateway.start()
        return [excuse]

    _, records = told(act)
    assert epochs(records) == [0, 1]
    last = [r for r in records if r.boot == 1][-1]
    first = next(r for r in records if r.boot == 2)
    assert 9 * SECOND_NS < first.t_run_ns - last.t_run_ns < 12 * SECOND_NS


@pytest.mark.parametrize("ppb", [SMEAR_PPB, -SMEAR_PPB], ids=["a second is put in", "a second is left out"])
def test_a_smeared_leap_second_is_no_step(ppb: int) -> None:
    async def act(scene: Scene) -> list[Excuse]:
        scene.gateway.clock.slew(ppb)
        await asyncio.sleep(15.0)
        scene.gateway.clock.slew(0)
        return []

    _, records = told(act)
    assert epochs(records) == [0]
    assert not steps_told(records)
