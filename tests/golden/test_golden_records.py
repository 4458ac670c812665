"""Journals and archives that released formats have written: every later version reads all of them.

A new format adds a file (`python -m tests.golden.make NAME`); the ones that are here are never made again.
"""

import base64
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive import Archive
from pipeline.journal import Journal, verify
from pipeline.journal.merkle import Tree, leaf_hash, verify_consistency
from pipeline.records import Record
from pipeline.records.envelope import BULK_KINDS
from tests.crash.models import ManualClock
from tests.golden.make import FOLDER, SETTINGS

GOLDEN = sorted(path.name.removesuffix(".tar.gz") for path in FOLDER.glob("*.tar.gz"))


@pytest.fixture(params=GOLDEN)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Unpack one format's folder."""
    with tarfile.open(FOLDER / f"{request.param}.tar.gz") as whole:
        whole.extractall(tmp_path, filter="tar")
    with tarfile.open(tmp_path / "killed.tar") as image:
        image.extractall(tmp_path, filter="tar")
    return tmp_path


def expected_of(folder: Path) -> Any:
    return json.loads((folder / "expected.json").read_bytes())


def test_there_is_a_golden_record_of_every_format() -> None:
    assert "record-1" in GOLDEN


async def test_a_golden_journal_is_read_verified_and_lived_on(golden: Path, no_leaked_tasks: None) -> None:
    expected = expected_of(golden)
    assert verify(golden / "journal").sound
    clock = ManualClock(utc=1_900_000_000 * 10**9, run=10**15)
    journal = await Journal.open(golden / "journal", SETTINGS, purpose="rehearsal", base_clock=clock)
    try:
        assert journal.id.hex() == expected["journal"]
        assert (journal.recovery.quarantined, journal.recovery.torn_bytes) == ((), 0)
        assert journal.head_seq == len(expected["records"])
        assert [list(pair) for pair in journal.receipts.done] == expected["receipted"]
        assert journal.ordinals == expected["ordinals"]
        found: dict[int, Record] = {}
        while records := await journal.read(max(found, default=-1) + 1, bytes_max=10**6):
            found |= {record.seq: record for record in records}
        tree, roots = Tree(), {}
        for seq, kind, t_utc_ns, leaf in expected["records"]:
            tree.append_hash(bytes.fromhex(leaf))
            roots[tree.size] = tree.root()
            if seq in found:
                record = found[seq]
                assert (record.kind, record.t_utc_ns, leaf_hash(record.data).hex()) == (kind, t_utc_ns, leaf)
            else:
                assert kind in BULK_KINDS, "only receipted bulk may be gone"
                assert seq <= expected["receipted"][-1][1]
        assert len(found) < len(expected["records"]), "the golden journal has retired segments"
        proof = await journal.consistency_proof(256, 512)
        assert [base64.b64encode(one).decode() for one in proof] == expected["consistency_256_512"]
        assert verify_consistency(256, 512, roots[256], roots[512], proof)
        assert journal.load_snapshot("golden", 1) is not None
        await journal.wait_durable(journal.append("tick", {}, source="simulated").seq)
    finally:
        await journal.close()
    assert verify(golden / "journal").sound


async def test_a_golden_archive_is_read_whole(golden: Path) -> None:
    expected = expected_of(golden)
    archive = await Archive.open(golden / "archive", bytes(range(16)))
    try:
        for seq, kind, _, leaf in expected["records"]:
            (archived,) = await archive.read(bytes.fromhex(expected["journal"]), seq)
            assert leaf_hash(archived.data).hex() == leaf, (seq, kind)
        assert not await archive.verify()
    finally:
        await archive.close()
