"""Evidence of a task of many records: how long it takes to check it, and how large the file is.

python -m benchmarks.evidence [--json] [--records 100000]
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from pipeline.archive import Archive
from pipeline.evidence.cosignature import cosign, vkey, witness_key
from pipeline.evidence.create import create
from pipeline.evidence.policy import LOG, Key, read_policy
from pipeline.evidence.sources import ArchiveSource
from pipeline.evidence.verify import check_file
from pipeline.journal.merkle import Tree
from pipeline.journal.note import Checkpoint, checkpoint_text, sign
from pipeline.records import Block, Channel, ClockState, Frame, Layout, Record
from pipeline.records.envelope import encode
from pipeline.records.frame import encode_frame
from pipeline.records.signing import SigningKey
from pipeline.store import Origin

ROWS = 10
BATCH = 1000
ORIGIN, WITNESS, TASK = "yaosu/bench/gw", "witness.example/w1", "bench-1"
JOURNAL = bytes(range(16))


def key(number: int) -> SigningKey:
    """Make a key that is the same in every run."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


def frame_body(n_first: int) -> dict[str, Any]:
    """One frame: 10 rows of two float64 channels."""
    times = 1_800_000_000 * 10**9 + 1_000_000 * np.arange(n_first, n_first + ROWS, dtype=np.int64)
    block = Block(
        instrument="meter", layout=Layout((Channel("v", unit="V"), Channel("i", unit="A"))), t_utc_ns=times,
        t_run_ns=times, t_request_ns=times, t_response_ns=times, status=np.zeros((2, ROWS), np.uint8),
        f8=np.random.default_rng(n_first).normal(size=(2, ROWS)), i8=np.empty((0, ROWS), np.int64),
        u8=np.empty((0, ROWS), np.uint64),
    )  # fmt: skip
    masks = np.zeros((2, ROWS), np.int64)
    return encode_frame(Frame(block, n_first, np.ones((2, ROWS), np.uint8), masks, masks))


class Writer:
    """Makes the records of a log in order, with its tree."""

    def __init__(self) -> None:
        self.tree = Tree()

    def record(self, kind: str, body: dict[str, Any]) -> Record:
        """Make the next record."""
        seq = self.tree.size
        made = encode(
            kind=kind, source="live", journal=JOURNAL, epoch=0, boot=1, seq=seq, t_utc_ns=seq, t_run_ns=seq,
            clock=ClockState(synchronised=True, error_ns=1000), by=None, body=body,
        )  # fmt: skip
        self.tree.append(made.data)
        return made

    def story(self, frames: int) -> list[Record]:
        """One task of so many frames, every second one of another instrument's, sealed and cosigned."""
        records = [self.record("task", {"task": TASK, "action": "start", "instruments": ["meter"]})]
        for number in range(frames):
            records.append(self.record("data", frame_body(ROWS * number)))
            if number % 4 == 0:
                records.append(self.record("data", {**frame_body(0), "instrument": "other"}))
        cited = [1, records[-1].seq - (records[-1].body["instrument"] == "other")]
        verdict = {"task": TASK, "element": "measurement", "finality": "final", "reasons": [{"seqs": cited}]}
        records.append(self.record("verdict", verdict))
        text = checkpoint_text(Checkpoint(ORIGIN, self.tree.size, self.tree.root()))
        note = sign(text, ORIGIN, key(1)) + cosign(text, WITNESS, key(2), 1_800_000_000)
        records.append(self.record("cosignature", {"note": note}))
        return records


async def archive_in(folder: Path, records: list[Record]) -> None:
    """Archive the records as a collector does."""
    archive = await Archive.open(folder, bytes(16))
    for start in range(0, len(records), BATCH):
        await archive.append([(Origin("bench", "gw"), one) for one in records[start : start + BATCH]])
    await archive.close()


def measure(records: int) -> dict[str, Any]:
    """Make the file from an archive and check it; processor time."""
    policy = read_policy(
        f"log {vkey(Key(ORIGIN, LOG, key(1).public))}\n"
        f"witness w {vkey(witness_key(WITNESS, key(2).public))}\nquorum w\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder, path = Path(scratch) / "archive", Path(scratch) / "file"
        asyncio.run(archive_in(folder, Writer().story(records)))
        with closing(ArchiveSource(folder)) as source:
            began_s = time.process_time()
            made = create(source, TASK, path)
            create_s = time.process_time() - began_s
            payload = sum(len(record.data) for record in source.after(-1, {"data"})
                          if record.body["instrument"] == "meter")  # fmt: skip
        began_s = time.process_time()
        checked = check_file(path, policy)
        verify_s = time.process_time() - began_s
    assert checked.problems == []
    assert checked.records == records + 2
    return {
        "records": made.records, "create_s": create_s, "verify_s": verify_s,
        "verify_us_per_record": 1e6 * verify_s / made.records,
        "file_mb": made.bytes / 1e6, "proof_bytes_per_record": (made.bytes - payload) / made.records,
        "machine": describe_machine(),
    }  # fmt: skip


def results_section(found: dict[str, Any]) -> str:
    """Write the section of RESULTS.md."""
    return section_text(
        "Evidence",
        f"The file of a task of {found['records']:,} records (frames of {ROWS} rows, every fifth record of"
        " the log is another instrument's), made from an archive and checked with two public keys: every"
        " record's bytes, every hash up to the signed root, the cosignature, and that no row is missing."
        " Processor time of one core; the goal is 5 s for 100,000 records.",
        ("what", "measured"),
        [
            ("check", f"{found['verify_s']:.2f} s, {found['verify_us_per_record']:.1f} µs a record"),
            ("make", f"{found['create_s']:.1f} s"),
            ("file", f"{found['file_mb']:.1f} MB"),
            ("of it beyond the records themselves", f"{found['proof_bytes_per_record']:.0f} bytes a record"),
        ],
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--records", type=int, default=100_000, help="frames of the task")
    options = parser.parse_args(arguments)
    show(measure(options.records), results_section, as_json=options.json)


if __name__ == "__main__":
    main()
