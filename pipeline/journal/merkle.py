"""The Merkle tree of RFC 6962, section 2.1, over the records' bytes, kept as its frontier."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN_LEAF = bytes(32)
"""Stands for the leaf hash of a record whose bytes are lost. No record hashes to it: the root then differs
from the one that was signed before, which is how the loss shows."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that only grows; memory is one hash for each bit of its size that is set."""

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, frontier: Iterable[bytes] = ()) -> None:
        """Start empty, or from the frontier of a tree of `size` leaves."""
        self.size = size
        self._roots = list(frontier)
        """Roots of the complete subtrees, the largest first."""
        if len(self._roots) != size.bit_count():
            raise ValueError(
                f"a tree of {size} leaves has {size.bit_count()} frontier hashes, not {len(self._roots)}"
            )

    @property
    def frontier(self) -> tuple[bytes, ...]:
        """Roots of the complete subtrees, the largest first."""
        return tuple(self._roots)

    def append(self, data: bytes) -> None:
        """Add a leaf by its bytes."""
        self.append_hash(leaf_hash(data))

    def append_hash(self, digest: bytes) -> None:
        """Add a leaf by its 32-byte hash."""
        ones = self.size
        while ones & 1:
            digest = node_hash(self._roots.pop(), digest)
            ones >>= 1
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

    def copy(self) -> Tree:
        """Return a tree that grows on its own."""
        return Tree(self.size, self._roots)
