"""The poller in virtual time: rows, gaps, back-off, lost and back."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.door import Description
from drivers.errors import BadFrame, DriverError, LinkDown, NoAnswer
from drivers.poller import Outcome, Poller
from drivers.schedule import phase
from pipeline.records import DeviceEvent, Gap, Item, Layout
from pipeline.records.block import GapCause
from tests.support.scripted import NS_PER_S, LoopClock, events, gaps, run_for, seeded

pytestmark = [
    pytest.mark.virtual_time,
    # Deadlines are in ns, the virtual clock ticks in us: rounding is no error here.
    pytest.mark.filterwarnings("ignore::async_solipsism.exceptions.ResolutionWarning"),
]

SILENT = NoAnswer("no answer in time")


class Scripted:
    """A polled instrument whose exchanges are a script of (duration in s, what becomes of it)."""

    def __init__(self, script: Callable[[int], tuple[float, Outcome]], period_s: float = 1.0) -> None:
        self._script = script
        self._period_s = period_s
        self.polled_s: list[float] = []
        self.said: list[Item] = []
        self.wake: Callable[[], None] = lambda: None

    def describe(self) -> Description:
        return Description("inst", "scripted", "live", "nowhere", Layout(()), None, self._period_s)

    async def open(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    async def close(self) -> None:
        pass

    async def poll(self, until_run_ns: int) -> Outcome:
        loop = asyncio.get_running_loop()
        self.polled_s.append(round(loop.time() - phase("inst") * min(self._period_s, 1.0), 5))
        duration_s, outcome = self._script(len(self.polled_s) - 1)
        await asyncio.sleep(duration_s)
        return outcome

    def unsolicited(self) -> Sequence[Item]:
        said, self.said = self.said, []
        return said


def row(error: DriverError | None = None) -> Outcome:
    return Outcome([DeviceEvent("inst", "row", 0, 0)], error=error)


async def run(scripted: Scripted, seconds: float) -> list[Item]:
    (items,) = await run_for([Poller(scripted, LoopClock(), seeded())], seconds)
    return items


async def test_deadlines_do_not_drift_with_the_duration_of_the_exchange() -> None:
    scripted = Scripted(lambda _: (0.37, row()))
    items = await run(scripted, 10.5)
    assert scripted.polled_s == pytest.approx(list(range(len(scripted.polled_s))), abs=1e-4)
    assert not gaps(items)


async def test_a_slow_exchange_costs_the_deadlines_that_passed_and_they_are_counted() -> None:
    scripted = Scripted(lambda number: (3.4 if number == 1 else 0.1, row()))
    items = await run(scripted, 8.0)
    assert scripted.polled_s[:5] == pytest.approx([0, 1, 4.4, 5, 6], abs=1e-4)
    (gap,) = gaps(items)
    assert (gap.cause, gap.polls) == ("late", 2)
    assert gap.to_run_ns - gap.from_run_ns == 2 * NS_PER_S
    assert gap.from_utc_ns - gap.from_run_ns == LoopClock.utc_offset_ns


async def test_a_silent_instrument_is_left_alone_longer_and_longer_and_never_beyond_the_cap() -> None:
    scripted = Scripted(lambda _: (1.0, row(SILENT)), period_s=0.1)
    await run(scripted, 300.0)
    waits = [later - earlier for earlier, later in pairwise(scripted.polled_s)]
    assert all(0.25 < wait - 1.0 < 30.2 for wait in waits)
    assert waits[4] > waits[0]
    assert len(waits) < 20


async def test_a_damaged_frame_costs_no_poll_and_repeated_damage_does() -> None:
    damaged = BadFrame("the checksum is wrong")
    once = Scripted(lambda number: (0.01, row(damaged if number == 2 else None)), period_s=0.1)
    assert not gaps(await run(once, 3.0))
    always = Scripted(lambda _: (0.01, row(damaged)), period_s=0.1)
    assert {gap.cause for gap in gaps(await run(always, 3.0))} == {"back-off"}


async def test_a_gap_is_told_when_it_begins_and_whole_when_it_ends() -> None:
    down = Outcome(cause="disconnected", error=LinkDown("refused"))
    scripted = Scripted(lambda number: (0.0, down if 2 <= number < 5 else row()))
    items = await run(scripted, 8.0)
    began, ended = (item for item in items if isinstance(item, Gap))
    assert (began.ended, began.polls, ended.ended, ended.polls) == (False, 1, True, 3)
    assert began.from_run_ns == ended.from_run_ns
    assert ended.to_run_ns - ended.from_run_ns == 3 * NS_PER_S


async def test_a_change_of_cause_ends_one_gap_and_begins_another() -> None:
    causes: list[GapCause] = ["disconnected", "disconnected", "line-busy"]
    scripted = Scripted(
        lambda number: (
            0.0,
            Outcome(cause=causes[number], error=LinkDown("refused")) if number < 3 else row(),
        )
    )
    ended = gaps(await run(scripted, 6.0))
    assert [(gap.cause, gap.polls) for gap in ended] == [("disconnected", 2), ("line-busy", 1)]
    assert ended[0].to_run_ns == ended[1].from_run_ns


async def test_time_lost_in_connecting_is_a_disconnected_gap_and_not_a_late_one() -> None:
    scripted = Scripted(lambda _: (3.0, Outcome(cause="disconnected", error=LinkDown("no route"))))
    ended = gaps(await run(scripted, 20.5))
    assert [gap.cause for gap in ended] == ["disconnected"]


async def test_a_gap_that_is_open_at_the_stop_is_handed_out_whole() -> None:
    down = Outcome(cause="disconnected", error=LinkDown("refused"))
    items = await run(Scripted(lambda _: (0.0, down)), 4.95)
    assert isinstance(items[-1], Gap)
    assert items[-1].ended
    assert items[-1].polls in {4, 5}


async def test_lost_and_back_are_told_once() -> None:
    scripted = Scripted(lambda number: (0.1, row(SILENT if 3 <= number < 6 else None)))
    items = await run(scripted, 30.0)
    (lost,) = events(items, "instrument-lost")
    (back,) = events(items, "instrument-back")
    assert lost.args["error"] == "no answer in time"
    assert float(back.args["seconds"]) > 1


async def test_one_lost_answer_is_no_alarm_and_a_lost_connection_is_one_at_once() -> None:
    assert not events(
        await run(Scripted(lambda n: (0.1, row(SILENT if n == 2 else None))), 9.0), "instrument-lost"
    )
    gone = LinkDown("reset")
    assert events(await run(Scripted(lambda n: (0.1, row(gone if n == 2 else None))), 9.0), "instrument-lost")


async def test_what_the_instrument_says_by_itself_is_told_at_once() -> None:
    scripted = Scripted(lambda _: (0.0, row()), period_s=1000.0)
    said = DeviceEvent("inst", "device-message", 0, 0)

    def speak() -> None:
        scripted.said.append(said)
        scripted.wake()

    asyncio.get_running_loop().call_later(5.0, speak)
    items = await run(scripted, 6.0)
    assert said in items


@settings(max_examples=30)
@given(
    script=st.lists(
        st.tuples(
            st.floats(min_value=0, max_value=3.7),
            st.sampled_from(["row", "silent", "damaged", "disconnected", "line-busy"]),
        ),
        min_size=1,
        max_size=20,
    ),
    period_s=st.sampled_from([0.1, 0.25, 1.0, 7.0]),
)
async def test_every_deadline_is_a_row_or_in_a_gap_and_never_both(
    script: list[tuple[float, str]], period_s: float
) -> None:
    outcomes = {
        "row": row(),
        "silent": row(SILENT),
        "damaged": row(BadFrame("damaged")),
        "disconnected": Outcome(cause="disconnected", error=LinkDown("refused")),
        "line-busy": Outcome(cause="line-busy"),
    }
    sent: list[float] = []

    def play(number: int) -> tuple[float, Outcome]:
        duration_s, kind = script[number % len(script)]
        if outcomes[kind].cause is None:
            sent.append(asyncio.get_running_loop().time())
        return duration_s, outcomes[kind]

    scripted = Scripted(play, period_s)
    started_s = asyncio.get_running_loop().time()
    items = await run(scripted, 40.0)
    ended_s = asyncio.get_running_loop().time()
    ended = gaps(items)
    begun = [item for item in items if isinstance(item, Gap) and not item.ended]
    expected = int((ended_s - started_s - phase("inst") * min(period_s, 1.0)) / period_s + 1e-6) + 1
    assert abs(len(sent) + sum(gap.polls for gap in ended) - expected) <= 1
    assert {gap.from_run_ns for gap in begun} <= {gap.from_run_ns for gap in ended}
    for earlier, later in pairwise(ended):
        assert earlier.from_run_ns < later.from_run_ns
        assert earlier.to_run_ns <= later.from_run_ns
