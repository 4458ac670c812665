"""Looking at a journal that is not open: what it holds, and whether every byte of it still stands."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pipeline.journal.disk import Disk, RealDisk, read_damaged
from pipeline.journal.fold import Fold
from pipeline.journal.framing import FILE_HEADER_BYTES, Entry, file_header, payload, scan
from pipeline.journal.merging import list_ledger
from pipeline.journal.merkle import HASH_BYTES, UNKNOWN_LEAF, Tree, leaf_hash
from pipeline.journal.note import MalformedNote, read_checkpoint, split_note
from pipeline.journal.note import verify as verify_note
from pipeline.journal.receipts import RECEIPTS_NAME, read_receipts
from pipeline.journal.segments import Index, Segment, list_segments, read_fold, read_index
from pipeline.journal.start import read_meta_public
from pipeline.journal.succession import KIND, KeyChain, chain_of
from pipeline.records.envelope import MalformedRecord, Record, decode
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """What a journal directory holds, without reading its records."""

    id: str
    """Hex; "" when the journal's description cannot be read."""
    purpose: str
    created_utc_ns: int
    bytes: int
    segments: int
    ledger_files: int
    first_seq: int | None
    receipted: RangeSet


@dataclass(slots=True)
class Verification:
    """Result of checking every byte of a journal."""

    records: int = 0
    next_seq: int = 0
    root: str = ""
    """Hex root of the Merkle tree over all records."""
    checkpoints: int = 0
    """Checkpoints whose signature and root were found right."""
    checkpoints_unchecked: int = 0
    """Checkpoints of a size that lies inside a retired segment."""
    checkpoint_size: int = 0
    """Records covered by the latest checkpoint that was found right."""
    checkpoints_failed: int = 0
    """Checkpoints that sign other records: behind one that is changed or missing, all of them."""
    torn_bytes: int = 0
    """Length of a torn tail: the next start cuts it, nothing that was promised is in it."""
    keys: list[str] = field(default_factory=list)
    """Hex public keys that the log has had, the first first."""
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class _File(NamedTuple):
    segment: Segment
    retired: bool
    following: int | None


def stat(directory: Path, *, disk: Disk | None = None) -> JournalFacts:
    """Look at a journal directory. Raises OSError when it cannot be read."""
    disk = RealDisk() if disk is None else disk
    meta = read_meta_public(disk, directory)
    files = _files(disk, directory)
    return JournalFacts(
        id=meta[0].id.hex() if meta else "",
        purpose=meta[0].purpose if meta else "",
        created_utc_ns=meta[0].created_utc_ns if meta else 0,
        bytes=sum(file.segment.size for file in files),
        segments=sum(not file.retired for file in files),
        ledger_files=sum(file.retired for file in files),
        first_seq=files[0].segment.first_seq if files else None,
        receipted=read_receipts(disk, directory / RECEIPTS_NAME),
    )


def verify(directory: Path, *, disk: Disk | None = None) -> Verification:
    """Check every frame, the order of seqs, every checkpoint's signature and the roots that they state.

    Changes nothing; meant for a journal that is not open. Raises OSError when the directory cannot be read.
    """
    disk = RealDisk() if disk is None else disk
    result = Verification()
    meta = read_meta_public(disk, directory)
    if meta is None:
        result.problems.append("journal.meta is missing, damaged or not signed by the key that it names")
        return result
    files = _files(disk, directory)
    chain = _chain(disk, files, meta[1], result)
    result.keys = [public.hex() for public in chain.publics]
    signed = _signed_roots(disk, files, chain, result)
    tree = Tree()
    receipted = read_receipts(disk, directory / RECEIPTS_NAME)
    explained = RangeSet(receipted)
    explained.update(_given_up(disk, files))
    for file in files:
        tree = _verify_file(disk, file, meta[0].id, tree, signed, result)
        if file.retired:
            _check_gone(disk, file, explained, result)
    result.next_seq, result.root = tree.size, tree.root().hex()
    last = max((last for _, last in receipted), default=-1)
    if last >= tree.size:
        result.problems.append(f"receipts name records up to seq {last}, but only {tree.size} are there")
    for size in signed:
        if size > tree.size:
            result.problems.append(f"a checkpoint signs {size} records, but only {tree.size} are there")
        else:
            result.checkpoints_unchecked += 1
    return result


