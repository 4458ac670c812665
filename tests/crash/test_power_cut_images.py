"""Thousands of disks that a power cut can leave, through the production recovery and commit code."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from pipeline.journal.framing import FILE_HEADER_BYTES, payload, scan
from pipeline.journal.merkle import Tree
from pipeline.journal.opening import Opened, open_directory
from pipeline.journal.receipts import RECEIPTS_NAME, write_receipts
from pipeline.journal.retirement import retire_segment
from pipeline.journal.segments import list_segments
from pipeline.journal.settings import JournalSettings
from pipeline.journal.snapshots import Snapshot, load_snapshot, write_snapshot
from pipeline.journal.writer import Writer
from pipeline.records.envelope import Record, encode
from pipeline.records.ranges import RangeSet
from tests.crash.models import ManualClock, ModelDisk, PowerCut

DIRECTORY = Path("/journal")
IMAGES = int(os.environ.get("YAOSU_IMAGES", "3000"))
LIVES_MAX = 5
SETTINGS = JournalSettings.model_construct(segment_bytes=6000, segment_records=40)


def stored_records(disk: ModelDisk) -> dict[int, bytes]:
    """Every record that a reader of the files finds, by seq; a segment counts before its ledger file."""
    found: dict[int, bytes] = {}
    mains = {segment.first_seq: segment for segment in list_segments(disk, DIRECTORY)}
    ledger = {segment.first_seq: segment for segment in list_segments(disk, DIRECTORY / "ledger")}
    segments = [one for _, one in sorted((ledger | mains).items())]
    for position, segment in enumerate(segments):
        following = segments[position + 1].first_seq if position + 1 < len(segments) else None
        data = disk.read(segment.path)
        for entry in scan(data, segment.first_seq)[0]:
            if following is None or entry.seq < following:
                found[entry.seq] = payload(data, entry)
    return found


class Life:
    """One start of a gateway on a model disk: open, check, append, until the power goes."""

    def __init__(self, disk: ModelDisk, clock: ManualClock, key_path: Path) -> None:
        self.disk = disk
        self.clock = clock
        self.opened: Opened = open_directory(disk, DIRECTORY, "rehearsal", clock, "one-boot", key_path)
        self.writer = Writer(
            disk, DIRECTORY, self.opened.meta.id, SETTINGS, self.opened.found.fold, self.opened.found.open
        )
        self.next_seq = self.opened.found.fold.next_seq

    def record(self, random: Random) -> Record:
        self.clock.advance(random.randint(1, 10**8))
        size = random.choice([0, 10, 100, 700, 2500])
        body = {"x": random.randbytes(size) if random.random() < 0.7 else bytes(size)}
        record = encode(
            kind=random.choice(["tick", "data"]), source="simulated", journal=self.opened.meta.id, epoch=0,
            boot=self.opened.start.boot, seq=self.next_seq, t_utc_ns=self.clock.utc, t_run_ns=self.clock.run,
            clock=self.clock.state(), by=None, body=body,
        )  # fmt: skip
        self.next_seq += 1
        return record


@dataclass
class World:
    """What somebody outside knows of a journal: what was given to it and what it has promised."""

    random: Random
    given: dict[int, bytes] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    durable: int = -1
    receipted: int = -1
    snapshot: int = -1

    def check(self, life: Life) -> None:
        """Everything promised is there bit for bit, nothing is invented, and seqs go on without a hole."""
        fold = life.opened.found.fold
        assert not life.opened.report.quarantined
        assert not life.opened.report.meta_rebuilt
        assert not fold.holes
        assert fold.next_seq > self.durable
        found = stored_records(life.disk)
        for seq in set(range(fold.next_seq)) - found.keys():
            assert self.kinds[seq] == "data", f"seq {seq} of the ledger is gone"
            assert seq <= self.receipted, f"seq {seq} was retired without a receipt"
        tree = Tree()
        for seq in range(fold.next_seq):
            tree.append(self.given[seq])
            assert found.pop(seq, self.given[seq]) == self.given[seq], f"seq {seq}"
        assert not found
        assert fold.tree.root() == tree.root()
        assert life.opened.receipted.covers(0, self.receipted) or self.receipted < 0
        loaded = load_snapshot(life.disk, DIRECTORY, "qc", 1, fold.next_seq - 1)
        assert self.snapshot < 0 or (loaded is not None and loaded.seq >= self.snapshot)

    def live(self, life: Life) -> None:
        """Append and maintain until the power goes."""
        while True:
            batch = [life.record(self.random) for _ in range(self.random.randint(1, 8))]
            self.given.update((record.seq, record.data) for record in batch)
            self.kinds.update((record.seq, record.kind) for record in batch)
            self.durable = commit(life, batch, self.random)
            if self.random.random() < 0.2:
                self.maintain(life)

    def maintain(self, life: Life) -> None:
        """Write receipts or a snapshot, or retire a segment, as the journal does beside its commits."""
        match self.random.choice(["receipts", "snapshot", "retire"]):
            case "receipts":
                upto = self.random.randint(self.receipted, self.durable)
                if upto >= 0:
                    write_receipts(life.disk, DIRECTORY / RECEIPTS_NAME, [(0, upto)])
                    self.receipted = upto
            case "snapshot":
                write_snapshot(life.disk, DIRECTORY, "qc", Snapshot(1, self.durable, b"state"))
                self.snapshot = self.durable
            case _:
                done = RangeSet([(0, self.receipted)] if self.receipted >= 0 else [])
                for segment in list_segments(life.disk, DIRECTORY)[:-1]:
                    retire_segment(life.disk, life.opened.meta.id, segment, done, RangeSet(), life.clock.utc)


def run_image(seed: str, key_path: Path) -> int:
    """Several lives on one disk; returns how many power cuts they met."""
    random = Random(seed)
    disk, clock, world = ModelDisk(), ManualClock(), World(random)
    cuts = 0
    for _ in range(random.randint(1, LIVES_MAX)):
        disk.operations_left = random.choice([random.randint(0, 12), random.randint(0, 60)])
        try:
            life = Life(disk, clock, key_path)
            world.check(life)
            world.live(life)
        except PowerCut:
            disk = disk.after_power_cut(random)
            cuts += 1
    world.check(Life(disk, clock, key_path))
    return cuts


def commit(life: Life, batch: list[Record], random: Random) -> int:
    """Commit, now and then on a disk that fails a few times."""
    if random.random() < 0.1:
        life.disk.failures = [
            random.choice([0, errno.EIO, errno.ENOSPC]) for _ in range(random.randint(1, 6))
        ]  # fmt: skip
    while True:
        try:
            durable = life.writer.commit(batch).durable_seq
        except OSError:
            continue
        life.disk.failures = []
        return durable


@pytest.mark.timeout(0 if IMAGES > 10_000 else 180)
def test_every_image_of_a_power_cut_keeps_what_was_promised(
    tmp_path: Path, pytestconfig: pytest.Config, record_testsuite_property: Callable[[str, object], None]
) -> None:
    run = str(pytestconfig.getoption("--hypothesis-seed"))
    cuts = 0
    for number in range(IMAGES):
        seed = f"{run}/{number}"
        try:
            cuts += run_image(seed, tmp_path / "journal.key")
        except Exception as error:
            error.add_note(f"image seed: {seed}")
            raise
    record_testsuite_property("power cuts", cuts)
    assert cuts > IMAGES


def test_one_rotten_bit_costs_one_record_and_the_rest_stays(tmp_path: Path) -> None:
    for number in range(200):
        random = Random(number)
        disk, clock = ModelDisk(), ManualClock()
        life = Life(disk, clock, tmp_path / "journal.key")
        given: dict[int, bytes] = {}
        batch: list[Record] = []
        for _ in range(random.randint(2, 12)):
            batch = [life.record(random) for _ in range(random.randint(1, 5))]
            given.update((record.seq, record.data) for record in batch)
            life.writer.commit(batch)
        promised_before_last = batch[0].seq - 1
        path = random.choice(list_segments(disk, DIRECTORY)).path
        for index in [name for name in disk.names(DIRECTORY) if name.endswith(".idx")]:
            disk.remove(DIRECTORY / index)  # or else the sealed segment would not be looked at
        disk.flip(path, random.randrange(FILE_HEADER_BYTES, disk.size(path)), random.randrange(8))
        again = Life(disk, clock, tmp_path / "journal.key")
        found = stored_records(disk)
        assert all(given[seq] == data for seq, data in found.items())
        lost = set(range(promised_before_last + 1)) - set(found)
        assert len(lost) <= 1
        holes = again.opened.found.fold.holes
        assert all(seq in holes for seq in lost)
        assert bool(lost) == bool(again.opened.report.quarantined)
        assert again.next_seq > promised_before_last
        if lost:
            assert disk.names(DIRECTORY / "quarantine")
        again.writer.commit([again.record(random)])
