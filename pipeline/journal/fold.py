"""What the journal knows after a record: the state that is carried forward over all of them, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.journal.merkle import UNKNOWN_LEAF, Tree
from pipeline.journal.stored_time import StoredTimes, claim_of
from pipeline.records.envelope import MalformedRecord, decode
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from pipeline.records import Record


@dataclass(slots=True)
class Fold:
    """State after the records so far. The next seq is the size of the tree: a seq is a leaf index."""

    tree: Tree = field(default_factory=Tree)
    stored: StoredTimes = field(default_factory=StoredTimes)
    holes: RangeSet = field(default_factory=RangeSet)
    """Seqs whose bytes are lost."""
    epoch: int = 0
    boot: int = 0
    t_utc_ns: int = 0
    t_run_ns: int = 0
    """Stamps of the last record; gateway time is the latest of all."""
    synchronised: bool = False
    """Whether UTC was synchronised at the last record."""
    checkpoint_seq: int = -1
    """The last checkpoint record; -1 when there is none."""
    checkpoint_size: int = 0
    """How many leaves it signs."""

    @property
    def next_seq(self) -> int:
        """The seq that the next record gets."""
        return self.tree.size

    def skip_to(self, seq: int) -> None:
        """Note that the records before `seq` that did not come are lost."""
        if seq > self.tree.size:
            self.holes.add(self.tree.size, seq - 1)
        while self.tree.size < seq:
            self.tree.append_hash(UNKNOWN_LEAF)

    def take(self, record: Record) -> None:
        """Go forward over one record."""
        self._take_leaf(record.seq, record.data)
        if record.epoch != self.epoch:
            self.stored.last.clear()
        self.epoch, self.boot = record.epoch, record.boot
        self.t_utc_ns, self.t_run_ns = record.t_utc_ns, max(self.t_run_ns, record.t_run_ns)
        self.synchronised = record.clock.synchronised
        if record.kind == "checkpoint":
            self.checkpoint_seq, self.checkpoint_size = record.seq, int(record.body["size"])
        claim = claim_of(record)
        if claim is not None:
            self.stored.claim(*claim)

    def _take_leaf(self, seq: int, data: bytes) -> None:
        self.skip_to(seq)
        self.tree.append(data)

    def take_bytes(self, seq: int, data: bytes) -> str:
        """Go forward over a record read back; return its kind, "" when only its bytes can be kept."""
        try:
            record = decode(data)
            self.take(record)
        except (MalformedRecord, KeyError, TypeError, ValueError):
            if self.tree.size <= seq:
                self._take_leaf(seq, data)
            return ""
        return record.kind

    def copy(self) -> Fold:
        """Return a state that goes on by itself."""
        return unpack(self.pack())

    def pack(self) -> dict[str, Any]:
        """Return the state as a msgpack map."""
        return {
            "size": self.tree.size,
            "frontier": list(self.tree.frontier),
            "stored": self.stored.last,
            "holes": [list(pair) for pair in self.holes],
            "epoch": self.epoch,
            "boot": self.boot,
            "t_utc_ns": self.t_utc_ns,
            "t_run_ns": self.t_run_ns,
            "synchronised": self.synchronised,
            "checkpoint_seq": self.checkpoint_seq,
            "checkpoint_size": self.checkpoint_size,
        }


def unpack(packed: dict[str, Any]) -> Fold:
    """Return the state that `Fold.pack` wrote."""
    return Fold(
        tree=Tree(packed["size"], packed["frontier"]),
        stored=StoredTimes(packed["stored"]),
        holes=RangeSet((first, last) for first, last in packed["holes"]),
        epoch=packed["epoch"],
        boot=packed["boot"],
        t_utc_ns=packed["t_utc_ns"],
        t_run_ns=packed["t_run_ns"],
        synchronised=packed["synchronised"],
        checkpoint_seq=packed["checkpoint_seq"],
        checkpoint_size=packed["checkpoint_size"],
    )
