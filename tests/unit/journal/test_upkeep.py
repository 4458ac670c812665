"""What happens beside the commits: room kept ready, bulk let go or given up, hashes kept, bytes verified."""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.journal import Journal, JournalFullError, JournalSettings, verify
from pipeline.journal.disk import RealDisk
from pipeline.journal.framing import scan
from pipeline.journal.merkle import (
    HashGoneError,
    Tree,
    leaf_hash,
    verify_consistency,
)
from pipeline.journal.readonly import JournalReader
from pipeline.records import Record
from pipeline.records.envelope import LEDGER_KINDS
from tests.crash.models import ManualClock
from tests.support.journal_fake import T0_NS, data_body
from tests.support.leaf_tree import LeafHashes, verify_inclusion
from tests.unit.journal.journals import SMALL, Opener, fill, read_all

DAY_NS = 86_400 * 10**9
TIGHT = JournalSettings(
    commit_delay_ms=1, segment_bytes=64 * 1024, size_max_bytes=2**20, tail_bytes=0, keep_days=30.0
)


async def rows_of(journal: Journal, instrument: str, frames: int, *, flagged: bool = False) -> int:
    """Append frames of 500 rows; returns how many rows that were."""
    record = None
    first = journal.ordinals.get(instrument, 0)
    for number in range(frames):
        body = data_body(instrument, first + 500 * number, T0_NS + 500 * 10**6 * number, rows=500)
        if flagged:
            body["flag"] = bytes([4]) * 1000
        record = journal.append("data", body, source="live")
        if number % 5 == 4:
            journal.append("tick", {}, source="live")
            await journal.wait_durable(record.seq)
    assert record is not None
    journal.ordinals[instrument] = first + 500 * frames
    await journal.wait_durable(journal.head_seq - 1)
    return 500 * frames


def appender(journal: Journal) -> Any:
    """As the gateway's recorder appends, for `maintain`."""

    def append(kind: str, body: dict[str, Any], *, instrument: str | None = None) -> Record:
        return journal.append(kind, body, source="live")

    return append


def codes(journal: Journal) -> list[str]:
    return [notice.code for notice in journal.take_notices()]


