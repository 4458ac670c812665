"""Several batches on the way to the store: each is kept or tried again, and an ill store is left in peace."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from gateway.collector.dead_letters import DeadLetters
from gateway.collector.health import CollectorHealth
from gateway.collector.keeping import ArchivedBatch, Keeper
from pipeline.archive import Appended, Archive
from pipeline.records import Record, SystemClock
from pipeline.records.ranges import RangeSet
from pipeline.store import Origin, Store, StoreUnavailable, WriteReport
from tests.support.journal_fake import T0_NS, make_record
from tests.support.waiting import until

ORIGIN = Origin("lab", "one")
RETRY_AFTER_S = 7.0


pytestmark = [
    pytest.mark.virtual_time,
    # Jitter is a float, the virtual clock ticks in us: rounding is no error here.
    pytest.mark.filterwarnings("ignore::async_solipsism.exceptions.ResolutionWarning"),
]


class StoreWithWill:
    """A store that answers when the test says so, or is ill."""

    def __init__(self) -> None:
        self.ill = False
        self.answers = asyncio.Event()
        self.asked: list[tuple[float, int]] = []
        """When, and for which seq."""

    async def write(self, _origin: Origin, records: Sequence[Record]) -> WriteReport:
        self.asked.append((asyncio.get_running_loop().time(), records[0].seq))
        if self.ill:
            await asyncio.sleep(0.1)
            raise StoreUnavailable("429", retry_after_s=RETRY_AFTER_S)
        await self.answers.wait()
        return WriteReport({records[0].journal: RangeSet([(records[0].seq, records[0].seq)])}, [])


def keeper_of(store: StoreWithWill, tmp_path: Path, health: CollectorHealth | None = None) -> Keeper:
    return Keeper(
        store=cast("Store", store), archive=cast("Archive", None),
        dead_letters=DeadLetters(tmp_path / "dead.jsonl", 1000), health=health or CollectorHealth(),
        clock=SystemClock(), random=random.Random(1),
    )  # fmt: skip


def batch(seq: int) -> ArchivedBatch:
    return ArchivedBatch([(ORIGIN, make_record(seq, "tick"))], Appended(new=[0], known=[], forks=[]))


async def test_batches_wait_for_the_store_beside_each_other_and_each_names_its_own_seqs(
    tmp_path: Path,
) -> None:
    store = StoreWithWill()
    keeper = keeper_of(store, tmp_path)
    under_way = [asyncio.create_task(keeper.store(batch(seq))) for seq in range(3)]
    await asyncio.sleep(1.0)
    assert [seq for _, seq in store.asked] == [0, 1, 2]
    assert not any(task.done() for task in under_way)
    store.answers.set()
    stored = await asyncio.gather(*under_way)
    assert [[list(seqs) for seqs in each.values()] for each in stored] == [[[(seq, seq)]] for seq in range(3)]


async def test_one_batch_at_a_time_asks_an_ill_store_again_and_not_before_it_wants_to_be_asked(
    tmp_path: Path,
) -> None:
    store = StoreWithWill()
    store.ill = True
    store.answers.set()
    keeper = keeper_of(store, tmp_path)
    under_way = [asyncio.create_task(keeper.store(batch(seq))) for seq in range(3)]
    await asyncio.sleep(60.0)
    late = asyncio.create_task(keeper.store(batch(3)))
    await asyncio.sleep(60.0)
    first, again = [at_s for at_s, _ in store.asked[:3]], [at_s for at_s, _ in store.asked[3:]]
    assert {seq for _, seq in store.asked[:3]} == {0, 1, 2}
    assert {seq for _, seq in store.asked[3:]} == {0}
    waits_s = [after_s - before_s for before_s, after_s in zip([first[0], *again], again, strict=False)]
    assert min(waits_s) >= RETRY_AFTER_S
    assert len(again) >= 4
    store.ill = False
    stored = await asyncio.gather(*under_way, late)
    assert [list(seqs) for each in stored for seqs in each.values()] == [[(seq, seq)] for seq in range(4)]
    assert [seq for _, seq in store.asked].count(3) == 1


async def test_the_lag_grows_while_the_store_takes_nothing(tmp_path: Path) -> None:
    store, health = StoreWithWill(), CollectorHealth()
    store.ill = True
    keeper = keeper_of(store, tmp_path, health)
    assert health.lag_now_s(T0_NS) is None
    under_way = [asyncio.create_task(keeper.store(batch(seq))) for seq in (1, 0)]
    await until(lambda: len(health.under_way_utc_ns) == 2)
    for waited_s in (60, 3600):
        assert health.lag_now_s(T0_NS + waited_s * 10**9) == waited_s
    store.ill = False
    store.answers.set()
    await asyncio.gather(*under_way)
    assert health.under_way_utc_ns == []
    assert health.lag_now_s(T0_NS + 10**18) == health.lag_s


async def test_a_batch_that_could_not_be_stored_is_given_up_only_with_its_connection(tmp_path: Path) -> None:
    store = StoreWithWill()
    store.ill = True
    keeper = keeper_of(store, tmp_path)
    lost = asyncio.create_task(keeper.store(batch(0)))
    await asyncio.sleep(100.0)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    store.ill = False
    store.answers.set()
    assert len(await keeper.store(batch(1))) == 1
