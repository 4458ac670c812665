"""Make an evidence file: the records of a task, and the proofs that the sealed log holds them."""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgpack

from pipeline.evidence.select import NoEvidenceError, NotSealedError, Selected, Source, select
from pipeline.evidence.story import CHANGING
from pipeline.evidence.verify import MAGIC, RECORDS_MAX
from pipeline.journal.merkle import HashGoneError, consistency_proof, range_hash
from pipeline.journal.note import MalformedNote, read_checkpoint, split_note
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.journal.merkle import Nodes
    from pipeline.records import Record

_LENGTH = struct.Struct(">I")


@dataclass(slots=True)
class Sealed:
    """A checkpoint with the signature lines of its log and of witnesses."""

    size: int
    text: str
    lines: dict[str, str] = field(default_factory=dict)
    """Name of the key to its line."""

    @property
    def note(self) -> str:
        """The cosigned checkpoint, the log's own signature first."""
        origin = self.text.split("\n", 1)[0]
        ordered = sorted(self.lines, key=lambda name: (name != origin, name))
        return "\n".join([self.text, *(self.lines[name] for name in ordered), ""])

    @property
    def witnesses(self) -> set[str]:
        """Names of the keys of witnesses."""
        return set(self.lines) - {self.text.split("\n", 1)[0]}


@dataclass(frozen=True, slots=True)
class Made:
    """What a new file holds."""

    records: int
    first_seq: int
    last_seq: int
    """Of what belongs to the task; a key may have been changed later."""
    bytes: int
    final: bool
    """Whether the task's verdicts are."""
    sealed_size: int
    witnesses: dict[str, int]
    """Name of a witness's key to the size that it has cosigned."""

    @property
    def seen(self) -> bool:
        """Whether at least one witness has seen all of it."""
        return any(size > self.last_seq for size in self.witnesses.values())


def create(source: Source, task: str, out: Path) -> Made:
    """Write the evidence file of a task.

    Raises:
        NoEvidenceError: no such task, or records that are not here any more.
        NotSealedError: nothing has sealed its last records yet.
        OSError: the file cannot be written, or the records cannot be read.
    """
    found = select(source, task)
    if found.missing:
        raise NoEvidenceError(
            f"{len(found.missing)} records that the verdicts rest on are not here any more, the first is seq"
            f" {min(found.missing)}; make the file at the centre, where they are archived"
        )
    if len(found.seqs) > RECORDS_MAX:
        raise NoEvidenceError(f"the task has {len(found.seqs)} records, above the limit of {RECORDS_MAX}")
    candidates, changes = sealed_sizes(source, min(found.seqs)), list(source.after(-1, CHANGING))
    near = choose(candidates, max(found.seqs) + 1)
    far = near + _later(candidates, near[-1].size, changes)
    try:
        try:
            whole, header = _planned(source, found, far, changes)
        except HashGoneError:  # what proves the later changes of keys is gone: they stay out
            far = near
            whole, header = _planned(source, found, near, changes)
    except HashGoneError as error:
        raise NoEvidenceError(
            f"the proofs need records that are not here ({error}); merge the archives of all collectors, or"
            " make the file where they are"
        ) from error
    _write(out, header, source, whole)
    cosigned = {name: tree.size for tree in far for name in sorted(tree.witnesses)}
    return Made(
        len(whole.seqs), min(whole.seqs), max(found.seqs), out.stat().st_size, found.final, far[-1].size,
        cosigned,
    )  # fmt: skip


def _later(candidates: list[Sealed], size: int, changes: list[Record]) -> list[Sealed]:
    """Choose the checkpoints that cover later changes: who names a new key believes the old one by them."""
    seqs = [record.seq for record in changes if size <= record.seq < candidates[-1].size]
    return [one for one in choose(candidates, max(seqs) + 1) if one.size > size] if seqs else []


