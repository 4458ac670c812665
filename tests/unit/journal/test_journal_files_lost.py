"""Files of a journal that are taken away, cut or altered: mended or named, and never in the way."""

from pathlib import Path

import pytest

from pipeline.journal import Journal, WrongPurposeError, verify
from pipeline.journal.merkle import leaf_hash
from pipeline.journal.repair import repair
from pipeline.records import Record
from tests.crash.models import ManualClock
from tests.support.leaf_tree import verify_inclusion
from tests.unit.journal.journals import SMALL, Opener, fill, read_all

DAY_NS = 86_400 * 10**9


async def written(open_journal: Opener, *, receipted: bool = False) -> list[Record]:
    """Fill several segments and close the journal."""
    journal = await open_journal(SMALL)
    records = await fill(journal, 150)
    checkpoint = journal.checkpoint()
    assert checkpoint is not None
    await journal.upkeep.finish()
    if receipted:
        journal.receipts.acknowledge([(0, 149)])
    await journal.close()
    return [*records, checkpoint]


async def verified(journal: Journal) -> list[str]:
    """Let the background verification make its pass; returns what is told."""
    while journal.stats().verified_utc_ns is None:
        await journal.upkeep.verify_some(0.1)
    return [notice.code for notice in journal.take_notices()]


async def receipt(journal: Journal, records: list[Record]) -> None:
    journal.receipts.acknowledge([(record.seq, record.seq) for record in records])
    await journal.receipts.settled()


@pytest.mark.parametrize("harm", ["flip", "remove", "empty"])
async def test_an_index_that_is_damaged_or_gone_is_made_anew_and_holds_nothing_up(
    open_journal: Opener, clock: ManualClock, tmp_path: Path, harm: str
) -> None:
    await written(open_journal, receipted=True)
    index = sorted((tmp_path / "journal").glob("*.idx"))[1]
    before = index.read_bytes()
    match harm:
        case "flip":
            index.write_bytes(before[:50] + bytes([before[50] ^ 1]) + before[51:])
        case "remove":
            index.unlink()
        case _:
            index.write_bytes(b"")
    journal = await open_journal(SMALL)
    assert await verified(journal) == []
    assert index.read_bytes() == before
    index.unlink()
    clock.advance(10 * DAY_NS)
    journal.append("tick", {}, source="live")
    await journal.wait_durable(journal.head_seq - 1)
    sealed = len(list((tmp_path / "journal").glob("*.seg"))) - 1
    assert await journal.upkeep.retire() == sealed, "what lies behind it goes too"
    assert verify(tmp_path / "journal").sound


