"""When commits start, what they gather, and what happens when the disk fails; in virtual time."""

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from pipeline.journal import CommitFailedError, Journal, JournalSettings
from tests.crash.models import ManualClock, ModelDisk

pytestmark = pytest.mark.virtual_time


class NamedExecutor(Executor):
    """Stands for a thread; `Bench` runs what is handed to it."""

    def __init__(self) -> None:
        self.duration_s = 0.0
        self.started_s: list[float] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        raise AssertionError("the bench runs every call itself")


async def run_inline(executor: NamedExecutor, call: Callable[..., Any], *args: Any) -> Any:
    """Run a call on the loop: it takes effect at once and returns after the executor's virtual duration."""
    executor.started_s.append(now_s())
    try:
        return call(*args)
    finally:
        await asyncio.sleep(executor.duration_s)


class Bench:
    """A journal on a model disk, with its two executors."""

    def __init__(self) -> None:
        self.disk = ModelDisk()
        self.clock = ManualClock()
        self.executors: dict[str, NamedExecutor] = {}

    def executor(self, name: str) -> NamedExecutor:
        return self.executors.setdefault(name, NamedExecutor())

    @property
    def commits(self) -> NamedExecutor:
        return self.executors["journal-commit"]

    async def open(self, tmp_path: Path) -> Journal:
        asyncio.get_running_loop().run_in_executor = run_inline  # type: ignore[assignment,method-assign]
        return await Journal.open(
            Path("/journal"), JournalSettings(), purpose="production", base_clock=self.clock, disk=self.disk,
            key_path=tmp_path / "key", boot_id="one", executor=self.executor,
        )  # fmt: skip


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_a_commit_starts_100_ms_after_the_oldest_waiting_record(tmp_path: Path) -> None:
    bench = Bench()
    journal = await bench.open(tmp_path)
    await asyncio.sleep(10)
    began_s = now_s()
    first = journal.append("tick", {}, source="live")
    await asyncio.sleep(0.09)
    second = journal.append("tick", {}, source="live")
    await journal.wait_durable(first.seq)
    assert now_s() - began_s == pytest.approx(0.1)
    assert journal.durable_seq == second.seq, "one commit gathers both"
    assert len(bench.commits.started_s) == 1
    await asyncio.sleep(10)
    assert len(bench.commits.started_s) == 1, "nothing waiting, nothing to commit"
    await journal.close()


async def test_what_comes_during_a_commit_goes_into_the_next_one(tmp_path: Path) -> None:
    bench = Bench()
    journal = await bench.open(tmp_path)
    bench.commits.duration_s = 0.3
    began_s = now_s()
    first = journal.append("tick", {}, source="live")
    await asyncio.sleep(0.2)
    second = journal.append("tick", {}, source="live")
    await journal.wait_durable(first.seq)
    assert now_s() - began_s == pytest.approx(0.4)
    assert journal.durable_seq == first.seq
    await journal.wait_durable(second.seq)
    assert bench.commits.started_s == pytest.approx([began_s + 0.1, began_s + 0.4])
    assert [notice.code for notice in journal.take_notices()] == ["slow-sync", "slow-sync"]
    await journal.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.ENOSPC])
async def test_a_failing_disk_is_told_and_the_records_are_written_when_it_works(
    tmp_path: Path, code: int
) -> None:
    bench = Bench()
    journal = await bench.open(tmp_path)
    journal.append("tick", {"n": 0}, source="live")
    await journal.wait_durable(0)
    bench.disk.failures = [code] * 7
    journal.append("tick", {"n": 1}, source="live")
    beyond = asyncio.ensure_future(journal.wait_beyond(0))
    with pytest.raises(CommitFailedError) as raised:
        await journal.wait_durable(1)
    assert isinstance(raised.value.cause, OSError)
    assert raised.value.cause.errno == code
    assert journal.durable_seq == 0
    trouble = journal.stats().trouble
    assert trouble is not None
    assert trouble.since_utc_ns == bench.clock.utc
    journal.append("tick", {"n": 2}, source="live")
    await beyond
    await journal.wait_durable(2)
    assert journal.stats().trouble is None
    told = {
        errno.EIO: ["storage-trouble", "storage-recovered"],
        errno.EROFS: ["storage-trouble", "storage-recovered"],
        errno.ENOSPC: ["storage-trouble", "disk-full", "storage-recovered", "disk-room"],
    }
    assert [notice.code for notice in journal.take_notices()] == told[code]
    assert [record.body["n"] for record in await journal.read(0, bytes_max=10**6)] == [0, 1, 2]
    await journal.close()
    again = await bench.open(tmp_path)
    # The failed segment was left as it was; the rest lies in a new one.
    assert [record.body["n"] for record in await again.read(0, bytes_max=10**6)] == [0]
    assert [record.body["n"] for record in await again.read(1, bytes_max=10**6)] == [1, 2]
    await again.close()


async def test_closing_on_a_dead_disk_says_what_is_lost(tmp_path: Path) -> None:
    bench = Bench()
    journal = await bench.open(tmp_path)
    journal.append("tick", {}, source="live")
    journal.save_snapshot("qc", 0, b"", 1)
    bench.disk.failures = [errno.EIO] * 1000
    with pytest.raises(CommitFailedError, match="EIO"):
        await journal.close()
    assert journal.durable_seq == -1


async def test_a_full_disk_does_not_stop_the_start(tmp_path: Path) -> None:
    bench = Bench()
    journal = await bench.open(tmp_path)
    journal.append("tick", {}, source="live")
    await journal.close()
    bench.disk.failures = [errno.ENOSPC] * 6
    again = await bench.open(tmp_path)
    assert again.head_seq == 1
    assert again.boot == 2
    await again.close()


async def test_receipts_that_cannot_be_written_are_tried_again_and_do_not_count(tmp_path: Path) -> None:
    bench = Bench()
    journal = await bench.open(tmp_path)
    journal.append("tick", {}, source="live")
    await journal.wait_durable(0)
    bench.disk.failures = [errno.EIO]
    journal.receipts.acknowledge([(0, 0)])
    await asyncio.sleep(1)
    assert 0 not in journal.receipts.done
    await asyncio.sleep(2)
    assert 0 in journal.receipts.done
    await journal.close()
