"""What an archive keeps: for how long, what is held, what it takes from others, and how damage shows."""

import os
import random
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.archive import Archive, ArchiveSettings, Checker, Hold, Holds, HoldsError
from pipeline.archive.index import INDEX_NAME
from pipeline.archive.restore import restore
from pipeline.evidence.create import create
from pipeline.evidence.policy import read_policy
from pipeline.evidence.select import NoEvidenceError
from pipeline.evidence.sources import ArchiveSource
from pipeline.evidence.verify import check_file
from pipeline.journal.framing import FRAME_HEADER_BYTES, frame, scan
from pipeline.records import Record
from pipeline.records.envelope import decode
from pipeline.store import Origin
from tests.support.collecting import embedded_store
from tests.support.journal_fake import T0_NS, data_body, make_record
from tests.support.paper_log import LAB_KEY, ORIGIN, TASK, PaperLog, paper_log, policy_text

SITE = Origin("lab", "gw")
SMALL = ArchiveSettings(segment_bytes=4096)
ONE, TWO = b"collector-one-16", b"collector-two-16"
OLD_NS = T0_NS + 7200 * 10**9
"""Younger than every record; before today."""
YOUNG_NS = T0_NS + 3600 * 10**9


async def filled(folder: Path, records: list[Record], writer: bytes = ONE) -> Archive:
    archive = await Archive.open(folder, writer, SMALL)
    for start in range(0, len(records), 7):
        await archive.append([(SITE, record) for record in records[start : start + 7]])
    return archive


def aged(folder: Path) -> None:
    for path in folder.glob("**/*.segment"):
        os.utime(path, ns=(YOUNG_NS, YOUNG_NS))


def segments_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


def events(count: int, journal: bytes = bytes(16)) -> list[Record]:
    return [make_record(seq, "event", {"number": seq, "fill": "x" * 40}, journal) for seq in range(count)]


async def test_whole_old_segments_go_and_their_hashes_stay(tmp_path: Path) -> None:
    archive = await filled(tmp_path, events(200))
    before = segments_of(tmp_path)
    assert await archive.purge(OLD_NS) == []  # the records are old enough, the files are of today
    aged(tmp_path)
    gone = await archive.purge(OLD_NS)
    assert gone == [path.stem for path in before[:-1]]
    assert segments_of(tmp_path) == before[-1:]
    assert await archive.journals() == {bytes(16): 200}
    assert await archive.read(bytes(16), 0) == []
    # A record that comes again is known by its hash, and not stored anew.
    assert (await archive.append([(SITE, events(1)[0])])).known == [0]
    await archive.close()
    (tmp_path / INDEX_NAME).unlink()
    archive = await Archive.open(tmp_path, ONE, SMALL)
    assert await archive.journals() == {bytes(16): 200}
    assert archive.health.purged == len(before) - 1
    assert await archive.verify() == []
    await archive.close()


async def test_young_records_keep_their_whole_segment(tmp_path: Path) -> None:
    archive = await filled(tmp_path, events(200))
    aged(tmp_path)
    first = (await archive.read(bytes(16), 0))[0]
    limit_ns = decode(first.data).t_utc_ns + 10**9
    assert await archive.purge(limit_ns) == []
    await archive.close()


async def test_a_hold_keeps_what_it_covers_until_it_is_released(tmp_path: Path) -> None:
    archive = await filled(tmp_path, events(200))
    aged(tmp_path)
    holds = Holds(tmp_path)
    holds.add(Hold("case-1", bytes(16).hex(), 0, 3, "dispute", "p-1", OLD_NS))
    with pytest.raises(ValueError, match="already"):
        holds.add(Hold("case-1", "", 0, None, "", "", 0))
    gone = await archive.purge(OLD_NS)
    assert gone
    assert len(await archive.read(bytes(16), 3)) == 1
    assert await archive.read(bytes(16), 100) == []
    released = Holds(tmp_path).release("case-1", "p-2", "settled", YOUNG_NS)
    assert (released.by, released.released_by, released.released_reason) == ("p-1", "p-2", "settled")
    assert Holds(tmp_path).all() == []
    assert Holds(tmp_path).ever() == [released], "who let it go is kept"
    assert len(await archive.purge(OLD_NS)) == 1
    with pytest.raises(KeyError):
        holds.release("case-1", "p-2", "again", YOUNG_NS)
    with pytest.raises(ValueError, match="or there was"):
        holds.add(Hold("case-1", "", 0, None, "", "", 0))
    await archive.close()


