"""The journal: source of truth at the edge and store-and-forward buffer at once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.journal.committer import Committer
from pipeline.journal.disk import Disk, RealDisk
from pipeline.journal.errors import CommitFailedError
from pipeline.journal.framing import RECORD_BYTES_MAX, Entry
from pipeline.journal.keeping import KeyKeeper
from pipeline.journal.merkle import Tree, consistency_proof, inclusion_proof
from pipeline.journal.note import Checkpoint, checked_name, checkpoint_text, sign
from pipeline.journal.opening import LOCK_NAME, Opened, open_directory
from pipeline.journal.receipts import RECEIPTS_NAME, Receipts
from pipeline.journal.segments import Segment
from pipeline.journal.shelf import Shelf, Tail
from pipeline.journal.snapshots import Snapshot, SnapshotWriter, State, load_snapshot
from pipeline.journal.space import Space
from pipeline.journal.stamps import StampClock
from pipeline.journal.start import Downtime, last_difference_ns
from pipeline.journal.stats import Facts, JournalStats, Stamps, gather
from pipeline.journal.upkeep import Parts, Upkeep, unsettled
from pipeline.journal.writer import Writer, Written
from pipeline.records.clock import Clock, OffsetClock, SystemClock
from pipeline.records.envelope import BULK_KINDS, Body, By, Purpose, Record, Source, encode, own_source
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.journal.merkle import Nodes
    from pipeline.journal.recovery import Recovery
    from pipeline.journal.settings import JournalSettings
    from pipeline.records.signing import SigningKey

LOG = logging.getLogger(__name__)
_NOTICES_KEPT = 256
_OWN_CLOCK: frozenset[Source] = frozenset({"live", "simulated"})
"""Sources whose stamps were read from this gateway's clock."""
_SIMULATED: frozenset[Source] = frozenset({"simulated", "replayed"})


class Notice(NamedTuple):
    """Something that the daemon turns into an event: a code of `events.CATALOGUE` and its arguments."""

    code: str
    args: dict[str, Any]


def _thread(name: str) -> Executor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


