"""Signed notes as an evidence file holds them, and whose key followed whose: read with nothing but the keys.

A log or a witness changes its key in a note that both keys have signed, recorded in the log as number `seq`.
What it signs about up to `seq` records it signs with the old key, about more with the new one.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from pipeline.evidence.findings import Refused
from pipeline.evidence.policy import LOG, Key, read_key

DASH = "\u2014 "
CHANGE = "yaosu key succession"
"""First line of the note in which a key names its successor."""
SIGNATURES_MAX = 100
"""As many as the reference implementation takes (golang.org/x/mod/sumdb/note)."""


@dataclass
class Chain:
    """The keys of one name, one after the other."""

    keys: list[bytes] = field(default_factory=list)
    """Public keys of 32 bytes, the first first."""
    ends: list[int] = field(default_factory=list)
    """Seqs of the records that change them: one fewer than keys."""

    def at(self, size: int) -> bytes:
        """The key that speaks about the first `size` records."""
        return self.keys[sum(end < size for end in self.ends)]


def split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Split a signed note into its text and its signatures: name, key id (4 bytes) with what it signed."""
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise Refused("a note is not signed as C2SP signed-note says")
    signatures = []
    for line in lines.removesuffix("\n").split("\n"):
        name, _, encoded = line.removeprefix(DASH).partition(" ")
        signatures.append((name, decoded(encoded)))
        if not line.startswith(DASH) or not name or len(signatures[-1][1]) <= 4:
            raise Refused("a line below a note is no signature: dash, name, base64 of key id and signature")
    if len(signatures) > SIGNATURES_MAX:
        raise Refused(f"a note has {len(signatures)} signatures, more than {SIGNATURES_MAX}")
    return text + "\n", signatures


def decoded(encoded: str) -> bytes:
    """Decode base64 that is written in the one way in which it is written. Raises Refused."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    if base64.b64encode(raw).decode() != encoded:
        raise Refused("a note holds base64 that is none")
    return raw


def read_changes(changes: list[Any]) -> dict[str, Chain]:
    """Read pairs of seq and note, in order of seq: the chain of each name that has changed its key.

    Raises:
        Refused: one is not signed by both keys, or does not begin where the one before ended.
    """
    chains: dict[str, Chain] = {}
    for seq, note in changes:
        text, signatures = split(note)
        try:
            heading, *vkeys = text.removesuffix("\n").split("\n")
            old, new = (read_key(vkey, LOG) for vkey in vkeys)
        except ValueError as error:
            raise Refused(f"the change of a key cannot be read: {error}", seq) from error
        chain = chains.setdefault(old.name, Chain([old.public]))
        if heading != CHANGE or new.name != old.name or seq <= max(chain.ends, default=-1):
            raise Refused(f"this is no change of the key of {old.name} in its place", seq)
        if chain.keys[-1] != old.public or new.public in chain.keys:
            raise Refused(f"the change of the key of {old.name} does not continue the one before", seq)
        for which, key in (("old", old), ("new", new)):
            _check_signed(key, which, text, signatures, seq)
        chain.keys.append(new.public)
        chain.ends.append(seq)
    return chains


def _check_signed(key: Key, which: str, text: str, signatures: list[tuple[str, bytes]], seq: int) -> None:
    signed = [value[4:] for name, value in signatures if (name, value[:4]) == (key.name, key.id)]
    if not any(key.signed(value, text.encode()) for value in signed):
        raise Refused(f"the change of the key of {key.name} is not signed by the {which} key", seq)