async def test_a_damaged_file_of_holds_lets_nothing_go(tmp_path: Path) -> None:
    archive = await filled(tmp_path, events(200))
    aged(tmp_path)
    (tmp_path / "holds.json").write_text("[{")
    with pytest.raises(HoldsError, match="restore"):
        await archive.purge(OLD_NS)
    assert len(await archive.records(bytes(16), 0)) == 200
    await archive.close()


async def test_two_halves_merge_into_the_whole_from_which_evidence_is_made(tmp_path: Path) -> None:
    log = paper_log(30)
    log.seal()
    one = await filled(tmp_path / "one", log.records[::2])
    two = await filled(tmp_path / "two", log.records[1::2] + log.records[:4], TWO)
    await two.close()
    with closing(ArchiveSource(tmp_path / "one", log.journal)) as half, pytest.raises(NoEvidenceError):
        create(half, TASK, tmp_path / "x")
    merged = await one.merge(tmp_path / "two")
    assert (merged.records, merged.forks, merged.refused) == (len(log.records) // 2, [], [])
    again = await one.merge(tmp_path / "two")
    assert (again.segments, again.records) == (0, 0)
    assert await one.verify() == []
    assert [record.data for record in await one.records(log.journal, 0)] == [r.data for r in log.records]
    await one.close()
    with closing(ArchiveSource(tmp_path / "one")) as whole:
        create(whole, TASK, tmp_path / "whole")
        create(log, TASK, tmp_path / "paper")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "paper").read_bytes()
    assert check_file(tmp_path / "whole", read_policy(policy_text("both"))).problems == []


async def test_a_grown_archive_is_merged_again_and_a_contradiction_is_refused(
    tmp_path: Path,
) -> None:
    one, two = await filled(tmp_path / "one", []), await filled(tmp_path / "two", events(5), TWO)
    assert (await one.merge(tmp_path / "two")).records == 5
    await two.append([(SITE, record) for record in events(9)])
    assert (await one.merge(tmp_path / "two")).records == 4
    await two.close()
    (segment,) = segments_of(tmp_path / "two")
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    (tmp_path / "two" / "0000000000000999.segment").write_bytes(b"rubbish")
    refused = (await one.merge(tmp_path / "two")).refused
    assert ["contradicts" in refused[0], "no segment" in refused[1]] == [True, True]
    assert await one.verify() == []
    await one.close()


async def test_without_its_open_segment_only_closed_ones_are_taken(tmp_path: Path) -> None:
    one, two = await filled(tmp_path / "one", []), await filled(tmp_path / "two", events(200), TWO)
    merged = await one.merge(tmp_path / "two", with_open=False)
    assert merged.segments == len(segments_of(tmp_path / "two")) - 1
    assert 0 < merged.records < 200
    await one.close()
    await two.close()


async def test_a_fork_between_two_archives_is_kept_named_and_proves_nothing(tmp_path: Path) -> None:
    log = paper_log(3)
    log.seal()
    other = [*log.records]
    other[9] = make_record(9, "tick", {"rewritten": 1}, log.journal)
    one, two = await filled(tmp_path / "one", log.records), await filled(tmp_path / "two", other, TWO)
    await two.close()
    merged = await one.merge(tmp_path / "two")
    assert merged.forks == [(log.journal, 9)]
    assert one.health.forks == 1
    assert {v.data for v in await one.read(log.journal, 9)} == {log.records[9].data, other[9].data}
    assert (await one.append([(SITE, log.records[9])])).forks == [0]
    await one.close()
    with closing(Checker(tmp_path / "one")) as checker:
        history = checker.history(log.journal)
    assert history.bad_seq == 9
    assert "fork" in history.problems[0]
    with (
        closing(ArchiveSource(tmp_path / "one")) as source,
        pytest.raises(NoEvidenceError, match="two contents"),
    ):
        create(source, TASK, tmp_path / "x")


