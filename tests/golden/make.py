"""Make the golden journal and archive of the present format: once for each released format, never again.

    python -m tests.golden.make record-1

Writes tests/golden/NAME.tar.gz: the journal's folder as a killed process leaves it, the archive's folder, and
what must be read from them.
"""

import asyncio
import base64
import json
import sys
import tarfile
import tempfile
from pathlib import Path

from pipeline.archive import Archive
from pipeline.journal import Journal, JournalSettings
from pipeline.journal.merkle import leaf_hash
from pipeline.records import Record
from pipeline.records.events import event_body
from pipeline.store.door import Origin
from tests.crash.models import ManualClock
from tests.support.journal_fake import data_body

FOLDER = Path(__file__).parent
SETTINGS = JournalSettings.model_construct(segment_bytes=8192, segment_records=300, keep_days=0.0)
ORIGIN = Origin("lab", "gateway")


async def fill(journal: Journal, clock: ManualClock, count: int) -> list[Record]:
    """Append one of each shape that a journal takes, again and again."""
    records: list[Record] = []
    for number in range(count):
        clock.advance(10**9)
        match number % 6:
            case 0:
                kind, body = "data", data_body("meter", number, clock.utc, rows=3)
            case 1:
                kind, body = (
                    "event",
                    event_body("daemon-start", boot=1, offset_ns=0, downtime_s=0, basis="new"),
                )
            case 2:
                kind, body = "gap", {
                    "instrument": "meter", "from_run_ns": clock.run, "to_run_ns": clock.run + 1,
                    "from_utc_ns": clock.utc, "to_utc_ns": clock.utc + 1, "polls": 1, "cause": "late",
                    "ended": True,
                }  # fmt: skip
            case 3:
                kind, body = (
                    "a-kind-of-a-later-version",
                    {"x": [1, -1, 2**63, 1.5, "字", b"\0\xff", None, True]},
                )
            case _:
                kind, body = "tick", {}
        records.append(journal.append(kind, body, source="simulated"))
        if number % 20 == 19:
            await journal.wait_durable(records[-1].seq)
            checkpoint = journal.checkpoint()
            if checkpoint is not None:
                records.append(checkpoint)
    await journal.wait_durable(records[-1].seq)
    return records


async def make(folder: Path) -> None:
    """Make a journal that has lived: retired and merged segments, receipts, a snapshot, a clean stop."""
    clock = ManualClock()
    options = {"purpose": "rehearsal", "base_clock": clock, "boot_id": "golden"}
    journal = await Journal.open(folder / "journal", SETTINGS, **options)  # type: ignore[arg-type]
    records = await fill(journal, clock, 500)
    journal.receipts.acknowledge([(0, 400)])
    await journal.receipts.close()
    clock.advance(10**9)
    await journal.upkeep.retire()
    await journal.upkeep.merge(files_min=2)
    stop = journal.checkpoint(stop=True)
    records += [] if stop is None else [stop]
    journal.save_snapshot("golden", records[-1].seq, b"state", 1)
    await journal.close()
    again = await Journal.open(folder / "journal", SETTINGS, **options)  # type: ignore[arg-type]
    records += await fill(again, clock, 30)
    await again.upkeep.finish()
    proof = await again.consistency_proof(256, 512)
    expected = {
        "journal": again.id.hex(),
        "receipted": [list(pair) for pair in again.receipts.done],
        "ordinals": {"meter": 24 + 3},
        "records": [[r.seq, r.kind, r.t_utc_ns, leaf_hash(r.data).hex()] for r in records],
        "consistency_256_512": [base64.b64encode(digest).decode() for digest in proof],
    }
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    with tarfile.open(folder / "killed.tar", "w") as image:  # as it lies there while the process runs
        image.add(folder / "journal", "journal")
    await again.close()
    archive = await Archive.open(folder / "archive", bytes(range(16)))
    await archive.append([(ORIGIN, record) for record in records])
    await archive.close()


def main() -> None:
    """Make NAME.tar.gz."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        asyncio.run(make(folder))
        with tarfile.open(FOLDER / f"{sys.argv[1]}.tar.gz", "x:gz") as whole:
            for name in ("killed.tar", "archive", "expected.json"):
                whole.add(folder / name, name)


if __name__ == "__main__":
    main()
