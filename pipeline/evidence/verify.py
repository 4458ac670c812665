"""Check an evidence file offline, with nothing but the public keys of a policy. Meant to be read, in minutes.

Of this program it needs `policy` alone, beside it, and of others only `cryptography` and `msgpack`.

The file is `MAGIC`, a header with its length (4 bytes, big-endian), then each record's bytes with their
length. The header, a msgpack map, says which seqs follow and holds *trees*. A tree is a checkpoint (C2SP
tlog-checkpoint, a signed note) with the witnesses' signature lines (C2SP tlog-cosignature) and the part of
the RFC 6962 Merkle tree that leads from the root, which is signed, down to the records: in pre-order, the two
children of every node above a record. Each pair must hash to its node, so what is changed shows where it is.
A tree holds the records that the one before does not reach; an RFC 6962 consistency proof links the two.

The policy is a C2SP tlog-policy: the keys of log and witnesses, groups (operators), and how many it takes.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import msgpack

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.evidence.policy import Policy

MAGIC = b"yaosu evidence 1\n"
HEADER_BYTES_MAX = 2**29
RECORD_BYTES_MAX = 2**24
RECORDS_MAX = 2_000_000
DASH = "\u2014 "
CITING = frozenset({"verdict", "result", "review"})
"""Kinds of a task whose cited records must be in the file."""


class Refused(Exception):  # noqa: N818 - what becomes of the file
    """The file is no evidence; the message says where it fails. `seq` is the first record concerned."""

    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq


class Cosigned(NamedTuple):
    """A witness of the policy has seen the log at this size, by its own clock."""

    witness: str
    size: int
    t_s: int


@dataclass
class Checked:
    """What was found. The file proves what it says when `problems` is empty."""

    problems: list[str] = field(default_factory=list)
    bad_seq: int | None = None
    """First record concerned by the first problem that concerns one."""
    task: str = ""
    journal: str = ""
    origin: str = ""
    records: int = 0
    seqs: tuple[int, int] | None = None
    sealed_size: int = 0
    """Records that the log's own key has sealed, from seq 0 on."""
    witnessed_size: int = 0
    """Records that the policy's quorum has seen, from seq 0 on."""
    cosigned: list[Cosigned] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    """Signatures of keys that the policy does not name."""
    unwitnessed: tuple[int, int] | None = None
    """First and last record of the file that the quorum has not seen yet."""

    def add(self, problem: str, seq: int | None = None) -> None:
        """Note a problem."""
        self.problems.append(problem if seq is None else f"seq {seq}: {problem}")
        self.bad_seq = seq if self.bad_seq is None else self.bad_seq


def check_file(path: Path, policy: Policy) -> Checked:
    """Check a file. Raises OSError when it cannot be read; whatever it holds is a finding, never an error."""
    with path.open("rb") as stream:
        return check_stream(stream, path.stat().st_size, policy)


def check_stream(stream: IO[bytes], size: int, policy: Policy) -> Checked:
    """Check a file of `size` bytes that is open."""
    checked = Checked()
    try:
        _check(stream, size, policy, checked)
    except Refused as refused:
        checked.add(str(refused), refused.seq)
    return checked


def _check(stream: IO[bytes], size: int, policy: Policy, checked: Checked) -> None:
    header = read_header(stream, size)
    seqs = [seq for first, last in header["records"] for seq in range(first, last + 1)]
    checked.task, checked.journal = header["task"], header["journal"].hex()
    checked.records, checked.seqs = len(seqs), (seqs[0], seqs[-1])
    leaves: list[bytes] = []
    before = (0, b"")
    for tree, link in zip(header["trees"], [b"", *header["links"]], strict=True):
        checkpoint = _check_note(tree["note"], policy, checked)
        if before[0] and not consistent(*before, *checkpoint, link):
            raise Refused(f"the checkpoint of {checkpoint[0]} records does not continue that of {before[0]}")
        own = [seq for seq in seqs[len(leaves) :] if seq < checkpoint[0]]
        leaves += descend(*checkpoint, own, tree["hashes"])
        before = checkpoint
    if len(leaves) != len(seqs):
        raise Refused("no checkpoint of the file reaches this record", seqs[len(leaves)])
    checked.sealed_size = before[0]
    # A witness of a later checkpoint has seen what the earlier ones hold: they are linked.
    for reach in sorted({one.size for one in checked.cosigned}):
        if policy.satisfied({one.witness for one in checked.cosigned if one.size >= reach}):
            checked.witnessed_size = reach
    late = [seq for seq in seqs if seq >= checked.witnessed_size]
    if late and policy.quorum != "none":
        checked.unwitnessed = late[0], late[-1]
        checked.add(f"not witnessed yet as the policy asks, nor what follows up to seq {late[-1]}", late[0])
    _check_records(stream, header, seqs, leaves, checked)


