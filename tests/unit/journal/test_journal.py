"""The door of the journal on a real file system."""

import asyncio
from pathlib import Path

import pytest

from pipeline.journal import (
    ForeignKeyError,
    JournalBusyError,
    JournalFullError,
    JournalSettings,
    WrongPurposeError,
    verify,
)
from pipeline.journal.committer import Committer
from pipeline.journal.note import read_checkpoint
from pipeline.journal.note import verify as verify_note
from pipeline.journal.readonly import JournalReader
from pipeline.journal.writer import Writer, Written
from pipeline.records import Record
from pipeline.records.envelope import LEDGER_KINDS
from tests.crash.models import ManualClock
from tests.unit.journal.journals import SMALL, Opener, fill, read_all


async def test_what_was_appended_is_read_back_in_order_bit_for_bit(open_journal: Opener) -> None:
    journal = await open_journal()
    records = [journal.append("tick", {"n": n}, source="live") for n in range(50)]
    assert [record.seq for record in records] == list(range(50))
    assert journal.durable_seq == -1
    assert await journal.read(0, bytes_max=10**6) == []
    assert await journal.read(0, bytes_max=10**6, durable=False) == records
    await journal.wait_durable(49)
    assert journal.durable_seq == 49
    assert await read_all(journal) == records
    await journal.close()
    again = await open_journal()
    assert again.head_seq == 50
    assert again.id == journal.id
    assert [record.data for record in await read_all(again)] == [record.data for record in records]
    assert again.append("tick", {}, source="live").seq == 50


async def test_records_of_many_segments_are_read_from_the_files(open_journal: Opener) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 150)
    assert journal.stats().segments > 4
    assert await read_all(journal) == records
    assert await journal.read(77, bytes_max=1) == [records[77]]
    await journal.close()
    again = await open_journal(SMALL)
    assert await read_all(again) == records


async def test_a_waiter_wakes_when_a_later_record_is_durable(open_journal: Opener) -> None:
    journal = await open_journal()
    waiter = asyncio.ensure_future(journal.wait_beyond(-1))
    await asyncio.sleep(0)
    assert not waiter.done()
    journal.append("tick", {}, source="live")
    await waiter
    with pytest.raises(ValueError, match="not given"):
        await journal.wait_durable(5)


async def test_without_a_delay_a_commit_begins_at_once_and_gathers_what_comes_meanwhile(
    open_journal: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_committer: Committer, _delay_s: float) -> None:
        assert _delay_s <= 0, "a commit waited"

    monkeypatch.setattr(Committer, "_pause", never)
    batches: list[int] = []
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    commit = Writer.commit

    def counted(writer: Writer, batch: list[Record]) -> Written:
        batches.append(len(batch))
        loop.call_soon_threadsafe(begun.set)
        return commit(writer, batch)

    monkeypatch.setattr(Writer, "commit", counted)
    journal = await open_journal(JournalSettings(commit_delay_ms=0))
    first = journal.append("tick", {}, source="live")
    await begun.wait()
    journal.append("tick", {}, source="live")
    last = journal.append("tick", {}, source="live")
    await journal.wait_durable(last.seq)
    assert batches[0] == first.seq + 1 == 1
    assert sum(batches) == 3
    assert len(batches) <= 3


async def test_too_much_waiting_for_the_disk_is_refused_and_takes_nothing(open_journal: Opener) -> None:
    journal = await open_journal(JournalSettings(commit_delay_ms=1000, uncommitted_bytes_max=2**20))
    journal.append("data", {"x": bytes(600_000)}, source="live")
    with pytest.raises(JournalFullError):
        journal.append("data", {"x": bytes(600_000)}, source="live")
    assert journal.head_seq == 1
    room = asyncio.ensure_future(journal.room())
    await asyncio.sleep(0)
    assert not room.done()
    await room
    journal.append("data", {"x": bytes(600_000)}, source="live")


async def test_a_record_above_the_limit_is_refused(open_journal: Opener) -> None:
    journal = await open_journal()
    with pytest.raises(ValueError, match="above the limit"):
        journal.append("data", {"x": bytes(2**24)}, source="live")
    assert journal.head_seq == 0


async def test_a_production_journal_takes_nothing_simulated(open_journal: Opener) -> None:
    journal = await open_journal()
    with pytest.raises(ValueError, match="rehearsal"):
        journal.append("tick", {}, source="simulated")


