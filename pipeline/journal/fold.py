"""What the journal knows after a record: the state that is carried forward over all of them, in order."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.journal.merkle import UNKNOWN_LEAF, Tree
from pipeline.journal.stored_time import StoredTimes, claim_of
from pipeline.records.envelope import MalformedRecord, decode
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from pipeline.records import Record
    from pipeline.records.envelope import Body

SHED_CAUSE = "shed"
"""Cause of the gaps that explain rows which were given up for room."""
SHED_EVENT = "bulk-shed"
"""Code of the event that says which records are given up; their gaps come before it."""


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
    ordinals: dict[str, int] = field(default_factory=dict)
    """The ordinal that the next row of each instrument gets."""
    successions: list[tuple[int, str]] = field(default_factory=list)
    """Seq and note of each change of the log's key."""
    shed: RangeSet = field(default_factory=RangeSet)
    """Seqs whose bulk was given up for room, receipts or not."""
    shedding: set[tuple[str, int]] = field(default_factory=set)
    """Gaps that were recorded for bulk that is about to be given up: (instrument, from_run_ns)."""

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

    def take(self, record: Record) -> bytes:
        """Go forward over one record; returns its leaf hash."""
        leaf = self._take_leaf(record.seq, record.data)
        if record.epoch != self.epoch:
            self.stored.last.clear()
        self.epoch, self.boot = record.epoch, record.boot
        self.t_utc_ns, self.t_run_ns = record.t_utc_ns, max(self.t_run_ns, record.t_run_ns)
        self.synchronised = record.clock.synchronised
        claim = claim_of(record)
        if claim is not None:
            self.stored.claim(*claim)
        with suppress(KeyError, TypeError, ValueError):  # a body of another shape (a newer writer's)
            self._take_body(record.kind, record.seq, record.body)
        return leaf

    def _take_body(self, kind: str, seq: int, body: Body) -> None:
        match kind:
            case "data":
                self.ordinals[str(body["instrument"])] = int(body["n"]) + int(body["rows"])
            case "checkpoint":
                self.checkpoint_seq, self.checkpoint_size = seq, int(body["size"])
            case "key":
                self.successions.append((seq, str(body["note"])))
            case "gap" if body["cause"] == SHED_CAUSE:
                self.shedding.add((body["instrument"], body["from_run_ns"]))
            case "event" if body["code"] == SHED_EVENT:
                self.shed.update((first, last) for first, last in body["args"]["ranges"])
                self.shedding.clear()
            case _:
                pass

    def _take_leaf(self, seq: int, data: bytes) -> bytes:
        self.skip_to(seq)
        return self.tree.append(data)

    def take_bytes(self, seq: int, data: bytes) -> tuple[Record | None, bytes]:
        """Go forward over a record read back; returns it (None: only bytes can be kept) and its leaf hash."""
        try:
            record = decode(data)
        except MalformedRecord:
            return None, self._take_leaf(seq, data)
        return record, self.take(record)

    def copy(self) -> Fold:
        """Return a state that goes on by itself."""
        return unpack(self.pack())

    def pack(self) -> dict[str, Any]:
        """Return the state as a msgpack map."""
        return {
            "size": self.tree.size,
            "frontier": list(self.tree.frontier),
            "stored": dict(self.stored.last),
            "holes": [list(pair) for pair in self.holes],
            "epoch": self.epoch,
            "boot": self.boot,
            "t_utc_ns": self.t_utc_ns,
            "t_run_ns": self.t_run_ns,
            "synchronised": self.synchronised,
            "checkpoint_seq": self.checkpoint_seq,
            "checkpoint_size": self.checkpoint_size,
            "ordinals": dict(self.ordinals),
            "successions": [list(pair) for pair in self.successions],
            "shed": [list(pair) for pair in self.shed],
            "shedding": [list(pair) for pair in self.shedding],
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
        ordinals=packed.get("ordinals", {}),
        successions=[(seq, note) for seq, note in packed.get("successions", ())],
        shed=RangeSet((first, last) for first, last in packed.get("shed", ())),
        shedding={(instrument, from_ns) for instrument, from_ns in packed.get("shedding", ())},
    )
