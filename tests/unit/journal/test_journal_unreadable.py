"""Files that cannot be read: for good, for the moment, or by this process only."""

import errno
from pathlib import Path

import pytest

from pipeline.journal.disk import RealDisk
from tests.unit.journal.journals import SMALL, Opener, fill, read_all


class RefusingDisk(RealDisk):
    """A disk that fails to read a stretch of the files with a name."""

    def __init__(self, code: int = errno.EIO) -> None:
        super().__init__()
        self.code = code
        self.name = ""
        self.bad = range(10**9)

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        end = self.size(path) if count is None else offset + count
        if self.name and path.name.endswith(self.name) and offset < self.bad.stop and end > self.bad.start:
            raise OSError(self.code, errno.errorcode[self.code])
        return super().read(path, offset, count)


async def test_a_bad_sector_under_a_running_journal_costs_whoever_reads_it_only_what_is_in_it(
    open_journal: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = RefusingDisk()
    journal = await open_journal(SMALL, disk=disk)
    records = await fill(journal, 90)
    disk.name, disk.bad = sorted((tmp_path / "journal").glob("*.seg"))[1].name, range(9000, 9010)
    found = await read_all(journal)
    assert len(found) == 89
    assert [record for record in records if record.seq not in journal.holes] == found
    assert [notice.code for notice in journal.take_notices()] == ["quarantine"]
    caplog.clear()
    assert await read_all(journal) == found
    assert journal.take_notices() == [], "it is known by now"
    assert caplog.records == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.ENOMEM])
async def test_a_segment_that_this_process_may_not_read_is_not_taken_for_damaged(
    open_journal: Opener, tmp_path: Path, code: int
) -> None:
    journal = await open_journal(SMALL)
    records = await fill(journal, 15)
    await journal.close()
    disk = RefusingDisk(code)
    disk.name = ".seg"
    with pytest.raises(OSError, match=errno.errorcode[code]):
        await open_journal(SMALL, disk=disk)
    again = await open_journal(SMALL)
    assert await read_all(again) == records


async def test_a_segment_of_which_the_medium_gives_nothing_is_kept_aside_and_named(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    await fill(journal, 15)
    journal.receipts.acknowledge([(0, 9)])
    await journal.close()
    directory = tmp_path / "journal"
    name = "00000000000000000000.seg"
    before = (directory / name).read_bytes()
    disk = RefusingDisk()
    disk.name = ".seg"
    again = await open_journal(SMALL, disk=disk)
    assert [one.segment for one in again.recovery.quarantined] == [name]
    assert again.head_seq == 10, "no seq is given twice that somebody is known to have"
    assert (directory / "quarantine" / name).read_bytes() == before
