"""Records are read from disk beside the journal that has it open, and nothing is changed."""

from pathlib import Path

from pipeline.journal.disk import RealDisk
from pipeline.journal.readonly import JournalReader
from pipeline.records import Record
from tests.crash.models import ManualClock
from tests.unit.journal.journals import SMALL, Opener, fill

EVERYTHING = frozenset({"data", "event"})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def numbers(records: list[Record], kind: str) -> list[int]:
    return [record.seq for record in records if record.kind == kind]


async def test_every_record_is_found_while_the_journal_is_open(open_journal: Opener, tmp_path: Path) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 80)
    await journal.upkeep.finish()
    assert journal.stats().segments > 2
    before = contents(tmp_path / "journal")
    reader = JournalReader(tmp_path / "journal")
    assert [reader.record(record.seq) for record in records] == records
    assert [r.seq for r in reader.after(9, {"event"})] == [s for s in numbers(records, "event") if s > 9]
    assert list(reader.before(50, {"data"})) == [r for r in reversed(records[:50]) if r.kind == "data"]
    assert list(reader.before(0, EVERYTHING)) == []
    assert list(reader.after(records[-1].seq, EVERYTHING)) == []
    assert reader.record(records[-1].seq + 1) is None
    assert contents(tmp_path / "journal") == before


async def test_an_empty_journal_has_no_record(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    assert reader.record(0) is None
    assert [*reader.before(5, EVERYTHING), *reader.after(0, EVERYTHING)] == []


async def test_retired_data_are_gone_and_the_ledger_stays(
    open_journal: Opener, tmp_path: Path, clock: ManualClock
) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 80)
    listed_before = JournalReader(tmp_path / "journal")
    journal.receipts.acknowledge([(0, records[-1].seq)])
    await journal.receipts.close()
    clock.advance(3 * 86_400 * 10**9)
    assert await journal.upkeep.retire() > 0
    for reader in (listed_before, JournalReader(tmp_path / "journal")):
        assert reader.record(records[1].seq) is None
        assert reader.record(records[0].seq) == records[0]
        assert [r.seq for r in reader.after(-1, {"event"})] == numbers(records, "event")


async def test_a_damaged_record_is_left_out_and_its_neighbours_are_not(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 12)
    await journal.close()
    (segment,) = (tmp_path / "journal").glob("*.seg")
    data = segment.read_bytes()
    at = data.index(records[5].data) + 40
    disk = RealDisk()
    disk.write_at(segment, at, bytes([data[at] ^ 0xFF]))
    disk.close(segment)
    reader = JournalReader(tmp_path / "journal")
    assert [reader.record(record.seq) for record in records] == [*records[:5], None, *records[6:]]