def _files(disk: Disk, directory: Path) -> list[_File]:
    mains = list_segments(disk, directory)
    firsts = {segment.first_seq for segment in mains}
    retired = [one for one in list_ledger(disk, directory)[0] if one.first_seq not in firsts]
    ordered = sorted([*mains, *retired], key=lambda segment: segment.first_seq)
    following = [*(segment.first_seq for segment in ordered), None][1:]
    return [
        _File(one, one.first_seq not in firsts, after) for one, after in zip(ordered, following, strict=True)
    ]


def _records(disk: Disk, file: _File) -> Iterator[Record]:
    data = read_damaged(disk, file.segment.path)
    for entry in scan(data, file.segment.first_seq)[0]:
        if file.following is None or entry.seq < file.following:
            try:
                yield decode(payload(data, entry))
            except MalformedRecord:
                continue  # reported by the pass over all records


def _chain(disk: Disk, files: list[_File], public: bytes, result: Verification) -> KeyChain:
    """The keys that the log has had; only the one that is known where their succession is not signed."""
    records = (record for file in files for record in _records(disk, file) if record.kind == KIND)
    try:
        return chain_of(public, records)
    except MalformedNote as error:
        result.problems.append(f"the change of the log's key: {error}")
        return KeyChain(public)


def _signed_roots(
    disk: Disk, files: list[_File], keys: KeyChain, result: Verification
) -> dict[int, bytes]:  # fmt: skip
    """Collect size -> root of the checkpoints whose signature is right."""
    signed: dict[int, bytes] = {}
    for record in (
        record for file in files for record in _records(disk, file) if record.kind == "checkpoint"
    ):
        note = str(record.body.get("note"))
        try:
            size = read_checkpoint(split_note(note)[0]).size
            found = read_checkpoint(verify_note(note, note.split("\n", 1)[0], keys.at(size)))
        except MalformedNote as error:
            result.problems.append(f"checkpoint at seq {record.seq}: {error}")
            continue
        if signed.setdefault(found.size, found.root) != found.root:
            result.problems.append(f"two checkpoints sign different roots for {found.size} records")
    return signed


def _given_up(disk: Disk, files: list[_File]) -> RangeSet:
    """Collect the seqs whose bulk was given up for room, as the latest index and the events after it say."""
    later: list[_File] = []
    fold: Fold | None = None
    for file in reversed(files):
        fold = read_fold(disk, file.segment)
        if fold is not None:
            break
        later.insert(0, file)
    fold = fold or Fold()
    for file in later:
        for record in _records(disk, file):
            fold.take(record)
    return fold.shed


def _check_gone(disk: Disk, file: _File, explained: RangeSet, result: Verification) -> None:
    """Name bulk that is gone although nobody has stored it, as when a segment file was taken away."""
    found = read_index(disk, file.segment)
    if found is None:
        return  # told already
    index, after = found
    end = after.next_seq if file.following is None else min(after.next_seq, file.following)
    absent = index.absent(file.segment.first_seq, end - 1)
    gone = [one for pair in absent for one in explained.missing(*pair)]
    if gone:
        records = sum(last - first + 1 for first, last in gone)
        result.problems.append(
            f"ledger {file.segment.path.name}: {records} records are gone from seq {gone[0][0]} to "
            f"{gone[-1][1]}, and no receipt or event says why"
        )


def _check_retired(file: _File, index: Index, there: dict[int, bytes], walk: _Walk) -> None:
    """Compare what is left of a retired segment with the leaf hashes of its index.

    The tree itself is out of reach here: the other leaves below each of its kept nodes are gone.
    """
    leaves = {
        entry.seq: bytes(index.leaves[at * HASH_BYTES : (at + 1) * HASH_BYTES])
        for at, entry in enumerate(index.entries)
        if file.following is None or entry.seq < file.following
    }
    for seq in sorted(leaves.keys() | there.keys()):
        if seq not in there and seq not in walk.damaged:
            walk.result.problems.append(f"ledger {walk.name}: seq {seq} is missing")
        elif seq in there and there[seq] != leaves.get(seq):
            walk.result.problems.append(f"ledger {walk.name}: seq {seq} is not the record that was kept")


