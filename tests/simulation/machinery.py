"""Gateways and collectors that run production code on machines that crash, and the store behind them."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gateway.collector import CollectorSettings
from gateway.collector.collector import Collector
from gateway.collector.dead_letters import DeadLetters
from gateway.edge.daemon import EdgeDaemon
from gateway.edge.state import StateFolder
from gateway.edge.world import World
from gateway.site import load_site
from gateway.trust import TrustedKeys
from pipeline.archive import Archive, ArchiveSettings
from pipeline.mqtt import MqttSettings, keep_connected
from pipeline.mqtt.reconnect import LinkHealth
from pipeline.records.signing import SigningKey
from pipeline.store import EmbeddedStoreSettings, Store, StoreUnavailable
from pipeline.store.embedded import EmbeddedCore
from pipeline.store.shell import StoreShell
from tests.crash.models import ModelDisk
from tests.simulation.instruments import Instrument, drivers_of
from tests.simulation.machines import MachineClock, Node
from tests.simulation.network import VirtualLink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from random import Random

    from pipeline.records import Record
    from pipeline.store.door import Origin, WriteReport
    from tests.simulation.network import Network

SITE = """
[site]
lab = "lab"
gateway = "{gateway}"
purpose = "{purpose}"
state_dir = "state"

[journal]
segment_bytes = 65536
tail_bytes = 20000
keep_days = 0.001

[mqtt]
window_bytes = 65536
message_bytes_max = 4096
{instruments}
"""
INSTRUMENT = """
[[instrument]]
id = "{name}"
driver = "modbus-tcp"
source = "{source}"
host = "127.0.0.1"
port = 1
unit = {unit}
poll_interval_s = {period_s}

[[instrument.channels]]
name = "level"
address = 0
type = "float64"
unit = "mm"
qc.range = {{ fail_low = -1e300, fail_high = 1e300 }}

[[instrument.channels]]
name = "count"
address = 4
type = "uint64"
"""


class Failing(ModelDisk):
    """A power-cut disk that may also be slow, full or broken for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: int | None = None
        """errno of every change; None: it works."""

    def _step(self) -> None:
        super()._step()
        if self.broken is not None:
            raise OSError(self.broken, "the disk does not take it")

    def survivor(self, random: Random) -> Failing:
        """The disk that a power cut now could leave."""
        return self._copy(self.after_power_cut(random))

    def kept(self) -> Failing:
        """The disk after the process alone has died: what was written is in the cache of the system."""
        self.operations_left = None
        return self._copy(self)

    def _copy(self, other: ModelDisk) -> Failing:
        copy = Failing()
        copy.__dict__.update({**other.__dict__, "operations_left": None, "broken": None, "failures": []})
        return copy


class SimulatedMachine(ABC):
    """What gateways and collectors share: they crash, and come back with another disk."""

    def __init__(self, name: str, folder: Path, network: Network, random: Random) -> None:
        self.name, self.folder, self.network, self.random = name, folder, network, random
        self.disk = Failing()
        self.slow_s = 0.0
        self.node: Node | None = None
        self.main: asyncio.Task[None] | None = None
        self.starts_s: list[float] = []
        self.ends_s: list[float] = []
        self._power_cut = asyncio.Event()
        folder.mkdir(parents=True, exist_ok=True)

    def _blocking_s(self) -> float:
        return self.random.uniform(0.0, 0.02) + self.random.uniform(0.0, self.slow_s)

    def _begin(self) -> Node:
        self._power_cut.clear()
        self.node = Node(self.name, self._power_cut.set)
        self.node.blocking_s = self._blocking_s
        self.starts_s.append(asyncio.get_running_loop().time())
        return self.node

    @abstractmethod
    def start(self) -> None:
        """Run the production code on the disk as it is."""

    def vanish(self, *, power: bool) -> None:
        """End at this very instant: the process alone, or the whole machine with its caches."""
        assert self.node is not None
        self.ends_s.append(asyncio.get_running_loop().time())
        self.node.alive = False
        before = self.disk
        self.disk = before.survivor(self.random) if power else before.kept()
        before.broken = 5

    async def bury(self) -> None:
        """Clear away what is left of a machine that has vanished; then it may start again."""
        assert self.node is not None
        await self.node.bury()
        self.node = None

    async def crash(self, *, power: bool) -> None:
        """End in the middle of everything."""
        self.vanish(power=power)
        await self.bury()

    async def power_cut_within(self, operations: int, patience_s: float) -> bool:
        """Wait until the disk has made so many changes; the next one is cut in its middle."""
        self.disk.operations_left = operations
        try:
            async with asyncio.timeout(patience_s):
                await self._power_cut.wait()
        except TimeoutError:
            self.disk.operations_left = None
            return False
        return True


async def _no_door() -> None:
    """Stand where the socket of the command door is served: nobody calls."""
    await asyncio.Event().wait()


