"""A journal against a list: random appends, waits, reads, receipts, snapshots, restarts; on a model disk."""

import asyncio
from pathlib import Path
from random import Random

import async_solipsism
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.journal import Journal, JournalSettings
from pipeline.journal.offline import verify
from pipeline.journal.readonly import JournalReader
from pipeline.records import Record
from pipeline.records.envelope import LEDGER_KINDS
from tests.crash.models import ManualClock, ModelDisk

STEPS = ("append", "burst", "wait", "read", "restart", "cut", "receipt", "snapshot", "checkpoint", "retire")
SETTINGS = JournalSettings.model_construct(
    segment_bytes=4000, segment_records=30, tail_bytes=2000, keep_days=0.0
)


class Model:
    """The journal under test, and what it must hold."""

    def __init__(self, seed: int, key_path: Path) -> None:
        self.random = Random(seed)
        self.key_path = key_path
        self.disk = ModelDisk()
        self.clock = ManualClock()
        self.records: list[Record] = []
        self.durable = -1
        self.receipted = -1
        self.snapshots: list[int] = []
        self.retired_bulk = False

    async def open(self) -> None:
        self.journal = await Journal.open(
            Path("/journal"), SETTINGS, purpose="rehearsal", base_clock=self.clock, disk=self.disk,
            key_path=self.key_path, boot_id="one",
        )  # fmt: skip
        assert not self.journal.recovery.quarantined
        assert self.journal.durable_seq >= self.durable
        assert self.journal.head_seq == self.journal.durable_seq + 1
        del self.records[self.journal.head_seq :]
        self.durable = self.journal.durable_seq
        assert self.receipted < 0 or self.journal.receipts.done.covers(0, self.receipted)
        loaded = self.journal.load_snapshot("model", 1)
        if self.snapshots:
            assert loaded is not None
            assert loaded[0] >= self.snapshots[-1]
            assert loaded[1] == str(loaded[0]).encode()

    async def append(self) -> None:
        self.clock.advance(self.random.randint(1, 10**9))
        kind = self.random.choice(["data", "event", "tick"])
        body = {"x": self.random.randbytes(self.random.choice([1, 50, 900]))}
        self.records.append(self.journal.append(kind, body, source="simulated"))
        assert self.records[-1].seq == len(self.records) - 1

    async def burst(self) -> None:
        for _ in range(self.random.randint(5, 40)):
            await self.append()

    async def wait(self) -> None:
        if self.records:
            await self.journal.wait_durable(self.records[-1].seq)
            self.durable = self.journal.durable_seq

    async def read(self) -> None:
        seq = self.random.randint(0, len(self.records) + 2)
        durable = self.random.random() < 0.7
        through = self.journal.durable_seq if durable else len(self.records) - 1
        found = await self.journal.read(seq, bytes_max=self.random.choice([1, 500, 10**6]), durable=durable)
        assert found == [self.records[record.seq] for record in found]
        assert all(seq <= record.seq <= through for record in found)
        seqs = [record.seq for record in found]
        if not self.retired_bulk:
            assert seqs == list(range(seq, seq + len(seqs)))
        assert bool(found) == (seq <= through) or self.retired_bulk

    async def receipt(self) -> None:
        if self.journal.durable_seq >= 0:
            self.journal.receipts.acknowledge([(0, self.random.randint(0, self.journal.durable_seq))])
            await asyncio.sleep(1)
            self.receipted = max(last for _, last in self.journal.receipts.done)

    async def snapshot(self) -> None:
        if self.records:
            seq = self.records[-1].seq
            self.journal.save_snapshot("model", seq, str(seq).encode(), 1)
            await asyncio.sleep(1)
            self.snapshots.append(seq)
            self.durable = self.journal.durable_seq

    async def checkpoint(self) -> None:
        record = self.journal.checkpoint()
        if record is not None:
            self.records.append(record)

    async def retire(self) -> None:
        self.clock.advance(10**9)
        if await self.journal.upkeep.retire():
            self.retired_bulk = True

    async def restart(self) -> None:
        await self.journal.close()
        self.durable = self.journal.durable_seq
        assert self.durable == len(self.records) - 1
        result = verify(Path("/journal"), disk=self.disk)
        assert result.sound, result.problems
        assert result.next_seq == len(self.records)
        await self.open()

    async def cut(self) -> None:
        """Lose power: the disk is what a power cut leaves, the process's last writes go nowhere."""
        self.durable = self.journal.durable_seq
        survivor = self.disk.after_power_cut(self.random)
        await self.journal.close()
        self.disk = survivor
        await self.open()

    async def ledger(self) -> None:
        """Every ledger record is there at the end, retired or not."""
        found = list(JournalReader(Path("/journal"), disk=self.disk).after(-1, LEDGER_KINDS))
        assert found == [
            record for record in self.records[: self.journal.durable_seq + 1] if record.kind != "data"
        ]  # fmt: skip


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(STEPS), max_size=30))
def test_a_journal_is_a_list_that_survives(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str]
) -> None:
    async def run() -> None:
        model = Model(seed, tmp_path_factory.getbasetemp() / "model.key")
        await model.open()
        for step in steps:
            await getattr(model, step)()
        await model.wait()
        await model.ledger()
        await model.journal.close()

    loop = async_solipsism.EventLoop()
    try:
        loop.run_until_complete(run())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
