"""Disks that a power cut can leave, by the thousand, through the production recovery, commit and upkeep code.

    python -m tests.crash.images 0/17              one seed again, as a failure prints it
    python -m tests.crash.images --count 1000000   fresh seeds on all cores, until so many power cuts were met

An image is one power cut: what the disk then holds is opened by the next life, checked against what somebody
outside knows, and lived on. The operations that a life does beside its commits are the journal's own, called
in an order that the seed decides.
"""

import argparse
import errno
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from pipeline.journal.fold import SHED_EVENT
from pipeline.journal.framing import payload, scan
from pipeline.journal.hashes import KeptHashes
from pipeline.journal.merging import files_to_merge, list_ledger, merge_ledger
from pipeline.journal.merkle import TILE_LEAVES, TILE_LEVELS, Tree
from pipeline.journal.opening import Opened, open_directory
from pipeline.journal.receipts import RECEIPTS_NAME, write_receipts
from pipeline.journal.retirement import retire_segment
from pipeline.journal.sealing import finish_segment
from pipeline.journal.segments import Sealed, list_segments
from pipeline.journal.settings import JournalSettings
from pipeline.journal.shedding import plan_shedding
from pipeline.journal.snapshots import Snapshot, load_snapshot
from pipeline.journal.space import FULL_ERRORS, Space
from pipeline.journal.writer import Writer
from pipeline.records.envelope import Record, encode
from pipeline.records.ranges import RangeSet
from tests.crash.models import ManualClock, ModelDisk, PowerCut
from tests.support.leaf_tree import LeafHashes
from tests.support.snapshot_file import write_snapshot

DIRECTORY = Path("/journal")
LIVES_MAX = 5
SETTINGS = JournalSettings.model_construct(segment_bytes=6000, segment_records=40)
SEEDS_AT_ONCE = 250
_DEAF = (signal.SIGINT, signal.SIG_IGN)
MAINTENANCE = ("receipts", "snapshot", "retire", "finish", "finish", "prepare", "shed", "merge")


def stored_records(disk: ModelDisk) -> dict[int, bytes]:
    """Every record that a reader of the files finds, by seq; a segment counts before its ledger file."""
    found: dict[int, bytes] = {}
    mains = {segment.first_seq: segment for segment in list_segments(disk, DIRECTORY)}
    ledger = {segment.first_seq: segment for segment in list_ledger(disk, DIRECTORY)[0]}
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
        found = self.opened.found
        self.space = Space(disk, DIRECTORY, SETTINGS)
        self.writer = Writer(
            disk, DIRECTORY, self.opened.meta.id, SETTINGS, found.fold, found.open, self.space
        )  # fmt: skip
        self.next_seq = found.fold.next_seq
        self.unfinished: list[Sealed] = list(found.unfinished)

    def record(self, random: Random, size: int) -> Record:
        body = {"x": random.randbytes(size) if random.random() < 0.7 else bytes(size)}
        return self.make(random.choice(["tick", "data"]), body, random.randint(1, 10**8))

    def make(self, kind: str, body: dict[str, Any], later_ns: int = 1) -> Record:
        self.clock.advance(later_ns)
        record = encode(
            kind=kind, source="simulated", journal=self.opened.meta.id, epoch=0,
            boot=self.opened.start.boot, seq=self.next_seq, t_utc_ns=self.clock.utc, t_run_ns=self.clock.run,
            clock=self.clock.state(), by=None, body=body,
        )  # fmt: skip
        self.next_seq += 1
        return record


