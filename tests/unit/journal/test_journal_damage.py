"""Damaged bytes: found, named, set aside, and never a reason not to start."""

import errno
from pathlib import Path

from pipeline.journal import stat, verify
from pipeline.journal.disk import RealDisk
from pipeline.journal.framing import file_header, frame, scan
from tests.unit.journal.journals import SMALL, Opener, fill, read_all


async def test_verify_names_what_is_wrong(open_journal: Opener, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    journal = await open_journal(SMALL)
    await fill(journal, 60)
    journal.checkpoint()
    await journal.close()
    facts = stat(directory)
    assert (facts.id, facts.purpose, facts.first_seq) == (journal.id.hex(), "production", 0)
    assert facts.segments > 1
    assert verify(directory).sound
    segment = sorted(directory.glob("*.seg"))[1]
    data = bytearray(segment.read_bytes())
    data[5000] ^= 1
    segment.write_bytes(data)
    result = verify(directory)
    assert not result.sound
    assert segment.name in result.problems[0]
    assert "damaged" in result.problems[0]


async def test_verify_finds_a_history_that_was_written_anew(open_journal: Opener, tmp_path: Path) -> None:
    journal = await open_journal()
    records = await fill(journal, 5, size=10)
    checkpoint = journal.checkpoint()
    assert checkpoint is not None
    await journal.close()
    segment = tmp_path / "journal" / "00000000000000000000.seg"
    changed = records[2].data.replace(bytes(10), bytes(9) + b"!")
    data = segment.read_bytes()
    for old, new, seq in ((records[2].data, changed, 2),):
        entry = scan(data, 0)[0][seq]
        assert data[entry.offset : entry.end] == frame(seq, entry.durable_seq, old)
        data = data[: entry.offset] + frame(seq, entry.durable_seq, new) + data[entry.end :]
    segment.write_bytes(data)
    assert verify(tmp_path / "journal").problems == [
        "the first 5 records are not those that a checkpoint signed",
    ]
    entry = scan(data, 0)[0][4]
    segment.write_bytes(data[: entry.offset])
    assert verify(tmp_path / "journal").sound, (
        "without the checkpoint nothing contradicts: a witness is needed"
    )


async def test_bytes_that_rot_under_a_running_journal_become_a_reported_hole(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 60)
    await journal.upkeep.finish()
    segment = min((tmp_path / "journal").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[5000] ^= 1
    segment.write_bytes(data)
    found = await read_all(journal)
    assert len(found) == 59
    assert len(journal.holes) == 1
    assert [notice.code for notice in journal.take_notices() if notice.code == "quarantine"] == ["quarantine"]
    assert journal.take_notices() == []
    assert [record for record in records if record.seq not in journal.holes] == found
    assert list((tmp_path / "journal" / "quarantine").iterdir())


async def test_a_seq_that_was_receipted_is_never_given_again(open_journal: Opener, tmp_path: Path) -> None:
    journal = await open_journal()
    await fill(journal, 30)
    journal.receipts.acknowledge([(0, 29)])
    await journal.close()
    segment = tmp_path / "journal" / "00000000000000000000.seg"
    segment.write_bytes(segment.read_bytes()[:40_000])
    again = await open_journal()
    assert again.head_seq == 30
    assert list(again.holes) == [(12, 29)]
    (lost,) = again.recovery.quarantined
    assert (lost.segment, lost.seq) == (segment.name, 12)
    record = again.append("tick", {}, source="live")
    await again.wait_durable(record.seq)
    assert [found.seq for found in await read_all(again)] == [*range(12), 30]
    assert again.stats().receipted_through == 29
    await again.close()
    last = await open_journal()
    assert last.head_seq == 31
    assert last.recovery.quarantined == ()
    assert list(last.holes) == [(12, 29)]


async def test_a_torn_tail_is_cut_and_a_foreign_segment_set_aside(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal()
    records = await fill(journal, 10)
    await journal.close()
    directory = tmp_path / "journal"
    segment = directory / "00000000000000000000.seg"
    segment.write_bytes(segment.read_bytes() + b"torn" + bytes(99) + b"!" + bytes(500))
    (directory / "00000000000000000500.seg").write_bytes(file_header(bytes(range(16)), 500) + bytes(10))
    again = await open_journal()
    assert again.recovery.torn_bytes == 104
    assert [found.segment for found in again.recovery.quarantined] == ["00000000000000000500.seg"]
    assert await read_all(again) == records
    assert again.append("tick", {}, source="live").seq == 10


async def test_a_damaged_file_header_costs_no_record(open_journal: Opener, tmp_path: Path) -> None:
    journal = await open_journal()
    records = await fill(journal, 10)
    await journal.close()
    segment = tmp_path / "journal" / "00000000000000000000.seg"
    segment.write_bytes(bytes(64) + segment.read_bytes()[64:])
    again = await open_journal()
    assert len(again.recovery.quarantined) == 1
    assert await read_all(again) == records


class BadSectorDisk(RealDisk):
    """A disk with one stretch of a file that cannot be read."""

    def __init__(self, bad: range) -> None:
        super().__init__()
        self._bad = bad

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        end = self.size(path) if count is None else offset + count
        if path.suffix == ".seg" and offset < self._bad.stop and end > self._bad.start:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(path, offset, count)


async def test_a_bad_sector_costs_the_records_in_it_and_not_the_start(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal()
    records = await fill(journal, 40)
    await journal.close()
    again = await open_journal(disk=BadSectorDisk(range(20_000, 20_010)))
    assert len(again.recovery.quarantined) == 1
    assert again.head_seq == 40
    assert 0 < len(again.holes) <= 3
    lost = {seq for first, end in again.holes for seq in range(first, end + 1)}
    assert await read_all(again) == [record for record in records if record.seq not in lost]
    assert again.append("tick", {}, source="live").seq == 40
    await again.close()
    last = await open_journal()  # the medium has come to itself: what can be read again is there again
    found = await read_all(last)
    assert {record.seq for record in found} >= set(range(41)) - lost
    assert [record for record in found if record.seq < 40] == [
        record for record in records if record.seq in {one.seq for one in found}
    ]
