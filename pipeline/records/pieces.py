"""Bytes of a known length that are made piece by piece, while what they tell of goes on changing.

A snapshot of a large state would hold the event loop for as long as it takes to copy all of it. Its pieces
are copied one after the other instead, between other work; each still tells of the moment at which the
snapshot was taken, because its owner copies it before it changes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BINARY = struct.Struct(">BI")
_BIN32 = 0xC6
_JOINED_BYTES = 4096
"""Shorter pieces are joined; to copy longer ones would hold the loop for nothing."""


class Later(Protocol):
    """A piece that is copied when its turn comes."""

    nbytes: int

    def take(self) -> bytes:
        """Return the bytes as of the moment at which the piece was asked for; once."""
        ...


class Pieces:
    """The pieces in order, to be taken once, on the thread of their owner.

    Args:
        parts: bytes, and pieces that are copied later.
    """

    def __init__(self, parts: Iterable[bytes | Later]) -> None:
        """Join what is there already."""
        self._parts: list[bytes | Later] = []
        ready: list[bytes] = []
        for part in parts:
            if isinstance(part, bytes) and len(part) < _JOINED_BYTES:
                ready.append(part)
            else:
                self._parts += [b"".join(ready), part]
                ready = []
        self._parts.append(b"".join(ready))
        self.nbytes = sum(len(part) if isinstance(part, bytes) else part.nbytes for part in self._parts)

    def __iter__(self) -> Iterator[bytes]:
        """Make the pieces one by one."""
        for part in self._parts:
            yield part if isinstance(part, bytes) else part.take()

    def __bytes__(self) -> bytes:
        """Make all pieces at once."""
        return b"".join(self)

    def inside(self, *before: bytes) -> Pieces:
        """Put these pieces, as one binary value of msgpack, behind some bytes."""
        return Pieces([*before, binary_head(self.nbytes), *self._parts])


def binary_head(nbytes: int) -> bytes:
    """Return what msgpack puts before a binary value (its form with a length of 4 bytes)."""
    return _BINARY.pack(_BIN32, nbytes)
