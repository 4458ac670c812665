"""A sealed log on paper: one task of two instruments among the work of others, witnesses, and its policy."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.evidence.cosignature import cosign, vkey, witness_key
from pipeline.evidence.policy import LOG, Key
from pipeline.journal.merkle import Tree, leaf_hash
from pipeline.journal.note import Checkpoint, checkpoint_text, sign
from pipeline.journal.succession import succession_note
from pipeline.records import Record
from pipeline.records.signing import SigningKey
from tests.support.journal_fake import T0_NS, data_body, make_record
from tests.support.leaf_tree import LeafHashes

ORIGIN = "yaosu/lab/gw"
TASK = "t-0001"
JOURNAL = bytes(range(16))
COSIGNED_S = 1_790_000_000
OPERATORS = {"institute": "witness.institute.example/w1", "university": "witness.university.example/w1"}


def signing_key(number: int) -> SigningKey:
    """A key that is the same in every run."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


LAB_KEY = signing_key(1)
WITNESS_KEYS = {operator: signing_key(2 + number) for number, operator in enumerate(OPERATORS)}


def policy_text(quorum: str = "both") -> str:
    """The lab's log and both witnesses; the quorum is one of them, `both`, `either` or `none`."""
    witnesses = [
        f"witness {operator} {vkey(witness_key(name, WITNESS_KEYS[operator].public))}"
        for operator, name in OPERATORS.items()
    ]
    groups = ["group both all institute university"] if quorum == "both" else []
    groups += ["group either any institute university"] if quorum == "either" else []
    lines = [f"log {vkey(Key(ORIGIN, LOG, LAB_KEY.public))}", *witnesses, *groups, f"quorum {quorum}"]
    return "\n".join(lines) + "\n"


@dataclass
class PaperLog:
    """A `Source` whose records are a list."""

    journal: bytes = JOURNAL
    records: list[Record] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    key: SigningKey = LAB_KEY
    """Seals from now on."""
    witness_keys: dict[str, SigningKey] = field(default_factory=lambda: dict(WITNESS_KEYS))
    """Operator to the key that cosigns from now on."""
    _hashes: tuple[int, LeafHashes] | None = None

    def add(self, kind: str, body: dict[str, Any] | None = None) -> Record:
        record = make_record(len(self.records), kind, body or {}, self.journal)
        self.records.append(record)
        return record

    def data(self, instrument: str, rows: int = 2) -> Record:
        n = self.rows.get(instrument, 0)
        self.rows[instrument] = n + rows
        return self.add("data", data_body(instrument, n, T0_NS + len(self.records) * 10**9, rows))

    def sealed(self, size: int | None = None, witnesses: Collection[str] = OPERATORS) -> str:
        """The note of a checkpoint, cosigned."""
        size = len(self.records) if size is None else size
        tree = Tree()
        for record in self.records[:size]:
            tree.append(record.data)
        text = checkpoint_text(Checkpoint(ORIGIN, size, tree.root()))
        lines = [cosign(text, OPERATORS[one], self.witness_keys[one], COSIGNED_S + size) for one in witnesses]
        return "".join([sign(text, ORIGIN, self.key), *lines])

    def seal(self, size: int | None = None, witnesses: Collection[str] = OPERATORS) -> None:
        """Record a checkpoint and the cosignatures of witnesses, each in a record of its own."""
        note = self.sealed(size, ())
        self.add("checkpoint", {"note": note})
        for one in witnesses:
            self.add("cosignature", {"note": self.sealed(int(note.split("\n")[1]), [one])})

    def change_key(self, new: SigningKey) -> Record:
        """Record that another key follows, as a gateway does."""
        record = self.add("key", {"note": succession_note(ORIGIN, self.key, new)})
        self.key = new
        return record

    def change_witness_key(self, operator: str, new: SigningKey) -> Record:
        """Record that another key of a witness follows, as a gateway does."""
        note = succession_note(OPERATORS[operator], self.witness_keys[operator], new)
        record = self.add("witness-key", {"note": note})
        self.witness_keys[operator] = new
        return record

    def record(self, seq: int) -> Record | None:
        return self.records[seq]

    def after(self, seq: int, kinds: Collection[str]) -> Iterator[Record]:
        return iter([record for record in self.records[seq + 1 :] if record.kind in kinds])

    def node(self, level: int, index: int) -> bytes:
        if self._hashes is None or self._hashes[0] != len(self.records):
            hashes = LeafHashes([leaf_hash(record.data) for record in self.records])
            self._hashes = len(self.records), hashes
        return self._hashes[1](level, index)


def paper_log(frames: int = 4) -> PaperLog:
    """A task with its past and its neighbours, not sealed yet."""
    log = PaperLog()
    log.add("config", {"action": "apply", "sha256": "00"})
    log.add("config", {"sha256": "00", "instruments": []})
    for entry, data in (("m-1", {}), ("eq-1", {"instrument": "oven"}), ("p-9", {})):
        log.add("registry", {"type": "method", "id": entry, "data": data})
    log.data("oven")
    start = log.add("task", {
        "task": TASK, "action": "start", "method": "m-1", "instruments": ["oven"],
        "bindings": [{"role": "environment", "target": "room.temperature"}],
    })  # fmt: skip
    first, room = len(log.records), [0]
    for _ in range(frames):
        log.data("oven")
        log.data("somebody-elses")
        room.append(log.data("room").seq)
        log.add("tick")
    last = log.data("oven")
    log.add("event", {"code": "x", "instrument": "oven", "args": {"task": "t-other"}})
    log.add("task", {"task": TASK, "action": "stop"})
    result = log.add("result", {"task": TASK, "seqs": [first, last.seq]})
    log.add("verdict", {
        "task": TASK, "element": "measurement", "finality": "final", "cause_seq": start.seq,
        "supersedes": None, "reasons": [{"seqs": [first]}], "facts": {"channels": {
            "oven.temperature": {"seq_first": first, "seq_last": last.seq},
            "room.temperature": {"seq_first": room[1], "seq_last": room[-1]},
        }},
    })  # fmt: skip
    log.add("review", {"task": TASK, "results": [result.seq], "verdicts": [result.seq + 1]})
    return log


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
