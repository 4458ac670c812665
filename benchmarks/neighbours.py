"""Dead neighbours: whether 20 devices that never answer make the polls of 180 living ones late.

How late a poll is, is the time from its deadline to its request, of every deadline of every living device.
Turns are short, in the order alive, dead, dead, alive, so that what the machine does meanwhile falls on both
alike; the percentiles are those of all deadlines of a kind. How sure the ratio is, is found by drawing the
pairs of neighbouring turns again, with repetition (bootstrap percentile interval: Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 13). What the machine and the event loop cost without any device
is told beside it, and what the collection of garbage cost.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.load_site import load_instruments
from benchmarks.servers import devices
from drivers import open_drivers
from drivers.poller import Poller
from drivers.schedule import NS_PER_S, phase
from gateway.tuning import tune
from pipeline.records import Block, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from drivers.door import Description
    from drivers.poller import Outcome, Polled
    from pipeline.records import Clock, Item

DEVICES = 200
DEAD = 20
FLOATS = 62
PAIRS = 12
"""Pairs of neighbouring turns, one of each kind."""
IDLE_TURNS = 2
CONNECTING_S = 1.5
"""Deadlines of the first so many seconds of a turn, in which connections are made, are not counted."""
DRAWS = 4000
PERIOD_NS = NS_PER_S
PERCENT = 99


class _Timed:
    """A polled instrument that notes how late each of its polls is sent."""

    def __init__(self, polled: Polled, from_run_ns: int, late_ns: list[int]) -> None:
        self._polled = polled
        self._from_run_ns = from_run_ns
        self._late_ns = late_ns

    def describe(self) -> Description:
        return self._polled.describe()

    async def open(self, wake: Callable[[], None]) -> None:
        await self._polled.open(wake)

    async def close(self) -> None:
        await self._polled.close()

    async def poll(self, until_run_ns: int) -> Outcome:
        outcome = await self._polled.poll(until_run_ns)
        deadline_ns = until_run_ns - PERIOD_NS
        if deadline_ns >= self._from_run_ns:
            self._late_ns += [
                int(item.t_request_ns[0]) - deadline_ns for item in outcome.items if isinstance(item, Block)
            ]
        return outcome

    def unsolicited(self) -> Sequence[Item]:
        return self._polled.unsolicited()


async def _polled(ports: list[int], living: int, seconds: float) -> list[int]:
    """Poll all devices once a second: how late the polls of the living ones were sent, in ns."""
    clock, late_ns = SystemClock(), list[int]()
    instruments = load_instruments(ports, channels=FLOATS, timeout_s=0.5)
    from_run_ns = clock.run_ns() + int(CONNECTING_S * NS_PER_S)
    pollers = []
    for number, driver in enumerate(open_drivers(instruments, clock, random.Random(1))):
        assert isinstance(driver, Poller)
        polled = _Timed(driver.polled, from_run_ns, late_ns if number < living else [])
        pollers.append(Poller(polled, clock, random.Random(number)))

    async def take(poller: Poller) -> None:
        async with poller:
            async for _ in poller.stream():
                pass

    tasks = [asyncio.create_task(take(poller)) for poller in pollers]
    await asyncio.sleep(seconds)
    for poller in pollers:
        poller.stop()
    await asyncio.gather(*tasks)
    return late_ns


async def _idle(clock: Clock, seconds: float) -> list[int]:
    """The same deadlines with nothing to do at them: how late the loop alone is, in ns."""
    late_ns: list[int] = []
    end_ns = clock.run_ns() + int(seconds * NS_PER_S)

    async def wait(name: str) -> None:
        deadline_ns = clock.run_ns() + int(phase(name) * PERIOD_NS)
        while deadline_ns < end_ns:
            await asyncio.sleep((deadline_ns - clock.run_ns()) / NS_PER_S)
            late_ns.append(clock.run_ns() - deadline_ns)
            deadline_ns += PERIOD_NS

    await asyncio.gather(*(wait(f"d{at}") for at in range(DEVICES - DEAD)))
    return late_ns


@contextmanager
def _collections() -> Iterator[list[float]]:
    """Gather how long each collection of garbage held the process up, in s."""
    found: list[float] = []
    began_s = 0.0

    def told(step: str, _: dict[str, int]) -> None:
        nonlocal began_s
        if step == "start":
            began_s = time.perf_counter()
        else:
            found.append(time.perf_counter() - began_s)

    gc.callbacks.append(told)
    try:
        yield found
    finally:
        gc.callbacks.remove(told)


def ratio_interval(
    alive: Sequence[NDArray[np.int64]], dead: Sequence[NDArray[np.int64]], seed: int = 1
) -> tuple[float, float, float]:
    """Return p99 with dead neighbours over p99 without, of all deadlines together, and its 95 % interval.

    Args:
        alive: lateness in ns of each turn, int64[deadlines].
        dead: those of the turn beside it.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)

    def ratio(pairs: NDArray[np.intp]) -> float:
        over, under = (np.concatenate([kind[at] for at in pairs]) for kind in (dead, alive))
        return float(np.percentile(over, PERCENT) / np.percentile(under, PERCENT))

    drawn = [ratio(rng.integers(0, len(alive), len(alive))) for _ in range(DRAWS)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return ratio(np.arange(len(alive))), float(low), float(high)


def _ms(late_ns: Sequence[NDArray[np.int64]]) -> dict[str, float]:
    every = np.concatenate(late_ns)
    return {f"p{p}_ms": round(float(np.percentile(every, p)) / 1e6, 2) for p in (50, 99)}


async def neighbours(load: Path, seconds: float, pairs: int = PAIRS) -> dict[str, Any]:
    """200 devices at 1 Hz, all alive, and with 20 that accept and never answer: how late the living are.

    Args:
        load: program of the devices.
        seconds: of each turn.
        pairs: of turns.
    """
    tune()  # as the daemon does
    turns: dict[str, list[NDArray[np.int64]]] = {"alive": [], "with_dead": [], "idle": []}
    pauses: dict[str, list[float]] = {"alive": [], "with_dead": []}
    with devices(load, DEVICES) as (living, _), devices(load, DEVICES, silent=DEAD) as (some, _):
        ports = {"alive": living, "with_dead": some}
        for number in range(pairs):
            order = ("alive", "with_dead") if number % 2 == 0 else ("with_dead", "alive")
            for kind in order:
                with _collections() as held_s:
                    late_ns = await _polled(ports[kind], DEVICES - DEAD, seconds)
                turns[kind].append(np.array(late_ns, dtype=np.int64))
                pauses[kind] += held_s
    for _ in range(IDLE_TURNS):
        turns["idle"].append(np.array(await _idle(SystemClock(), seconds), dtype=np.int64))
    ratio, low, high = ratio_interval(turns["alive"], turns["with_dead"])
    return {
        **{kind: _ms(found) for kind, found in turns.items()},
        "p99_ratio": round(ratio, 3),
        "low": round(low, 3),
        "high": round(high, 3),
        "pairs": pairs,
        "deadlines": {kind: sum(map(len, found)) for kind, found in turns.items()},
        "collections_ms": {
            kind: {"count": len(found), "longest": round(1e3 * max(found, default=0.0), 2)}
            for kind, found in pauses.items()
        },
    }
