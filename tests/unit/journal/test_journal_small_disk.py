"""A disk that has less room than the journal's limit: what is stored elsewhere makes room for what is new."""

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.journal import CommitFailedError, Journal, JournalFullError, JournalSettings
from pipeline.journal.disk import RealDisk
from pipeline.journal.settings import MIB
from pipeline.journal.space import Space
from tests.unit.journal.journals import SMALL, Opener, read_all
from tests.unit.journal.test_journal_unreadable import RefusingDisk
from tests.unit.journal.test_upkeep import TIGHT, appender, rows_of


class SmallDisk(RealDisk):
    """A disk with room for so many bytes below a folder."""

    def __init__(self, folder: Path, room: int) -> None:
        super().__init__()
        self._folder = folder
        self.room = room

    def _claim(self, grown: int) -> None:
        if grown > 0 and self.free_bytes(self._folder) < grown:
            raise OSError(errno.ENOSPC, "No space left on device")

    def allocate(self, path: Path, size: int) -> None:
        self._claim(size - self.size(path))
        super().allocate(path, size)

    def write_pieces_at(self, path: Path, offset: int, pieces: Sequence[bytes]) -> None:
        self._claim(offset + sum(map(len, pieces)) - self.size(path))
        super().write_pieces_at(path, offset, pieces)

    def free_bytes(self, directory: Path) -> int:
        return self.room - sum(one.stat().st_size for one in directory.rglob("*") if one.is_file())


async def append_rows(journal: Journal, count: int, *, receipted: bool) -> int:
    """Append bulk beside the upkeep; returns how much was refused."""
    refused = 0
    for number in range(count):
        try:
            record = journal.append("data", {"number": number, "x": bytes(3000)}, source="live")
        except JournalFullError:
            refused += 1
        else:
            if number % 10 == 9:
                await journal.wait_durable(record.seq)
        if number % 10 == 9:
            if receipted:
                journal.receipts.done.add(0, journal.durable_seq)  # without the half second of `acknowledge`
            await journal.upkeep.maintain(appender(journal))
    return refused


async def test_on_a_disk_smaller_than_the_limit_receipted_rows_go_and_no_new_one_is_refused(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL, disk=SmallDisk(tmp_path / "journal", 700_000))
    assert await append_rows(journal, 300, receipted=True) == 0, "that is more than the disk takes"
    assert journal.stats().reserve == "held"
    assert [notice.code for notice in journal.take_notices()] == []


async def test_on_a_full_disk_nothing_goes_that_nobody_else_has(open_journal: Opener, tmp_path: Path) -> None:
    journal = await open_journal(SMALL, disk=SmallDisk(tmp_path / "journal", 500_000))
    with pytest.raises(CommitFailedError, match="No space left"):
        await append_rows(journal, 300, receipted=False)
    await journal.wait_beyond(journal.head_seq - 2)
    kept = journal.head_seq
    assert await append_rows(journal, 50, receipted=False) == 50
    assert [record.seq for record in await read_all(journal)] == list(range(kept))


async def test_a_bad_sector_does_not_stop_that_room_is_made(open_journal: Opener, tmp_path: Path) -> None:
    disk = RefusingDisk()
    journal = await open_journal(TIGHT, disk=disk)
    await rows_of(journal, "a", 90)
    await journal.upkeep.finish()
    disk.name, disk.bad = ".seg", range(9000, 9010)
    for _ in range(20):
        await journal.upkeep.maintain(appender(journal))
    assert not journal.stats().over_limit


@pytest.mark.parametrize(("room_mib", "reserve"), [(31, "used"), (33, "held"), (79, "held"), (100, "held")])
def test_rows_are_taken_again_once_there_is_twice_the_reserve_and_not_only_for_whole_segments(
    tmp_path: Path, room_mib: int, reserve: str
) -> None:
    disk = SmallDisk(tmp_path, 100 * MIB)
    space = Space(disk, tmp_path, JournalSettings(segment_bytes=64 * MIB))
    space.prepare()
    assert space.use_reserve()
    disk.room = room_mib * MIB
    space.prepare()
    assert space.reserve == reserve
    assert space.short == (room_mib < 80)
    assert space.claim(tmp_path / "next.seg") == (room_mib >= 80)
