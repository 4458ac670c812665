"""Check an evidence file offline, with nothing but the public keys of a policy. Meant to be read, in minutes.

Of this program it needs its neighbours `policy` (whose word counts), `notes` (who signed what), `proofs`
(RFC 6962), `story` (is it whole?) and `findings` alone, and of others only `cryptography` and `msgpack`.

The file is `MAGIC`, a header with its length (4 bytes, big-endian), then each record's bytes with their
length. The header, a msgpack map, says which seqs follow and holds *trees*. A tree is a checkpoint (C2SP
tlog-checkpoint, a signed note) with the witnesses' signature lines (C2SP tlog-cosignature) and the part of
the RFC 6962 Merkle tree that leads from the root, which is signed, down to the records: in pre-order, the two
children of every node above a record. Each pair must hash to its node, so what is changed shows where it is.
A tree holds the records that the one before does not reach; an RFC 6962 consistency proof links the two.

The policy is a C2SP tlog-policy: the keys of log and witnesses, groups (operators), and how many it takes.
Where the log or a witness has changed its key, the header holds the notes (*changes*) in which each key names
its successor, signed by both, and the file the records of the log in which they stand.
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import IO, TYPE_CHECKING, Any

import msgpack

from pipeline.evidence.findings import Checked, Cosigned, Refused
from pipeline.evidence.notes import Chain, decoded, read_changes, split
from pipeline.evidence.policy import LOG, WITNESS, Key
from pipeline.evidence.proofs import consistent, descend
from pipeline.evidence.story import Story, opened

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.evidence.policy import Policy

MAGIC = b"yaosu evidence 1\n"
HEADER_BYTES_MAX = 2**29
RECORD_BYTES_MAX = 2**24
RECORDS_MAX = 2_000_000


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
    changes = header.get("changes", [])
    chains = read_changes(changes)
    for tree, link in zip(header["trees"], [b"", *header["links"]], strict=True):
        checkpoint = check_note(tree["note"], policy, chains, checked)
        if before[0] and not consistent(*before, *checkpoint, link):
            raise Refused(f"the checkpoint of {checkpoint[0]} records does not continue that of {before[0]}")
        own = [seq for seq in seqs[len(leaves) :] if seq < checkpoint[0]]
        leaves += descend(*checkpoint, own, tree["hashes"])
        before = checkpoint
    if len(leaves) != len(seqs):
        raise Refused("no checkpoint of the file reaches this record", seqs[len(leaves)])
    checked.sealed_size = before[0]
    checked.changes = [text for name, chain in chains.items() for text in told(name, chain, checked.origin)]
    furthest = {one.witness: one.size for one in sorted(checked.cosigned, key=lambda one: one.size)}
    checked.cosigned = [
        one
        for one in checked.cosigned
        if furthest[one.witness] > taken_over(policy.witnesses[one.witness], chains)
    ]
    # A witness of a later checkpoint has seen what the earlier ones hold: they are linked.
    for reach in sorted({one.size for one in checked.cosigned}):
        if policy.satisfied({one.witness for one in checked.cosigned if one.size >= reach}):
            checked.witnessed_size = reach
    changed = {seq for seq, _ in header.get("changes", ())}  # two keys speak for these, not the quorum
    late = [seq for seq in seqs if seq >= checked.witnessed_size and seq not in changed]
    if late and policy.quorum != "none":
        checked.unwitnessed = late[0], late[-1]
        checked.add(f"not witnessed yet as the policy asks, nor what follows up to seq {late[-1]}", late[0])
    _check_records(stream, header, seqs, leaves, checked)


def taken_over(key: Key, chains: dict[str, Chain]) -> int:
    """Seq at which a witness's key took over from an earlier one; -1 where it is the first.

    The note in which the earlier one names it fits into any log, at any place. So that whoever has got hold
    of the earlier one can date nothing before the change, the later one must itself have cosigned the change.
    """
    chain = chains.get(key.name)
    if chain is None or key.public not in chain.keys[1:]:
        return -1
    return chain.ends[chain.keys.index(key.public) - 1]


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
        set(header) - {"changes"} == {"task", "journal", "records", "trees", "links"}
        and all(type(seq) is int and isinstance(note, str) for seq, note in header.get("changes", ()))
        and header.get("changes") != []
        and isinstance(header["task"], str) and isinstance(header["journal"], bytes)
        and 0 < count <= RECORDS_MAX and 0 < len(trees) == len(header["links"]) + 1
        and all(set(tree) == {"note", "hashes"} and isinstance(tree["note"], str) for tree in trees)
        and all(isinstance(tree["hashes"], bytes) for tree in trees)
        and all(isinstance(link, bytes) for link in header["links"])
    )  # fmt: skip


def check_note(
    note: str, policy: Policy, chains: dict[str, Chain], checked: Checked
) -> tuple[int, bytes]:  # fmt: skip
    """Check a checkpoint's signatures; return its size and root."""
    text, signatures = split(note)
    origin, count, root = [*text.split("\n"), "", ""][:3]
    if not re.fullmatch("0|[1-9][0-9]{0,18}", count):
        raise Refused("a checkpoint is not a signed note of origin, size and root")
    known = signers(origin, int(count), policy, chains)
    sealed, cosigned = False, list[Cosigned]()
    for name, signature in signatures:
        message = text.encode()
        key, witness, in_force = known.get((name, signature[:4]), (None, "", False))
        if key is None:
            checked.ignored.append(name)
            continue
        t_s = int.from_bytes(signature[4:12], "big")
        if witness:
            message = f"cosignature/v1\ntime {t_s}\n".encode() + message
        if not key.signed(signature[12 if witness else 4 :], message):
            raise Refused(f"the signature of {name} under the checkpoint of {count} records does not fit")
        if not in_force:
            checked.add(f"{name} has signed the checkpoint of {count} records with a key not in force there")
        elif witness:
            cosigned.append(Cosigned(witness, int(count), t_s))
        else:
            sealed = True
    if not sealed:
        raise Refused(f"the checkpoint of {count} records is not signed by its log")
    checked.origin = origin
    checked.cosigned += cosigned
    return int(count), decoded(root)