async def test_the_wrong_purpose_a_foreign_key_and_a_lost_key_are_refused(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal()
    await journal.close()
    with pytest.raises(WrongPurposeError, match="production"):
        await open_journal(purpose="rehearsal")
    key = tmp_path / "journal" / "journal.key"
    seed = key.read_bytes()
    key.write_bytes(bytes(32))
    with pytest.raises(ForeignKeyError, match="restore"):
        await open_journal()
    key.unlink()
    with pytest.raises(ForeignKeyError, match="lost its key"):
        await open_journal()
    key.write_bytes(seed)
    key.chmod(0o600)
    assert (await open_journal()).id == journal.id


async def test_a_second_process_is_kept_out(open_journal: Opener) -> None:
    await open_journal()
    with pytest.raises(JournalBusyError, match="stop it"):
        await open_journal()


async def test_a_damaged_description_is_written_anew_from_the_segments(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal()
    await fill(journal, 3)
    await journal.close()
    for name in ("journal.meta", "journal.meta.copy"):
        (tmp_path / "journal" / name).write_bytes(b"rot")
    again = await open_journal()
    assert again.recovery.meta_rebuilt
    assert again.id == journal.id


async def test_receipts_count_when_they_are_on_the_disk_and_stay(open_journal: Opener) -> None:
    journal = await open_journal()
    await fill(journal, 20)
    journal.receipts.acknowledge([(0, 4), (10, 12), (18, 900)])
    assert len(journal.receipts.done) == 0
    await journal.close()
    assert list(journal.receipts.done) == [(0, 4), (10, 12), (18, 19)]
    again = await open_journal()
    assert list(again.receipts.done) == [(0, 4), (10, 12), (18, 19)]
    stats = again.stats()
    assert (stats.receipted_through, stats.backlog_records) == (4, 10)


async def test_the_backlog_says_since_when(open_journal: Opener, clock: ManualClock) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 30)
    journal.receipts.acknowledge([(0, 9)])
    await journal.receipts.close()
    assert journal.stats().backlog_since_utc_ns is None
    assert journal._since._lookup is not None
    await journal._since._lookup
    assert journal.stats().backlog_since_utc_ns == records[10].t_utc_ns
    assert journal.stats().backlog_bytes > 20 * 3000


async def test_retirement_waits_for_receipts_and_age_and_keeps_the_ledger(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 120)
    journal.checkpoint()
    assert await journal.upkeep.retire() == 0
    clock.advance(2 * 86_400 * 10**9)
    assert await journal.upkeep.retire() == 0, "without receipts nothing may go"
    journal.receipts.acknowledge([(0, 60)])
    await journal.receipts.close()
    before = journal.stats()
    assert await journal.upkeep.retire() > 0
    after = journal.stats()
    assert after.oldest_seq <= 61
    assert after.bytes < before.bytes
    found = await read_all(journal)
    gone = [record for record in records if record not in found]
    assert gone
    assert all(record.kind == "data" and record.seq < after.oldest_seq for record in gone)
    ledger = JournalReader(tmp_path / "journal").after(-1, LEDGER_KINDS)
    assert next(ledger) == records[0]
    await journal.close()
    result = verify(tmp_path / "journal")
    assert result.sound, result.problems
    assert result.checkpoints == 1
    again = await open_journal(SMALL)
    assert await read_all(again) == found
    assert again.head_seq == journal.head_seq


async def test_retirement_cut_short_after_the_copy_leaves_the_segment_in_charge(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 80)
    journal.receipts.acknowledge([(0, 79)])
    await journal.receipts.close()
    segment = journal._shelf.segments[0]
    kept = {path: path.read_bytes() for path in (segment.path, segment.index_path)}
    clock.advance(2 * 86_400 * 10**9)
    assert await journal.upkeep.retire() > 0
    await journal.close()
    for path, data in kept.items():
        path.write_bytes(data)
    again = await open_journal(SMALL)
    found = await read_all(again)
    assert [record.seq for record in found if record.seq <= 10] == list(range(11))
    assert found[0] == records[0]
    assert await again.upkeep.retire() == 1


async def test_a_snapshot_survives_and_a_damaged_newest_falls_back(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal()
    await fill(journal, 10)
    for seq, state in ((3, b"old"), (7, b"new")):
        journal.save_snapshot("elements", seq, state, 2)
        assert journal._snapshots._task is not None
        await journal._snapshots._task
    assert journal.load_snapshot("elements", 2) == (7, b"new")
    assert journal.load_snapshot("elements", 3) is None, "another version is another state"
    assert journal.load_snapshot("qc", 2) is None
    await journal.close()
    newest = tmp_path / "journal" / "snapshots" / "elements.snap"
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    again = await open_journal()
    assert again.load_snapshot("elements", 2) == (3, b"old")
    again.save_snapshot("elements", 9, b"newest", 2)
    await again.close()
    last = await open_journal()
    assert last.load_snapshot("elements", 2) == (9, b"newest")
    newest.unlink()
    assert last.load_snapshot("elements", 2) == (3, b"old"), "the damaged one was not kept as a generation"


async def test_a_snapshot_waits_for_the_records_that_it_covers(open_journal: Opener) -> None:
    journal = await open_journal(JournalSettings(commit_delay_ms=50))
    record = journal.append("tick", {}, source="live")
    journal.save_snapshot("qc", record.seq, b"state", 1)
    with pytest.raises(ValueError, match="not given"):
        journal.save_snapshot("qc", 1, b"state", 1)
    with pytest.raises(ValueError, match="cannot name"):
        journal.save_snapshot("../qc", 0, b"state", 1)
    assert journal.load_snapshot("qc", 1) is None
    await journal.close()
    assert (await open_journal()).load_snapshot("qc", 1) == (0, b"state")


async def test_a_checkpoint_signs_every_durable_record_and_comes_only_when_there_is_something(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(origin="yaosu/lab/bench-1")
    assert journal.checkpoint() is None
    await fill(journal, 20)
    record = journal.checkpoint()
    assert record is not None
    assert journal.checkpoint() is None
    await journal.wait_durable(record.seq)
    assert journal.checkpoint() is None, "a checkpoint alone is no reason for the next"
    note = read_checkpoint(verify_note(record.body["note"], "yaosu/lab/bench-1", journal.key.public))
    assert (note.origin, note.size, note.root) == ("yaosu/lab/bench-1", 20, record.body["root"])
    await journal.close()
    again = await open_journal(origin="yaosu/lab/bench-1")
    assert again.checkpoint() is None
    await fill(again, 5)
    second = again.checkpoint()
    assert second is not None
    assert second.body["size"] == 26
    await again.close()
    result = verify(tmp_path / "journal")
    assert result.sound, result.problems
    assert (result.checkpoints, result.checkpoint_size, result.next_seq) == (2, 26, 27)
