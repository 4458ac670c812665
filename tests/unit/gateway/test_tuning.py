"""A role sets the interpreter up so that neither its threads nor the garbage collector hold up its loop."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.cli.common import run_role
from gateway.tuning import COLLECTOR_SWITCH_S, SWITCH_S, YOUNG_MAX, tune


@pytest.fixture(autouse=True)
def interpreter_as_before() -> Iterator[None]:
    switch_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    yield
    sys.setswitchinterval(switch_s)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_a_full_collection_in_a_role_walks_only_what_came_after_its_start() -> None:
    seen: dict[str, float] = {}

    async def main(_stop: asyncio.Event) -> None:
        seen.update(
            frozen=gc.get_freeze_count(), switch_s=sys.getswitchinterval(), young=gc.get_threshold()[0]
        )
        began_s = time.thread_time()
        gc.collect()
        seen["collection_s"] = time.thread_time() - began_s

    gc.collect()
    before = len(gc.get_objects())
    began_s = time.thread_time()
    gc.collect()
    whole_s = time.thread_time() - began_s
    run_role(main)
    assert seen["frozen"] >= before / 2
    assert seen["switch_s"] == pytest.approx(SWITCH_S)
    assert seen["young"] == YOUNG_MAX
    assert seen["collection_s"] < whole_s / 3


def test_a_collector_lets_its_threads_take_turns_sooner_than_any_other_role() -> None:
    tune(COLLECTOR_SWITCH_S)
    assert sys.getswitchinterval() == pytest.approx(COLLECTOR_SWITCH_S)
    assert COLLECTOR_SWITCH_S < SWITCH_S


def test_a_busy_thread_gives_the_loop_its_turn_many_times_in_a_second_of_its_own() -> None:
    async def main(_stop: asyncio.Event) -> None:
        busy_s, done = 0.3, threading.Event()

        def spin() -> None:
            while time.thread_time() < busy_s:
                sum(range(100))
            done.set()

        thread = threading.Thread(target=spin)
        thread.start()
        while not done.is_set():
            turns.append(1)
            await asyncio.sleep(0)
        thread.join()

    turns: list[int] = []
    run_role(main)
    # With turns of 5 ms there would be some 60.
    assert len(turns) > 100