class Gateway(SimulatedMachine):
    """The edge daemon, all of it but its door's socket."""

    def __init__(
        self, name: str, folder: Path, network: Network, random: Random, instruments: Sequence[Instrument],
        purpose: str = "rehearsal",
    ) -> None:  # fmt: skip
        super().__init__(name, folder, network, random)
        self.instruments = {each.name: each for each in instruments}
        self.clock = MachineClock(random)
        self.boots = 1
        self.stop = asyncio.Event()
        self.daemon: EdgeDaemon | None = None
        self._boots_anew = False
        tables = [
            INSTRUMENT.format(
                name=each.name,
                unit=number,
                period_s=each.period_s,
                source="live" if purpose == "production" else "simulated",
            )
            for number, each in enumerate(instruments, start=1)
        ]
        (folder / "gateway.toml").write_text(
            SITE.format(gateway=name, purpose=purpose, instruments="".join(tables)), encoding="utf-8"
        )
        self.site = load_site(folder / "gateway.toml")

    def trust(self, key: SigningKey) -> None:
        TrustedKeys(self.site.state.trusted_keys).trust(key.public)

    def start(self) -> None:
        world = World(
            disk=self.disk, clock=self.clock, boot_id=f"boot-{self.boots}",
            drivers=partial(drivers_of, self.instruments),
            link=cast("Any", partial(VirtualLink, self.network)),
            random=cast("Any", self.random),
        )  # fmt: skip
        self.stop = asyncio.Event()
        self.daemon = EdgeDaemon(self.site, world)
        self.main = self._begin().start(self.daemon.record(self.stop, _no_door))

    def vanish(self, *, power: bool) -> None:
        """See `SimulatedMachine.vanish`; after a power cut the clock since boot begins anew."""
        super().vanish(power=power)
        self.daemon = None
        self._boots_anew = power

    async def bury(self) -> None:
        """See `SimulatedMachine.bury`."""
        await super().bury()
        if self._boots_anew:
            self.boots += 1
            self.clock.boot()

    async def end(self) -> None:
        """Stop in order."""
        assert self.main is not None
        self.stop.set()
        await self.main
        self.ends_s.append(asyncio.get_running_loop().time())
        self.daemon = self.node = None


class Centre(SimulatedMachine):
    """A collector with its archive."""

    def __init__(
        self, name: str, folder: Path, network: Network, random: Random, store: VirtualStore
    ) -> None:  # fmt: skip
        super().__init__(name, folder, network, random)
        self.key = SigningKey.load_or_create(StateFolder(folder).collector_key)
        self.clock = MachineClock(random)
        self.collector: Collector | None = None
        self.forks = self.malformed = 0
        self._store = store
        self._archive: Archive | None = None

    def start(self) -> None:
        self.main = self._begin().start(self._run())

    async def open_archive(self) -> Archive:
        return await Archive.open(
            self.folder / "archive", hashlib.sha256(self.key.public).digest()[:16],
            ArchiveSettings(segment_bytes=65536), self.disk,
        )  # fmt: skip

    async def _run(self) -> None:
        (self.folder / "archive").mkdir(exist_ok=True)
        self._archive = await self.open_archive()
        self.collector = Collector(
            CollectorSettings(), store=cast("Store", self._store), archive=self._archive,
            dead_letters=DeadLetters(self.folder / "dead-letters.jsonl", 2**20), key=self.key,
            clock=self.clock, random=self.random,
        )  # fmt: skip
        link = partial(VirtualLink, self.network, MqttSettings(), f"yaosu-collector-{self.key.id}")
        await keep_connected(cast("Any", link), self.collector.work, LinkHealth(), self.clock, self.random)

    async def bury(self) -> None:
        """See `SimulatedMachine.bury`; the index is no promise, so it may be there or not."""
        self._count()
        await super().bury()
        if self._archive is not None:
            if self._archive._index is not None:
                self._archive._index.close()
            self._archive._thread.shutdown()
            self._archive = None
        if self.random.random() < 0.3:
            for path in (self.folder / "archive").glob("index.sqlite*"):
                path.unlink()

    def _count(self) -> None:
        if self.collector is not None:
            self.forks += self.collector.health.forks
            self.malformed += self.collector.health.malformed
        self.collector = None


class VirtualStore:
    """The embedded store as a server of its own, which may be away, or say nothing after it has stored."""

    def __init__(self, path: Path) -> None:
        self.shell = StoreShell(EmbeddedCore(EmbeddedStoreSettings(kind="embedded", path=path)))
        self.away = False
        self.mute = False
        self.slow_s = 0.0
        self.written = 0

    async def write(self, origin: Origin, records: Sequence[Record]) -> WriteReport:
        if self.away:
            raise StoreUnavailable("the store is away", retry_after_s=1.0)
        await asyncio.sleep(self.slow_s)
        report = await self.shell.write(origin, records)
        self.written += len(records)
        if self.mute:
            raise StoreUnavailable("no answer came", retry_after_s=1.0)
        return report
