"""The step engine by itself: a chamber's temperature through ramps and dwells."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.elements.codec import from_body, to_body
from pipeline.elements.registry_shapes import Method, Redundant, Step
from pipeline.elements.steps.engine import LATENESS_NS, advance, finish
from pipeline.elements.steps.rates import note_rate
from pipeline.elements.steps.state import POINTS_MAX, Compared, Found, Point, Row, StepsState

SECOND = 1_000_000_000
T, RH, T2 = "ch-1.temperature", "ch-1.humidity", "ch-2.temperature"
HEAT = Step("heat", "temperature", kind="ramp", rate_window_s=4.0, gap_max_s=5.0)
HOT = Step("hot", "temperature", 84.0, 86.0, duration_min_s=20.0, gap_max_s=5.0, required=("humidity",))
COOL = Step("cool", "temperature", kind="ramp", rate_window_s=4.0, gap_max_s=5.0)
COLD = Step("cold", "temperature", -41.0, -39.0, duration_min_s=10.0, gap_max_s=5.0)
SOAK = Step("soak", kind="mark", duration_min_s=10.0)
CYCLE = (HEAT, HOT, COOL, COLD)


def method(*steps: Step, cycles: int = 1, redundant: tuple[Redundant, ...] = ()) -> Method:
    return Method("IEC", "1", steps=steps, step_cycles=cycles, redundant=redundant)


def state_for(of: Method) -> StepsState:
    return StepsState(
        targets=[T, RH, T2], channels=[None if step.kind == "mark" else T for step in of.steps],
        required=[[RH] if step.required else [] for step in of.steps], cycles=of.step_cycles,
        pairs=[[T, T2] for _ in of.redundant], found=[Found() for _ in of.steps],
        compared=[Compared() for _ in of.redundant],
    )  # fmt: skip


def profile(*legs: tuple[float, float], start: float = 20.0, humid: bool = True) -> list[Row]:
    """A reading a second: (value to go to, seconds that it takes) one leg after the other."""
    rows, value, second = [Row(0, 0, T, start)], start, 0
    for target, lasts_s in legs:
        begun = value
        for step in range(1, int(lasts_s) + 1):
            second += 1
            value = begun + (target - begun) * step / lasts_s
            rows.append(Row(second * SECOND, second, T, value))
    if humid:
        rows += [Row(row.t_run_ns, row.seq, RH, 85.0) for row in rows]
    return rows


def judged(of: Method, rows: list[Row], end_s: float | None = None) -> StepsState:
    state = state_for(of)
    state.rows = list(rows)
    last = max(row.t_run_ns for row in rows)
    advance(state, of, last)
    finish(state, of, last + 1 if end_s is None else round(end_s * SECOND))
    return state


LEGS = ((85.0, 65.0), (85.0, 25.0), (-40.0, 125.0), (-40.0, 15.0))


def test_a_cycle_is_found_with_its_times_and_values() -> None:
    heat, hot, cool, cold = judged(method(*CYCLE), profile(*LEGS)).found
    assert [step.passes for step in (heat, hot, cool, cold)] == [1, 1, 1, 1]
    assert (heat.start_run_ns, heat.end_run_ns, heat.end_seq) == (0, 64 * SECOND, 64)
    assert hot.shortest_ns == 27 * SECOND  # from 84 °C on the way up to 84 °C on the way down
    assert (hot.minimum, hot.maximum, hot.left) == (84.0, 85.0, 0)
    assert cool.start_run_ns == hot.end_run_ns
    assert cool.rate_max_per_s == pytest.approx(1.0)
    assert heat.rate_min_per_s == pytest.approx(1.0)
    assert cold.shortest_ns == 16 * SECOND
    assert hot.silent == {RH: SECOND}


def test_cycles_are_counted_and_the_worst_is_kept() -> None:
    of = method(*CYCLE, cycles=3)
    rows = profile(*LEGS, (85.0, 62.5), (85.0, 20.0), (-40.0, 125.0), (-40.0, 12.0))
    heat, hot, _cool, cold = judged(of, rows).found
    assert [heat.passes, hot.passes, cold.passes] == [2, 2, 2]
    assert heat.rate_max_per_s == pytest.approx(2.0, rel=0.05)
    assert hot.shortest_ns is not None
    assert hot.longest_ns is not None
    assert hot.shortest_ns < hot.longest_ns


def test_a_dwell_cut_short_is_too_short_and_nothing_after_it_is_reached() -> None:
    heat, hot, cool, cold = judged(method(*CYCLE), profile((85.0, 65.0), (85.0, 5.0), (-40.0, 125.0))).found
    assert heat.passes == 1
    assert hot.left == 1
    assert hot.left_value == 83.0
    assert hot.shortest_ns == 7 * SECOND
    assert (cool.passes, cold.passes) == (0, 0)


def test_time_outside_does_not_count_for_a_dwell() -> None:
    legs = ((85.0, 65.0), (85.0, 10.0), (80.0, 5.0), (85.0, 5.0), (85.0, 15.0), (-40.0, 125.0), (-40.0, 15.0))
    _heat, hot, _cool, cold = judged(method(*CYCLE), profile(*legs)).found
    assert (hot.passes, hot.left, cold.passes) == (1, 1, 1)
    assert hot.shortest_ns == 29 * SECOND  # 12 before, 17 after: the 8 outside are not in it


@pytest.mark.parametrize(("silent_s", "pauses"), [(5, 0), (6, 1)])
def test_a_gap_is_a_pause_and_never_a_pass(silent_s: int, pauses: int) -> None:
    rows = [row for row in profile(*LEGS) if not 70 < row.seq < 70 + silent_s]
    _heat, hot, _cool, _cold = judged(method(*CYCLE), rows).found
    assert hot.pauses == pauses
    assert hot.shortest_ns == (27 - silent_s * pauses) * SECOND
    assert hot.silent[RH] == silent_s * SECOND


def test_a_required_channel_that_is_silent_at_the_end_of_a_step_is_seen() -> None:
    rows = [row for row in profile(*LEGS) if row.target == T or row.seq < 80]
    assert judged(method(*CYCLE), rows).found[1].silent[RH] == (91 - 79) * SECOND


def test_a_ramp_that_never_arrives_is_not_passed() -> None:
    heat, hot, *_rest = judged(method(*CYCLE), profile((60.0, 40.0))).found
    assert (heat.passes, hot.passes) == (0, 0)
    assert heat.maximum == 60.0


def test_the_rate_is_taken_over_a_window() -> None:
    noisy = [Row(i * SECOND, i, T, 20.0 + i + (0.4 if i % 2 else 0.0)) for i in range(66)]
    heat = judged(method(HEAT, HOT), noisy).found[0]
    assert heat.rate_max_per_s is not None
    assert heat.rate_max_per_s < 1.2  # between neighbours it is 1.4


def marks(*given: tuple[float, str]) -> list[Row]:
    return [Row(round(at_s * SECOND), 1000 + i, name, None) for i, (at_s, name) in enumerate(given)]


def test_marks_begin_and_end_steps_that_no_reading_shows() -> None:
    of = method(SOAK, HOT)
    rows = profile((85.0, 10.0), (85.0, 40.0)) + marks((1.0, "soak"), (15.0, "hot"), (40.0, ""))
    soak, hot = judged(of, rows).found
    assert (soak.passes, soak.shortest_ns, soak.marked) == (1, 14 * SECOND, True)
    assert (hot.passes, hot.shortest_ns, hot.start_seq) == (1, 24 * SECOND, 1001)


def test_a_marked_hold_must_be_within_its_limits_all_the_time() -> None:
    rows = profile((85.0, 10.0), (85.0, 40.0)) + marks((5.0, "hot"), (40.0, ""))
    [hot] = judged(method(HOT), rows).found
    assert (hot.passes, hot.left) == (1, 1)
    assert hot.minimum == pytest.approx(20.0 + 6 * 6.5)


def test_marks_out_of_order_are_told() -> None:
    of = method(SOAK, HOT, COLD)
    state = judged(
        of, profile((85.0, 10.0), (85.0, 40.0)) + marks((1.0, "soak"), (5.0, "cold"), (9.0, "hot"))
    )
    assert state.disorder == ["cold", "hot"]
    assert state.disorder_seqs == [1001, 1002]


def test_two_sensors_are_compared_when_they_read_at_the_same_time() -> None:
    of = method(redundant=(Redundant(("temperature", "ch-2.temperature"), 0.5, age_max_s=0.5),))
    near = [Row(i * SECOND + 100, 500 + i, T2, 20.3) for i in range(5)]
    rows = [Row(i * SECOND, i, T, 20.0) for i in range(5)]
    [compared] = judged(of, rows + near).compared
    assert compared.count == 5
    assert compared.difference_max == pytest.approx(0.3)
    far = [Row(row.t_run_ns + SECOND * 6 // 10, row.seq, T2, 25.0) for row in near]
    [compared] = judged(of, rows[:1] + far[:1]).compared
    assert (compared.count, compared.difference_max) == (0, None)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_arrival_order_ticks_and_restarts_change_nothing(seed: int, ticks: int) -> None:
    rng = random.Random(seed)
    of = method(*CYCLE, redundant=(Redundant(("temperature", "ch-2.temperature"), 0.5),))
    rows = profile(*LEGS)
    rows += [
        Row(row.t_run_ns + 7, row.seq + 5000, T2, (row.value or 0.0) + 0.1) for row in rows if row.target == T
    ]
    expected = judged(of, rows)
    state, last = state_for(of), max(row.t_run_ns for row in rows)
    arrivals = sorted(rows, key=lambda row: row.t_run_ns + rng.randrange(LATENESS_NS))
    cuts = sorted(rng.randrange(len(arrivals)) for _ in range(ticks))
    before = 0
    for cut in cuts:
        state.rows += arrivals[before:cut]
        before = cut
        # The tick comes when the last of these has arrived.
        newest = max((row.t_run_ns for row in arrivals[:cut]), default=0)
        advance(state, of, newest)
        state = from_body(StepsState, to_body(state))
    state.rows += arrivals[before:]
    finish(state, of, last + 1)
    assert state.late == 0
    assert (state.found, state.compared) == (expected.found, expected.compared)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.floats(-10, 10)), min_size=2, max_size=80), st.integers(1, 60)
)
def test_a_rate_is_between_readings_that_lie_the_window_apart(steps: Any, window_s: int) -> None:
    points: list[Point] = []
    seen: list[Point] = []
    now = 0
    for apart_s, value in steps:
        now += apart_s
        point = Point(now * SECOND, value, now)
        rate = note_rate(points, point, window_s * SECOND)
        assert len(points) <= POINTS_MAX
        old = [one for one in seen if point.t_run_ns - one.t_run_ns >= window_s * SECOND]
        assert (rate is None) == (not old)
        if rate is not None:
            possible = [abs(value - o.value) / (now - o.t_run_ns / SECOND) for o in old]
            assert any(rate == pytest.approx(one, abs=1e-12) for one in possible)
        seen.append(point)
