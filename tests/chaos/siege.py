"""Gateway and two collectors that die at named points again and again; so do the servers behind proxies."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.edge.state import StateFolder
from gateway.trust import TrustedKeys
from pipeline.records.signing import SigningKey
from tests.chaos.blackbox import BlackBox, Waiting
from tests.chaos.nursery import Nursery
from tests.chaos.points import POINTS
from tests.support.bench import Bench, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerProcess
    from random import Random

    from tests.chaos.moments import Aim, Moment
    from tests.chaos.points import Role
    from tests.support.proxy import Mode, TcpProxy

LIFE_S = 6.0
"""A process that has not come to its point by then is killed wherever it is, and the next one is given twice
as long: on a slow machine a start alone may take that."""
LIFE_MAX_S = 120.0
PATIENCE_S = 600.0
"""For what must come in the end, however busy the machine is: who waits in vain for it waits for ever."""
LOOK_S = 0.02
PEACE_S = 0.5
MODES: tuple[Mode, ...] = ("clear", "clear", "slow", "slice", "half-open", "cut")


@dataclass
class Besieged:
    """One role under siege."""

    name: str
    role: Role
    config: Path
    process: ForkServerProcess | None = None
    point: str = ""
    born_s: float = 0.0
    life_s: float = LIFE_S
    lives: int = 0
    box: BlackBox = field(default_factory=lambda: BlackBox(Path()))
    waiting: Waiting = field(default_factory=lambda: Waiting(0))


@dataclass
class Siege:
    """Counts and times of one siege."""

    bench: Bench
    random: Random
    aims: list[tuple[Aim, list[Moment]]]
    """The servers with the moments at which they may die."""
    proxies: list[TcpProxy]
    nursery: Nursery = field(default_factory=Nursery)
    kills: Counter[str] = field(default_factory=Counter)
    gateway_unaccepted_ns: list[int] = field(default_factory=list)
    """Of each life of the gateway: from when on an answer may not have been accepted at its end."""
    gateway_starts_ns: list[int] = field(default_factory=list)
    parts: list[Besieged] = field(default_factory=list)

    @property
    def aimed(self) -> int:
        """Processes that died exactly at their point."""
        return sum(count for name, count in self.kills.items() if "time" not in name)

    @property
    def struck(self) -> Counter[str]:
        """Servers that died exactly at their moment, by its name."""
        return sum((aim.struck for aim, _ in self.aims), Counter[str]())

    async def prepare(self) -> None:
        """Simulators, site file, people; two collectors with a key each, both trusted."""
        await self.bench.prepare()
        text = self.bench.config.read_text(encoding="utf-8")
        second = self.bench.folder / "second" / "gateway.toml"
        second.parent.mkdir()
        second.write_text(text, encoding="utf-8")
        state = StateFolder(second.parent / self.bench.site.settings.site.state_dir)
        key = SigningKey.load_or_create(state.collector_key)
        TrustedKeys(self.bench.site.state.trusted_keys).trust(key.public)
        self.parts = [
            Besieged("gateway", "run", self.bench.config),
            Besieged("collector A", "collect", self.bench.config),
            Besieged("collector B", "collect", second),
        ]

    def start(self, part: Besieged, *, armed: bool) -> None:
        """Start a role; armed, it dies at a point drawn anew."""
        point, number = None, 0
        if armed:
            point = self.random.choice(POINTS[part.role])
            number = self.random.randint(1, point.calls_max)
        part.point = f"{part.name} {point}"
        part.born_s = time.monotonic()
        part.lives += 1
        part.box = BlackBox(part.config.with_suffix(f".{part.role}-{part.lives}.box"))
        part.process = self.nursery.start(part.role, part.config, part.box, point, number)
        part.waiting = Waiting(part.process.pid or 0)
        if part.role == "run":
            self.gateway_starts_ns.append(time.time_ns())

    def _has_ended(self, part: Besieged) -> bool:
        """Look after one process; true when it has died and was counted."""
        process = part.process
        assert process is not None
        part.waiting.sample()
        killed_ns = 0
        if process.is_alive():
            if time.monotonic() - part.born_s < part.life_s:
                return False
            killed_ns = time.time_ns()
            process.kill()
            part.point = f"{part.name} at a random time"
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"{part.name} ended by itself: {self.log(part)[-3000:]}"
        self._note_end(part, killed_ns)
        part.life_s = min(2 * part.life_s, LIFE_MAX_S) if killed_ns else max(part.life_s / 2, LIFE_S)
        self.kills[part.point] += 1
        part.box.path.unlink()
        return True

    def _note_end(self, part: Besieged, killed_ns: int) -> None:
        """Note what the end of a gateway may have cost: at its point, or no earlier than it was killed."""
        if part.role == "run":
            end_ns = part.box.end_ns() or killed_ns
            waited_ns = part.waiting.before_ns(end_ns)
            self.gateway_unaccepted_ns.append(part.box.unaccepted_from_ns(end_ns, waited_ns))

    def log(self, part: Besieged) -> str:
        path = part.config.with_suffix(f".{part.role}.log")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    async def rage(
        self, kills: int, server_kills: int, say: Callable[[str], None] = lambda _text: None
    ) -> None:  # fmt: skip
        """Kill until there were so many aimed kills of roles and of each server; the network suffers too."""
        for part in self.parts:
            self.start(part, armed=True)
        calm = asyncio.Event()
        weather = asyncio.create_task(self._weather())
        strikes = [asyncio.create_task(self._strike(aim, moments, calm)) for aim, moments in self.aims]
        try:
            while self.aimed < kills or any(aim.struck.total() < server_kills for aim, _ in self.aims):
                for part in self.parts:
                    if self._has_ended(part):
                        self.start(part, armed=True)
                        if self.aimed % 50 == 0:
                            say(f"siege: {self.aimed} aimed kills")
                await asyncio.sleep(LOOK_S)
                for task in (weather, *strikes):
                    assert not task.done(), task.exception()
        finally:
            calm.set()
            weather.cancel()
            await asyncio.gather(weather, *strikes, return_exceptions=True)

    async def _weather(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0.2, 2.0))
            proxy = self.random.choice(self.proxies)
            if self.random.random() < 0.3:
                proxy.reset()
            else:
                proxy.become(self.random.choice(MODES))
                await asyncio.sleep(self.random.uniform(0.1, 1.0))
                proxy.become("clear")

    async def _strike(self, aim: Aim, moments: list[Moment], calm: asyncio.Event) -> None:
        """Kill a server at moments drawn anew; one that does not come is given up for another."""
        while not calm.is_set():
            moment = self.random.choice(moments)
            aim.at(moment, self.random.randint(1, moment.calls_max))
            aimed_s = time.monotonic()
            # Looked at now and then, as the processes are: the end of the siege ends the wait, too.
            life_s = max(part.life_s for part in self.parts)
            while aim.moment is not None and time.monotonic() - aimed_s < life_s and not calm.is_set():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
            aim.at(None)
            if not aim.server.running:
                await asyncio.sleep(self.random.uniform(0, 0.5))
                await asyncio.to_thread(aim.server.start)
                await asyncio.sleep(self.random.uniform(0, 1.0))

    async def make_peace(self) -> None:
        """Kill what is armed, mend the network, start everything unarmed and wait until all is receipted."""
        for part in self.parts:
            assert part.process is not None
            killed_ns = time.time_ns()
            part.process.kill()
            part.process.join()
            self._note_end(part, killed_ns)
        for proxy in self.proxies:
            proxy.become("clear")
            proxy.reset()
        for part in self.parts:
            self.start(part, armed=False)
        await until(self.bench.status, "the gateway answers", PATIENCE_S)
        await asyncio.sleep(PEACE_S)  # rows after the last kill
        await self.bench.drained(PATIENCE_S)

    async def end(self) -> None:
        """Stop in order: the gateway first, so that the collectors store what it still has."""
        for part in self.parts:
            process = part.process
            if process is not None and process.is_alive():
                process.terminate()
                await asyncio.to_thread(process.join, PATIENCE_S)
                assert process.exitcode == 0, f"{part.name}: {process.exitcode} {self.log(part)[-3000:]}"

    def abandon(self) -> None:
        """Leave no process behind, whatever has happened."""
        for part in self.parts:
            if part.process is not None and part.process.is_alive():
                part.process.kill()
                part.process.join()

    def exempt(self) -> list[tuple[int, int]]:
        """Spans of UTC (ns) in which an answer may be lost.

        From half a second before an end of the gateway (see `blackbox`) to its next start: an instrument may
        still answer what the process had asked that is gone.
        """
        return list(zip(self.gateway_unaccepted_ns, self.gateway_starts_ns[1:], strict=True))
