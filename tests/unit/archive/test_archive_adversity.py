"""What a bad backup or bad luck does to an archive: nothing is believed to be there that is not."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from gateway.cli.record import verify_archive
from pipeline.archive import Archive, ArchiveSettings, Checker, Hold, Holds
from pipeline.archive.index import INDEX_NAME
from pipeline.archive.purging import write_purged
from pipeline.archive.segments import SUFFIX
from pipeline.store import Origin
from tests.support.journal_fake import T0_NS, make_record

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.records import Record

SITE = Origin("lab", "gw")
WRITER = b"collector-one-16"
SMALL = ArchiveSettings(segment_bytes=4096)
LATER_NS = T0_NS + 7200 * 10**9


def records(count: int = 200) -> list[Record]:
    return [make_record(seq, "event", {"number": seq, "fill": "x" * 40}) for seq in range(count)]


async def filled(folder: Path) -> Archive:
    made = await Archive.open(folder, WRITER, SMALL)
    for record in records():
        await made.append([(SITE, record)])
    return made


def segments_of(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


async def test_what_a_half_written_restore_lacks_is_missing_and_archived_again(tmp_path: Path) -> None:
    """The index of a backup came back and a segment did not: a receipt for it would be a lie."""
    await (await filled(tmp_path)).close()
    victim = segments_of(tmp_path)[1]
    first = int(victim.stem)
    victim.unlink()
    opened = await Archive.open(tmp_path, WRITER, SMALL)
    assert opened.health.damaged == [victim.stem]
    assert await opened.read(bytes(16), first) == []
    assert (await opened.append([(SITE, records()[first])])).new == [0]
    assert len(await opened.read(bytes(16), first)) == 1
    await opened.close()


async def test_a_segment_that_is_taken_away_is_named_by_every_check(tmp_path: Path) -> None:
    opened = await filled(tmp_path)
    victim = segments_of(tmp_path)[1]
    victim.unlink()
    (finding,) = await opened.verify()
    assert finding == (victim.stem, 0, "the file is not here any more")
    content, sound = verify_archive(tmp_path, {})
    assert not sound
    assert content["damaged"] == [f"segment {victim.stem}, byte 0: the file is not here any more"]
    await opened.close()


async def test_purged_segments_are_no_missing_ones(tmp_path: Path) -> None:
    opened = await filled(tmp_path)
    for path in segments_of(tmp_path):
        os.utime(path, ns=(T0_NS, T0_NS))
    assert await opened.purge(LATER_NS)
    assert await opened.verify() == []
    await opened.close()
    opened = await Archive.open(tmp_path, WRITER, SMALL)
    assert opened.health.damaged == []
    await opened.close()


@pytest.mark.parametrize("where", ["record", "ledger"])
async def test_an_index_that_rots_while_the_collector_runs_is_made_again(where: str, tmp_path: Path) -> None:
    opened = await filled(tmp_path)
    await opened.close()
    with closing(Checker(tmp_path)) as checker:
        connection = checker.index._connection
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (where,)).fetchone()
    data = bytearray((tmp_path / INDEX_NAME).read_bytes())
    data[(root - 1) * size : root * size] = os.urandom(size)
    (tmp_path / INDEX_NAME).write_bytes(data)
    opened = await Archive.open(tmp_path, WRITER, SMALL)
    known = await opened.append([(SITE, record) for record in [*records(), make_record(200)]])
    assert len(known.known) + len(known.new) == 201
    assert known.forks == []
    assert await opened.verify() == []
    assert len(await opened.records(bytes(16), 0)) == 201
    await opened.close()


async def test_a_hold_that_comes_while_segments_go_keeps_what_it_covers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person who holds gets an answer only when what is held can no longer go."""
    opened = await filled(tmp_path)
    for path in segments_of(tmp_path):
        os.utime(path, ns=(T0_NS, T0_NS))
    deciding, held = threading.Event(), threading.Event()

    def slowly(*args: object) -> None:
        deciding.set()
        assert not held.wait(0.05), "the hold was granted between the look at the holds and the end"
        write_purged(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("pipeline.archive.archive.write_purged", slowly)

    def hold() -> int:
        deciding.wait()
        Holds(tmp_path).add(Hold("case-1", "", 0, None, "dispute", "p-1", LATER_NS))
        there = len(segments_of(tmp_path))
        held.set()
        return there

    there, _ = await asyncio.gather(asyncio.to_thread(hold), opened.purge(LATER_NS))
    assert len(segments_of(tmp_path)) == there > 1
    await opened.close()


def test_of_two_holds_at_once_none_is_lost(tmp_path: Path) -> None:
    def add(number: int) -> None:
        Holds(tmp_path).add(Hold(f"case-{number}", "", 0, None, "dispute", "p-1", LATER_NS))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {hold.id for hold in Holds(tmp_path).all()} == {f"case-{number}" for number in range(8)}