async def test_a_sealed_segment_that_was_cut_costs_what_it_lost_is_told_once_and_lets_go(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    records = await written(open_journal)
    segment = sorted((tmp_path / "journal").glob("*.seg"))[1]
    segment.write_bytes(segment.read_bytes()[:30_000])
    told = verify(tmp_path / "journal").problems
    assert told == [
        f"{segment.name}: bytes 27957 to 30000 (seq 29) are damaged",
        f"{segment.name}: the records from seq 29 to 39 are missing",
    ]
    journal = await open_journal(SMALL)
    assert await verified(journal) == ["quarantine"]
    found = await read_all(journal)
    assert found == [record for record in records if record.seq not in journal.holes]
    assert 0 < len(records) - len(found) < 15
    lost = next(iter(journal.holes))[0]
    proof = await journal.inclusion_proof(lost, 150)
    root = records[150].body["root"]
    assert verify_inclusion(leaf_hash(records[lost].data), lost, 150, proof, root), "its hash is still known"
    await receipt(journal, found)
    assert journal.stats().backlog_records == 0
    clock.advance(10 * DAY_NS)
    journal.append("tick", {}, source="live")
    await journal.wait_durable(journal.head_seq - 1)
    assert await journal.upkeep.retire() > 1
    assert not segment.exists()


async def test_a_cut_segment_is_named_by_a_repair_that_keeps_the_hashes_it_knows(
    open_journal: Opener, tmp_path: Path
) -> None:
    await written(open_journal)
    segment = sorted((tmp_path / "journal").glob("*.seg"))[1]
    segment.write_bytes(segment.read_bytes()[:30_000])
    report = repair(tmp_path / "journal")
    assert len(report.done) == 2
    assert report.lost[1] == f"{segment.name}: cut to 30000 bytes, without seq 29 to 39"
    again = repair(tmp_path / "journal")
    assert (again.done, again.lost) == ([], report.lost)
    assert verify(tmp_path / "journal").checkpoints == 1, "the roots behind it still stand"


@pytest.mark.parametrize("ledger_too", [False, True])
async def test_a_segment_that_was_taken_away_is_named_and_not_waited_for(
    open_journal: Opener, tmp_path: Path, *, ledger_too: bool
) -> None:
    records = await written(open_journal)
    directory = tmp_path / "journal"
    segment = sorted(directory.glob("*.seg"))[1]
    segment.unlink()
    if ledger_too:
        for path in (segment.with_suffix(".idx"), *(directory / "ledger").glob(f"{segment.stem}.*")):
            path.unlink()
    assert len(verify(directory).problems) == 1 + ledger_too, verify(directory).problems
    journal = await open_journal(SMALL)
    assert await verified(journal) == ["records-missing"]
    found = await read_all(journal)
    assert found == [record for record in records if record.seq not in journal.holes]
    assert len(found) < len(records)
    await receipt(journal, found)
    assert journal.stats().backlog_records == 0


async def test_lost_receipts_cost_a_second_delivery_and_leave_no_backlog_for_ever(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    await written(open_journal, receipted=True)
    clock.advance(10 * DAY_NS)
    journal = await open_journal(SMALL)
    assert await journal.upkeep.retire() > 1
    assert await verified(journal) == []
    await journal.close()
    (tmp_path / "journal" / "receipts.state").unlink()
    again = await open_journal(SMALL)
    assert await verified(again) == ["records-missing"]
    await receipt(again, await read_all(again))
    assert again.stats().backlog_records == 0


async def test_verification_names_a_hole_once_and_goes_on_behind_it(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    await fill(journal, 15, size=300)
    journal.receipts.acknowledge([(0, 14)])
    await journal.close()
    segment = tmp_path / "journal" / "00000000000000000000.seg"
    data = bytearray(segment.read_bytes())
    data[3000] ^= 1
    segment.write_bytes(data)
    again = await open_journal(SMALL)
    await fill(again, 30, size=300)
    assert again.checkpoint() is not None
    await again.close()
    result = verify(tmp_path / "journal")
    assert len(result.problems) == 1
    assert "(seq 7) are damaged" in result.problems[0]
    assert result.checkpoints == 1


async def test_a_journal_that_has_lost_both_descriptions_keeps_its_identity_and_purpose(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(purpose="rehearsal")
    journal.append("tick", {}, source="simulated")
    await journal.close()
    for path in (tmp_path / "journal").glob("journal.meta*"):
        path.unlink()
    with pytest.raises(WrongPurposeError, match="rehearsal"):
        await open_journal(purpose="production")
    again = await open_journal(purpose="rehearsal")
    assert again.id == journal.id
    assert again.recovery.meta_rebuilt


async def test_a_ledger_file_that_has_rotted_is_copied_anew_before_its_segment_goes(
    open_journal: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    await written(open_journal, receipted=True)
    ledger = min((tmp_path / "journal" / "ledger").glob("*.seg"))
    before = ledger.read_bytes()
    ledger.write_bytes(before[:200] + bytes([before[200] ^ 1]) + before[201:])
    clock.advance(10 * DAY_NS)
    journal = await open_journal(SMALL)
    assert await journal.upkeep.retire() > 1
    assert ledger.read_bytes() == before
