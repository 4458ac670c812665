"""The two proofs of RFC 6962 that an evidence file holds: checked, with nothing but SHA-256."""

from __future__ import annotations

import hashlib
from bisect import bisect_left

from pipeline.evidence.findings import Refused


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