def read_exactly(stream: IO[bytes], count: int, what: str, seq: int | None = None) -> bytes:
    """Read so many bytes. Raises Refused when the file ends before."""
    data = stream.read(count)
    if len(data) != count:
        raise Refused(f"the file ends in {what}", seq)
    return data


def read_header(stream: IO[bytes], size: int) -> dict[str, Any]:
    """Read the header of a file of `size` bytes. Raises Refused."""
    if stream.read(len(MAGIC)) != MAGIC:
        raise Refused("this is no evidence file of a version that this program knows")
    (length,) = struct.unpack(">I", read_exactly(stream, 4, "its header"))
    if length > min(size, HEADER_BYTES_MAX):
        raise Refused("the header is longer than the file, or above the limit")
    raw = read_exactly(stream, length, "its header")
    try:
        header: dict[str, Any] = msgpack.unpackb(raw)
        # One way of writing it: no byte can be changed without changing what it says.
        whole = msgpack.packb(header) == raw and _is_header(header)
    except (ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException) as error:
        raise Refused(f"the header cannot be read: {error}") from error
    if not whole:
        raise Refused("the header is not one of an evidence file")
    return header


def _is_header(header: dict[str, Any]) -> bool:
    ranges, trees, last, count = header["records"], header["trees"], -2, 0
    for first, end in ranges:
        # Ranges that touch would be one: there is one way to write a set of seqs.
        if type(first) is not int or type(end) is not int or not last + 1 < first <= end < 2**63:
            return False
        last, count = end, count + end - first + 1
    return (
        set(header) == {"task", "journal", "records", "trees", "links"}
        and isinstance(header["task"], str) and isinstance(header["journal"], bytes)
        and 0 < count <= RECORDS_MAX and 0 < len(trees) == len(header["links"]) + 1
        and all(set(tree) == {"note", "hashes"} and isinstance(tree["note"], str) for tree in trees)
        and all(isinstance(tree["hashes"], bytes) for tree in trees)
        and all(isinstance(link, bytes) for link in header["links"])
    )  # fmt: skip


def _check_note(note: str, policy: Policy, checked: Checked) -> tuple[int, bytes]:
    """Check a checkpoint's signatures; return its size and root."""
    text, separator, lines = note.rpartition("\n\n")
    text += "\n"
    origin, count, root = [*text.split("\n"), "", ""][:3]
    logs = [key for key in policy.logs if key.name == origin]
    if not separator or not lines.endswith("\n") or not re.fullmatch("0|[1-9][0-9]{0,18}", count):
        raise Refused("a checkpoint is not a signed note of origin, size and root")
    if not logs:
        raise Refused(f"the policy names no key of the log {origin!r}")
    known = {(key.name, key.id): (key, "") for key in logs}
    known |= {(key.name, key.id): (key, name) for name, key in policy.witnesses.items()}
    sealed, cosigned = False, list[Cosigned]()
    for line in lines.removesuffix("\n").split("\n"):
        name, _, encoded = line.removeprefix(DASH).partition(" ")
        signature, message = _decoded(encoded), text.encode()
        key, witness = known.get((name, signature[:4]), (None, ""))
        if not line.startswith(DASH) or key is None:
            checked.ignored.append(name)
            continue
        if witness:
            cosigned.append(Cosigned(witness, int(count), int.from_bytes(signature[4:12], "big")))
            message = f"cosignature/v1\ntime {cosigned[-1].t_s}\n".encode() + message
        if not key.signed(signature[12 if witness else 4 :], message):
            raise Refused(f"the signature of {name} under the checkpoint of {count} records does not fit")
        sealed = sealed or not witness
    if not sealed:
        raise Refused(f"the checkpoint of {count} records is not signed by its log")
    checked.origin = origin
    checked.cosigned += cosigned
    return int(count), _decoded(root)