@dataclass
class World:
    """What somebody outside knows of a journal: what was given to it and what it has promised."""

    random: Random
    batch_max: int
    sizes: tuple[int, ...]
    given: dict[int, bytes] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    durable: int = -1
    receipted: int = -1
    snapshot: int = -1
    shed: RangeSet = field(default_factory=RangeSet)
    """What an event that is durable has said to be given up."""

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
            assert seq <= self.receipted or seq in self.shed, f"seq {seq} went without receipt or explanation"
        tree = Tree()
        leaves = [tree.append(self.given[seq]) for seq in range(fold.next_seq)]
        for seq in range(fold.next_seq):
            assert found.pop(seq, self.given[seq]) == self.given[seq], f"seq {seq}"
        assert not found
        assert fold.tree.root() == tree.root()
        assert all(fold.shed.covers(*pair) for pair in self.shed)
        assert life.opened.receipted.covers(0, self.receipted) or self.receipted < 0
        loaded = load_snapshot(life.disk, DIRECTORY, "qc", 1, fold.next_seq - 1)
        assert self.snapshot < 0 or (loaded is not None and loaded.seq >= self.snapshot)
        self.check_tiles(life, leaves)

    def check_tiles(self, life: Life, leaves: list[bytes]) -> None:
        """The roots over whole tiles can be had, whatever of the records below them is gone."""
        opened = life.opened.found.open
        size = life.opened.found.fold.next_seq
        tail = None if opened is None else (opened.first_seq, opened.index)
        hashes = KeptHashes(life.disk, DIRECTORY, life.opened.found.segments, tail, size)
        expected = LeafHashes(leaves)
        for tile in range(size // TILE_LEAVES):
            assert hashes(TILE_LEVELS, tile) == expected(TILE_LEVELS, tile), f"tile {tile}"

    def live(self, life: Life) -> None:
        """Append and maintain until the power goes, or an orderly stop."""
        while True:
            count = self.random.randint(1, self.batch_max)
            self.commit(
                life, [life.record(self.random, self.random.choice(self.sizes)) for _ in range(count)]
            )
            if self.random.random() < 0.3:
                self.maintain(life)
            if self.random.random() < 0.02:
                life.writer.close()
                return

    def commit(self, life: Life, batch: list[Record]) -> None:
        """Commit, now and then on a disk that fails a few times."""
        self.given.update((record.seq, record.data) for record in batch)
        self.kinds.update((record.seq, record.kind) for record in batch)
        if self.random.random() < 0.1:
            codes = [0, errno.EIO, errno.ENOSPC, errno.EROFS]
            life.disk.failures = [self.random.choice(codes) for _ in range(self.random.randint(1, 6))]
        written = None
        while written is None:
            try:
                written = life.writer.commit(batch)
            except OSError as error:
                if error.errno in FULL_ERRORS:
                    life.space.use_reserve()
        life.disk.failures = []
        self.durable = written.durable_seq
        life.unfinished += written.sealed

    def maintain(self, life: Life) -> None:
        """Do one of the things that the journal does beside its commits."""
        match self.random.choice(MAINTENANCE):
            case "receipts":
                upto = self.random.randint(self.receipted, self.durable)
                if upto >= 0:
                    write_receipts(life.disk, DIRECTORY / RECEIPTS_NAME, [(0, upto)])
                    self.receipted = upto
            case "snapshot":
                write_snapshot(life.disk, DIRECTORY, "qc", Snapshot(1, self.durable, b"state"))
                self.snapshot = self.durable
            case "finish":
                while life.unfinished:
                    finish_segment(life.disk, life.opened.meta.id, life.unfinished[0])
                    life.unfinished.pop(0)
            case "prepare":
                life.space.prepare()
            case "merge":
                mains = [segment.first_seq for segment in list_segments(life.disk, DIRECTORY)]
                ledger = [one for one in list_ledger(life.disk, DIRECTORY)[0] if one.first_seq not in mains]
                if files := files_to_merge(ledger, min(mains, default=0), 2):
                    merge_ledger(life.disk, DIRECTORY, life.opened.meta.id, files)
            case "shed":
                self.give_up(life)
            case _:
                self.retire(life)

    def done(self) -> RangeSet:
        return RangeSet([(0, self.receipted)] if self.receipted >= 0 else [])

    def retire(self, life: Life) -> None:
        for segment in list_segments(life.disk, DIRECTORY)[:-1]:
            retire_segment(
                life.disk, life.opened.meta.id, segment, self.done(), RangeSet(self.shed), life.clock.utc,
                promised=set,
            )  # fmt: skip

    def give_up(self, life: Life) -> None:
        """Explain the oldest segment's bulk, wait until that is durable, let it go."""
        segments = list_segments(life.disk, DIRECTORY)[:-1]
        plan = plan_shedding(life.disk, segments[0], self.done(), RangeSet(self.shed)) if segments else None
        if plan is None or not len(plan.seqs):
            return
        ranges = [list(pair) for pair in plan.seqs]
        self.commit(life, [life.make("event", {"code": SHED_EVENT, "args": {"ranges": ranges}})])
        self.shed.update(plan.seqs)
        self.retire(life)


def run_image(seed: str, key_path: Path) -> int:
    """Several lives on one disk; returns how many power cuts they met."""
    random = Random(seed)
    many = random.random() < 0.1
    world = World(random, *((60, (0, 3)) if many else (8, (0, 10, 100, 700, 2500))))
    disk, clock = ModelDisk(), ManualClock()
    cuts = 0
    for _ in range(random.randint(1, LIVES_MAX)):
        disk.operations_left = random.choice([random.randint(0, 12), random.randint(0, 300 if many else 60)])
        try:
            life = Life(disk, clock, key_path)
            world.check(life)
            world.live(life)
        except PowerCut:
            disk = disk.after_power_cut(random)
            cuts += 1
    disk.operations_left = None
    world.check(Life(disk, clock, key_path))
    return cuts


def run_seeds(run: str, numbers: Sequence[int]) -> int:
    """Run some seeds; a failure is told with the command that repeats it."""
    cuts = 0
    with tempfile.TemporaryDirectory() as scratch:
        key_path = Path(scratch) / "journal.key"
        for number in numbers:
            seed = f"{run}/{number}"
            try:
                cuts += run_image(seed, key_path)
            except Exception as error:
                error.add_note(f"again: python -m tests.crash.images {seed}")
                raise
    return cuts


def run_until(run: str, count: int, processes: int) -> Iterator[tuple[int, int]]:
    """Run fresh seeds until `count` power cuts were met; yields (seeds, power cuts) so far."""
    seeds = cuts = 0
    # An interrupt is the parent's business: in a worker it would print the power cut that it met last.
    with ProcessPoolExecutor(processes, initializer=signal.signal, initargs=_DEAF) as pool:
        while cuts < count:
            pieces = [
                range(at, at + SEEDS_AT_ONCE)
                for at in range(seeds, seeds + 4 * processes * SEEDS_AT_ONCE, SEEDS_AT_ONCE)
            ]
            for met in pool.map(run_seeds, [run] * len(pieces), pieces):
                seeds += SEEDS_AT_ONCE
                cuts += met
                yield seeds, cuts


def soak(run: str, count: int, processes: int, say: Callable[[str], object]) -> dict[str, Any]:
    """Run until so many power cuts were met, telling how far it is, and return the figures."""
    began_s, told_s = time.monotonic(), 0.0
    seeds = cuts = 0
    for seeds, cuts in run_until(run, count, processes):
        elapsed_s = time.monotonic() - began_s
        if elapsed_s - told_s >= 10 or cuts >= count:
            told_s = elapsed_s
            say(f"run {run}: {seeds} seeds, {cuts} power cuts, {cuts / elapsed_s:.0f} a second, none lost")
    return {
        "run": run, "seeds": seeds, "power_cuts": cuts, "processes": processes,
        "seconds": time.monotonic() - began_s, "lost": 0, "invented": 0, "manual_repairs": 0,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Repeat one seed, or run many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("seed", nargs="?", help="RUN/NUMBER of a failure, to see it again")
    parser.add_argument("--count", type=int, default=20_000, help="power cuts to meet")
    parser.add_argument("--run", default=secrets.token_hex(4), help="name of the run, part of every seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.seed is None:
        found = soak(
            options.run, options.count, options.processes, lambda text: sys.stderr.write(f"{text}\n")
        )
        sys.stdout.write(f"{json.dumps(found)}\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        cuts = run_image(options.seed, Path(scratch) / "journal.key")
    sys.stdout.write(f"{options.seed}: {cuts} power cuts, all well\n")


if __name__ == "__main__":
    main()
