"""A large state is written a step at a time while it is copied, and counts once it is whole."""

import asyncio
import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.journal.disk import RealDisk
from pipeline.journal.snapshots import (
    SNAPSHOT_DIRECTORY,
    STEP_BYTES,
    Snapshot,
    SnapshotWriter,
    load_snapshot,
    seq_max,
)
from pipeline.records.pieces import Pieces
from tests.support.snapshot_file import write_snapshot


class Counted:
    """A piece that tells when it was taken."""

    def __init__(self, nbytes: int, taken: list[int]) -> None:
        self.nbytes = nbytes
        self._taken = taken

    def take(self) -> bytes:
        self._taken.append(self.nbytes)
        return bytes([len(self._taken) % 256]) * self.nbytes


class FullDisk(RealDisk):
    """Has no room for what comes behind an offset."""

    room = STEP_BYTES

    def write_pieces_at(self, path: Path, offset: int, pieces: object) -> None:
        if offset > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write_pieces_at(path, offset, pieces)  # type: ignore[arg-type]


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as one:
        yield one


async def at_once(_seq: int) -> None:
    """Everything is durable."""


def folder_in(tmp_path: Path) -> Path:
    (tmp_path / SNAPSHOT_DIRECTORY).mkdir()
    return tmp_path


def loaded(folder: Path) -> tuple[int, bytes] | None:
    found = load_snapshot(RealDisk(), folder, "qc", 1, 1000)
    return None if found is None else (found.seq, bytes(found.state))


def test_pieces_tell_their_length_before_they_are_made() -> None:
    taken: list[int] = []
    pieces = Pieces([b"a", b"b", Counted(2, taken), b"c", Counted(0, taken)])
    outer = pieces.inside(b"\x92", b"\x05")
    assert (pieces.nbytes, outer.nbytes, taken) == (5, 12, [])
    assert bytes(outer) == b"\x92\x05\xc6\x00\x00\x00\x05ab\x01\x01c"


async def test_a_large_state_is_taken_step_by_step_while_it_is_written(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    folder, taken = folder_in(tmp_path), list[int]()
    state = Pieces([b"begin", *(Counted(STEP_BYTES // 2, taken) for _ in range(10)), b"end"])
    writer = SnapshotWriter(RealDisk(), folder, executor, at_once)
    writer.save("qc", Snapshot(1, 7, state))
    seen = []
    while loaded(folder) is None:
        await asyncio.sleep(0)
        seen.append(len(taken))
    await writer.close(written=True)
    assert max(later - earlier for earlier, later in pairwise(seen)) <= 2
    whole = b"begin" + b"".join(bytes([k + 1]) * (STEP_BYTES // 2) for k in range(10)) + b"end"
    assert loaded(folder) == (7, whole)


async def test_a_state_that_covers_what_is_not_durable_yet_does_not_count(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    folder, durable, waits = folder_in(tmp_path), asyncio.Event(), asyncio.Event()

    async def wait_durable(_seq: int) -> None:
        waits.set()
        await durable.wait()

    writer = SnapshotWriter(RealDisk(), folder, executor, wait_durable)
    writer.save("qc", Snapshot(1, 7, b"state"))
    await waits.wait()
    assert loaded(folder) is None
    assert seq_max(RealDisk(), folder) == -1
    durable.set()
    await writer.close(written=True)
    assert loaded(folder) == (7, b"state")


async def test_a_state_that_finds_no_room_leaves_the_one_before_and_nothing_else(
    tmp_path: Path, executor: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_in(tmp_path)
    write_snapshot(RealDisk(), folder, "qc", Snapshot(1, 3, b"before"))
    writer = SnapshotWriter(FullDisk(), folder, executor, at_once)
    writer.save("qc", Snapshot(1, 7, Pieces([Counted(STEP_BYTES, []), Counted(STEP_BYTES, [])])))
    await writer.close(written=True)
    assert "No space left" in caplog.text
    assert loaded(folder) == (3, b"before")
    assert [path.name for path in (folder / SNAPSHOT_DIRECTORY).iterdir()] == ["qc.snap"]


@pytest.mark.parametrize("at", [0, 9, 17, 25, STEP_BYTES + 30, -1])
def test_a_newest_with_one_changed_byte_never_becomes_the_older_generation(tmp_path: Path, at: int) -> None:
    folder = folder_in(tmp_path)
    for seq in (3, 5):
        write_snapshot(RealDisk(), folder, "qc", Snapshot(1, seq, bytes([seq]) * 2 * STEP_BYTES))
    newest = folder / SNAPSHOT_DIRECTORY / "qc.snap"
    damaged = bytearray(newest.read_bytes())
    damaged[at] ^= 1
    newest.write_bytes(damaged)
    write_snapshot(RealDisk(), folder, "qc", Snapshot(1, 7, b"new"))
    assert loaded(folder) == (7, b"new")
    newest.unlink()
    assert loaded(folder) == (3, bytes([3]) * 2 * STEP_BYTES)
