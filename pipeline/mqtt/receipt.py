"""Receipts: a collector's signed word that records are durably stored and archived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgpack

from pipeline.records.signing import verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.records.ranges import Range
    from pipeline.records.signing import SigningKey

_CONTEXT = b"yaosu receipt 1\n"
"""Signed together with the content, so that a signature made for something else is no receipt."""


class ReceiptError(ValueError):
    """Bytes that are not a receipt of a trusted collector; the message says why."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Ranges of seqs of one journal, all stored, with the id of the collector's key."""

    journal: bytes
    ranges: tuple[Range, ...]
    key_id: str


def _content(journal: bytes, ranges: Sequence[Range]) -> bytes:
    packed: bytes = msgpack.packb([journal, [list(pair) for pair in ranges]])
    return _CONTEXT + packed


def seal_receipt(key: SigningKey, journal: bytes, ranges: Sequence[Range]) -> bytes:
    """Make the signed bytes of a receipt."""
    sealed: bytes = msgpack.packb({
        "journal": journal,
        "ranges": [list(pair) for pair in ranges],
        "key": key.id,
        "signature": key.sign(_content(journal, ranges)),
    })  # fmt: skip
    return sealed


def open_receipt(payload: bytes, trusted: Mapping[str, bytes]) -> Receipt:
    """Check a receipt against the pinned keys (id to 32 public bytes). Raises ReceiptError."""
    try:
        content = msgpack.unpackb(payload)
        key_id, journal, signature = content["key"], content["journal"], content["signature"]
        ranges = tuple((int(first), int(last)) for first, last in content["ranges"])
    except (ValueError, KeyError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise ReceiptError(f"not a receipt: {error}") from error
    if not (isinstance(key_id, str) and isinstance(journal, bytes) and isinstance(signature, bytes)):
        raise ReceiptError("not a receipt: a field has the wrong type")
    if key_id not in trusted:
        raise ReceiptError(f"collector key {key_id} is not trusted; if it is yours: yaosu keys trust")
    if not verify(trusted[key_id], signature, _content(journal, ranges)):
        raise ReceiptError(f"the signature of collector key {key_id} does not fit")
    if any(last < first or first < 0 for first, last in ranges):
        raise ReceiptError("a range of the receipt is empty")
    return Receipt(journal, ranges, key_id)
