"""A tree whose leaves are all in memory, and the check of a leaf's proof: the journal's are held to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.journal.merkle import HASH_BYTES, HashGoneError, node_hash

if TYPE_CHECKING:
    from collections.abc import Sequence


class LeafHashes:
    """Nodes over leaf hashes in memory: as many again for the levels above, made when first asked for."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        """Take the 32-byte hashes of leaves 0, 1, 2 and so on."""
        self._levels: list[Sequence[bytes]] = [hashes]

    def __call__(self, level: int, index: int) -> bytes:
        """Return a node's hash. Raises HashGoneError when the leaves do not reach so far."""
        while len(self._levels) <= level:
            below = self._levels[-1]
            self._levels.append([
                node_hash(below[left], below[left + 1]) for left in range(0, len(below) - 1, 2)
            ])  # fmt: skip
        if index >= len(self._levels[level]):
            raise HashGoneError(f"node {index} of level {level} is not among {len(self._levels[0])} leaves")
        return self._levels[level][index]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that the leaf with this hash is number `index` of the tree with this root.

    The check of RFC 9162, section 2.1.3.2, which gives the verification of RFC 6962's proofs.
    """
    if not 0 <= index < size or any(len(one) != HASH_BYTES for one in (leaf, root, *proof)):
        return False
    position, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            digest = node_hash(sibling, digest)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and digest == root