def _decoded(encoded: str) -> bytes:
    """Decode base64 that is written in the one way in which it is written."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    if base64.b64encode(raw).decode() != encoded:
        raise Refused("a checkpoint holds base64 that is none")
    return raw


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def descend(size: int, root: bytes, seqs: list[int], hashes: bytes) -> list[bytes]:
    """Walk from the root of a tree of `size` leaves down to the leaves `seqs`; return their hashes.

    `hashes` are the two children (2 x 32 bytes) of every node above a wanted leaf, in pre-order.
    """
    leaves: list[bytes] = []
    position = 0
    waiting = [(root, 0, size, 0, len(seqs))] if seqs else []
    while waiting:
        node, first, end, low, high = waiting.pop()
        if end - first == 1:
            leaves.append(node)
            continue
        left, right = hashes[position : position + 32], hashes[position + 32 : position + 64]
        position += 64
        if _node(left, right) != node:
            below = f"up to seq {seqs[high - 1]}" if high - low > 1 else "alone"
            raise Refused(f"the proof of this record, {below}, does not lead to the checkpoint", seqs[low])
        split = first + (1 << ((end - first - 1).bit_length() - 1))
        middle = bisect_left(seqs, split, low, high)
        if middle < high:
            waiting.append((right, split, end, middle, high))
        if low < middle:
            waiting.append((left, first, split, low, middle))
    if position != len(hashes):
        raise Refused("a proof is longer than its records need")
    return leaves


def consistent(old_size: int, old_root: bytes, size: int, root: bytes, proof: bytes) -> bool:
    """Whether a tree begins with an older one: RFC 6962, checked as RFC 9162, section 2.1.4.2 says."""
    path = [proof[start : start + 32] for start in range(0, len(proof), 32)]
    if not 0 < old_size < size or len(proof) % 32 or not path:
        return False
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    position, last = old_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for digest in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = _node(digest, old), _node(digest, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = _node(new, digest)
        position, last = position >> 1, last >> 1
    return last == 0 and (old, new) == (old_root, root)


def _check_records(
    stream: IO[bytes], header: dict[str, Any], seqs: list[int], leaves: list[bytes], checked: Checked
) -> None:  # fmt: skip
    """Check each record's bytes against its leaf, then that nothing is missing that the verdicts rest on."""
    story = _Story(header["task"], checked)
    for seq, leaf in zip(seqs, leaves, strict=True):
        (length,) = struct.unpack(">I", read_exactly(stream, 4, "this record", seq))
        if length > RECORD_BYTES_MAX:
            raise Refused("this record is longer than a record can be", seq)
        data = read_exactly(stream, length, "this record", seq)
        if hashlib.sha256(b"\x00" + data).digest() != leaf:
            checked.add("the record is not the one that was sealed here", seq)
            continue
        kind, journal, own_seq, body = _opened(data, seq)
        if (journal, own_seq) != (header["journal"], seq):
            checked.add("the record says itself that it is another one", seq)
        story.take(seq, kind, body)
    if stream.read(1):
        raise Refused("something follows the last record")
    story.end(set(seqs))


class _Story:
    """Whether what was left out of the file is missing from it."""

    def __init__(self, task: str, checked: Checked) -> None:
        self._task = task
        self._checked = checked
        self._cited: dict[int, int] = {}
        self._rows: dict[str, int] = {}
        self._start: int | None = None
        self._ended = False

    def take(self, seq: int, kind: str, body: dict[str, Any]) -> None:
        own = body.get("task") == self._task
        if own and kind == "task" and body.get("action") == "start":
            self._start = seq
        if own and kind in CITING:
            self._cited.update(dict.fromkeys(citations(body), seq))
            self._ended = self._ended or body.get("finality") == "final"
        if kind == "data" and self._start is not None and not self._ended:
            instrument, n = str(body["instrument"]), int(body["n"])
            if self._rows.get(instrument, n) != n:
                gap = f"{self._rows[instrument]} to {n - 1}"
                self._checked.add(f"rows {gap} of {instrument} are missing before this record", seq)
            self._rows[instrument] = n + int(body["rows"])

    def end(self, there: set[int]) -> None:
        if self._start is None:
            self._checked.add(f"the start of task {self._task!r} is not in the file")
        for seq in sorted(set(self._cited) - there):
            self._checked.add(f"missing, although the record of seq {self._cited[seq]} rests on it", seq)


def _opened(data: bytes, seq: int) -> tuple[str, bytes, int, dict[str, Any]]:
    try:
        _, kind, _, journal, _, _, own_seq, _, _, _, _, body = msgpack.unpackb(data, strict_map_key=False)
        body.get("task"), kind != "data" or (body["instrument"], int(body["n"]), int(body["rows"]))
    except (ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException) as error:
        raise Refused(f"sealed, but no record that this program knows: {error}", seq) from error
    return kind, journal, own_seq, body


def citations(body: object, depth: int = 32) -> set[int]:
    """Collect the seqs that a body names: values of keys such as `seqs`, `cause_seq`, `supersedes`."""
    found: set[int] = set()
    if not depth:
        return found
    inner = body.items() if isinstance(body, dict) else enumerate(body if isinstance(body, list) else ())
    for key, value in inner:
        if re.fullmatch("seq|seqs|seq_.*|.*_seqs?|supersedes|verdicts|results", str(key)):
            listed = value if isinstance(value, list) else [value]
            found.update(one for one in listed if type(one) is int and one >= 0)
        found |= citations(value, depth - 1)
    return found