class Journal:
    """One append-only stream of records in a directory, open for appends.

    Characteristics: `append` is synchronous and touches only memory; commits, reads and state files are done
    in two threads of the journal's own; every method is called on the event loop's thread. Bounded: records
    that wait for the disk (64 MiB, then JournalFullError), the tail in memory (8 MiB, oldest go), notices
    (256, oldest go). Made by `open`.
    """

    def __init__(
        self, directory: Path, settings: JournalSettings, disk: Disk, opened: Opened, base: Clock, *,
        origin: str, executors: tuple[Executor, Executor],
    ) -> None:  # fmt: skip
        self.id = opened.meta.id
        self.purpose: Purpose = opened.meta.purpose
        self.origin = checked_name(origin or f"yaosu/{self.id.hex()}")
        """First line of checkpoints and name of the key that signs them."""
        self.start = opened.start
        self.recovery = opened.report
        self.clock: Clock = OffsetClock(base, opened.start.offset_ns)
        """Gateway time of this boot."""
        fold = opened.found.fold
        self.head_seq = fold.next_seq
        """The next seq to be given."""
        self.holes = RangeSet(fold.holes)
        """Seqs whose bytes are lost: `read` steps over them."""
        self._directory = directory
        self._settings = settings
        self._disk = disk
        self._writing, self._background = executors
        self.keys = KeyKeeper(disk, directory, opened, self._background)
        self._stamps = StampClock(self.clock, last_difference_ns(fold, self.start.downtime, base), fold.epoch)
        self._stored = fold.copy().stored
        self._tree: Tree = fold.tree.copy()
        self._checkpoint = (fold.checkpoint_seq, fold.checkpoint_size)
        self._notices: deque[Notice] = deque(maxlen=_NOTICES_KEPT)
        self._tail = Tail(settings.tail_bytes)
        self._space = Space(disk, directory, settings)
        self._shelf = Shelf(disk, self._background, opened.found, settings.file_bytes, self._found_unreadable)
        self.receipts = Receipts(disk, directory / RECEIPTS_NAME, self._background, lambda: self.durable_seq)
        self.receipts.done.update(opened.receipted)
        self._snapshots = SnapshotWriter(disk, directory, self._background, self._wait_through)
        self._since = Stamps(self._tail.get, lambda seq: self.read(seq, bytes_max=1))
        self.ordinals: dict[str, int] = dict(fold.ordinals)
        """The ordinal that the next row of each instrument gets, as of the start; never given twice."""
        self._closed = False
        self._begin(opened.found)

    def _begin(self, found: Recovery) -> None:
        """Start what runs as long as the journal is open: commits and upkeep."""
        disk, directory, settings = self._disk, self._directory, self._settings
        self._writer = Writer(disk, directory, self.id, settings, found.fold, found.open, self._space)
        self._committer = Committer(
            self._writer, self._space, self._writing, settings, self.clock,
            durable_seq=self.head_seq - 1, committed=self._committed, report=self._report,
        )  # fmt: skip
        parts = Parts(
            disk, directory, self.id, settings, self.clock, self._shelf, self._space, self._background,
            lambda: self.receipts.done, self.holes, self._report, self._wait_through, self._found_unreadable,
        )  # fmt: skip
        self.upkeep = Upkeep(parts, found.unfinished, RangeSet(found.fold.shed), found.fold.shedding)
        """Retirement, shedding, verification: what the daemon does every few seconds."""
        self.upkeep.sealed(())

    @classmethod
    async def open(
        cls, directory: Path, settings: JournalSettings, *, purpose: Purpose, base_clock: Clock | None = None,
        origin: str = "", key_path: Path | None = None, disk: Disk | None = None, boot_id: str | None = None,
        executor: Callable[[str], Executor] = _thread,
    ) -> Journal:  # fmt: skip
        """Open a directory, or make a journal in an empty one. Damaged bytes never stop it.

        Args:
            directory: the journal's own; its quarantine, ledger and snapshots lie in it.
            settings: limits.
            purpose: must be the one that the journal was made for.
            base_clock: read for all stamps; default the machine's.
            origin: name of the log in checkpoints, e.g. `yaosu/LAB/GATEWAY`; default made of the id.
            key_path: the signing key's file; default `journal.key` in the directory.
            disk: the file system; default the real one.
            boot_id: id of the operating system's boot; default the kernel's.
            executor: makes the journal's two single-thread executors.

        Raises:
            JournalBusyError: another process has it open.
            WrongPurposeError, ForeignKeyError: it is not the journal that was meant.
            OSError: the directory cannot be used at all.
        """
        disk = RealDisk() if disk is None else disk
        base = SystemClock() if base_clock is None else base_clock
        executors = (executor("journal-commit"), executor("journal-files"))
        try:
            opened = await asyncio.get_running_loop().run_in_executor(
                executors[1], open_directory, disk, directory, purpose, base, boot_id, key_path
            )
        except BaseException:
            for one in executors:
                one.shutdown(wait=False)
            raise
        return cls(directory, settings, disk, opened, base, origin=origin, executors=executors)

    @property
    def key(self) -> SigningKey:
        """The key that signs checkpoints now."""
        return self.keys.key

    @property
    def durable_seq(self) -> int:
        """Last seq covered by a completed fdatasync; -1 when there is none."""
        return self._committer.durable_seq

    @property
    def boot(self) -> int:
        """Number of this start, from 1."""
        return self.start.boot

    @property
    def downtime(self) -> Downtime:
        """How long the gateway was not there before this start."""
        return self.start.downtime

    @property
    def epoch(self) -> int:
        """Rises with every backward step of UTC."""
        return self._stamps.epoch

    @property
    def clock_step_ns(self) -> int:
        """The backward step that raised the epoch last; 0 when none has since the start."""
        return self._stamps.step_ns

    def append(
        self, kind: str, body: Body, *, by: By | None = None, source: Source, t_utc_ns: int | None = None,
        t_run_ns: int | None = None,
    ) -> Record:  # fmt: skip
        """Give a record its seq and stamps and take it into memory; it is durable when `durable_seq` says so.

        Args:
            kind: see `envelope.KINDS`.
            body: msgpack map; not changed afterwards.
            by: on derived records, from what.
            source: where it comes from; a production journal takes nothing simulated or replayed.
            t_utc_ns: stamp; default now.
            t_run_ns: the same instant in gateway time; default now.

        Raises:
            JournalFullError: too much waits for the disk; nothing was taken.
            ValueError: the source does not fit the purpose, or the record is above 16 MiB.
        """
        if self._closed:
            raise RuntimeError("the journal is closed")
        if self.purpose == "production" and source in _SIMULATED:
            raise ValueError(f"a production journal takes no {source} record: open a rehearsal journal")
        own = self._stamps.pair()
        given = (
            None if t_utc_ns is None or t_run_ns is None or source not in _OWN_CLOCK else (t_utc_ns, t_run_ns)
        )
        self._observe(own, given)
        record = encode(
            kind=kind, source=source, journal=self.id, epoch=self.epoch, boot=self.boot, seq=self.head_seq,
            t_utc_ns=own[0] if t_utc_ns is None else t_utc_ns,
            t_run_ns=own[1] if t_run_ns is None else t_run_ns,
            clock=self.clock.state(), by=by, body=body,
        )  # fmt: skip
        if len(record.data) > RECORD_BYTES_MAX:
            raise ValueError(f"a record of {len(record.data)} bytes is above the limit of {RECORD_BYTES_MAX}")
        self._committer.check_room(len(record.data), bulk=kind in BULK_KINDS)
        self.head_seq += 1
        self._tail.add(record)
        self._committer.add(record)
        return record

    def _observe(self, own: tuple[int, int], given: tuple[int, int] | None) -> None:
        if self._stamps.observe(own, given):
            self._stored.last.clear()

    def stored_offsets(self, key: str, t_utc_ns: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Decide the stored times of rows that are appended next; int64[n] to add, None when all are zero.

        Stored times strictly increase within an epoch and key. The key of `data` frames is their instrument;
        any other record that stores one keeps it as `t_store_off_ns` and uses `kind/instrument`.
        """
        self._observe(self._stamps.pair(), None)
        return self._stored.offsets(key, t_utc_ns)

    async def room(self) -> None:
        """Wait until at most half of the memory for waiting records is used."""
        await self._committer.room()

    async def wait_durable(self, seq: int) -> None:
        """Wait until `seq` is durable.

        Raises:
            CommitFailedError: a write failed; it is tried again without being asked.
            ValueError: no record has this seq yet.
        """
        if seq >= self.head_seq:
            raise ValueError(f"seq {seq} was not given yet")
        await self._committer.wait_durable(seq)

    async def wait_beyond(self, seq: int) -> None:
        """Wait until a record after `seq` is durable, through any trouble of the disk."""
        while self.durable_seq <= seq:
            await self._committer.next_turn()

    async def _wait_through(self, seq: int) -> None:
        await self.wait_beyond(seq - 1)

    async def read(self, from_seq: int, *, bytes_max: int, durable: bool = True) -> list[Record]:
        """Return records in order from `from_seq` on, whole and checked; [] when there are none.

        At least one is returned if there is one, however large; at most to the end of one file. Seqs whose
        bytes are lost (`holes`) and bulk that was retired are stepped over: the first record may have a later
        seq than was asked for.
        """
        through = self.durable_seq if durable else self.head_seq - 1
        kept = self.holes.missing(from_seq, through) if from_seq <= through else []
        if not kept:
            return []
        recent = self._tail.run(kept[0][0], through, bytes_max)
        return recent or await self._shelf.read(kept[0][0], bytes_max)

    def save_snapshot(self, name: str, seq: int, state: State, version: int) -> None:
        """Take a consumer's state after it had taken every record up to `seq`.

        It is written behind, and counts once `seq` is durable; of several that wait the latest is written.
        """
        if seq >= self.head_seq:
            raise ValueError(f"seq {seq} was not given yet")
        self._snapshots.save(name, Snapshot(version, seq, state))

    def load_snapshot(self, name: str, version: int) -> tuple[int, bytes] | None:
        """Return (seq, state) of the latest undamaged snapshot of this version; None when there is none."""
        found = load_snapshot(self._disk, self._directory, name, version, self.durable_seq)
        return None if found is None else (found.seq, bytes(found.state))

    def checkpoint(self, *, stop: bool = False) -> Record | None:
        """Append a signed checkpoint; None when only the last one came since.

        It covers all durable records; or, where their number has passed a multiple of 256 since the last one,
        that many: between such sizes consistency can be proven for ever. So it can between clean stops, and
        the last one before a stop (`stop`) covers everything. A new key seals from the record of its change
        on: none before that is durable, and no smaller tree.
        """
        seq, size = self._checkpoint
        grown, since = self._tree.size - size, self.keys.since
        if grown == 0 or (grown == 1 and seq == size) or max(seq, since) >= self._tree.size:
            return None
        aligned = self._tree.aligned()
        tree = aligned if aligned.size > max(size, since) and not stop else self._tree
        root = tree.root()
        note = sign(checkpoint_text(Checkpoint(self.origin, tree.size, root)), self.origin, self.key)
        body: Body = {"note": note, "size": tree.size, "root": root}
        if stop:
            body["stop"] = True
        record = self.append("checkpoint", body, source=own_source(self.purpose))
        self._checkpoint = (record.seq, tree.size)
        return record

    async def consistency_proof(self, old_size: int, size: int) -> list[bytes]:
        """Prove that the tree of `size` records begins with that of `old_size`; RFC 6962, section 2.1.2.

        Raises:
            ValueError: there are not so many durable records.
            HashGoneError: the old tree ends inside a tile of records that are gone; see `merkle`.
            OSError: a hash cannot be read.
        """
        return await self._prove(consistency_proof, old_size, size)

    async def inclusion_proof(self, seq: int, size: int) -> list[bytes]:
        """Prove that a record is in the tree of `size` records; raises as `consistency_proof` does."""
        return await self._prove(inclusion_proof, seq, size)

    async def _prove(
        self, make: Callable[[Nodes, int, int], list[bytes]], first: int, size: int
    ) -> list[bytes]:
        if size > self._tree.size:
            raise ValueError(f"{size} records are not durable yet")
        hashes = self._shelf.hashes(self._directory, self._tree.size)
        return await asyncio.get_running_loop().run_in_executor(self._background, make, hashes, first, size)

    def take_notices(self) -> list[Notice]:
        """Return what happened since the last call and belongs into events."""
        taken = list(self._notices)
        self._notices.clear()
        return taken

    def _report(self, code: str, **args: Any) -> None:
        self._notices.append(Notice(code, args))

    def _found_unreadable(self, segment: Segment, entry: Entry) -> None:
        if entry.seq in self.holes:
            return  # told before
        self.holes.add(entry.seq)
        if (told := Notice("quarantine", {"segment": segment.path.name})) not in self._notices:
            LOG.error("seq %d in %s cannot be read", entry.seq, segment.path.name)
            self._notices.append(told)  # a bad stretch is one event, not one for each record

    def _committed(self, written: Written) -> None:
        self._shelf.take(written)
        if written.sealed:
            self.upkeep.sealed(written.sealed)
        self._tail.trim(written.durable_seq)
        self._tree = written.tree

    def stats(self) -> JournalStats:
        """Return the journal's figures; cheap enough for every second."""
        missing = unsettled(self.receipts.done, (self.holes, self.upkeep.shed), self.durable_seq)
        since_ns = self._since.of(missing[0][0]) if missing and not self._closed else None
        facts = Facts(self.head_seq, since_ns, self.epoch, self.boot, len(self.holes))
        return gather(
            self._shelf, self._committer, self._settings, self._space, self.upkeep.scrub, missing, facts
        )

    async def close(self) -> None:
        """Commit everything, write receipts and snapshots, let go of the directory.

        Raises:
            CommitFailedError: the disk does not work; what could not be written is lost with the process.
        """
        if self._closed:
            return
        self._closed = True
        try:
            whole = await self._committer.close()
            await self.receipts.close()
            await self._snapshots.close(written=whole)
            await self._since.close()
            await self.upkeep.close()
        finally:
            for executor in (self._writing, self._background):
                executor.shutdown(wait=True)
            self._writer.close()
            self._disk.unlock(self._directory / LOCK_NAME)
        if not whole:
            trouble = self._committer.trouble
            error = OSError(trouble.error if trouble else "unknown")
            raise CommitFailedError(error, since_utc_ns=trouble.since_utc_ns if trouble else 0)
