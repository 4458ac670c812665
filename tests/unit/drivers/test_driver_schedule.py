"""Deadlines, missed ticks, phases and back-off."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.schedule import NS_PER_S, Backoff, Tick, due, first_deadline, phase

instants = st.integers(min_value=0, max_value=10**18)
periods = st.integers(min_value=1, max_value=10**13)


@given(deadline_ns=instants, period_ns=periods, now_ns=instants)
def test_the_served_deadline_is_the_newest_of_the_grid_and_all_older_ones_are_counted(
    deadline_ns: int, period_ns: int, now_ns: int
) -> None:
    tick = due(deadline_ns, period_ns, now_ns)
    assert tick.deadline_ns == deadline_ns + tick.missed * period_ns  # on the grid: no drift
    if now_ns < deadline_ns:
        assert tick.missed == 0
    else:
        assert tick.deadline_ns <= now_ns < tick.deadline_ns + period_ns


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (9, Tick(10, 0)),  # early
        (10, Tick(10, 0)),  # in time
        (19, Tick(10, 0)),  # late, and still before the next
        (20, Tick(20, 1)),  # the next has come: one is missed
        (47, Tick(40, 3)),
    ],
)
def test_hand_examples_of_the_missed_tick_policy(now: int, expected: Tick) -> None:
    assert due(10, 10, now) == expected


def test_the_phase_is_the_same_in_every_run_and_spreads() -> None:
    assert phase("balance-1") == phase("balance-1") != phase("balance-2")
    tenths = {int(phase(f"instrument-{number}") * 10) for number in range(200)}
    assert tenths == set(range(10))


@given(name=st.text(max_size=20), period_ns=periods, now_ns=instants)
def test_the_first_deadline_comes_within_a_period_and_within_a_second(
    name: str, period_ns: int, now_ns: int
) -> None:
    wait_ns = first_deadline(name, period_ns, now_ns) - now_ns
    assert 0 <= wait_ns <= min(period_ns, NS_PER_S)


@given(seed=st.integers(), failures=st.integers(min_value=1, max_value=200))
def test_back_off_doubles_with_jitter_up_to_its_cap(seed: int, failures: int) -> None:
    backoff = Backoff(random.Random(seed), first_s=0.5, max_s=30.0)
    for _ in range(failures):
        backoff.failed(0)
    bound_ns = min(30.0, 0.5 * 2.0 ** min(failures - 1, 32)) * NS_PER_S
    assert backoff.waiting(int(bound_ns / 2) - 1)
    assert not backoff.waiting(int(bound_ns))
    backoff.succeeded()
    assert not backoff.waiting(0)
