"""The archive: durable before it says so, collapsing equals, keeping forks, made whole after a crash."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.archive import Archive, ArchiveBusyError, ArchiveError, ArchiveSettings
from pipeline.journal.disk import RealDisk
from pipeline.records import Record
from pipeline.store.door import Origin
from tests.support.journal_fake import make_record

ORIGIN = Origin("lab", "gateway")
WRITER = b"collector-number"
JOURNAL = bytes(16)


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    opened = await Archive.open(tmp_path / "archive", WRITER)
    yield opened
    await opened.close()


def items(records: list[Record]) -> list[tuple[Origin, Record]]:
    return [(ORIGIN, record) for record in records]


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


async def reopened(archive: Archive, folder: Path, settings: ArchiveSettings | None = None) -> Archive:
    await archive.close()
    return await Archive.open(folder, WRITER, settings)


async def test_what_is_appended_is_read_byte_for_byte(archive: Archive) -> None:
    records = [make_record(seq) for seq in range(5)]
    appended = await archive.append(items(records))
    assert (appended.new, appended.known, appended.forks) == ([0, 1, 2, 3, 4], [], [])
    assert await archive.read(JOURNAL, 3) == [(ORIGIN, records[3].data)]
    assert [one.data for one in await archive.records(JOURNAL, 2, 2)] == [records[2].data, records[3].data]
    assert await archive.read(JOURNAL, 9) == []
    assert await archive.journals() == {JOURNAL: 5}
    assert await archive.verify() == []


async def test_equal_bytes_collapse_within_a_call_and_across(archive: Archive) -> None:
    record = make_record(1)
    first = await archive.append(items([record, record]))
    second = await archive.append(items([record, make_record(2)]))
    assert (first.new, first.known) == ([0], [1])
    assert (second.new, second.known) == ([1], [0])
    assert await archive.journals() == {JOURNAL: 2}


async def test_a_fork_keeps_both_versions_and_stays_a_fork(archive: Archive, tmp_path: Path) -> None:
    one, other = make_record(1, body={"v": 1}), make_record(1, body={"v": 2})
    assert (await archive.append(items([one]))).new == [0]
    assert (await archive.append(items([other, make_record(2)]))).forks == [0]
    assert (await archive.append(items([one]))).forks == [0]
    assert {version.data for version in await archive.read(JOURNAL, 1)} == {one.data, other.data}
    assert archive.health.forks == 1
    again = await reopened(archive, tmp_path / "archive")
    assert again.health.forks == 1
    assert (await again.append(items([other]))).forks == [0]
    assert await again.verify() == []
    await again.close()


async def test_both_versions_of_a_fork_in_one_call(archive: Archive) -> None:
    one, other = make_record(1, body={"v": 1}), make_record(1, body={"v": 2})
    appended = await archive.append(items([one, other]))
    assert (appended.new, appended.known, appended.forks) == ([], [], [0, 1])
    assert len(await archive.read(JOURNAL, 1)) == 2


async def test_segments_are_closed_and_all_stay_readable(tmp_path: Path) -> None:
    settings = ArchiveSettings(segment_bytes=4096)
    archive = await Archive.open(tmp_path, WRITER, settings)
    for seq in range(200):
        await archive.append(items([make_record(seq)]))
    archive = await reopened(archive, tmp_path, settings)
    await archive.append(items([make_record(200)]))
    assert len(files(tmp_path, "*.segment")) > 3
    assert [len(await archive.records(JOURNAL, 0)), await archive.verify()] == [201, []]
    await archive.close()


@pytest.mark.parametrize("damage", ["removed", "garbage", "old"])
async def test_the_index_is_made_again_from_the_segments(tmp_path: Path, damage: str) -> None:
    archive = await Archive.open(tmp_path, WRITER)
    await archive.append(items([make_record(seq) for seq in range(3)]))
    old = (tmp_path / "index.sqlite").read_bytes()
    await archive.append(items([make_record(3)]))
    await archive.close()
    if damage == "removed":
        (tmp_path / "index.sqlite").unlink()
    else:
        (tmp_path / "index.sqlite").write_bytes(old if damage == "old" else b"not a database" * 1000)
    archive = await Archive.open(tmp_path, WRITER)
    assert (await archive.append(items([make_record(seq) for seq in range(5)]))).new == [4]
    assert await archive.verify() == []
    await archive.close()


async def test_a_torn_tail_is_cut_off_and_kept_aside(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path, WRITER)
    await archive.append(items([make_record(0), make_record(1)]))
    await archive.close()
    (segment,) = files(tmp_path, "*.segment")
    whole = segment.read_bytes()
    for cut in (1, 40, 100):
        segment.write_bytes(whole[:-cut])
        archive = await Archive.open(tmp_path, WRITER)
        assert archive.health.torn_bytes > 0
        known = (await archive.append(items([make_record(0)]))).known
        assert known == [0]
        assert (await archive.append(items([make_record(1)]))).new == [0]
        assert len(segment.read_bytes()) == len(whole)
        assert await archive.verify() == []
        await archive.close()
    assert files(tmp_path, "*.torn")


async def test_a_file_that_was_only_begun_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "0000000000000000.segment").write_bytes(b"YAOSU")
    archive = await Archive.open(tmp_path, WRITER)
    await archive.append(items([make_record(0)]))
    archive = await reopened(archive, tmp_path)
    assert await archive.verify() == []
    assert len(await archive.records(JOURNAL, 0)) == 1
    await archive.close()


async def test_damage_is_found_named_and_stops_nothing(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path, WRITER)
    await archive.append(items([make_record(seq) for seq in range(3)]))
    await archive.close()
    (segment,) = files(tmp_path, "*.segment")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    archive = await Archive.open(tmp_path, WRITER)
    findings = await archive.verify()
    assert {finding.segment for finding in findings} == {"0000000000000000"}
    assert any("cannot be read" in finding.what for finding in findings)
    assert any("missing or differs" in finding.what for finding in findings)
    with pytest.raises(ArchiveError, match="restore"):
        await archive.read(JOURNAL, 1)
    assert (await archive.append(items([make_record(3)]))).new == [0]
    await archive.close()


async def test_only_one_process_at_a_time(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ArchiveBusyError):
        await Archive.open(tmp_path / "archive", WRITER)


class DiskThatFails(RealDisk):
    """Fails the sync of a segment while told to."""

    failing = False

    def sync(self, path: Path) -> None:
        if self.failing and path.suffix == ".segment":
            raise OSError(28, "No space left on device")
        super().sync(path)


async def test_a_failed_sync_stores_nothing_and_the_next_call_does(tmp_path: Path) -> None:
    disk = DiskThatFails()
    archive = await Archive.open(tmp_path, WRITER, disk=disk)
    await archive.append(items([make_record(0)]))
    disk.failing = True
    with pytest.raises(ArchiveError, match="No space left"):
        await archive.append(items([make_record(1)]))
    assert await archive.read(JOURNAL, 1) == []
    disk.failing = False
    assert (await archive.append(items([make_record(1), make_record(2)]))).new == [0, 1]
    archive = await reopened(archive, tmp_path)
    assert [await archive.verify(), await archive.journals()] == [[], {JOURNAL: 3}]
    await archive.close()


async def test_whole_frames_behind_a_lost_one_are_kept_and_leave_no_hole(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path, WRITER)
    await archive.append(items([make_record(0)]))
    await archive.append(items([make_record(seq) for seq in range(1, 4)]))
    places = [archive._require_index().find(JOURNAL, seq) for seq in (1, 2)]
    await archive.close()
    for index in files(tmp_path, "index*"):
        index.unlink()  # so that nothing says that the second batch was synced
    (segment,) = files(tmp_path, "*.segment")
    data = bytearray(segment.read_bytes())
    ((_, offset, end),) = places[0].values()
    data[offset:end] = bytes(end - offset)
    segment.write_bytes(data)
    archive = await Archive.open(tmp_path, WRITER)
    assert archive.health.torn_bytes
    assert not archive.health.damaged
    assert not await archive.verify()
    assert [len(await archive.read(JOURNAL, seq)) for seq in range(4)] == [1, 0, 1, 1]
    await archive.close()
