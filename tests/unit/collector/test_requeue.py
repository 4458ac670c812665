"""Dead letters offered again: stored once, gone from the file last, whatever happens between."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.collector.dead_letters import DeadLetters, read_letters, requeue
from pipeline.archive import Archive
from pipeline.store import Origin, Store, StoreUnavailable
from tests.support.collecting import StoreUnderTest, embedded_store
from tests.support.journal_fake import T0_NS, data_body, make_record

SITE = Origin("lab", "one")
JOURNAL = bytes(16)
RECORDS = [make_record(n, "data", data_body("oven", 5 * n, T0_NS + n * 10**9, 5)) for n in range(4)]


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    opened = await Archive.open(tmp_path / "archive", bytes(16))
    await opened.append([(SITE, record) for record in RECORDS])
    yield opened
    await opened.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with embedded_store(tmp_path) as opened:
        yield opened


async def buried(tmp_path: Path) -> DeadLetters:
    letters = DeadLetters(tmp_path / "dead.jsonl", 10_000)
    assert await letters.append([
        {"lab": "lab", "gateway": "one", "journal": JOURNAL.hex(), "seq": seq, "reason": "poison"}
        for seq in (1, 2, 9)
    ])  # fmt: skip
    assert await letters.append([{"topic": "a/b", "reason": "rubbish", "payload": "00"}])
    return letters


async def rows(store: Store) -> tuple[int, int]:
    found = (await store.counts(SITE, T0_NS, T0_NS + 10**12)).get("oven")
    return (0, 0) if found is None else (found.rows, found.duplicates)


async def test_what_the_store_takes_now_is_stored_once_and_is_no_letter_any_more(
    tmp_path: Path, archive: Archive, store: Store
) -> None:
    letters = await buried(tmp_path)
    found = read_letters(tmp_path / "dead.jsonl")
    await requeue(letters, found, archive, store)
    done = await requeue(letters, found, archive, store)  # a crash had kept the letters
    assert await rows(store) == (10, 0)
    assert len(done.stored) == 2
    left = read_letters(tmp_path / "dead.jsonl")
    assert [letter.get("seq") for letter in left.values()] == [9, None]
    assert sorted(done.refused.values()) == [
        "it is no record, only bytes that somebody sent: there is nothing to store",
        "its record is not in the archive",
    ]
    assert letters.count == 2


async def test_a_store_that_goes_away_leaves_the_rest_as_letters(
    tmp_path: Path, archive: Archive, store: Store
) -> None:
    letters = await buried(tmp_path)
    watched = StoreUnderTest(store)
    watched.poison = 2
    with pytest.raises(KeyError):
        await requeue(letters, read_letters(tmp_path / "dead.jsonl"), archive, watched.as_store())
    assert [one.get("seq") for one in read_letters(tmp_path / "dead.jsonl").values()] == [2, 9, None]
    watched.poison, watched.failure = None, StoreUnavailable("away", retry_after_s=1)
    with pytest.raises(StoreUnavailable):
        await requeue(letters, read_letters(tmp_path / "dead.jsonl"), archive, watched.as_store())
    assert [one.get("seq") for one in read_letters(tmp_path / "dead.jsonl").values()] == [2, 9, None]
    assert await rows(store) == (5, 0)


async def test_a_letter_that_comes_meanwhile_is_kept(tmp_path: Path, archive: Archive, store: Store) -> None:
    letters = await buried(tmp_path)
    found = read_letters(tmp_path / "dead.jsonl")
    assert await letters.append([{"lab": "lab", "journal": JOURNAL.hex(), "seq": 3, "reason": "late"}])
    await requeue(letters, found, archive, store)
    assert 3 in [one.get("seq") for one in read_letters(tmp_path / "dead.jsonl").values()]


def test_a_file_with_a_torn_line_is_read_around_it(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    assert read_letters(path) == {}
    path.write_text(json.dumps({"seq": 1}) + '\n{"seq": 2, "cu\n5\n' + json.dumps({"seq": 3}) + "\n")
    assert [letter["seq"] for letter in read_letters(path).values()] == [1, 3]