def _planned(
    source: Source, found: Selected, trees: list[Sealed], changes: list[Record]
) -> tuple[Selected, bytes]:
    """Return what goes into the file, with the changes that the checkpoints cover, and its header."""
    sealed = [record for record in changes if record.seq < trees[-1].size]
    whole = replace(found, seqs=found.seqs | {record.seq for record in sealed})
    return whole, _header(source, whole, trees, sealed)


def sealed_sizes(source: Source, after_seq: int) -> list[Sealed]:
    """Gather the checkpoints and cosignatures that were recorded, by size."""
    found: dict[int, Sealed] = {}
    for record in source.after(after_seq, {"checkpoint", "cosignature"}):
        try:
            text, signatures = split_note(record.body["note"])
            size = read_checkpoint(text).size
        except (MalformedNote, KeyError, TypeError, AttributeError):
            continue
        sealed = found.setdefault(size, Sealed(size, text))
        if sealed.text == text:
            lines = record.body["note"][len(text) + 1 :].splitlines()
            sealed.lines.update({name: line for (name, _), line in zip(signatures, lines, strict=True)})
    return [found[size] for size in sorted(found)]


def choose(candidates: list[Sealed], needed: int) -> list[Sealed]:
    """Choose the checkpoints that cover `needed` records: of each witness the first that does, if any.

    Raises:
        NotSealedError: nothing has sealed so much yet.
    """
    covering = [one for one in candidates if one.size >= needed]
    if not covering:
        raise NotSealedError("the last records of the task are not sealed yet; try again in 10 s")
    chosen: dict[int, Sealed] = {}
    for name in sorted({name for one in candidates for name in one.witnesses}):
        own = [one for one in candidates if name in one.witnesses]
        best = next((one for one in own if one.size >= needed), own[-1])
        chosen[best.size] = best
    if not any(size >= needed for size in chosen):
        chosen[covering[0].size] = covering[0]
    return [chosen[size] for size in sorted(chosen)]


def _header(source: Source, found: Selected, trees: list[Sealed], changes: list[Record]) -> bytes:
    seqs = sorted(found.seqs)
    described, links, done = [], [], 0
    for position, tree in enumerate(trees):
        own = [seq for seq in seqs[done:] if seq < tree.size]
        done += len(own)
        described.append({"note": tree.note, "hashes": b"".join(_descent(source.node, tree.size, own))})
        if position:
            links.append(b"".join(consistency_proof(source.node, trees[position - 1].size, tree.size)))
    packed: bytes = msgpack.packb({
        "task": found.task,
        "journal": source.journal,
        "records": [list(pair) for pair in RangeSet((seq, seq) for seq in seqs)],
        "trees": described,
        "links": links,
        **({"changes": [[record.seq, record.body["note"]] for record in changes]} if changes else {}),
    })  # fmt: skip
    return packed


def _descent(nodes: Nodes, size: int, seqs: list[int]) -> Iterable[bytes]:
    """Both children of every node above a wanted leaf, in pre-order: what `verify.descend` walks down."""
    waiting = [(0, size, 0, len(seqs))] if seqs else []
    while waiting:
        first, end, low, high = waiting.pop()
        if end - first == 1:
            continue
        split = first + (1 << ((end - first - 1).bit_length() - 1))
        yield range_hash(nodes, first, split)
        yield range_hash(nodes, split, end)
        middle = bisect_left(seqs, split, low, high)
        if middle < high:
            waiting.append((split, end, middle, high))
        if low < middle:
            waiting.append((first, split, low, middle))


def _write(out: Path, header: bytes, source: Source, found: Selected) -> None:
    temporary = out.with_name(out.name + ".new")
    try:
        with temporary.open("wb") as stream:
            stream.write(MAGIC + _LENGTH.pack(len(header)) + header)
            for seq in sorted(found.seqs):
                data = _bytes_of(source.record(seq), seq)
                stream.write(_LENGTH.pack(len(data)) + data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def _bytes_of(record: Record | None, seq: int) -> bytes:
    if record is None:
        raise NoEvidenceError(f"the record of seq {seq} cannot be read any more; verify the archive")
    return record.data