def told(name: str, chain: Chain, origin: str) -> list[str]:
    """Say in words when a key was changed; the hashes are those of the keys as a policy writes them."""
    ids = [Key(name, LOG if name == origin else WITNESS, public).id.hex() for public in chain.keys]
    pairs = zip(chain.ends, ids, ids[1:], strict=False)
    return [f"{name} changed its key at seq {end}: {old} has signed {new}" for end, old, new in pairs]


def signers(
    origin: str, size: int, policy: Policy, chains: dict[str, Chain]
) -> dict[tuple[str, bytes], tuple[Key, str, bool]]:
    """Return name and id of each key that may have signed a checkpoint of so many records.

    With the key stand the policy's name of the witness, empty for the log, and whether it is the key in force
    there. Who believes one key of a chain believes all: each has signed the next one.
    """
    pinned = [("", key) for key in policy.logs if key.name == origin] + [*policy.witnesses.items()]
    known: dict[tuple[str, bytes], tuple[Key, str, bool]] = {}
    for witness, key in pinned:
        chain = chains.get(key.name)
        if chain is None or key.public not in chain.keys:
            chain = Chain([key.public])
        for public in chain.keys:
            one = Key(key.name, key.kind, public)
            if public == key.public or (one.name, one.id) not in known:  # what the policy names itself, first
                known[one.name, one.id] = (one, witness, public == chain.at(size))
    logs = {key.public for key, witness, _ in known.values() if not witness}
    if not logs or (origin in chains and not logs & set(chains[origin].keys)):
        raise Refused(f"the policy names no key of the log {origin!r}")
    return known


def _check_records(
    stream: IO[bytes], header: dict[str, Any], seqs: list[int], leaves: list[bytes], checked: Checked
) -> None:  # fmt: skip
    """Check each record's bytes against its leaf, then that nothing is missing that the verdicts rest on."""
    story = Story(header["task"], checked)
    for seq, leaf in zip(seqs, leaves, strict=True):
        (length,) = struct.unpack(">I", read_exactly(stream, 4, "this record", seq))
        if length > RECORD_BYTES_MAX:
            raise Refused("this record is longer than a record can be", seq)
        data = read_exactly(stream, length, "this record", seq)
        if hashlib.sha256(b"\x00" + data).digest() != leaf:
            checked.add("the record is not the one that was sealed here", seq)
            continue
        kind, journal, own_seq, body = opened(data, seq)
        if (journal, own_seq) != (header["journal"], seq):
            checked.add("the record says itself that it is another one", seq)
        story.take(seq, kind, body)
    if stream.read(1):
        raise Refused("something follows the last record")
    story.end(set(seqs), header.get("changes", []))
