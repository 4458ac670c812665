"""Whether an archive still is what was archived: beside the process that has it open, changing nothing.

Bytes: every checksum, hash and place, segment by segment. History: the Merkle tree over each journal's leaf
hashes must have the roots that the journal's own checkpoints signed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pipeline.archive.index import INDEX_NAME, Index
from pipeline.archive.segments import Segments
from pipeline.journal.disk import Disk, RealDisk
from pipeline.journal.merkle import Tree, leaf_hash
from pipeline.journal.note import MalformedNote, read_checkpoint, split_note, verify
from pipeline.journal.succession import KIND, KeyChain, chain_of
from pipeline.records.envelope import MalformedRecord, decode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from pipeline.archive.index import Row
    from pipeline.records import Record

HASHES_AT_ONCE = 100_000
LEDGER_AT_ONCE = 10_000


class Finding(NamedTuple):
    """Something that is not as it must be."""

    segment: str
    offset: int
    what: str


@dataclass(slots=True)
class History:
    """What the checkpoints say of the archived records of one journal."""

    journal: bytes
    origin: str = ""
    records: int = 0
    """From seq 0 on, without a hole."""
    checkpoints: int = 0
    """Found right, of those that the records reach."""
    sealed: int = 0
    """Records below the latest checkpoint that was found right."""
    missing: tuple[int, int] | None = None
    """First hole: another collector may have these."""
    problems: list[str] = field(default_factory=list)
    bad_seq: int | None = None
    """First record of the span that does not fit a checkpoint, or where versions differ."""


class Checker:
    """Reads an archive that another process may write. One thread; `close` it.

    Args:
        folder: the archive's.
        disk: the file system.

    Raises:
        sqlite3.Error, OSError: there is no archive with an index here.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._segments = Segments(RealDisk() if disk is None else disk, folder, b"", 0)
        self._index = Index(folder / INDEX_NAME, read_only=True)

    def segments(self) -> list[str]:
        """Name every segment whose bytes are here, or should be."""
        here = self._segments.names()
        return [*here, *(name for name in self._segments.missing(self._index.through()) if name not in here)]

    def size(self, segment: str) -> int:
        """Bytes of a segment."""
        return max(0, self._segments.size(segment))

    def check(self, segment: str) -> list[Finding]:
        """Read a segment as far as it is indexed and compare every record with the index."""
        through = self._index.through().get(segment, 0)
        if self._segments.size(segment) < 0:
            gone = not self._segments.missing({segment: through})  # let go meanwhile
            return [] if gone else [Finding(segment, 0, "the file is not here any more")]
        rows = {row.place: row.digest for row in self._index.within(segment)}
        contents, damages = self._segments.contents(segment, through)
        findings = [Finding(segment, d.offset, f"{d.end - d.offset} bytes cannot be read") for d in damages]
        there = {place: leaf_hash(content.data) for place, content in contents}
        data_at = {place: content.data for place, content in contents}
        for place, digest in rows.items():
            if there.get(place) != digest:
                findings.append(Finding(segment, place.offset, "an indexed record is missing or differs"))
        findings += [
            Finding(segment, place.offset, "a record is not in the index")
            for place, digest in there.items()
            if place not in rows and not self._is_elsewhere(data_at[place], digest)
        ]
        return sorted(findings)

    def _is_elsewhere(self, data: bytes, digest: bytes) -> bool:
        """Whether the same record is indexed in another segment: merged archives hold it twice."""
        try:
            record = decode(data)
        except MalformedRecord:
            return False
        return digest in self._index.find(record.journal, record.seq)

    def journals(self) -> list[bytes]:
        """Every journal that has records here."""
        return sorted(self._index.journals())

    def history(self, journal: bytes, keys: Mapping[str, bytes] | None = None) -> History:
        """Compare the records of a journal, from seq 0 on, with what its checkpoints signed.

        Args:
            journal: its id.
            keys: origin to the 32-byte public key of its log; signatures are checked where it is there.
        """
        found = History(journal)
        signed = self._signed(journal, keys or {}, found)
        tree, last = Tree(), 0
        while rows := self._index.hashes(journal, tree.size, tree.size + HASHES_AT_ONCE):
            for seq, digest in rows:
                if seq == tree.size - 1:
                    _tell(found, seq, f"seq {seq} has two contents: a fork")
                elif seq != tree.size:
                    found.missing = (tree.size, seq - 1)
                    break
                else:
                    tree.append_hash(digest)
                    last = _compare(found, tree, signed, last)
            if found.missing or found.problems:
                break
        found.records = tree.size
        return found

    def _signed(self, journal: bytes, keys: Mapping[str, bytes], found: History) -> dict[int, bytes]:
        signed: dict[int, bytes] = {}
        chains = self._chains(journal, keys, found)
        for record in self._records(journal, {"checkpoint"}):
            try:
                note = str(record.body["note"])
                checkpoint = read_checkpoint(split_note(note)[0])
                if checkpoint.origin in chains:
                    verify(note, checkpoint.origin, chains[checkpoint.origin].at(checkpoint.size))
            except (MalformedNote, LookupError, TypeError) as error:
                _tell(found, record.seq, f"checkpoint at seq {record.seq}: {error}")
                continue
            found.origin = checkpoint.origin
            if signed.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                _tell(
                    found, record.seq, f"two checkpoints sign different roots for {checkpoint.size} records"
                )
        return signed

    def _chains(self, journal: bytes, keys: Mapping[str, bytes], found: History) -> dict[str, KeyChain]:
        """The keys of each known log, one after the other, as its records of kind `key` say."""
        chains = {origin: KeyChain(public) for origin, public in keys.items()}
        records = [*self._records(journal, {KIND})] if keys else []
        for origin in {
            origin for origin in keys for r in records if f"\n{origin}+" in str(r.body.get("note"))
        }:
            try:
                chains[origin] = chain_of(keys[origin], records)
            except MalformedNote as error:
                _tell(found, records[0].seq, f"the change of the log's key: {error}")
        return chains

    def _records(self, journal: bytes, kinds: Collection[str]) -> Iterable[Record]:
        seq = 0
        while rows := self._index.ledger(journal, seq, kinds, LEDGER_AT_ONCE):
            yield from filter(None, map(self.read, rows))
            seq = rows[-1].seq + 1

    def read(self, row: Row) -> Record | None:
        """Read a record; None when its bytes are damaged or were let go."""
        if not row.place.end:
            return None
        content = self._segments.read(row.place)
        if content is None or leaf_hash(content.data) != row.digest:
            return None
        try:
            return decode(content.data)
        except MalformedRecord:
            return None

    @property
    def index(self) -> Index:
        """For readers of records."""
        return self._index

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()


def _tell(found: History, seq: int, problem: str) -> None:
    found.problems.append(problem)
    found.bad_seq = seq if found.bad_seq is None else min(seq, found.bad_seq)


def _compare(found: History, tree: Tree, signed: dict[int, bytes], last: int) -> int:
    root = signed.get(tree.size)
    if root is None:
        return last
    if root != tree.root():
        _tell(found, last, f"records from seq {last} to {tree.size - 1} are not those that were sealed")
        return last
    found.checkpoints += 1
    found.sealed = tree.size
    return tree.size