async def test_a_new_segment_takes_a_file_that_was_prepared_and_a_sealed_one_is_cut(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    await journal.upkeep.finish()
    prepared = tmp_path / "journal" / "prepared.new"
    assert prepared.stat().st_size == SMALL.segment_bytes
    number = prepared.stat().st_ino
    await fill(journal, 1)
    (opened,) = (tmp_path / "journal").glob("*.seg")
    assert (opened.stat().st_ino, opened.stat().st_size) == (number, SMALL.segment_bytes)
    records = await fill(journal, 60)
    await journal.upkeep.finish()
    sealed = sorted((tmp_path / "journal").glob("*.seg"))[:-1]
    assert len(sealed) > 1
    for path in sealed:
        assert path.with_suffix(".idx").exists()
        assert path.stat().st_size <= SMALL.segment_bytes
        assert scan(path.read_bytes(), int(path.stem))[1] == []
        assert (path.parent / "ledger" / path.name).exists()
    assert records[-1] in await read_all(journal)
    assert verify(tmp_path / "journal").sound, "zeros ahead in the open segment are no damage"


async def test_a_killed_process_leaves_zeros_that_are_no_torn_tail(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    await journal.upkeep.finish()
    records = await fill(journal, 5)
    (segment,) = (tmp_path / "journal").glob("*.seg")
    image = segment.read_bytes()
    assert len(image) == SMALL.segment_bytes
    await journal.close()
    segment.write_bytes(image)
    again = await open_journal(SMALL)
    assert (again.recovery.torn_bytes, again.recovery.quarantined) == (0, ())
    more = await fill(again, 3)
    assert await read_all(again) == [*records, *more]


class FullDisk(RealDisk):
    """A disk on which nothing can be written while it is full; room comes back by removing the reserve."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.free = 10**12

    def write_pieces_at(self, path: Path, offset: int, pieces: Sequence[bytes]) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write_pieces_at(path, offset, pieces)

    def free_bytes(self, directory: Path) -> int:
        return self.free

    def remove(self, path: Path) -> None:
        super().remove(path)
        if path.name == "reserve":
            self.full = False


async def test_a_full_disk_is_recorded_on_the_reserve_and_takes_no_more_rows(
    open_journal: Opener, tmp_path: Path
) -> None:
    disk = FullDisk()
    journal = await open_journal(SMALL, disk=disk)
    await journal.upkeep.finish()
    assert journal.stats().reserve == "held"
    assert (tmp_path / "journal" / "reserve").stat().st_size == SMALL.segment_bytes
    disk.full, disk.free = True, 0
    record = journal.append("data", {"x": b"the last row"}, source="live")
    await journal.upkeep._parts.wait_through(record.seq)
    assert journal.stats().reserve == "used"
    assert not (tmp_path / "journal" / "reserve").exists()
    with pytest.raises(JournalFullError, match="the disk is full"):
        journal.append("data", {"x": b"another"}, source="live")
    told = journal.append("event", {"code": "disk-full", "args": {}}, source="live")
    await journal.wait_durable(told.seq)
    assert codes(journal) == ["storage-trouble", "disk-full", "storage-recovered"]
    await journal.upkeep.maintain(appender(journal))
    assert journal.stats().reserve == "used", "there is still no room for it"
    disk.free = 10**12
    await journal.upkeep.maintain(appender(journal))
    assert journal.stats().reserve == "held"
    assert codes(journal) == ["disk-room"]
    journal.append("data", {"x": b"another"}, source="live")


async def test_memory_keeps_room_for_the_ledger_when_bulk_finds_none(open_journal: Opener) -> None:
    settings = JournalSettings(commit_delay_ms=1000, uncommitted_bytes_max=2**20)
    journal = await open_journal(settings)
    journal.append("data", {"x": bytes(2**20 - 200)}, source="live")
    with pytest.raises(JournalFullError):
        journal.append("data", {"x": bytes(200)}, source="live")
    journal.append("event", {"x": bytes(100_000)}, source="live")
    with pytest.raises(JournalFullError):
        journal.append("event", {"x": bytes(100_000)}, source="live")


async def test_over_the_limit_receipted_bulk_goes_first_and_before_its_time(open_journal: Opener) -> None:
    journal = await open_journal(TIGHT)
    await rows_of(journal, "meter", 60)
    journal.receipts.acknowledge([(0, journal.durable_seq)])
    await journal.receipts.close()
    assert journal.stats().over_limit
    await journal.upkeep.maintain(appender(journal))
    assert not journal.stats().over_limit
    assert "bulk-shed" not in [record.body.get("code") for record in await read_all(journal)]
    assert codes(journal) == ["journal-filling"]


async def test_bulk_without_a_receipt_is_explained_before_it_is_given_up(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(TIGHT)
    given = await rows_of(journal, "meter", 40) + await rows_of(journal, "scale", 40)
    ledger = [one for one in await read_all(journal) if one.kind in LEDGER_KINDS]
    before = await read_all(journal)
    for _ in range(3):
        await journal.upkeep.maintain(appender(journal))
    assert not journal.stats().over_limit
    found = await read_all(journal)
    assert [one for one in found if one.kind in LEDGER_KINDS][: len(ledger)] == ledger, "the ledger stays"
    gaps = [one.body for one in found if one.kind == "gap"]
    events = [one.body["args"] for one in found if one.body.get("code") == "bulk-shed"]
    assert {gap["cause"] for gap in gaps} == {"shed"}
    kept = sum(one.body["rows"] for one in found if one.kind == "data")
    assert kept + sum(gap["polls"] for gap in gaps) == given, "every row is there or explained"
    assert sum(event["rows"] for event in events) == sum(gap["polls"] for gap in gaps)
    gone = {one.seq for one in before} - {one.seq for one in found}
    assert {
        seq for event in events for first, last in event["ranges"] for seq in range(first, last + 1)
    } == gone
    assert journal.stats().backlog_records == len(found)
    size = journal.durable_seq + 1
    root = Tree()
    leaves = {one.seq: leaf_hash(one.data) for one in [*before, *found]}
    for seq in range(size):
        root.append_hash(leaves[seq])
    for seq in sorted(gone):
        proof = await journal.inclusion_proof(seq, size)
        assert verify_inclusion(leaves[seq], seq, size, proof, root.root()), "its leaf hash is kept"
    await journal.close()
    assert verify(tmp_path / "journal").sound
    again = await open_journal(TIGHT)
    assert again.stats().backlog_records == len(found)


async def test_rows_with_a_remark_are_given_up_last(open_journal: Opener) -> None:
    journal = await open_journal(TIGHT)
    await rows_of(journal, "meter", 8, flagged=True)
    await rows_of(journal, "meter", 60)
    await journal.upkeep.maintain(appender(journal))
    found = await read_all(journal)
    shed = [one.body["args"] for one in found if one.body.get("code") == "bulk-shed"]
    assert shed
    assert [one.seq for one in found if one.body.get("flag")] == [0, 1, 2, 3, 4, 6, 7, 8], (
        "with a tick between"
    )


async def test_gaps_that_were_recorded_before_a_crash_are_not_recorded_again(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(TIGHT)
    await rows_of(journal, "meter", 60)

    def until_the_event(kind: str, body: dict[str, Any], *, instrument: str | None = None) -> Record:
        if kind == "event":
            raise JournalFullError("no room", hint="none")
        return journal.append(kind, body, source="live")

    await journal.upkeep.maintain(until_the_event)
    await journal.wait_durable(journal.head_seq - 1)
    assert [one.kind for one in await read_all(journal)].count("gap") == 1
    await journal.close()
    again = await open_journal(TIGHT)
    await again.upkeep.maintain(appender(again))
    gaps = [one.body for one in await read_all(again) if one.kind == "gap"]
    starts = [gap["from_run_ns"] for gap in gaps]
    assert len(starts) == len(set(starts))


async def test_consistency_is_proven_between_whole_tiles_and_stops_when_the_records_are_gone(
    open_journal: Opener, clock: ManualClock
) -> None:
    journal = await open_journal(SMALL)
    for number in range(3000):
        journal.append("tick" if number % 50 == 0 else "data", {"n": number}, source="live")
        if number % 400 == 399:
            await journal.wait_durable(journal.head_seq - 1)
    await journal.wait_durable(journal.head_seq - 1)
    stop = journal.checkpoint(stop=True)
    assert stop is not None
    for number in range(2000):
        journal.append("data", {"n": number}, source="live")
    await journal.wait_durable(journal.head_seq - 1)
    leaves = LeafHashes([leaf_hash(record.data) for record in await read_all(journal)])
    journal.receipts.acknowledge([(0, journal.durable_seq)])
    await journal.receipts.close()
    clock.advance(2 * DAY_NS)
    assert await journal.upkeep.retire() > 3
    tree, roots = Tree(), {0: Tree().root()}
    for seq in range(journal.durable_seq + 1):
        tree.append_hash(leaves(0, seq))
        roots[tree.size] = tree.root()
    signed = stop.body["size"]
    assert signed == 3000
    for old, new in [(256, 1024), (512, 4608), (256, 5001), (signed, 4864), (signed, 5001), (256, signed)]:
        proof = await journal.consistency_proof(old, new)
        assert verify_consistency(old, new, roots[old], roots[new], proof), (old, new)
    gone = 0
    for old in range(300, 2700, 17):
        try:
            proof = await journal.consistency_proof(old, 4864)
        except HashGoneError as error:
            assert "multiples of 256" in str(error)  # noqa: PT017 - of many only some are gone
            gone += 1
        else:
            assert verify_consistency(old, 4864, roots[old], roots[4864], proof), old
    assert gone > 20
    with pytest.raises(ValueError, match="not durable"):
        await journal.consistency_proof(256, 9000)


async def test_checkpoints_are_offered_at_whole_tiles_and_cover_the_rest_next(open_journal: Opener) -> None:
    journal = await open_journal()
    for number in range(600):
        journal.append("tick", {"n": number}, source="live")
    await journal.wait_durable(599)
    sizes = []
    for _ in range(2):
        record = journal.checkpoint()
        assert record is not None
        sizes.append(record.body["size"])
        await journal.wait_durable(record.seq)
    assert sizes == [512, 601]
    assert journal.checkpoint() is None


async def test_bytes_that_rot_are_found_before_anybody_needs_them(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    await fill(journal, 60)
    await journal.upkeep.finish()
    segment = min((tmp_path / "journal").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[5000] ^= 1
    segment.write_bytes(data)
    assert journal.stats().verified_utc_ns is None
    for _ in range(100):
        await journal.upkeep.verify_some(0.01)
    stats = journal.stats()
    assert (stats.damaged, stats.holes) == (1, 1)
    assert stats.verified_utc_ns is not None
    assert codes(journal) == ["quarantine"]
    assert list((tmp_path / "journal" / "quarantine").iterdir())


async def test_ordinals_go_on_when_nothing_is_left_that_they_could_be_counted_from(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    await rows_of(journal, "meter", 20)
    journal.receipts.acknowledge([(0, journal.durable_seq)])
    await fill(journal, 60)
    journal.receipts.acknowledge([(0, journal.durable_seq)])
    await journal.receipts.close()
    clock.advance(2 * DAY_NS)
    await journal.upkeep.retire()
    assert not [one for one in JournalReader(tmp_path / "journal").after(-1, {"data"}) if "rows" in one.body]
    await journal.close()
    again = await open_journal(SMALL)
    assert again.ordinals == {"meter": 10_000}


async def test_small_ledger_files_become_one_and_nobody_who_reads_misses_a_record(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    await fill(journal, 200)
    journal.receipts.acknowledge([(0, journal.durable_seq)])
    await journal.receipts.close()
    clock.advance(2 * DAY_NS)
    reader = JournalReader(tmp_path / "journal")
    half = reader.after(-1, LEDGER_KINDS)
    begun = [next(half) for _ in range(3)]
    assert await journal.upkeep.retire() > 4
    ledger = [one for one in await read_all(journal) if one.kind in LEDGER_KINDS]
    size = journal.stats().bytes
    assert await journal.upkeep.merge(files_min=4)
    assert journal.stats().bytes < size
    assert len(list((tmp_path / "journal" / "ledger" / "merged").glob("*.seg"))) == 1
    assert [one for one in await read_all(journal) if one.kind in LEDGER_KINDS] == ledger
    assert [*begun, *half] == ledger, "a reader that had begun before"
    assert list(JournalReader(tmp_path / "journal").after(-1, LEDGER_KINDS)) == ledger
    assert not await journal.upkeep.merge(files_min=100)
    journal.checkpoint()
    await journal.close()
    assert verify(tmp_path / "journal").sound
    again = await open_journal(SMALL)
    assert [one for one in await read_all(again) if one.kind in LEDGER_KINDS][: len(ledger)] == ledger
