"""What goes wrong: faults drawn from the seed, one after the other, each undone after a while."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from tests.simulation.instruments import Instrument
    from tests.simulation.machinery import Centre, Gateway, SimulatedMachine, VirtualStore
    from tests.simulation.network import Network

YEAR_NS = 365 * 86_400 * 10**9
STEPS_NS = (2_000_000, 999_000_000, 10**9, 60 * 10**9, 3600 * 10**9, YEAR_NS)
ACCEPT_S = 0.5
"""The promise: an answer older than this before a crash is kept."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """Answers within this span of true time may be lost, because the gateway ended at its end."""

    from_s: float
    to_s: float


@dataclass
class Faults:
    """The faults of one run."""

    random: Random
    gateway: Gateway
    centres: list[Centre]
    network: Network
    store: VirtualStore
    instruments: list[Instrument]
    log: Callable[[str], None]
    excuses: list[Excuse] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    _disk_bad_since_s: float | None = None
    _slow_until_s: float = -1.0
    _slow_s: float = 0.0
    _running: list[asyncio.Task[None]] = field(default_factory=list)
    _busy: set[str] = field(default_factory=set)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def rage(self, duration_s: float) -> None:
        """Let things go wrong for a while; then everything is mended."""
        kinds: list[tuple[int, str, Callable[[], Awaitable[None]]]] = [
            (5, "gateway", self._crash_gateway), (2, "gateway", self._restart_gateway),
            (3, "centre 0", lambda: self._crash_centre(0)), (3, "centre 1", lambda: self._crash_centre(1)),
            (2, "broker", self._broker_falls), (3, "cut", self._cut_cable), (3, "clock", self._set_clock),
            (1, "clock", self._suspend), (2, "disk", self._disk_fails), (2, "disk", self._disk_is_slow),
            (2, "store", self._store_is_away), (2, "store", self._store_is_mute),
            (1, "net", self._network_is_slow), (2, "net", self._messages_double),
            (2, "instrument", self._instrument_is_silent),
            (2, "instrument", self._instrument_is_disconnected),
        ]  # fmt: skip
        end_s = self._now_s() + duration_s
        while self._now_s() < end_s:
            await asyncio.sleep(self.random.expovariate(1 / 3.0))
            _, part, fault = self.random.choices(kinds, [weight for weight, *_ in kinds])[0]
            if part not in self._busy:
                self._busy.add(part)
                self._running.append(asyncio.create_task(self._suffer(part, fault)))
        for task in self._running:
            await task

    async def _suffer(self, part: str, fault: Callable[[], Awaitable[None]]) -> None:
        try:
            await fault()
        finally:
            self._busy.discard(part)

    def _note(self, name: str, text: str = "") -> None:
        self.done[name] += 1
        self.log(f"{self._now_s():10.3f} {name} {text}")

    async def _somewhere(self, machine: SimulatedMachine, *, power: bool) -> None:
        """Wait for a moment to crash: any instant, any await, or in the middle of a write."""
        where = self.random.choice(["instant", "await", "disk"] if power else ["instant", "await"])
        await asyncio.sleep(self.random.uniform(0, 2))
        if where == "disk":
            await machine.power_cut_within(self.random.randrange(40), 5.0)
        elif where == "await":
            for _ in range(self.random.randrange(200)):
                await asyncio.sleep(0)

    def _excuse(self) -> None:
        """Note what the promise leaves out: a slow or failing disk delays it, and `durable_seq` says so."""
        now_s, from_s = self._now_s(), self._now_s() - ACCEPT_S
        if self._disk_bad_since_s is not None:
            from_s = min(from_s, self._disk_bad_since_s - ACCEPT_S)
        if now_s < self._slow_until_s:
            from_s -= 4 * self._slow_s
        self.excuses.append(Excuse(from_s, now_s))

    async def _crash_gateway(self) -> None:
        power = self.random.random() < 0.6
        await self._somewhere(self.gateway, power=power)
        if self.gateway.node is None:
            return
        self._note("power cut" if power else "kill", self.gateway.name)
        self._excuse()
        await self.gateway.crash(power=power)
        await asyncio.sleep(self.random.choice([0.01, 0.5, 3.0, 20.0, 400.0]) * self.random.random())
        if power and self.random.random() < 0.2:
            self.gateway.clock.synchronised = False
        self.gateway.start()

    async def _restart_gateway(self) -> None:
        await asyncio.sleep(self.random.uniform(0, 2))
        if self.gateway.node is None or "disk" in self._busy:
            return  # a stop on a disk that fails is no stop in order: a crash says the same
        self._busy.add("disk")
        try:
            self._note("restart", self.gateway.name)
            await self.gateway.end()
        finally:
            self._busy.discard("disk")
        await asyncio.sleep(self.random.uniform(0, 3))
        self.gateway.start()

    async def _crash_centre(self, number: int) -> None:
        centre, power = self.centres[number], self.random.random() < 0.5
        await self._somewhere(centre, power=power)
        self._note("power cut" if power else "kill", centre.name)
        await centre.crash(power=power)
        await asyncio.sleep(self.random.choice([0.1, 5.0, 60.0]) * self.random.random())
        centre.start()

    async def _broker_falls(self) -> None:
        self._note("broker falls")
        self.network.fall()
        await asyncio.sleep(self.random.choice([0.1, 5.0, 120.0]) * self.random.random())
        self.network.up = True

    async def _cut_cable(self) -> None:
        name = self.random.choice([self.gateway, *self.centres]).name
        self._note("cable cut", name)
        self.network.cut.add(name)
        await asyncio.sleep(self.random.choice([1.0, 15.0, 100.0]) * self.random.random())
        self.network.mend(name)

    async def _set_clock(self) -> None:
        step_ns = self.random.choice(STEPS_NS) * self.random.choice([-1, 1])
        self._note("clock step", f"{step_ns / 1e9:g} s")
        self.gateway.clock.step(step_ns)
        if self.random.random() < 0.3:
            self.gateway.clock.synchronised = not self.gateway.clock.synchronised
        await asyncio.sleep(1.0)

    async def _suspend(self) -> None:
        span_s = self.random.choice([0.5, 30.0, 3600.0]) * self.random.random()
        self._note("suspend", f"{span_s:.3f} s")
        self.gateway.clock.suspend(round(span_s * 1e9))
        await asyncio.sleep(1.0)

    async def _disk_fails(self) -> None:
        code = self.random.choice([errno.ENOSPC, errno.EIO, errno.EROFS])
        if self.gateway.node is None:
            return
        self._note("disk fails", errno.errorcode[code])
        self._disk_bad_since_s = self._now_s()
        self.gateway.disk.broken = code
        await asyncio.sleep(self.random.choice([0.1, 2.0, 30.0]) * self.random.random())
        self.gateway.disk.broken = None
        await asyncio.sleep(6.0)  # the next try comes after at most 5 s
        self._disk_bad_since_s = None

    async def _disk_is_slow(self) -> None:
        machine = self.random.choice([self.gateway, *self.centres])
        machine.slow_s = self.random.choice([0.2, 1.0])
        self._note("slow disk", machine.name)
        span_s = self.random.uniform(1, 20)
        if machine is self.gateway:
            self._slow_until_s, self._slow_s = self._now_s() + span_s + 10 * machine.slow_s, machine.slow_s
        await asyncio.sleep(span_s)
        machine.slow_s = 0.0

    async def _store_is_away(self) -> None:
        self._note("store away")
        self.store.away = True
        await asyncio.sleep(self.random.choice([0.5, 10.0, 90.0]) * self.random.random())
        self.store.away = False

    async def _store_is_mute(self) -> None:
        self._note("store stores and does not say so")
        self.store.mute = True
        await asyncio.sleep(self.random.uniform(0, 8))
        self.store.mute = False

    async def _network_is_slow(self) -> None:
        self._note("slow network")
        self.network.slow_share = self.random.uniform(0.1, 0.9)
        await asyncio.sleep(self.random.uniform(1, 20))
        self.network.slow_share = 0.0

    async def _messages_double(self) -> None:
        self._note("messages come twice")
        self.network.double_share = self.random.uniform(0.1, 1.0)
        await asyncio.sleep(self.random.uniform(1, 20))
        self.network.double_share = 0.0

    async def _instrument_is_silent(self) -> None:
        instrument = self.random.choice(self.instruments)
        self._note("silent", instrument.name)
        instrument.become("silent")
        await asyncio.sleep(self.random.uniform(0.1, 10))
        instrument.become("answers")

    async def _instrument_is_disconnected(self) -> None:
        instrument = self.random.choice(self.instruments)
        self._note("disconnected", instrument.name)
        instrument.become("disconnected")
        await asyncio.sleep(self.random.uniform(0.1, 10))
        instrument.become("answers")
