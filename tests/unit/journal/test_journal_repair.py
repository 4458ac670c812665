"""`journal repair` and `journal export`: damage set aside, what can be is made anew, nothing destroyed."""

import base64
import json
from pathlib import Path

import pytest

from pipeline.journal import JournalBusyError, verify
from pipeline.journal.export import export_records, json_line
from pipeline.journal.repair import repair
from pipeline.records import Record
from pipeline.records.envelope import split
from tests.support.commanding import yaosu
from tests.unit.journal.journals import SMALL, Opener, fill

SITE = '[site]\nlab = "lab"\ngateway = "gw"\npurpose = "production"\nstate_dir = "."\n'


async def closed(open_journal: Opener, count: int = 90) -> list[Record]:
    journal = await open_journal(SMALL)
    records = await fill(journal, count)
    journal.checkpoint()
    await journal.close()
    return records


def everything(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


async def test_a_whole_journal_needs_no_repair(open_journal: Opener, tmp_path: Path) -> None:
    await closed(open_journal)
    before = everything(tmp_path / "journal")
    report = repair(tmp_path / "journal")
    assert (report.done, report.lost) == ([], [])
    assert report.segments > 2
    after = everything(tmp_path / "journal")
    assert {name: data for name, data in after.items() if not name.endswith("lock")} == {
        name: data for name, data in before.items() if not name.endswith("lock")
    }


async def test_an_index_a_ledger_file_and_tree_hashes_are_made_anew(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal = await open_journal(SMALL)
    for number in range(2400):
        journal.append("tick" if number % 9 else "data", {"n": number}, source="live")
        if number % 300 == 299:
            await journal.wait_durable(number)
    journal.checkpoint()
    await journal.close()
    directory = tmp_path / "journal"
    before = everything(directory)
    first = min(directory.glob("*.idx"))
    first.write_bytes(b"rotten")
    second = sorted((directory / "ledger").glob("*.seg"))[1]
    second.with_suffix(".idx").unlink()
    (directory / "tree" / "level-08").unlink()
    report = repair(directory)
    assert report.lost == []
    assert len(report.done) == 4, report.done
    after = everything(directory)
    assert after[first.name] == before[first.name]
    assert after[f"ledger/{second.name}"] == before[f"ledger/{second.name}"]
    assert after["tree/level-08"] == before["tree/level-08"]
    assert after[f"quarantine/{first.name}"] == b"rotten"
    assert verify(directory).sound


async def test_damaged_bytes_are_set_aside_and_named_and_the_root_stays_provable(
    open_journal: Opener, tmp_path: Path
) -> None:
    records = await closed(open_journal)
    directory = tmp_path / "journal"
    segment = sorted(directory.glob("*.seg"))[1]
    data = bytearray(segment.read_bytes())
    data[9000] ^= 1
    segment.write_bytes(data)
    report = repair(directory)
    assert len(report.lost) == 1
    assert segment.name in report.lost[0]
    assert segment.read_bytes() == bytes(data), "nothing is destroyed"
    assert any("quarantine" in done for done in report.done)
    journal = await open_journal(SMALL)
    assert journal.head_seq == len(records) + 1
    proof = await journal.inclusion_proof(0, 64)
    assert proof, "the index still knows the damaged record's leaf hash"


async def test_an_open_journal_is_left_alone(open_journal: Opener, tmp_path: Path) -> None:
    await open_journal(SMALL)
    with pytest.raises(JournalBusyError):
        repair(tmp_path / "journal")


async def test_records_are_exported_as_they_are(open_journal: Opener, tmp_path: Path) -> None:
    records = await closed(open_journal, 40)
    directory = tmp_path / "journal"
    found = list(export_records(directory, first_seq=5, last_seq=20, kinds={"event"}))
    assert found == [record for record in records if 5 <= record.seq <= 20 and record.kind == "event"]
    middle = records[17].t_utc_ns
    assert [one.seq for one in export_records(directory, to_utc_ns=middle)] == [
        one.seq for one in records if one.t_utc_ns < middle
    ]
    line = json.loads(json_line(records[3]))
    assert (line["seq"], line["kind"], line["journal"]) == (3, "data", records[3].journal.hex())
    assert base64.b64decode(line["body"]["x"]["base64"]) == records[3].body["x"]


async def test_the_commands_export_and_repair(open_journal: Opener, tmp_path: Path) -> None:
    records = await closed(open_journal, 40)
    site, out = tmp_path / "gateway.toml", tmp_path / "records.bin"
    site.write_text(SITE, encoding="utf-8")
    assert yaosu("journal", "export", "-c", site, "--format", "bytes", "--to", "39", "--out", out).code == 0
    assert split(out.read_bytes()) == [record.data for record in records]
    again = yaosu("journal", "export", "-c", site, "--out", out)
    assert (again.code, "another name" in again.err) == (2, True)
    assert yaosu("journal", "repair", "-c", site, "--json").json["lost"] == []
    segment = min((tmp_path / "journal").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[5000] ^= 1
    segment.write_bytes(data)
    outcome = yaosu("journal", "repair", "-c", site)
    assert outcome.code == 1
    assert segment.name in outcome.out
    assert list((tmp_path / "journal" / "quarantine").iterdir())
