"""The Merkle tree of RFC 6962, section 2.1, over the records' bytes: its frontier, its proofs, their checks.

Pure functions over hashes. A proof is made from *nodes*: the roots of complete subtrees, asked for by level
and index, wherever they are kept. Node (level, index) stands over the leaves from index << level up to, not
including, (index + 1) << level; level 0 are the leaf hashes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Nodes = Callable[[int, int], bytes]
    """(level, index) -> 32-byte hash; raises HashGoneError when it is not kept any more."""

HASH_BYTES = 32
TILE_LEVELS = 8
"""Nodes whose level is a multiple of this are kept for good: over 256 leaves, over 65,536, and so on."""
TILE_LEAVES = 1 << TILE_LEVELS

UNKNOWN_LEAF = bytes(32)
"""Stands for the leaf hash of a record whose bytes are lost. No record hashes to it: the root then differs
from the one that was signed before, which is how the loss shows."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Node(NamedTuple):
    """The root of a complete subtree: over the leaves from position << level on, (1 << level) of them."""

    level: int
    position: int
    digest: bytes


class Tree:
    """A tree that only grows; memory is one hash for each bit of its size that is set."""

    __slots__ = ("_roots", "size", "tiles")

    def __init__(self, size: int = 0, frontier: Iterable[bytes] = ()) -> None:
        """Start empty, or from the frontier of a tree of `size` leaves."""
        self.size = size
        self._roots = list(frontier)
        """Roots of the complete subtrees, the largest first."""
        if len(self._roots) != size.bit_count():
            raise ValueError(
                f"a tree of {size} leaves has {size.bit_count()} frontier hashes, not {len(self._roots)}"
            )
        self.tiles: list[Node] | None = None
        """Nodes on tile levels that were completed since the owner took them; None when nobody wants them."""

    @property
    def frontier(self) -> tuple[bytes, ...]:
        """Roots of the complete subtrees, the largest first."""
        return tuple(self._roots)

    def append(self, data: bytes) -> bytes:
        """Add a leaf by its bytes; returns its hash."""
        digest = leaf_hash(data)
        self.append_hash(digest)
        return digest

    def append_hash(self, digest: bytes) -> None:
        """Add a leaf by its 32-byte hash."""
        ones, level = self.size, 0
        while ones & 1:
            digest = node_hash(self._roots.pop(), digest)
            ones >>= 1
            level += 1
            if self.tiles is not None and level % TILE_LEVELS == 0:
                self.tiles.append(Node(level, self.size >> level, digest))
        self._roots.append(digest)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree's 32-byte hash; that of the empty tree is SHA-256 of nothing."""
        if not self._roots:
            return hashlib.sha256(b"").digest()
        digest = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            digest = node_hash(left, digest)
        return digest

    def aligned(self) -> Tree:
        """Return the tree over the leaves that fill whole tiles: the largest multiple of 256 in its size."""
        size = self.size // TILE_LEAVES * TILE_LEAVES
        return Tree(size, self._roots[: size.bit_count()])

    def copy(self) -> Tree:
        """Return a tree that grows on its own."""
        return Tree(self.size, self._roots)


class HashGoneError(LookupError):
    """A proof needs a hash that is not kept: ask for another size, or where the records are archived."""


def range_hash(nodes: Nodes, first: int, end: int) -> bytes:
    """MTH(D[first:end]) of RFC 6962, for a range that its recursion visits: aligned to its size."""
    if first == end:
        return hashlib.sha256(b"").digest()
    count = end - first
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return nodes(level, first >> level)
    split = first + _left_count(count)
    return node_hash(range_hash(nodes, first, split), range_hash(nodes, split, end))


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """PATH(index, D[0:size]): the hashes that lead from a leaf to the root of a tree of `size` leaves.

    Raises:
        ValueError: there is no such leaf in the tree.
        HashGoneError: a hash that it takes is not kept any more.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    path: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        split = first + _left_count(end - first)
        if index < split:
            path.append(range_hash(nodes, split, end))
            end = split
        else:
            path.append(range_hash(nodes, first, split))
            first = split
    return path[::-1]


def consistency_proof(nodes: Nodes, old_size: int, size: int) -> list[bytes]:
    """PROOF(old_size, D[0:size]): that the tree of `size` leaves begins with the tree of `old_size` leaves.

    Between an empty tree, or a tree and itself, the proof is empty.

    Raises:
        ValueError: the old tree is the larger one.
        HashGoneError: a hash that it takes is not kept any more.
    """
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} leaves does not begin with one of {old_size}")
    if old_size in {0, size}:
        return []
    path: list[bytes] = []
    first, end = 0, size
    while old_size < end:
        split = first + _left_count(end - first)
        if old_size <= split:
            path.append(range_hash(nodes, split, end))
            end = split
        else:
            path.append(range_hash(nodes, first, split))
            first = split
    if first > 0:  # the verifier knows the old root, which is this node's hash when it begins at leaf 0
        path.append(range_hash(nodes, first, end))
    return path[::-1]


def verify_consistency(
    old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the tree of `size` leaves begins with the tree of `old_size` leaves.

    The check of RFC 9162, section 2.1.4.2. Every tree begins with the empty one, whose root is then checked
    instead of a proof.
    """
    if not 0 <= old_size <= size or not _are_hashes(old_root, root, *proof):
        return False
    if old_size == size:
        return not proof and old_root == root
    if old_size == 0:
        return not proof and old_root == Tree().root()
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        return False
    position, last = old_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for digest in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(digest, old), node_hash(digest, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, digest)
        position, last = position >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _left_count(count: int) -> int:
    """Return the largest power of two below `count` (which is at least 2): how many leaves go left."""
    return 1 << ((count - 1).bit_length() - 1)


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
