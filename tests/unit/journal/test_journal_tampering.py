"""A journal at rest that somebody has changed: `yaosu journal verify` finds it and says where."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from pipeline.journal.framing import FILE_HEADER_BYTES, FRAME_HEADER_BYTES, Entry, frame, scan
from pipeline.journal.offline import Verification, verify
from tests.crash.models import ManualClock
from tests.unit.journal.journals import SMALL, Opener, fill

FLIPS = 24
"""Bytes that are changed in each file, besides those of its first frame."""


@pytest.fixture
async def at_rest(open_journal: Opener, clock: ManualClock, tmp_path: Path) -> Path:
    """A journal that was stopped in order; of its first segments only the ledger is left."""
    journal = await open_journal(SMALL)
    await fill(journal, 70)
    assert journal.checkpoint() is not None
    journal.receipts.acknowledge([(0, 45)])
    await journal.receipts.close()
    clock.advance(2 * 86_400 * 10**9)
    assert await journal.upkeep.retire() > 0
    await fill(journal, 10, size=60)
    journal.checkpoint(stop=True)
    await journal.close()
    directory = tmp_path / "journal"
    assert verify(directory).sound
    return directory


def files(directory: Path) -> list[Path]:
    """Files of segments, and of the ledger of those that are gone."""
    mains = sorted(directory.glob("*.seg"))
    ledger = [one for one in sorted(directory.glob("ledger/*.seg")) if not (directory / one.name).exists()]
    assert len(mains) > 1
    assert ledger
    return [*mains, *ledger]


def entries_of(path: Path) -> list[Entry]:
    return scan(path.read_bytes(), int(path.stem))[0]


def content_of(data: bytes, entry: Entry) -> bytes:
    return data[entry.offset + FRAME_HEADER_BYTES : entry.end]


def checked(path: Path, data: bytes, directory: Path) -> Verification:
    """What the check says while a file has other content."""
    before = path.read_bytes()
    path.write_bytes(data)
    result = verify(directory)
    path.write_bytes(before)
    return result


async def test_a_changed_byte_is_found_or_told_as_a_torn_tail(at_rest: Path) -> None:
    random = Random(17)
    for path in files(at_rest):
        data, last = path.read_bytes(), entries_of(path)[-1]
        end = FILE_HEADER_BYTES + FRAME_HEADER_BYTES + 40
        for position in [*range(0, end, 5), *(random.randrange(last.end) for _ in range(FLIPS))]:
            bad = data[:position] + bytes([data[position] ^ 0x41]) + data[position + 1 :]
            result = checked(path, bad, at_rest)
            assert result.problems or result.torn_bytes, (path.name, position)


async def test_one_changed_byte_is_told_in_one_line_with_its_seq(at_rest: Path) -> None:
    path = files(at_rest)[0]
    data, entry = path.read_bytes(), entries_of(path)[2]
    bad = data[: entry.end - 1] + bytes([data[entry.end - 1] ^ 1]) + data[entry.end :]
    result = checked(path, bad, at_rest)
    (told,) = result.problems
    assert f"(seq {entry.seq}) are damaged" in told


async def test_a_record_with_a_fitting_checksum_is_found(at_rest: Path) -> None:
    for path in files(at_rest):
        data = path.read_bytes()
        for entry in entries_of(path)[::5]:
            content = bytearray(content_of(data, entry))
            content[-1] ^= 1
            forged = frame(entry.seq, entry.durable_seq, bytes(content))
            result = checked(path, data[: entry.offset] + forged + data[entry.end :], at_rest)
            if path.parent.name == "ledger":
                assert result.problems == [
                    f"ledger {path.name}: seq {entry.seq} is not the record that was kept"
                ]
            else:
                told = [one for one in result.problems if "are not those that a checkpoint signed" in one]
                assert len(told) == 1 <= result.checkpoints_failed


async def test_a_dropped_record_is_found(at_rest: Path) -> None:
    for path in files(at_rest):
        data = path.read_bytes()
        for entry in entries_of(path)[1:-1:4]:
            result = checked(path, data[: entry.offset] + data[entry.end :], at_rest)
            if path.parent.name == "ledger":
                assert any(one.startswith(f"ledger {path.name}: its index is") for one in result.problems)
            else:
                assert f"the records from seq {entry.seq} to {entry.seq} are missing" in result.problems[0]


async def test_a_dropped_record_in_whose_place_something_stands_is_named(at_rest: Path) -> None:
    for path in files(at_rest):
        data, entry = path.read_bytes(), entries_of(path)[2]
        result = checked(
            path, data[: entry.offset] + bytes(entry.end - entry.offset) + data[entry.end :], at_rest
        )
        assert any(f"seq {entry.seq}" in one for one in result.problems)


async def test_two_swapped_records_are_named(at_rest: Path) -> None:
    for path in files(at_rest):
        data = path.read_bytes()
        one, two = entries_of(path)[1:3]
        first = frame(one.seq, one.durable_seq, content_of(data, two))
        second = frame(two.seq, two.durable_seq, content_of(data, one))
        result = checked(path, data[: one.offset] + first + second + data[two.end :], at_rest)
        text = " ".join(result.problems)
        assert f"seq {one.seq} " in text
        assert f"seq {two.seq} " in text


async def test_a_last_segment_that_is_gone_is_told_by_the_receipts_for_what_was_in_it(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    await fill(journal, 45)
    journal.receipts.acknowledge([(0, 44)])
    await journal.close()
    max((tmp_path / "journal").glob("*.seg")).unlink()
    assert [told for told in verify(tmp_path / "journal").problems if "receipts name" in told]


async def test_zeros_that_were_allocated_ahead_are_no_torn_tail(open_journal: Opener, tmp_path: Path) -> None:
    journal = await open_journal(SMALL)
    await fill(journal, 5)
    segment = max((tmp_path / "journal").glob("*.seg"))
    result = verify(tmp_path / "journal")
    assert segment.read_bytes().endswith(bytes(1000))
    assert (result.torn_bytes, result.problems) == (0, [])