async def test_a_store_is_restored_with_the_content_that_it_had(tmp_path: Path) -> None:
    records = []
    for number in range(60):
        body = data_body(f"i-{number % 3}", number // 3 * 5, T0_NS + number * 10**9, 5)
        records += [make_record(2 * number, "data", body), make_record(2 * number + 1, "event", {
            "code": "daemon-start", "severity": "info", "args": {"n": number},
        })]  # fmt: skip
    shuffled = [*records]
    random.Random(4).shuffle(shuffled)
    archive = await filled(tmp_path / "archive", shuffled)
    for name in ("lost", "restored"):
        (tmp_path / name).mkdir()
    async with embedded_store(tmp_path / "lost") as lost, embedded_store(tmp_path / "restored") as store:
        await lost.write(SITE, records)
        done = await restore(archive, store)
        assert (done.records, done.dead, done.forked) == (120, 0, 0)
        assert (await restore(archive, store)).records == 120
        for instrument in await lost.instruments(SITE):
            rows = [await one.rows(SITE, instrument, n_from=0, n_to=2**60) for one in (lost, store)]
            assert rows[0] == rows[1]
            assert len(rows[0]) == 100
        ledgers = [await one.ledger(SITE, "event", limit=1000, newest_first=False) for one in (lost, store)]
        assert ledgers[0] == ledgers[1]
        assert len(ledgers[0]) == 60
    await archive.close()


async def sealed_archive(folder: Path) -> PaperLog:
    log = paper_log(2)
    log.seal()
    log.add("tick")
    log.seal(None, [])
    await (await filled(folder, log.records)).close()
    return log


async def test_the_history_of_an_archive_is_held_against_its_checkpoints(tmp_path: Path) -> None:
    log = await sealed_archive(tmp_path)
    with closing(Checker(tmp_path)) as checker:
        found = checker.history(log.journal, {ORIGIN: LAB_KEY.public})
        assert (found.problems, found.missing, found.checkpoints) == ([], None, 2)
        assert (found.records, found.sealed) == (len(log.records), len(log.records) - 1)
        wrong = checker.history(log.journal, {ORIGIN: bytes(32)})
        assert "not valid" in wrong.problems[0] or "not signed" in wrong.problems[0]


@pytest.mark.parametrize("victim", [3, 8, 12])
async def test_a_record_forged_with_fitting_checksum_is_named_by_the_seals(
    tmp_path: Path, victim: int
) -> None:
    log = await sealed_archive(tmp_path)
    for segment in segments_of(tmp_path):
        data = segment.read_bytes()
        for entry in scan(data, int(segment.stem))[0]:
            payload = data[entry.offset + FRAME_HEADER_BYTES : entry.end]
            if payload.endswith(log.records[victim].data):
                forged = payload[:-1] + bytes([payload[-1] ^ 1])
                whole = frame(entry.seq, entry.durable_seq, forged)
                segment.write_bytes(data[: entry.offset] + whole + data[entry.end :])
    with closing(Checker(tmp_path)) as checker:
        # The index remembers the hash of what was archived.
        assert any("differs" in f.what for name in checker.segments() for f in checker.check(name))
    (tmp_path / INDEX_NAME).unlink()
    archive = await Archive.open(tmp_path, ONE, SMALL)
    await archive.close()
    with closing(Checker(tmp_path)) as checker:  # a forger who makes the index anew meets the seals
        found = checker.history(log.journal, {ORIGIN: LAB_KEY.public})
    assert found.bad_seq is not None
    assert found.bad_seq <= victim


async def test_a_dropped_record_is_a_hole_with_its_number(tmp_path: Path) -> None:
    log = paper_log(2)
    log.seal()
    await (await filled(tmp_path, [r for r in log.records if r.seq != 7])).close()
    with closing(Checker(tmp_path)) as checker:
        assert checker.history(log.journal).missing == (7, 7)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
async def test_no_changed_byte_of_a_segment_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("tampered")
    await (await filled(folder, events(60))).close()
    segments = segments_of(folder)
    segment = data.draw(st.sampled_from(segments))
    content = bytearray(segment.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    segment.write_bytes(content)
    with closing(Checker(folder)) as checker:
        findings = checker.check(segment.stem)
    assert findings
    assert all(finding.segment == segment.stem for finding in findings)
