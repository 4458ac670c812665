"""Dead letters offered again: stored once, gone from the file last, whatever happens between."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.collector import requeue as requeue_module
from gateway.collector.dead_letters import DeadLetters, read_letters
from gateway.collector.requeue import requeue
from pipeline.archive import Archive
from pipeline.store import Origin, Store
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
    tmp_path: Path, archive: Archive, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = await buried(tmp_path)
    watched = StoreUnderTest(store)
    monkeypatch.setattr(requeue_module, "RECORDS_MAX", 1)
    watched.away_after = 1
    done = await requeue(letters, read_letters(tmp_path / "dead.jsonl"), archive, watched.as_store())
    assert (len(done.stored), done.stopped) == (1, "away")
    assert [one.get("seq") for one in read_letters(tmp_path / "dead.jsonl").values()] == [2, 9, None]
    assert await rows(store) == (5, 0)


async def test_a_letter_over_which_the_store_still_fails_keeps_no_other_from_being_stored(
    tmp_path: Path, archive: Archive, store: Store
) -> None:
    letters = await buried(tmp_path)
    watched = StoreUnderTest(store)
    watched.poison = 1
    done = await requeue(letters, read_letters(tmp_path / "dead.jsonl"), archive, watched.as_store())
    assert (len(done.stored), done.stopped) == (1, "")
    assert "KeyError: 'a body that nobody expected'" in done.refused.values()
    assert [one.get("seq") for one in read_letters(tmp_path / "dead.jsonl").values()] == [1, 9, None]


async def test_a_record_that_rotted_in_the_archive_keeps_no_other_from_being_stored(
    tmp_path: Path, archive: Archive, store: Store
) -> None:
    letters = await buried(tmp_path)
    (segment,) = (tmp_path / "archive").glob("*.segment")
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(RECORDS[1].data, bytes(len(RECORDS[1].data))))
    done = await requeue(letters, read_letters(tmp_path / "dead.jsonl"), archive, store)
    assert len(done.stored) == 1
    assert any("damaged at byte" in reason for reason in done.refused.values())
    assert await rows(store) == (5, 0)


async def test_thousands_of_letters_of_few_records_are_offered_record_by_record(
    tmp_path: Path, archive: Archive, store: Store
) -> None:
    letters = DeadLetters(tmp_path / "dead.jsonl", 10_000_000)
    record = {"lab": "lab", "gateway": "one", "journal": JOURNAL.hex(), "reason": "refused"}
    assert await letters.append([record | {"seq": row % 4, "line": str(row)} for row in range(8000)])
    watched = StoreUnderTest(store)
    done = await requeue(letters, read_letters(tmp_path / "dead.jsonl"), archive, watched.as_store())
    assert (len(done.stored), done.refused, watched.writes) == (8000, {}, 1)
    assert read_letters(tmp_path / "dead.jsonl") == {}
    assert await rows(store) == (20, 0)


async def test_letters_of_earlier_runs_are_counted(tmp_path: Path) -> None:
    await buried(tmp_path)
    again = DeadLetters(tmp_path / "dead.jsonl", 10_000)
    again.count_those_there()
    assert again.count == 4
    absent = DeadLetters(tmp_path / "none.jsonl", 10_000)
    absent.count_those_there()
    assert absent.count == 0


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