def _verify_file(
    disk: Disk, file: _File, journal: bytes, tree: Tree, signed: dict[int, bytes], result: Verification
) -> Tree:  # fmt: skip
    """Check one file and carry the tree forward over it; checkpoints that were compared leave `signed`."""
    name = file.segment.path.name
    data = read_damaged(disk, file.segment.path)
    if data[:FILE_HEADER_BYTES] != file_header(journal, file.segment.first_seq):
        result.problems.append(f"{name}: the file header is damaged or of another journal")
    entries, damaged = _sound_entries(file, data, result)
    result.records += len(entries)
    walk = _Walk(name, tree, damaged, signed, result)
    walk.miss_until(file.segment.first_seq, None)
    if file.retired:
        found = read_index(disk, file.segment)
        if found is not None:
            there = {entry.seq: leaf_hash(payload(data, entry)) for entry in entries}
            _check_retired(file, found[0], there, walk)
            _compare(found[1].tree, signed, result)
            return found[1].tree
        result.problems.append(f"ledger {name}: its index is missing, damaged or of another size of it")
        damaged.add(tree.size)
        walk.miss_until(file.following or 0, None)
        return tree
    known = read_index(disk, file.segment, cut=True)
    index = None if known is None else known[0]
    for entry in entries:
        walk.miss_until(entry.seq, index)
        if entry.seq != tree.size:
            result.problems.append(f"{name}: seq {entry.seq} comes where {tree.size} belongs")
        bytes_of_record = payload(data, entry)
        _check_identity(bytes_of_record, journal, entry.seq, name, result)
        tree.append(bytes_of_record)
        _compare(tree, signed, result)
    walk.miss_until(file.following or (known[1].next_seq if known else 0), index)
    return tree


def _sound_entries(file: _File, data: bytes, result: Verification) -> tuple[list[Entry], set[int]]:
    """Return a file's records without a torn tail, and the seqs at which bytes are damaged."""
    entries, damages = scan(data, file.segment.first_seq)
    promised = max((entry.durable_seq for entry in entries), default=-1)
    damaged: set[int] = set()
    for damage in damages:
        if file.following is None and damage.seq > promised:
            result.torn_bytes = len(data[damage.offset :].rstrip(b"\0"))  # zeros were allocated ahead
            return [entry for entry in entries if entry.offset < damage.offset], damaged
        damaged.add(damage.seq)
        result.problems.append(
            f"{file.segment.path.name}: bytes {damage.offset} to {damage.end} (seq {damage.seq}) are damaged"
        )
    return [entry for entry in entries if file.following is None or entry.seq < file.following], damaged


class _Walk(NamedTuple):
    """The way over the records of one segment file, past those that are not there."""

    name: str
    tree: Tree
    damaged: set[int]
    """Seqs that were told to be damaged."""
    signed: dict[int, bytes]
    result: Verification

    def miss_until(self, seq: int, index: Index | None) -> None:
        """Go on to a seq: what lies before it and did not come is told, and stands in by its leaf hash."""
        first, tree = self.tree.size, self.tree
        if first >= seq:
            return
        if first not in self.damaged or seq - first > 1:
            self.result.problems.append(f"{self.name}: the records from seq {first} to {seq - 1} are missing")
        hashes: dict[int, bytes] = {}
        if index is not None:
            at = bisect_left(index.entries, first, key=lambda entry: entry.seq)
            for position in range(at, len(index.entries)):
                if (found := index.entries[position].seq) >= seq:
                    break
                hashes[found] = bytes(index.leaves[position * HASH_BYTES : (position + 1) * HASH_BYTES])
        while tree.size < seq:
            tree.append_hash(hashes.get(tree.size, UNKNOWN_LEAF))
            _compare(tree, self.signed, self.result)


def _check_identity(data: bytes, journal: bytes, seq: int, name: str, result: Verification) -> None:
    try:
        record = decode(data)
    except MalformedRecord as error:
        result.problems.append(f"{name}: seq {seq}: {error}")
        return
    if record.journal != journal or record.seq != seq:
        result.problems.append(f"{name}: the record at seq {seq} says that it is another one")


def _compare(tree: Tree, signed: dict[int, bytes], result: Verification) -> None:
    root = signed.pop(tree.size, None)
    if root is None:
        return
    if root != tree.root():
        if result.checkpoints_failed == 0:  # what comes after the first of them cannot fit either
            result.problems.append(f"the first {tree.size} records are not those that a checkpoint signed")
        result.checkpoints_failed += 1
        return
    result.checkpoints += 1
    result.checkpoint_size = tree.size
