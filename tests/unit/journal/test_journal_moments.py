"""What fails for a moment only, and what is not known yet, costs no record."""

import errno
from pathlib import Path

import pytest

from pipeline.journal import Journal
from tests.crash.models import ManualClock
from tests.unit.journal.journals import SMALL, Opener, read_all
from tests.unit.journal.test_journal_files_lost import DAY_NS, verified, written
from tests.unit.journal.test_journal_unreadable import RefusingDisk


class RecoveringDisk(RefusingDisk):
    """A disk that gives nothing of a file until it is read whole for the third time: the second counts."""

    def __init__(self) -> None:
        super().__init__()
        self._wholes = 0

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        if self.name and path.name.endswith(self.name) and (offset, count) == (0, None):
            self._wholes += 1
            if self._wholes == 3:
                self.name = ""
        return super().read(path, offset, count)


@pytest.mark.parametrize("bad", [range(10**9), range(20_000, 20_010)], ids=["all of it", "its end"])
async def test_a_start_cuts_and_removes_nothing_that_the_disk_did_not_give_for_a_moment(
    open_journal: Opener, tmp_path: Path, bad: range
) -> None:
    journal = await open_journal(SMALL)
    records = [journal.append("data", {"x": bytes(3000)}, source="live") for _ in range(8)]
    await journal.wait_durable(7)
    await journal.close()
    disk = RecoveringDisk()
    disk.name, disk.bad = ".seg", bad
    with pytest.raises(OSError, match="other bytes than a moment ago"):
        await open_journal(SMALL, disk=disk)
    assert await read_all(await open_journal(SMALL, disk=disk)) == records


async def one_more(journal: Journal) -> None:
    """Have an open segment behind the sealed ones."""
    record = journal.append("tick", {}, source="live")
    await journal.wait_durable(record.seq)


async def test_a_record_that_a_bad_moment_hid_is_read_again_and_stored_before_its_segment_goes(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    records = await written(open_journal)
    disk = RefusingDisk()
    journal = await open_journal(SMALL, disk=disk)
    await one_more(journal)
    segment = sorted((tmp_path / "journal").glob("*.seg"))[1]
    disk.name = segment.name
    found = await read_all(journal)
    assert len(found) < len(records), "a line of the disk hangs while somebody reads"
    disk.name = ""
    journal.receipts.acknowledge([(record.seq, record.seq) for record in found])
    await journal.receipts.settled()
    clock.advance(10 * DAY_NS)
    await journal.upkeep.retire()
    assert segment.exists(), "nobody else has what it holds"
    unsent = [one for one in records if one.kind == "data" and one not in found]
    back = await read_all(journal)
    assert [one for one in back if one in unsent] == unsent
    journal.receipts.acknowledge([(0, journal.durable_seq)])
    await journal.receipts.settled()
    assert await journal.upkeep.retire() > 1
    assert not segment.exists()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.ENOMEM])
async def test_verification_takes_no_record_for_damaged_that_it_may_not_read_now(
    open_journal: Opener, tmp_path: Path, code: int
) -> None:
    records = await written(open_journal)
    disk = RefusingDisk(code)
    journal = await open_journal(SMALL, disk=disk)
    disk.name = ".seg"
    for _ in range(20):
        await journal.upkeep.verify_some(0.1)
    disk.name = ""
    assert await verified(journal) == []
    assert await read_all(journal) == records


@pytest.mark.parametrize("read_first", [False, True], ids=["verification", "a reader"])
async def test_a_segment_that_is_taken_away_under_a_running_journal_is_named_and_passed_over(
    open_journal: Opener, tmp_path: Path, *, read_first: bool
) -> None:
    records = await written(open_journal)
    journal = await open_journal(SMALL)
    await one_more(journal)
    segment = sorted((tmp_path / "journal").glob("*.seg"))[1]
    segment.unlink()
    if read_first:
        assert len(await read_all(journal)) < len(records)
    assert await verified(journal) == ["quarantine" if read_first else "records-missing"]
    found = await read_all(journal)
    assert found[:-1] == [record for record in records if record.seq not in journal.holes]


async def test_an_index_is_not_made_anew_before_it_is_known_where_its_segment_ends(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    records = await written(open_journal)
    *_, last, opened = sorted((tmp_path / "journal").glob("*.seg"))
    opened.unlink()  # the file that took the latest records is lost
    journal = await open_journal(SMALL)
    last.with_suffix(".idx").unlink()
    journal.receipts.acknowledge([(0, int(last.stem))])
    await journal.receipts.settled()
    clock.advance(10 * DAY_NS)
    await journal.upkeep.retire()
    kept = records[int(last.stem) : int(opened.stem)]
    assert await journal.read(kept[0].seq, bytes_max=10**6) == kept, "only the first one has a receipt"
    await journal.close()
    again = await open_journal(SMALL)
    assert again.head_seq == int(opened.stem)
    assert await again.read(kept[0].seq, bytes_max=10**6) == kept
