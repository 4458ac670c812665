"""A witness that was away for longer than records are kept goes on from the size that it signed last."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest

from gateway.edge.recorder import Recorder
from gateway.edge.witnessing import Witnessing
from gateway.trust import TrustedWitnesses
from gateway.trust.history import TrustHistory
from gateway.witness.judge import Witness, read_answer
from gateway.witness.state import WitnessState
from pipeline.elements import Elements
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.evidence.policy import LOG, Key
from pipeline.journal import Journal, JournalSettings
from pipeline.journal.merkle import HashGoneError
from tests.crash.models import ManualClock
from tests.support.paper_log import signing_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.records import Record

DAY_NS = 86_400 * 10**9
SMALL = JournalSettings(commit_delay_ms=1, segment_bytes=512 * 1024, tail_bytes=0, keep_days=1.0)
ORIGIN = "yaosu/lab/one"
NAME = "witness.example/w1"
KEY = signing_key(41)
VKEY = vkey(witness_key(NAME, KEY.public))


class Bench:
    """A gateway's journal and its side of witnessing, and one witness that it has pinned."""

    def __init__(self, journal: Journal, clock: ManualClock, folder: Path) -> None:
        self.journal, self.clock = journal, clock
        self.latest: Record | None = None
        trusted = TrustedWitnesses(folder / "trusted-witnesses.json")
        trusted.trust(VKEY, "Institute")
        self.witness = Witness(NAME, KEY, WitnessState(folder / "witness.json", folder / "none.key"))
        self.log = Key(ORIGIN, LOG, journal.key.public)
        self.witnessing = Witnessing(
            Recorder(journal, Elements(), {}, "live"), lambda: self.latest, journal.consistency_proof,
            trusted.witnesses, TrustHistory(),
        )  # fmt: skip

    async def seal_at(self, size: int) -> None:
        """Grow to so many records and sign them."""
        while self.journal.head_seq < size:
            record = self.journal.append("data", {"x": bytes(300)}, source="live")
            if record.seq % 100 == 0 or self.journal.head_seq == size:
                await self.journal.wait_durable(record.seq)
        self.latest = self.journal.checkpoint()
        assert self.latest is not None
        await self.journal.wait_durable(self.latest.seq)

    async def ask(self, old: int) -> bytes:
        answer = await self.witnessing.answer(orjson.dumps({"key": VKEY, "old": old, "new": 0}))
        assert answer is not None
        return answer

    async def cosign(self) -> str:
        """Let the witness ask and sign; what it signs is not sent back."""
        answer = read_answer(await self.ask(self.witness.last(self.log).size))
        return self.witness.cosign(self.log, answer, 1000)

    async def retire(self) -> None:
        """Let everything sealed go: it is receipted, and older than it is kept."""
        self.journal.receipts.acknowledge([(0, self.journal.durable_seq)])
        await self.journal.receipts.close()
        self.clock.advance(2 * DAY_NS)
        await self.journal.upkeep.retire()


@asynccontextmanager
async def opened(folder: Path, clock: ManualClock) -> AsyncIterator[Bench]:
    journal = await Journal.open(
        folder / "journal", SMALL, purpose="production", base_clock=clock, origin=ORIGIN, boot_id="boot-a"
    )
    try:
        yield Bench(journal, clock, folder)
    finally:
        await journal.close()


@pytest.mark.parametrize("arrives", [True, False], ids=["cosignature recorded", "cosignature lost"])
async def test_a_witness_goes_on_from_any_size_after_its_records_are_gone(
    tmp_path: Path, *, arrives: bool
) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as bench:
        await bench.seal_at(250)
        await bench.cosign()
        await bench.seal_at(333)  # beyond 256: the checkpoint is at 256
        await bench.seal_at(401)
        note = await bench.cosign()
        signed = bench.witness.last(bench.log).size
        assert signed % 256, "a multiple of 256 needs no promise"
        if arrives:
            await bench.witnessing.answer(note.encode())
            for old in range(7):  # questions are not signed: anybody at the broker can ask them
                await bench.ask(old)
        await bench.seal_at(2500)
        await bench.retire()
    async with opened(tmp_path, clock) as again:
        await again.seal_at(2700)
        with pytest.raises(HashGoneError):
            await again.journal.consistency_proof(signed + 300, 2560)
        assert again.witness.last(again.log).size == signed
        await again.cosign()
        assert again.witness.last(again.log).size > 2500


async def test_a_size_that_nobody_was_told_gets_a_refusal_in_words(tmp_path: Path) -> None:
    async with opened(tmp_path, ManualClock()) as bench:
        await bench.seal_at(2500)
        await bench.retire()
        await bench.seal_at(2600)
        answer = orjson.loads(await bench.ask(333))
        assert answer["error"].startswith("no proof from 333 to ")
        assert "multiples of 256" in answer["error"]


async def test_what_was_told_survives_a_damaged_file_by_being_told_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as bench:
        await bench.seal_at(250)
        await bench.cosign()
        assert bench.journal.upkeep.promised.tiles() == {0}
    path = tmp_path / "journal" / "promised.state"
    path.write_bytes(path.read_bytes()[:-1])
    async with opened(tmp_path, clock) as again:
        assert again.journal.upkeep.promised.tiles() == set()
        await again.seal_at(300)
        await again.cosign()
        assert again.journal.upkeep.promised.tiles() == {0}
